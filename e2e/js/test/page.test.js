// The example's page in a real browser.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Gateway } from "../lib/gateway.js";

const ARTEFACTS = fileURLToPath(new URL("../artefacts/", import.meta.url));
const AXE = createRequire(import.meta.url).resolve("axe-core");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

describe("the page in chromium", { timeout: 240_000 }, () => {
  let gateway;
  let browser;
  const faults = [];

  before(async () => {
    await mkdir(ARTEFACTS, { recursive: true });
    [gateway, browser] = await Promise.all([
      Gateway.page(),
      chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS }),
    ]);
  });

  after(async () => {
    await browser?.close();
    await gateway?.kill();
  });

  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));

  async function visit(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1080, height: 860 }, locale: "en-GB", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(gateway.http);
    return page;
  }

  const isIn = (page) => page.locator("#state[data-state=connected]").waitFor();
  const isOut = (page) => page.locator("#state[data-state=reconnecting]").waitFor();
  const message = (page) => page.getByLabel("Message", { exact: true });
  const button = (page, name) => page.getByRole("button", { name });
  const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);

  async function logIn(page, name) {
    await page.getByLabel("Your name").fill(name);
    await button(page, "Log in").click();
    await isIn(page);
  }

  async function say(page, text) {
    await message(page).fill(text);
    await button(page, "Send").click();
  }

  /** Waits until the last message is this one. */
  async function hears(page, who, text) {
    const last = page.locator("#messages li:not(.unsent)").last();
    await last.filter({ hasText: text }).waitFor();
    assert.ok((await last.locator("b").textContent()).startsWith(who));
  }

  const percent = (page) => page.locator("#bar").evaluate((bar) => bar.value);
  const reaches = (page, value) => page.waitForFunction((least) => document.getElementById("bar").value >= least, value);

  test("serves two people, who chat, call, stream and see the server come back", async () => {
    const [ada, bob] = await Promise.all([visit(), visit({ colorScheme: "dark" })]);
    await Promise.all([logIn(ada, "ada"), logIn(bob, "bob")]);

    // A call, and an argument error.
    await button(ada, "Reverse").click();
    await ada.locator("#answer", { hasText: "desserts" }).waitFor();
    await ada.getByLabel("Text to reverse").fill("");
    await button(ada, "Reverse").click();
    await ada.locator("#answer.bad", { hasText: 'invalid argument "text"' }).waitFor();

    // A chat.
    await say(ada, "hello bob");
    await Promise.all([ada, bob].map((page) => hears(page, "ada", "hello bob")));
    await say(bob, "hello ada, <b>how</b> are you?");
    await Promise.all([ada, bob].map((page) => hears(page, "bob", "hello ada, <b>how</b> are you?")));
    assert.equal(await ada.locator("#messages li.mine").count(), 1);
    assert.equal(await ada.locator("#messages li.unsent").count(), 0);

    // A stream that moves and ends, and one that is stopped.
    await button(bob, "Start").click();
    await reaches(bob, 1);
    const early = await percent(bob);
    await reaches(bob, 40);
    assert.ok(early < 40, `the bar stood at ${early} at first`);
    await Promise.all([
      ada.screenshot({ path: `${ARTEFACTS}page-light.png` }),
      bob.screenshot({ path: `${ARTEFACTS}page-dark.png` }),
    ]);
    await bob.locator("#progress", { hasText: "done" }).waitFor();
    assert.equal(await percent(bob), 100);
    await button(bob, "Start").click();
    await bob.waitForFunction(() => document.getElementById("bar").value === 10);
    await button(bob, "Stop").click();
    await bob.locator("#progress", { hasText: "stopped at" }).waitFor();
    assert.ok(await percent(bob) < 100);

    // The server dies and comes back.
    await gateway.kill();
    await Promise.all([ada, bob].map(isOut));
    await ada.screenshot({ path: `${ARTEFACTS}page-reconnecting.png` });
    await gateway.start();
    await Promise.all([ada, bob].map(isIn));
    await say(bob, "and we are back");
    await Promise.all([ada, bob].map((page) => hears(page, "bob", "and we are back")));

    // A person goes, and the other stays.
    await button(ada, "Log out").click();
    await ada.getByLabel("Your name").waitFor();
    await say(bob, "alone");
    await hears(bob, "bob", "alone");
  });

  test("gives each window of a person its own stream, and all of them the messages", async () => {
    const windows = await Promise.all([visit(), visit()]);
    for (const page of windows) await logIn(page, "eve");
    const [first, second] = windows;
    for (const page of windows) await button(page, "Start").click();
    await Promise.all(windows.map((page) => reaches(page, 5)));
    await button(second, "Stop").click();
    await second.locator("#progress", { hasText: "stopped at" }).waitFor();
    await say(first, "from the first");
    await Promise.all(windows.map((page) => hears(page, "eve", "from the first")));
    await say(second, "from the second");
    await Promise.all(windows.map((page) => hears(page, "eve", "from the second")));
    assert.equal(await second.locator("#messages li.mine").count(), 2);
    // The first one's stream goes on.
    await reaches(first, await percent(second) + 10);
    await second.close();
    await say(first, "still here");
    await hears(first, "eve", "still here");
  });

  test("leaves a reader of older messages where they are, and says that there are newer ones", async () => {
    // Low and narrow, so that the page scrolls as well.
    const [reader, writer] = await Promise.all([visit({ viewport: { width: 360, height: 500 } }), visit()]);
    await logIn(reader, "fay");
    await logIn(writer, "gus");
    await writer.evaluate(() => {
      for (let n = 1; n <= 30; n += 1) {
        document.getElementById("message").value = `message ${n}`;
        document.getElementById("chat").requestSubmit();
      }
    });
    await hears(reader, "gus", "message 30");
    const log = (change) => reader.locator("#log").evaluate((log, top) => {
      if (top !== null) log.scrollTop = top;
      return { top: log.scrollTop, toEnd: log.scrollHeight - log.scrollTop - log.clientHeight };
    }, change);
    assert.ok((await log(null)).toEnd < 2, "a reader at the end stays at the end");
    assert.equal(await reader.evaluate(() => scrollY), 0);
    assert.ok(await button(reader, "New messages").isHidden());

    const { top } = await log(100);
    await say(writer, "a new one");
    await button(reader, "New messages").waitFor();
    await hears(reader, "gus", "a new one");
    assert.equal((await log(null)).top, top);
    assert.equal(await reader.evaluate(() => scrollY), 0);
    await button(reader, "New messages").click();
    assert.ok((await log(null)).toEnd < 2);
    await button(reader, "New messages").waitFor({ state: "hidden" });
    assert.equal(await focused(reader), "message");
  });

  test("can be used with the keyboard alone, and always knows where its focus is", async () => {
    const page = await visit();
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    assert.equal(await focused(page), "name");
    await page.keyboard.type("hal");
    await press("Enter");
    await isIn(page);
    assert.equal(await focused(page), "text");
    await press("Enter");
    await page.locator("#answer", { hasText: "desserts" }).waitFor();
    await press("Tab", "Tab", "Enter");
    await reaches(page, 5);
    await press("Enter");
    await page.locator("#progress", { hasText: "stopped at" }).waitFor();
    assert.equal(await focused(page), "stream");
    await press("Tab");
    assert.equal(await focused(page), "log");
    await press("Tab");
    await page.keyboard.type("no mouse");
    await press("Enter");
    await hears(page, "hal", "no mouse");
    assert.equal(await focused(page), "message");
    // A connection that comes and goes takes no focus.
    await gateway.kill();
    await isOut(page);
    await gateway.start();
    await isIn(page);
    assert.equal(await focused(page), "message");
    await button(page, "Log out").focus();
    await press("Enter");
    assert.equal(await focused(page), "name");
  });

  test("says in words that the server is not there, and lets the person try again", async () => {
    const page = await visit();
    await gateway.kill();
    await page.getByLabel("Your name").fill("ida");
    await button(page, "Log in").click();
    await page.locator("#login-error.bad", { hasText: "The server cannot be reached" }).waitFor();
    await gateway.start();
    await button(page, "Try again").click();
    await isIn(page);
  });

  test("does once what is submitted twice", async () => {
    const page = await visit();
    const logins = [];
    const frames = [];
    page.on("request", (request) => request.url().endsWith("/login") && logins.push(request));
    page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => frames.push(payload)));
    const twice = (id) => page.locator(id).evaluate((form) => [form, form].forEach((form) => form.requestSubmit()));
    await page.getByLabel("Your name").fill("joe");
    await twice("#login");
    await isIn(page);
    await twice("#call");
    await page.locator("#answer", { hasText: "desserts" }).waitFor();
    await message(page).fill("once");
    await twice("#chat");
    await hears(page, "joe", "once");
    assert.equal(logins.length, 1);
    const sent = (what) => frames.filter((frame) => frame.includes(`"${what}"`)).length;
    assert.deepEqual(["phx_join", "reverse", "relay_msg"].map(sent), [1, 1, 1]);
  });

  test("sends what is entered without a connection once there is one", async () => {
    const page = await visit();
    await logIn(page, "kim");
    await gateway.kill();
    await isOut(page);
    for (const text of ["one", "two"]) {
      await message(page).fill(text);
      await message(page).press("Enter");
    }
    await page.locator("li.unsent", { hasText: "waiting for the connection" }).nth(1).waitFor();
    await page.getByLabel("Text to reverse").press("Enter");
    await page.locator("#answer", { hasText: "Not connected" }).waitFor();
    await button(page, "Start").click();
    await page.locator("#progress.bad", { hasText: "Not connected" }).waitFor();
    await page.screenshot({ path: `${ARTEFACTS}page-offline.png` });
    await gateway.start();
    await page.locator("#answer", { hasText: "desserts" }).waitFor();
    await hears(page, "kim", "two");
    assert.deepEqual(await page.locator("#messages li").evaluateAll((items) => items.map((item) => item.lastChild.data)), ["one", "two"]);
  });

  test("says what became of a message whose answer was lost, and sends it again when asked to", async () => {
    const page = await visit();
    await logIn(page, "lea");
    gateway.freeze();
    await say(page, "are you there?");
    await page.locator("li.unsent", { hasText: "sending" }).waitFor();
    await gateway.kill();
    await page.locator("li.unsent", { hasText: "The connection broke" }).waitFor();
    await page.screenshot({ path: `${ARTEFACTS}page-unsent.png` });
    await gateway.start();
    await isIn(page);
    await button(page, "Try again").click();
    await hears(page, "lea", "are you there?");
    assert.equal(await page.locator("#messages li").count(), 1);
  });

  test("stays logged in over a reload, until the person logs out", async () => {
    const page = await visit();
    await logIn(page, "max");
    await page.reload();
    await isIn(page);
    await page.locator("#state", { hasText: "max" }).waitFor();
    await button(page, "Log out").click();
    await page.reload();
    await page.getByLabel("Your name").waitFor();
    assert.equal(await page.locator("#state").getAttribute("data-state"), "closed");
  });

  test("fits into a narrow window, light and dark, and refuses no name", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await visit({ viewport: { width: 360, height: 760 }, colorScheme });
      const fits = async () => {
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
      };
      await page.getByLabel("Your name").fill("   ");
      await button(page, "Log in").click();
      await page.locator("#login-error", { hasText: "name" }).waitFor();
      await page.screenshot({ path: `${ARTEFACTS}page-login-${colorScheme}.png` });
      await fits();
      await page.getByLabel("Your name").fill("Wolfeschlegelsteinhausenbergerdorff");
      await button(page, "Try again").click();
      await isIn(page);
      await say(page, "a-word-without-an-end".repeat(8));
      await hears(page, "Wolfe", "a-word");
      await page.screenshot({ path: `${ARTEFACTS}page-narrow-${colorScheme}.png`, fullPage: true });
      await fits();
    }
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`has no fault that an accessibility checker finds, ${colorScheme}`, async () => {
      const page = await visit({ colorScheme });
      await page.addScriptTag({ path: AXE });
      const faults = () => page.evaluate(async () => {
        const { violations } = await window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] });
        return violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ html }) => html)}`);
      });
      await page.getByLabel("Your name").fill("   ");
      await button(page, "Log in").click();
      await page.locator("#login-error.bad").waitFor();
      assert.deepEqual(await faults(), []);
      await page.getByLabel("Your name").fill("noa");
      await button(page, "Try again").click();
      await isIn(page);
      await page.getByLabel("Text to reverse").fill("");
      await button(page, "Reverse").click();
      await page.locator("#answer.bad").waitFor();
      await say(page, "can you read me?");
      await hears(page, "noa", "can you read me?");
      assert.deepEqual(await faults(), []);
    });
  }

  test("throws no error while all of this goes on", () => {
    assert.deepEqual(faults, []);
  });
});

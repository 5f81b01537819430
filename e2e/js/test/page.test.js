// The example's page in a real browser: two people log in, chat, call, stream, and see the server come back.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { Gateway } from "../lib/gateway.js";

const ARTEFACTS = fileURLToPath(new URL("../artefacts/", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

describe("the page in chromium", { timeout: 120_000 }, () => {
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

  async function visit(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1080, height: 860 }, locale: "en-GB", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(gateway.http);
    return page;
  }

  const isIn = (page) => page.locator("#state[data-state=connected]").waitFor();
  const isInLobby = (page) => page.locator("#messages[data-joined]").waitFor();

  async function logIn(page, name) {
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Log in" }).click();
    await isIn(page);
    await isInLobby(page);
  }

  async function say(page, text) {
    await page.getByLabel("Message").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  }

  /** Waits until the last message is this one. */
  async function hears(page, who, text) {
    const last = page.locator("#messages li").last();
    await last.filter({ hasText: text }).waitFor();
    assert.ok((await last.locator("b").textContent()).startsWith(who));
  }

  test("serves two people, who chat, call, stream and see the server come back", async () => {
    const [ada, bob] = await Promise.all([visit(), visit({ colorScheme: "dark" })]);
    await logIn(ada, "ada");
    await logIn(bob, "bob");

    // A call, and an argument error.
    const reverse = ada.getByRole("button", { name: "Reverse" });
    await reverse.click();
    await ada.locator("#answer", { hasText: "desserts" }).waitFor();
    await ada.getByLabel("Text to reverse").fill("");
    await reverse.click();
    const error = ada.locator("#answer.bad", { hasText: 'invalid argument "text"' });
    await error.waitFor();

    // A chat.
    await say(ada, "hello bob");
    await Promise.all([ada, bob].map((page) => hears(page, "ada", "hello bob")));
    await say(bob, "hello ada, <b>how</b> are you?");
    await Promise.all([ada, bob].map((page) => hears(page, "bob", "hello ada, <b>how</b> are you?")));
    assert.equal(await ada.locator("#messages li.mine").count(), 1);

    // A stream that moves and ends, and one that is stopped.
    const bar = bob.locator("#bar");
    const percent = () => bar.evaluate((progress) => progress.value);
    const reaches = (value) => bob.waitForFunction((least) => document.getElementById("bar").value >= least, value);
    await bob.getByRole("button", { name: "Start" }).click();
    await reaches(1);
    const early = await percent();
    await reaches(40);
    assert.ok(early < 40, `the bar stood at ${early} at first`);
    await Promise.all([
      ada.screenshot({ path: `${ARTEFACTS}page-light.png` }),
      bob.screenshot({ path: `${ARTEFACTS}page-dark.png` }),
    ]);
    await bob.locator("#progress", { hasText: "done" }).waitFor();
    assert.equal(await percent(), 100);
    await bob.getByRole("button", { name: "Start" }).click();
    await bob.waitForFunction(() => document.getElementById("bar").value === 10);
    await bob.getByRole("button", { name: "Stop" }).click();
    await bob.locator("#progress", { hasText: "stopped at" }).waitFor();
    assert.ok(await percent() < 100);

    // The server dies and comes back.
    await gateway.kill();
    await Promise.all([ada, bob].map((page) => page.locator("#state[data-state=reconnecting]").waitFor()));
    await ada.screenshot({ path: `${ARTEFACTS}page-reconnecting.png` });
    assert.ok(await ada.getByRole("button", { name: "Send" }).isDisabled());
    await gateway.start();
    await Promise.all([ada, bob].flatMap((page) => [isIn(page), isInLobby(page)]));
    await say(bob, "and we are back");
    await Promise.all([ada, bob].map((page) => hears(page, "bob", "and we are back")));

    // A person goes, and the other stays.
    await ada.getByRole("button", { name: "Log out" }).click();
    await ada.getByLabel("Your name").waitFor();
    await say(bob, "alone");
    await hears(bob, "bob", "alone");
    assert.deepEqual(faults, []);
  });

  test("shows the form in a narrow window, and refuses no name", async () => {
    const page = await visit({ viewport: { width: 380, height: 760 } });
    await page.screenshot({ path: `${ARTEFACTS}page-login.png` });
    await page.getByLabel("Your name").fill("   ");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator("#login-error", { hasText: "name" }).waitFor();
    await logIn(page, "cleo");
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
    await page.screenshot({ path: `${ARTEFACTS}page-narrow.png` });
  });
});

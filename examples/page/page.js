// The page: it shows what the gateway answers. The protocol is in client.js.
import { ConnectionLost, GatewayClient, newId } from "/client.js";

const TOPIC = "room:lobby";
const SESSION_KEY = "gen_api.session";

const at = (id) => document.getElementById(id);

/** Who is logged in, `{ name, token }`; each window has its own, which a reload keeps. */
let session = null;
let client = null;

// What people read.

const WAITING = "Not connected. This will be sent as soon as the connection is back.";

function inWords(error) {
  if (error instanceof ConnectionLost) return "The connection broke before the answer came.";
  return error.message;
}

function show(output, text, isError = false) {
  output.textContent = text;
  output.classList.toggle("bad", isError);
}

/** Does `work` when the form is submitted, and not twice at a time. */
function onSubmit(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    try {
      await work();
    } finally {
      form.ariaBusy = "false";
    }
  });
}

// Logging in and out.

async function fetchToken(name) {
  let answer;
  try {
    answer = await fetch("/login", { method: "POST", body: name, signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new Error("The server cannot be reached. Is it running?");
  }
  const text = await answer.text();
  if (!answer.ok) throw new Error(text || `The server answered with status ${answer.status}.`);
  return text;
}

function remember(newSession) {
  session = newSession;
  if (session) sessionStorage.setItem(SESSION_KEY, JSON.stringify(session));
  else sessionStorage.removeItem(SESSION_KEY);
}

onSubmit(at("login"), async () => {
  const name = at("name").value.trim();
  show(at("login-error"), "");
  try {
    remember({ name, token: await fetchToken(name) });
  } catch (error) {
    at("login-button").textContent = "Try again";
    return show(at("login-error"), error.message, true);
  }
  enter();
  at("text").focus();
});

function enter() {
  at("messages").replaceChildren();
  at("newer").hidden = true;
  for (const output of ["answer", "progress", "percent"]) show(at(output), "");
  at("bar").value = 0;
  at("login").hidden = true;
  at("app").hidden = at("logout").hidden = false;
  showState("connecting", "connecting …");
  client = new GatewayClient({
    url: location.origin.replace(/^http/, "ws") + "/socket",
    topic: TOPIC,
    service: "demo",
    // A server that was restarted does not know the old token any more.
    getToken: async (isFresh) => {
      const mine = session;
      if (!isFresh) return mine.token;
      const token = await fetchToken(mine.name);
      if (session === mine) remember({ ...mine, token });
      return token;
    },
    onState: (isConnected) => {
      if (isConnected) showState("connected", `${session.name} · connected`);
      else showState("reconnecting", "connection lost, trying again …");
    },
    onMessage: showMessage,
  });
}

function showState(state, text) {
  at("state").dataset.state = state;
  at("state").textContent = text;
}

at("logout").addEventListener("click", () => {
  client.close();
  fetch("/logout", { method: "POST", body: session.token }).catch(() => {});
  remember(null);
  showState("closed", "not connected");
  at("app").hidden = at("logout").hidden = true;
  at("login-button").textContent = "Log in";
  at("login").hidden = false;
  at("name").focus();
  at("name").select();
});

// A call.

onSubmit(at("call"), async () => {
  const text = at("text").value;
  if (!client.isConnected) show(at("answer"), WAITING);
  try {
    show(at("answer"), await client.call("reverse", text ? { text } : {}));
  } catch (error) {
    show(at("answer"), inWords(error), true);
  }
});

// A stream: one button starts and stops it, so that it never loses the keyboard's focus.

let streamId = null;

at("stream").addEventListener("click", () => {
  if (streamId) stopStream(streamId);
  else if (client.isConnected) runStream();
  else show(at("progress"), "Not connected. Start it when the connection is back.", true);
});

async function runStream() {
  let percent = 0;
  const showPercent = (now) => {
    percent = now;
    at("bar").value = now;
    at("percent").textContent = `${now} %`;
  };
  streamId = newId();
  at("stream").textContent = "Stop";
  show(at("progress"), "");
  showPercent(0);
  try {
    await client.call("count", {}, { id: streamId, onChunk: showPercent });
    show(at("progress"), percent === 100 ? "done" : `stopped at ${percent} %`);
  } catch (error) {
    show(at("progress"), inWords(error), true);
  }
  streamId = null;
  at("stream").textContent = "Start";
}

async function stopStream(id) {
  try {
    await client.call("stop", { id });
  } catch (error) {
    // What has ended meanwhile says so itself.
    if (streamId === id) show(at("progress"), inWords(error), true);
  }
}

// The chat. What was typed stands at the end of the list until the group has it, and then where the group has it.

const unsent = new Map();

at("chat").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("message").value.trim();
  if (!text) return;
  at("message").value = "";
  send(newId(), text);
});

async function send(id, text) {
  const note = document.createElement("small");
  const item = makeItem(session.name, client.isConnected ? "sending …" : "waiting for the connection …", text);
  item.classList.add("mine", "unsent");
  item.append(note);
  unsent.set(id, item);
  at("messages").append(item);
  scrollToEnd();
  try {
    await client.call("relay_msg", { group_id: TOPIC, message: text }, { id });
  } catch (error) {
    if (!unsent.delete(id)) return;
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Try again";
    again.addEventListener("click", () => {
      at("message").focus();
      item.remove();
      send(newId(), text);
    });
    note.classList.add("bad");
    note.append(`${inWords(error)} `, again);
    item.querySelector("time").textContent = "not sent";
  }
}

function showMessage({ from_user_id: from, message, timestamp }, id) {
  const wasAtEnd = isAtEnd();
  unsent.get(id)?.remove();
  unsent.delete(id);
  const time = new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const item = makeItem(from, time, message);
  item.querySelector("time").dateTime = timestamp;
  item.classList.toggle("mine", from === session.name);
  at("messages").insertBefore(item, at("messages").querySelector(".unsent"));
  // Who reads older messages is not torn away from them.
  if (wasAtEnd) scrollToEnd();
  else at("newer").hidden = false;
}

function makeItem(from, time, text) {
  const [item, who, when] = ["li", "b", "time"].map((tag) => document.createElement(tag));
  when.textContent = time;
  who.append(from, when);
  item.append(who, text);
  return item;
}

function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = at("log");
  return scrollHeight - scrollTop - clientHeight < 24;
}

function scrollToEnd() {
  at("log").scrollTop = at("log").scrollHeight;
  at("newer").hidden = true;
}

at("log").addEventListener("scroll", () => {
  if (isAtEnd() && document.activeElement !== at("newer")) at("newer").hidden = true;
});

at("newer").addEventListener("click", () => {
  at("message").focus();
  scrollToEnd();
});

// A reload goes on where it was.
const saved = sessionStorage.getItem(SESSION_KEY);
if (saved) {
  session = JSON.parse(saved);
  at("name").value = session.name;
  enter();
} else {
  at("login").hidden = false;
  at("name").focus();
}

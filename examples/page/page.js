// The page: it shows what the gateway answers. The protocol is in client.js.
import { GatewayClient } from "/client.js";

const at = (id) => document.getElementById(id);
const GROUP = { group_id: "lobby" };
let client = null;
let name = "";
let isStreaming = false;

const TEXTS = {
  connecting: "connecting …",
  connected: "connected",
  reconnecting: "connection lost, trying again …",
  closed: "not connected",
};

function show(output, text, isError = false) {
  output.textContent = text;
  output.classList.toggle("bad", isError);
}

function showState(state) {
  const loggedIn = state !== "closed";
  at("login").hidden = loggedIn;
  at("app").hidden = at("logout").hidden = !loggedIn;
  at("state").dataset.state = state;
  at("state").textContent = state === "connected" ? `${name} · connected` : TEXTS[state];
  for (const button of at("app").querySelectorAll("button")) button.disabled = state !== "connected";
  at("stop").disabled ||= !isStreaming;
  delete at("messages").dataset.joined;
  if (state === "connected") enterLobby();
}

// Answers the parameters of a connect.
async function login() {
  const answer = await fetch("/login", { method: "POST", body: name });
  if (!answer.ok) throw new Error(await answer.text());
  return { token: await answer.text() };
}

at("login").onsubmit = async (event) => {
  event.preventDefault();
  name = at("name").value.trim();
  try {
    await login();
  } catch (error) {
    return show(at("login-error"), error.message, true);
  }
  show(at("login-error"), "");
  at("messages").replaceChildren();
  client = new GatewayClient({
    url: location.origin.replace(/^http/, "ws") + "/socket",
    topic: "api:page",
    service: "demo",
    // Anew for every connect: a server that was restarted does not know the old token.
    params: login,
    onState: showState,
    onMessage: showMessage,
  });
};

at("logout").onclick = () => client.close();

// A call.

at("call").onsubmit = async (event) => {
  event.preventDefault();
  try {
    const text = at("text").value;
    show(at("answer"), await client.call("reverse", text ? { text } : {}));
  } catch (error) {
    show(at("answer"), error.message, true);
  }
};

// A stream.

at("start").onclick = async () => {
  let percent = 0;
  const showPercent = (now) => {
    percent = now;
    at("bar").value = now;
    show(at("progress"), `${now} %`);
  };
  showPercent(0);
  isStreaming = true;
  at("start").disabled = true;
  at("stop").disabled = false;
  try {
    await client.call("count", {}, showPercent);
    show(at("progress"), percent === 100 ? "done" : `stopped at ${percent} %`);
  } catch (error) {
    show(at("progress"), error.message, true);
  }
  isStreaming = false;
  at("stop").disabled = true;
  at("start").disabled = at("state").dataset.state !== "connected";
};

at("stop").onclick = async () => {
  at("stop").disabled = true;
  await client.call("stop").catch((error) => show(at("progress"), error.message, true));
};

// The chat.

async function enterLobby() {
  const join = () => client.call("join_group", GROUP);
  try {
    await client.call("create_group", { ...GROUP, group_type: "public" }).catch(async ({ message }) => {
      if (message !== "already_exists") throw new Error(message);
      await join().catch(async ({ message }) => {
        if (message !== "already_member") throw new Error(message);
        // In another window, or over a connection that is gone unnoticed: the newest one gets the messages.
        await client.call("leave_group", GROUP);
        await join();
      });
    });
    at("messages").dataset.joined = "";
    show(at("chat-error"), "");
  } catch (error) {
    show(at("chat-error"), `no chat: ${error.message}`, true);
  }
}

function showMessage({ from_user_id, message, timestamp }) {
  const [item, who, when] = ["li", "b", "time"].map((tag) => document.createElement(tag));
  who.textContent = from_user_id;
  when.dateTime = timestamp;
  when.textContent = new Date(timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  who.append(when);
  item.classList.toggle("mine", from_user_id === name);
  item.append(who, message);
  at("messages").append(item);
  item.scrollIntoView({ block: "nearest" });
}

at("chat").onsubmit = async (event) => {
  event.preventDefault();
  const message = at("message").value.trim();
  if (!message) return;
  try {
    await client.call("relay_msg", { ...GROUP, message });
    at("message").value = "";
    show(at("chat-error"), "");
  } catch (error) {
    show(at("chat-error"), error.message, true);
  }
};

// The official clients, unmodified, and what tests do with them.

import "./browser.js";
import * as phoenix16 from "phoenix16";
import * as phoenix17 from "phoenix17";
import * as phoenix18 from "phoenix18";
import WebSocket from "ws";
import { Queue, within } from "./wait.js";

export const CLIENTS = [
  { name: "phoenix 1.6.16", ...phoenix16 },
  { name: "phoenix 1.7.21", ...phoenix17 },
  { name: "phoenix 1.8.16", ...phoenix18, sendsTokens: true },
];

/** The newest one, for cases that are not about the client. */
export const NEWEST = CLIENTS.at(-1);

/** The options of a client that speaks version 1 of the protocol: its own serializer knows version 2 only. */
export const V1 = {
  vsn: "1.0.0",
  encode: ({ topic, event, payload, ref }, done) => done(JSON.stringify({ topic, event, payload, ref })),
  decode: (text, done) => done(JSON.parse(text)),
};

export const REQUEST_EVENT = "phoenix_gen_api";

/** The parameters that the test server takes for a user, with a role if one is given. */
export const user = (name, role = "") => ({ token: `user:${name}:${role}` });

/** A socket that is closed with the test; it tries again soon where the real one waits seconds. */
export function makeSocket(t, client, gateway, { path = "/socket", ...options } = {}) {
  const soon = () => 30;
  const socket = new client.Socket(gateway.ws + path, {
    transport: WebSocket,
    reconnectAfterMs: soon,
    rejoinAfterMs: soon,
    params: user("ann"),
    ...options,
  });
  socket.opens = new Queue();
  socket.closes = new Queue();
  socket.onOpen(() => socket.opens.put("open"));
  socket.onClose((event) => socket.closes.put(event));
  t.after(() => socket.disconnect());
  return socket;
}

/** The same, connected. */
export async function connect(t, client, gateway, options) {
  const socket = makeSocket(t, client, gateway, options);
  socket.connect();
  await socket.opens.next("the socket to open");
  return socket;
}

/** What came of a push: the status and the response of its first reply. */
export function replyTo(push) {
  const reply = new Promise((done) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => done({ status, response }));
    }
  });
  return within(reply, "a reply");
}

/** A channel with what arrives on it in order in `inbox`, and the outcome of each of its joins in `joins`. */
export function makeChannel(socket, topic, params) {
  const channel = socket.channel(topic, params);
  channel.inbox = new Queue();
  channel.joins = new Queue();
  channel.onMessage = (event, payload, ref, joinRef) => {
    // The client tells itself of replies and errors under names of its own too.
    // A push that is given up while its timeout runs has no event any more.
    if (event?.startsWith("chan_reply_") === false) channel.inbox.put({ event, payload, ref, joinRef });
    return payload;
  };
  return channel;
}

/** Joins, and answers the channel once the reply is there. */
export async function join(socket, topic = "api:main", params = {}) {
  const channel = makeChannel(socket, topic, params);
  const push = channel.join();
  for (const status of ["ok", "error", "timeout"]) {
    push.receive(status, (response) => channel.joins.put({ status, response }));
  }
  await channel.inbox.find(({ event }) => event === "phx_reply", `the reply to the join of ${topic}`);
  return channel;
}

let requests = 0;

/** Sends a request; answers its id and the promise of its reply, for which it waits `timeout` milliseconds. */
export function ask(channel, requestType, args = {}, more = {}, timeout = undefined) {
  const id = `r${++requests}`;
  const payload = { service: "svc", request_type: requestType, request_id: id, device_id: "d1", args, ...more };
  return { id, reply: replyTo(channel.push(REQUEST_EVENT, payload, timeout)) };
}

/** Sends a request and answers the push and the reply that follow it, which must be next in the inbox. */
export async function call(channel, requestType, args, more) {
  const { id } = ask(channel, requestType, args, more);
  const push = await nextPush(channel, id);
  const reply = await channel.inbox.next(`the reply to ${requestType}`);
  if (reply.event !== "phx_reply") throw new Error(`a reply was to follow, not ${JSON.stringify(reply)}`);
  return { id, push, reply: reply.payload };
}

const KEYS = ["async", "can_retry", "error", "has_more", "request_id", "result", "success"];

/** The next thing on the channel, which must be a response to this request with all of its keys. */
export async function nextPush(channel, id) {
  const { event, payload, ref } = await channel.inbox.next(`a response to ${id}`);
  const keys = Object.keys(payload).sort();
  const whole = event === REQUEST_EVENT && (ref ?? null) === null && payload.request_id === id;
  if (!whole || String(keys) !== String(KEYS)) {
    throw new Error(`a whole response to ${id} was to come, not ${event} ${JSON.stringify(payload)}`);
  }
  const { request_id: _, ...response } = payload;
  return response;
}

/** The response of a sync success with this result, or another one with what is changed. */
export const response = (result, changed = {}) => ({
  result,
  success: true,
  error: null,
  async: false,
  has_more: false,
  can_retry: false,
  ...changed,
});

/** The response of a failure with this text. */
export const failure = (error, changed = {}) => response(null, { success: false, error, ...changed });

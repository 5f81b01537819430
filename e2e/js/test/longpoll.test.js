// The long-poll transport: the clients over it, and its requests one by one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { call, connect, join, makeSocket, nextPush, replyTo, response, user } from "../lib/clients.js";
import { withClients, withGateway } from "../lib/suite.js";
import { Queue, until } from "../lib/wait.js";

withClients("over long polls a client", { long_poll_ms: 300 }, (client, gateway) => {
  let topics = 0;
  const start = async (t, { topic = `api:${client.name}-${++topics}`, ...options } = {}) =>
    join(await connect(t, client, gateway(), { transport: client.LongPoll, ...options }), topic);

  test("joins, pushes, asks and leaves", async (t) => {
    const channel = await start(t);
    assert.deepEqual(await channel.joins.next(), { status: "ok", response: {} });
    assert.deepEqual(await replyTo(channel.push("echo", { v: "ü" })), { status: "ok", response: { v: "ü" } });
    channel.inbox.rest();
    const { push, reply } = await call(channel, "sync_ok", { a: "hi" });
    assert.deepEqual([push, reply], [response({ echo: "hi" }), { status: "ok", response: "sync_ok" }]);
    assert.deepEqual(await replyTo(channel.leave()), { status: "ok", response: {} });
  });

  test("gets its frames in order", async (t) => {
    const channel = await start(t);
    const { id } = await call(channel, "stream_ok", { n: 300 });
    for (let n = 1; n <= 300; n += 1) assert.equal((await nextPush(channel, id)).result, n);
    assert.equal((await nextPush(channel, id)).has_more, false);
  });

  test("hears what comes while it waits", async (t) => {
    const topic = `api:${client.name}`;
    const [one, two] = await Promise.all([start(t, { topic }), start(t, { topic })]);
    for (let v = 1; v <= 3; v += 1) {
      one.push("bcast", { v });
      for (const channel of [one, two]) {
        await channel.inbox.find(({ event, payload }) => event === "bcast" && payload.v === v);
      }
    }
  });

  test("is refused with a wrong token until it has a right one", async (t) => {
    const errors = new Queue();
    let token = "wrong";
    const socket = makeSocket(t, client, gateway(), { transport: client.LongPoll, params: () => ({ token }) });
    socket.onError((error) => errors.put(error));
    socket.connect();
    assert.deepEqual(await errors.take(2, "a refusal"), [403, 403]);
    token = user("ann").token;
    await socket.opens.next("the socket to open");
  });

  test("comes back after a malformed frame", async (t) => {
    const channel = await start(t);
    assert.deepEqual(await channel.joins.next(), { status: "ok", response: {} });
    channel.socket.conn.send("[1,");
    assert.deepEqual(await channel.joins.next("the rejoin"), { status: "ok", response: {} });
    assert.deepEqual(await replyTo(channel.push("echo", { v: 1 })), { status: "ok", response: { v: 1 } });
  });

  if (client.sendsTokens) {
    test("sends its token as a header", async (t) => {
      const channel = await start(t, { params: {}, authToken: "user:ada:admin" });
      assert.equal((await replyTo(channel.push("whoami", {}))).response.user_id, "ada");
    });
  }
});

withGateway("a long poll", { long_poll_ms: 100, idle_timeout_ms: 500 }, (gateway) => {
  const url = (token) => {
    const query = new URLSearchParams({ vsn: "2.0.0" });
    if (token !== undefined) query.set("token", token);
    return `${gateway().http}/socket/longpoll?${query}`;
  };
  const poll = async (token) => (await fetch(url(token))).json();
  const post = async (token, lines) => {
    const headers = { "Content-Type": "application/x-ndjson" };
    return (await fetch(url(token), { method: "POST", headers, body: lines.join("\n") })).json();
  };
  const heartbeat = (ref) => JSON.stringify([null, ref, "phoenix", "heartbeat", {}]);

  test("without a token opens a session", async () => {
    const answer = await fetch(url());
    assert.equal(answer.status, 200);
    const { token, ...rest } = await answer.json();
    assert.deepEqual(rest, { status: 410, messages: [] });
    assert.match(token, /^[\w-]{20,}$/);
  });

  test("is held, and then answered with 204", async () => {
    const { token } = await poll();
    const { status, messages } = await poll(token);
    assert.deepEqual([status, messages ?? []], [204, []]);
  });

  test("brings the frames that wait, as texts", async () => {
    const { token } = await poll();
    assert.equal((await post(token, [heartbeat("1"), heartbeat("2")])).status, 200);
    const texts = [];
    await until(async () => texts.push(...((await poll(token)).messages ?? [])), () => texts.length === 2, "two frames");
    const replies = texts.map((text) => JSON.parse(text));
    const reply = (ref) => [null, ref, "phoenix", "phx_reply", { status: "ok", response: {} }];
    assert.deepEqual(replies, [reply("1"), reply("2")]);
  });

  test("of a session that does not exist takes nothing, and its token is not the client's", async () => {
    assert.equal((await post("nonsense", [heartbeat("1")])).status, 410);
    // Clients call both tokens `token`, so this one is verified like any other.
    assert.equal((await poll("nonsense")).status, 403);
  });

  test("takes a hundred frames and no more, and no nonsense", async () => {
    const { token } = await poll();
    const lines = (count) => Array.from({ length: count }, (_, n) => heartbeat(String(n)));
    assert.equal((await post(token, lines(100))).status, 200);
    assert.notEqual((await post(token, lines(101))).status, 200);
    assert.notEqual((await post(token, ["???"])).status, 200);
  });

  test("that is not followed by another in a while ends its session", async () => {
    const { token } = await poll();
    await until(() => gateway().sockets(), (sockets) => sockets === 0, "the end of all sessions");
    assert.equal((await post(token, [heartbeat("1")])).status, 410);
  });
});

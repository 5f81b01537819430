// Channels: joins, events, broadcasts, leaves, ends and crashes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, join, makeChannel, makeSocket, replyTo, user } from "../lib/clients.js";
import { withClients } from "../lib/suite.js";
import { Queue } from "../lib/wait.js";

const OK = { status: "ok", response: {} };
const bytesOf = (buffer) => [...new Uint8Array(buffer)];

let topics = 0;
/** A topic that no other case uses. */
const ownTopic = () => `api:own-${++topics}`;

withClients("a channel", { join_timeout_ms: 1_500 }, (client, gateway) => {
  const start = async (t, topic = ownTopic(), params) => join(await connect(t, client, gateway()), topic, params);

  test("is joined, with what the server answers", async (t) => {
    const channel = await start(t, ownTopic(), { answer: { hello: "you" } });
    assert.deepEqual(await channel.joins.next(), { status: "ok", response: { hello: "you" } });
    const plain = await start(t);
    assert.deepEqual(await plain.joins.next(), OK);
  });

  test("that is refused is tried again and again", async (t) => {
    const channel = await start(t, "api:deny");
    for (const refusal of await channel.joins.take(3)) {
      assert.deepEqual(refusal, { status: "error", response: { reason: "unauthorized" } });
    }
    channel.leave();
  });

  test("whose join panics is refused, and the socket lives", async (t) => {
    const channel = await start(t, "api:crash");
    assert.deepEqual(await channel.joins.next(), { status: "error", response: { reason: "join crashed" } });
    channel.leave();
    const other = await join(channel.socket, ownTopic());
    assert.deepEqual(await other.joins.next(), OK);
    assert.equal(channel.socket.closes.rest().length, 0);
  });

  test("of a topic that nobody serves is refused", async (t) => {
    const channel = await start(t, "nope:x");
    assert.deepEqual(await channel.joins.next(), { status: "error", response: { reason: "unmatched topic" } });
    channel.leave();
  });

  test("whose join takes the server too long is refused, and tried again", async (t) => {
    // The first join with this key hangs for ever.
    const channel = await start(t, ownTopic(), { hang: `server ${client.name}` });
    const outcomes = await channel.joins.take(2);
    assert.deepEqual(outcomes, [{ status: "error", response: { reason: "join timeout" } }, OK]);
  });

  test("whose join takes the client too long is left, and tried again", async (t) => {
    const socket = await connect(t, client, gateway(), { timeout: 1_000 });
    const channel = makeChannel(socket, ownTopic(), { hang: `client ${client.name}` });
    const push = channel.join();
    for (const status of ["ok", "timeout"]) push.receive(status, () => channel.joins.put(status));
    assert.equal(await channel.joins.next("the timeout"), "timeout");
    await channel.joins.find((status) => status === "ok", "the second join");
    assert.deepEqual(await replyTo(channel.push("echo", { v: 1 })), { status: "ok", response: { v: 1 } });
  });

  test("answers events in the order in which they came", async (t) => {
    const channel = await start(t);
    const replies = Array.from({ length: 50 }, (_, v) => replyTo(channel.push("echo", { v })));
    const arrived = await channel.inbox.take(50);
    assert.deepEqual(arrived.map(({ payload }) => payload.response.v), [...Array(50).keys()]);
    assert.ok((await Promise.all(replies)).every(({ status }) => status === "ok"));
  });

  test("answers with an error, or not at all", async (t) => {
    const channel = await start(t);
    assert.deepEqual(await replyTo(channel.push("refuse", { why: "no" })), { status: "error", response: { why: "no" } });
    assert.equal((await replyTo(channel.push("quiet", {}, 300))).status, "timeout");
    assert.deepEqual(await replyTo(channel.push("echo", {})), OK);
  });

  test("takes and gives bytes", async (t) => {
    const channel = await start(t);
    const bytes = Uint8Array.from({ length: 300 }, (_, n) => n).buffer;
    const reply = await replyTo(channel.push("echo", bytes));
    assert.equal(reply.status, "ok");
    assert.deepEqual(bytesOf(reply.response), bytesOf(bytes));
    const empty = await replyTo(channel.push("echo", new ArrayBuffer(0)));
    assert.equal(empty.response.byteLength, 0);
    channel.inbox.rest();

    channel.push("push", bytes);
    const push = await channel.inbox.find(({ event }) => event === "pushed");
    assert.deepEqual([bytesOf(push.payload), push.joinRef], [bytesOf(bytes), channel.joinRef()]);
    channel.push("bcast", bytes);
    const broadcast = await channel.inbox.find(({ event }) => event === "bcast");
    assert.deepEqual([bytesOf(broadcast.payload), broadcast.joinRef ?? null], [bytesOf(bytes), null]);
  });

  test("is pushed to by the server", async (t) => {
    const channel = await start(t);
    channel.push("push", { v: 1 });
    const push = await channel.inbox.find(({ event }) => event === "pushed");
    assert.deepEqual(push, { event: "pushed", payload: { v: 1 }, ref: null, joinRef: channel.joinRef() });
  });

  test("hears the broadcasts on its topic, and no others", async (t) => {
    const topic = ownTopic();
    const [one, two, other] = await Promise.all([start(t, topic), start(t, topic), start(t)]);
    await replyTo(one.push("bcast", { v: 1 }));
    for (const channel of [one, two]) {
      const { payload, ref, joinRef } = await channel.inbox.find(({ event }) => event === "bcast");
      assert.deepEqual([payload, ref, joinRef], [{ v: 1 }, null, null]);
    }
    assert.deepEqual(await replyTo(other.push("echo", {})), OK);
    assert.deepEqual(other.inbox.rest().map(({ event }) => event), ["phx_reply"]);
  });

  test("hears what the program around the endpoint broadcasts", async (t) => {
    const channel = await start(t);
    const { topic } = channel;
    assert.equal(await gateway().act("broadcast", { topic }, { from: "outside" }), 1);
    const { payload } = await channel.inbox.find(({ event }) => event === "bcast");
    assert.deepEqual(payload, { from: "outside" });
    assert.equal(await gateway().act("broadcast", { topic: "api:nobody" }, {}), 0);
  });

  test("hears what that program pushes to its user alone", async (t) => {
    const topic = ownTopic();
    const as = async (name) => join(await connect(t, client, gateway(), { params: user(name) }), topic);
    const [addressee, other] = await Promise.all([as(`to ${client.name}`), as("other")]);
    assert.equal(await gateway().act("push", { topic, user: `to ${client.name}` }, { v: 1 }), 1);
    const { payload } = await addressee.inbox.find(({ event }) => event === "pushed");
    assert.deepEqual(payload, { v: 1 });
    assert.deepEqual(await replyTo(other.push("echo", {})), OK);
    assert.deepEqual(other.inbox.rest().map(({ event }) => event), ["phx_reply"]);
  });

  test("is left, and then hears and answers nothing", async (t) => {
    const topic = ownTopic();
    const [gone, stays] = await Promise.all([start(t, topic), start(t, topic)]);
    const closed = new Queue();
    gone.onClose((payload) => closed.put(payload));
    assert.deepEqual(await replyTo(gone.leave()), OK);
    await closed.next("the channel to close");
    gone.inbox.rest();
    await replyTo(stays.push("bcast", { v: 1 }));
    await stays.inbox.find(({ event }) => event === "bcast");
    assert.deepEqual(gone.inbox.rest().filter(({ event }) => event === "bcast"), []);
    // It can be joined again over the same socket.
    const again = await join(gone.socket, topic);
    assert.deepEqual(await again.joins.next(), OK);
  });

  test("that is joined a second time over the same socket replaces the first", async (t) => {
    const topic = ownTopic();
    const first = await start(t, topic);
    const closed = new Queue();
    first.onClose(() => closed.put("closed"));
    const second = await join(first.socket, topic);
    await closed.next("the first channel to close");
    assert.deepEqual(await second.joins.next(), OK);
    assert.deepEqual(await replyTo(second.push("echo", { v: 2 })), { status: "ok", response: { v: 2 } });
    await replyTo(second.push("bcast", { v: 3 }));
    const { payload } = await second.inbox.find(({ event }) => event === "bcast");
    assert.deepEqual(payload, { v: 3 });
  });

  test("that the server ends is closed and not joined again", async (t) => {
    const channel = await start(t);
    await channel.joins.next();
    const closed = new Queue();
    channel.onClose((payload, _ref, joinRef) => closed.put({ payload, joinRef }));
    const joinRef = channel.joinRef();
    channel.push("end", {});
    assert.deepEqual(await closed.next("the channel to close"), { payload: {}, joinRef });
    assert.equal(channel.state, "closed");
    const other = await join(channel.socket, ownTopic());
    assert.deepEqual(await other.joins.next(), OK);
    assert.deepEqual(channel.joins.rest(), []);
  });

  test("that crashes is joined again, and its neighbours notice nothing", async (t) => {
    const channel = await start(t);
    const neighbour = await join(channel.socket, ownTopic());
    const errors = new Queue();
    for (const each of [channel, neighbour]) each.onError((reason) => errors.put({ topic: each.topic, reason }));
    for (let round = 0; round < 3; round += 1) {
      assert.deepEqual(await channel.joins.next("a join"), OK);
      channel.push("boom", {});
      const error = await errors.next("the crash");
      assert.deepEqual(error, { topic: channel.topic, reason: { reason: "channel_crash" } });
    }
    assert.deepEqual(await channel.joins.next("the last join"), OK);
    assert.deepEqual(await replyTo(channel.push("echo", { v: 4 })), { status: "ok", response: { v: 4 } });
    assert.deepEqual(await replyTo(neighbour.push("echo", { v: 5 })), { status: "ok", response: { v: 5 } });
    assert.deepEqual([errors.rest(), channel.socket.closes.rest().length], [[], 0]);
  });

  test("keeps what is pushed before the socket is open", async (t) => {
    const socket = makeSocket(t, client, gateway(), { params: user("ann") });
    const channel = makeChannel(socket, ownTopic());
    channel.join();
    const reply = replyTo(channel.push("echo", { early: true }));
    socket.connect();
    assert.deepEqual(await reply, { status: "ok", response: { early: true } });
  });
});

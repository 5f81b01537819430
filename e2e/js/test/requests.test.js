// Requests: every response mode, in the order push before reply, with all seven keys.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  REQUEST_EVENT, ask, call, connect, failure, join, nextPush, replyTo, response, user,
} from "../lib/clients.js";
import { withClients } from "../lib/suite.js";
import { until } from "../lib/wait.js";

withClients("a request", {}, (client, gateway) => {
  const start = async (t, options) => join(await connect(t, client, gateway(), options));
  /** The result of a request on a channel of its own, for looking at the server from outside. */
  const look = async (...request) => (await call(...request)).push.result;

  test("is answered by a push, and then by the reply that names its type", async (t) => {
    const { push, reply } = await call(await start(t), "sync_ok", { a: "hi" });
    assert.deepEqual(push, response({ echo: "hi" }));
    assert.deepEqual(reply, { status: "ok", response: "sync_ok" });
  });

  test("that fails is acknowledged all the same", async (t) => {
    const channel = await start(t);
    const failures = {
      sync_fail: "no such thing",
      sync_internal: "Internal Server Error",
      sync_panic: "Internal Server Error",
      unknown: "unsupported function: unknown version latest",
      admins_only: "Permission denied",
    };
    for (const [requestType, error] of Object.entries(failures)) {
      const { push, reply } = await call(channel, requestType);
      assert.deepEqual([push, reply], [failure(error), { status: "ok", response: requestType }]);
    }
  });

  test("with a bad argument is told which", async (t) => {
    const channel = await start(t);
    for (const args of [{}, { a: 7 }, { a: "hi", b: 1 }]) {
      for (const requestType of ["sync_ok", "async_ok", "stream_ok"]) {
        const { push, reply } = await call(channel, requestType, args);
        assert.match(push.error, /^invalid argument "(a|b|n)": /);
        assert.deepEqual(push, failure(push.error));
        assert.deepEqual(reply, { status: "ok", response: requestType });
      }
    }
  });

  test("that cannot be decoded is answered with the reason twice", async (t) => {
    const channel = await start(t);
    const broken = [
      [{ request_type: "sync_ok", request_id: "r-x", args: {} }, "r-x", "Missing required fields: service"],
      [{ service: "svc", request_type: "sync_ok" }, "unknown", "Missing required fields: request_id"],
    ];
    for (const [payload, id, reason] of broken) {
      channel.push(REQUEST_EVENT, payload);
      assert.deepEqual(await nextPush(channel, id), failure(`Invalid request: ${reason}`));
      const reply = await channel.inbox.next();
      assert.deepEqual(reply.payload, { status: "error", response: reason });
    }
    for (const payload of ["text", [1], 7, { request_id: "r-y", service: 1, request_type: "sync_ok" }]) {
      channel.push(REQUEST_EVENT, payload);
      const push = await nextPush(channel, payload.request_id ?? "unknown");
      const { payload: reply } = await channel.inbox.next();
      assert.equal(reply.status, "error");
      assert.deepEqual(push, failure(`Invalid request: ${reply.response}`));
    }
  });

  test("of bytes is an error, not a crash", async (t) => {
    const channel = await start(t);
    await channel.joins.next();
    channel.push(REQUEST_EVENT, new Uint8Array([1, 2, 3]).buffer);
    const push = await nextPush(channel, "unknown");
    const { payload: reply } = await channel.inbox.next();
    assert.equal(reply.status, "error");
    assert.deepEqual(push, failure(`Invalid request: ${reply.response}`));
    assert.deepEqual((await call(channel, "sync_ok", { a: "on" })).push, response({ echo: "on" }));
    assert.deepEqual(channel.joins.rest(), []);
  });

  test("of mode async is acknowledged, and answered later", async (t) => {
    const channel = await start(t);
    const { id, push, reply } = await call(channel, "async_ok", { a: "later" });
    assert.deepEqual(push, response(null, { async: true }));
    assert.deepEqual(reply, { status: "ok", response: "async_ok" });
    assert.deepEqual(await nextPush(channel, id), response({ echo: "later" }));
    const failed = await call(channel, "async_fail");
    assert.deepEqual(failed.push, response(null, { async: true }));
    assert.deepEqual(await nextPush(channel, failed.id), failure("no such thing"));
  });

  test("of mode none has a reply only", async (t) => {
    const channel = await start(t);
    const { reply } = ask(channel, "none_ok", { a: "void" });
    assert.deepEqual(await reply, { status: "ok", response: "none_ok" });
    assert.deepEqual(channel.inbox.rest().map(({ event }) => event), ["phx_reply"]);
    assert.deepEqual((await call(channel, "sync_ok", { a: "next" })).push, response({ echo: "next" }));
  });

  const chunk = (result) => response(result, { async: true, has_more: true });
  const INIT = chunk("init");

  test("of mode stream is acknowledged, then come its chunks in order and the last one", async (t) => {
    const channel = await start(t);
    const { id, push, reply } = await call(channel, "stream_ok", { n: 200 });
    assert.deepEqual([push, reply], [INIT, { status: "ok", response: "stream_ok" }]);
    for (let n = 1; n <= 200; n += 1) assert.deepEqual(await nextPush(channel, id), chunk(n));
    const end = await nextPush(channel, id);
    assert.deepEqual([end.result, end.success, end.has_more], [null, true, false]);

    const last = await call(channel, "stream_last");
    assert.deepEqual(await nextPush(channel, last.id), chunk("first"));
    const { result, success, has_more } = await nextPush(channel, last.id);
    assert.deepEqual([result, success, has_more], ["last", true, false]);
  });

  test("of mode stream that fails ends with the error", async (t) => {
    const channel = await start(t);
    const failed = await call(channel, "stream_fail");
    assert.deepEqual(failed.push, INIT);
    assert.deepEqual(await nextPush(channel, failed.id), chunk(1));
    const end = await nextPush(channel, failed.id);
    assert.deepEqual([end.success, end.error, end.has_more], [false, "no such thing", false]);

    const crashed = await call(channel, "stream_panic");
    assert.deepEqual(crashed.push, INIT);
    const { success, error, has_more } = await nextPush(channel, crashed.id);
    assert.deepEqual([success, error, has_more], [false, "Internal Server Error", false]);
  });

  test("stops a stream", async (t) => {
    const channel = await start(t);
    const id = `endless ${client.name}`;
    const stream = ask(channel, "stream_endless", {}, { request_id: id });
    assert.deepEqual(await stream.reply, { status: "ok", response: "stream_endless" });
    await channel.inbox.find(({ payload }) => payload.result === 3, "a few chunks");
    const { reply } = ask(channel, "stop", { id });
    const end = await channel.inbox.find(({ payload }) => payload.request_id === id && !payload.has_more, "the end");
    assert.deepEqual([end.payload.result, end.payload.success], [null, true]);
    assert.equal((await reply).status, "ok");
    await call(channel, "sync_ok", { a: "after" }).catch(() => {});
    const late = channel.inbox.rest().filter(({ payload }) => payload.request_id === id);
    assert.deepEqual(late, []);
  });

  test("of a stream ends with its channel, however that ends", async (t) => {
    const watcher = await start(t);
    const ends = {
      leave: (channel) => channel.leave(),
      end: (channel) => channel.push("end", {}),
      crash: (channel) => channel.push("boom", {}),
      disconnect: (channel) => channel.socket.disconnect(),
    };
    for (const [how, end] of Object.entries(ends)) {
      const key = `${client.name} ${how}`;
      const channel = await start(t);
      ask(channel, "stream_held", { key });
      await channel.inbox.find(({ payload }) => payload.result === "held", "the stream");
      assert.equal(await look(watcher, "is_held", { key }), true);
      end(channel);
      await until(() => look(watcher, "is_held", { key }), (held) => !held, `the stream to end after ${how}`);
    }
  });

  test("of a user is made in his name, whatever the payload says", async (t) => {
    const channel = await start(t, { params: user("ann", "user") });
    const info = await look(channel, "whoami", {}, { user_id: "eve" });
    assert.deepEqual([info.user_id, info.device_id], ["ann", "d1"]);
    const { push } = await call(channel, "admins_only", {}, { user_roles: ["admin"], user_id: "eve" });
    assert.deepEqual(push, failure("Permission denied"));
    const admin = await start(t, { params: user("ada", "admin") });
    assert.deepEqual((await call(admin, "admins_only")).push, response("welcome"));
  });

  test("without a verified user is refused", async (t) => {
    const channel = await start(t, { params: {} });
    for (const more of [{}, { user_id: "eve" }]) {
      const { push, reply } = await call(channel, "sync_ok", { a: "hi" }, more);
      assert.deepEqual(push, failure("Authentication required"));
      assert.deepEqual(reply, { status: "error", response: "Authentication required" });
    }
  });

  test("without a verified user passes on a public endpoint, and there the payload names none", async (t) => {
    const channel = await start(t, { params: {}, path: "/public" });
    assert.deepEqual((await call(channel, "sync_ok", { a: "hi" })).push, response({ echo: "hi" }));
    assert.equal((await look(channel, "whoami", {}, { user_id: "eve" })).user_id, null);
    assert.deepEqual((await call(channel, "users_only", {}, { user_id: "eve" })).push, failure("Permission denied"));
  });

  test("takes the payload's user on an endpoint that trusts it, but never its roles", async (t) => {
    const channel = await start(t, { params: {}, path: "/trusting" });
    const { push } = await call(channel, "whoami", {}, { user_id: "eve" });
    assert.equal(push.result.user_id, "eve");
    const admin = await call(channel, "admins_only", {}, { user_id: "eve", user_roles: ["admin"] });
    assert.deepEqual(admin.push, failure("Permission denied"));
  });

  test("may be under way many at a time, and a slow one holds up no other", async (t) => {
    const channel = await start(t);
    const key = `slow ${client.name}`;
    const slow = ask(channel, "wait_for", { key });
    const quick = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(channel, "sync_ok", { a: `${n}` }).reply));
    assert.ok(quick.every(({ response: name }) => name === "sync_ok"));
    await ask(channel, "release", { key }).reply;
    assert.deepEqual(await slow.reply, { status: "ok", response: "wait_for" });
  });

  test("that is in flight when the socket is lost times out", async (t) => {
    const channel = await start(t);
    await channel.joins.next();
    const { reply } = ask(channel, "wait_for", { key: `lost ${client.name}` }, {}, 500);
    channel.socket.conn.terminate();
    assert.equal((await reply).status, "timeout");
    assert.equal((await channel.joins.next("the rejoin")).status, "ok");
    assert.equal((await replyTo(channel.push("echo", {}))).status, "ok");
  });
});

// The page's own client calls functions of every mode.

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import { GatewayClient, ConnectionLost } from "../../../examples/page/client.js";
import { withGateway } from "../lib/suite.js";
import { Queue, within } from "../lib/wait.js";

// Node 20 has none of its own; as in a browser, an error that nobody listens to is none.
globalThis.WebSocket ??= class extends WebSocket {
  constructor(...options) {
    super(...options);
    this.on("error", () => {});
  }
};

withGateway("the page's client", {}, (gateway) => {
  function open(t, options = {}) {
    const messages = new Queue();
    const client = new GatewayClient({
      url: `${gateway().ws}/socket`,
      topic: "api:main",
      service: "svc",
      getToken: async () => "user:ann:",
      onState: () => {},
      onMessage: (message) => messages.put(message),
      ...options,
    });
    t.after(() => client.close());
    const call = (...request) => within(client.call(...request), `the result of ${request[0]}`);
    return { client, call, messages };
  }

  test("answers the result of a sync and of an async function, and null where there is none", async (t) => {
    const { call } = open(t);
    const results = await Promise.all(["sync_ok", "async_ok", "none_ok"].map((type) => call(type, { a: "hi" })));
    assert.deepEqual(results, [{ echo: "hi" }, { echo: "hi" }, null]);
  });

  test("hands over the chunks of a stream", async (t) => {
    const { call } = open(t);
    const stream = async (type, args) => {
      const chunks = [];
      return [chunks, await call(type, args, { onChunk: (chunk) => chunks.push(chunk) })];
    };
    assert.deepEqual(await stream("stream_ok", { n: 3 }), [[1, 2, 3], null]);
    assert.deepEqual(await stream("stream_last", {}), [["first"], "last"]);
  });

  test("fails with what the server says", async (t) => {
    const { call } = open(t);
    for (const type of ["sync_fail", "async_fail", "stream_fail"]) {
      await assert.rejects(call(type), { message: "no such thing" });
    }
    await assert.rejects(call("unknown"));
    await assert.rejects(call("sync_ok", "no object"));
  });

  test("gets its own message to a group", async (t) => {
    const { call, messages } = open(t);
    const group_id = `client-${process.pid}`;
    await call("create_group", { group_id, group_type: "public" });
    assert.equal((await call("relay_msg", { group_id, message: "hi" })).recipients_count, 1);
    assert.equal((await messages.next("the message")).message, "hi");
  });

  test("asks for a fresh token where the old one is refused", async (t) => {
    const asked = [];
    const getToken = async (isFresh) => {
      asked.push(isFresh);
      return isFresh ? "user:ann:" : "stale";
    };
    const { call } = open(t, { getToken });
    assert.deepEqual(await call("sync_ok", { a: "hi" }), { echo: "hi" });
    assert.deepEqual(asked, [false, true]);
  });

  test("leaves no call unanswered when it is closed", async (t) => {
    const { client, call } = open(t);
    const waiting = call("sync_ok", { a: "hi" });
    const held = call("wait_for", { key: `client-${process.pid}` });
    const settled = Promise.allSettled([waiting, held]);
    await waiting;
    client.close();
    assert.ok((await settled)[1].reason instanceof ConnectionLost);
    await assert.rejects(call("sync_ok", { a: "hi" }), ConnectionLost);
  });
});

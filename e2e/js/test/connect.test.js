// Connecting: parameters, tokens, versions, refusals, heartbeats.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEWEST, V1, call, connect, join, makeSocket, replyTo, response, user } from "../lib/clients.js";
import { Raw } from "../lib/raw.js";
import { withClients, withGateway } from "../lib/suite.js";
import { Queue } from "../lib/wait.js";

const whoami = async (channel) => (await replyTo(channel.push("whoami", {}))).response;

withClients("a client connects", {}, (client, gateway) => {
  test("with parameters, nested ones too", async (t) => {
    const params = { ...user("ann", "admin"), text: "a b&c=ü", nested: { a: 1, list: ["x", "y"] } };
    const channel = await join(await connect(t, client, gateway(), { params }));
    const { user_id, roles, params: seen } = await whoami(channel);
    assert.deepEqual([user_id, roles], ["ann", ["admin"]]);
    const nested = { a: "1", list: { 0: "x", 1: "y" } };
    assert.deepEqual(seen, { token: "user:ann:admin", text: "a b&c=ü", nested, vsn: "2.0.0" });
  });

  test("without a token, and is nobody", async (t) => {
    const channel = await join(await connect(t, client, gateway(), { params: {} }));
    assert.equal((await whoami(channel)).user_id, null);
  });

  test("in version 1 of the protocol", async (t) => {
    const channel = await join(await connect(t, client, gateway(), V1));
    assert.deepEqual(await replyTo(channel.push("echo", { v: 1 })), { status: "ok", response: { v: 1 } });
    channel.inbox.rest();
    const { push, reply } = await call(channel, "sync_ok", { a: "hi" });
    assert.deepEqual(push, response({ echo: "hi" }));
    assert.deepEqual(reply, { status: "ok", response: "sync_ok" });
    assert.deepEqual(await replyTo(channel.leave()), { status: "ok", response: {} });
  });

  test("and is refused, again and again until it is let in", async (t) => {
    let token = "wrong";
    const socket = makeSocket(t, client, gateway(), { params: () => ({ token }) });
    const errors = new Queue();
    socket.onError((error) => errors.put(error));
    socket.connect();
    for (const error of await errors.take(2, "a refusal")) assert.match(error.message, /403/);
    token = user("ann").token;
    await socket.opens.next("the socket to open");
  });

  test("and stays, with heartbeats that are answered", async (t) => {
    const beats = new Queue();
    const socket = await connect(t, client, gateway(), { heartbeatIntervalMs: 300 });
    socket.onMessage((message) => beats.put(message));
    for (const { topic, event, payload } of await beats.take(4, "the answer to a heartbeat")) {
      assert.deepEqual([topic, event, payload], ["phoenix", "phx_reply", { status: "ok", response: {} }]);
    }
    assert.equal(socket.closes.rest().length, 0);
  });

  test("and disconnects, after which nothing of it is left", async (t) => {
    const socket = await connect(t, client, gateway());
    const channel = await join(socket);
    socket.disconnect();
    const { code } = await socket.closes.next("the socket to close");
    assert.ok([1000, 1005].includes(code), `closed with ${code}`);
    assert.equal(socket.isConnected(), false);
    // One that takes part in everything hears nothing of it any more.
    const other = await join(await connect(t, client, gateway()));
    await replyTo(other.push("bcast", { v: 1 }));
    await other.inbox.find(({ event }) => event === "bcast");
    assert.deepEqual(channel.inbox.rest().filter(({ event }) => event === "bcast"), []);
  });

  test("and is disconnected by the program, and comes back", async (t) => {
    const name = `leaves ${client.name}`;
    const socket = await connect(t, client, gateway(), { params: user(name) });
    const channel = await join(socket);
    assert.equal((await channel.joins.next()).status, "ok");
    assert.equal(await gateway().act("disconnect", { user: name }), 1);
    assert.equal((await socket.closes.next("the socket to close")).code, 1008);
    assert.equal((await channel.joins.next("the rejoin")).status, "ok");
  });

  test("and is dismissed with 1000, after which the clients before 1.8 stay away", async (t) => {
    const name = `goes ${client.name}`;
    const socket = await connect(t, client, gateway(), { params: user(name) });
    assert.equal(await gateway().act("dismiss", { user: name }), 1);
    assert.equal((await socket.closes.next("the socket to close")).code, 1000);
    if (client.sendsTokens) return socket.opens.next("the socket to open");
    // One that was refused comes back within this time.
    const other = makeSocket(t, client, gateway(), { params: () => ({ token: "wrong" }) });
    const errors = new Queue();
    other.onError((error) => errors.put(error));
    other.connect();
    await errors.take(4, "a refusal");
    assert.deepEqual(socket.opens.rest(), []);
  });

  if (client.sendsTokens) {
    test("with its token as a subprotocol", async (t) => {
      // With a + in base64, where its two alphabets differ.
      const authToken = "user:aaa>:admin";
      const channel = await join(await connect(t, client, gateway(), { params: {}, authToken }));
      const { user_id, roles } = await whoami(channel);
      assert.deepEqual([user_id, roles], ["aaa>", ["admin"]]);
    });
  }
});

withGateway("a connect", {}, (gateway) => {
  const refusal = (t, path, options) => assert.rejects(Raw.connect(t, gateway(), path, options), { message: "HTTP 403" });

  test("of an unknown version or a wrong token is refused before the upgrade", async (t) => {
    await refusal(t, "/socket/websocket?vsn=3.0.0&token=user:ann:");
    await refusal(t, "/socket/websocket?vsn=nonsense&token=user:ann:");
    await refusal(t, "/socket/websocket?vsn=2.0.0&token=wrong");
  });

  test("that names no version speaks version 1", async (t) => {
    const raw = await Raw.connect(t, gateway(), "/socket/websocket?token=user:ann:");
    raw.send({ topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" });
    const { topic, event, payload, ref } = await raw.frames.next();
    const expected = ["phoenix", "phx_reply", { status: "ok", response: {} }, "1"];
    assert.deepEqual([topic, event, payload, ref], expected);
  });

  test("is answered with the subprotocol phoenix where that is offered, in either alphabet of base64", async (t) => {
    const token = "user:aaa>:";
    for (const alphabet of ["base64", "base64url"]) {
      const encoded = Buffer.from(token).toString(alphabet).replaceAll("=", "");
      const protocols = ["phoenix", `base64url.bearer.phx.${encoded}`];
      const raw = await Raw.connect(t, gateway(), "/socket/websocket?vsn=2.0.0", { protocols });
      assert.equal(raw.socket.protocol, "phoenix");
      await raw.join();
      const [, , , , { response: who }] = await raw.ask(["1", "2", "api:main", "whoami", {}]);
      assert.equal(who.user_id, "aaa>");
    }
  });

  test("from a page of another host is refused, from one of its own not", async (t) => {
    const path = "/socket/websocket?vsn=2.0.0";
    await refusal(t, path, { headers: { Origin: "http://elsewhere.example" } });
    await refusal(t, path, { headers: { Origin: "null" } });
    await Raw.connect(t, gateway(), path, { headers: { Origin: gateway().http } });
  });
});

withGateway("a list of origins", { origins: ["https://*.app.example", "//localhost:3000"] }, (gateway) => {
  test("lets in those that it names and no others", async (t) => {
    const from = (Origin) => Raw.connect(t, gateway(), "/socket/websocket?vsn=2.0.0", { headers: { Origin } });
    await from("https://www.app.example");
    await from("http://localhost:3000");
    for (const origin of ["http://www.app.example", "https://app.example", "http://localhost:4000", gateway().http]) {
      await assert.rejects(from(origin), { message: "HTTP 403" }, origin);
    }
  });
});

withGateway("a request event of another name", { request_event: "call" }, (gateway) => {
  test("carries requests and responses", async (t) => {
    const channel = await join(await connect(t, NEWEST, gateway()));
    channel.push("call", { service: "svc", request_type: "sync_ok", request_id: "r", args: { a: "hi" } });
    const [push, reply] = await channel.inbox.take(2);
    assert.deepEqual([push.event, push.payload.result], ["call", { echo: "hi" }]);
    assert.deepEqual(reply.payload, { status: "ok", response: "sync_ok" });
  });
});

// Frames that no client sends, and the limits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEWEST, connect } from "../lib/clients.js";
import { Raw } from "../lib/raw.js";
import { withGateway } from "../lib/suite.js";
import { until } from "../lib/wait.js";

const OK = { status: "ok", response: {} };
const reply = (joinRef, ref, topic, payload) => [joinRef, ref, topic, "phx_reply", payload];
const UNMATCHED = { status: "error", response: { reason: "unmatched topic" } };

withGateway("a frame", {}, (gateway) => {
  const open = (t, path) => Raw.connect(t, gateway(), path);

  test("of the protocol is answered letter by letter", async (t) => {
    const raw = await open(t);
    const talk = [
      [[null, "1", "phoenix", "heartbeat", {}], [reply(null, "1", "phoenix", OK)]],
      [["3", "3", "api:letters", "phx_join", { token: "t" }], [reply("3", "3", "api:letters", OK)]],
      [["10", "10", "api:deny", "phx_join", {}], [reply("10", "10", "api:deny", { status: "error", response: { reason: "unauthorized" } })]],
      [[null, "4", "nope:x", "phx_join", {}], [reply(null, "4", "nope:x", UNMATCHED)]],
      [["9", "5", "api:other", "echo", {}], [reply(null, "5", "api:other", UNMATCHED)]],
      [[null, "6", "phoenix", "nonsense", {}], [reply(null, "6", "phoenix", UNMATCHED)]],
      [["3", "7", "api:letters", "push", { v: 1 }], [["3", null, "api:letters", "pushed", { v: 1 }], reply("3", "7", "api:letters", OK)]],
      [["3", "8", "api:letters", "bcast", { v: 1 }], [[null, null, "api:letters", "bcast", { v: 1 }], reply("3", "8", "api:letters", OK)]],
      [["11", "20", "api:absent", "phx_leave", {}], [reply("11", "20", "api:absent", OK)]],
      [["3", "21", "api:letters", "phx_leave", {}], [reply("3", "21", "api:letters", OK), ["3", "3", "api:letters", "phx_close", {}]]],
    ];
    for (const [frame, answers] of talk) {
      raw.send(frame);
      assert.deepEqual(await raw.frames.take(answers.length), answers, JSON.stringify(frame));
    }
    assert.deepEqual(raw.frames.rest(), []);
  });

  test("of a second join is answered first, then the first channel is closed", async (t) => {
    const raw = await open(t);
    await raw.join("api:main", "1");
    raw.send(["2", "2", "api:main", "phx_join", {}]);
    const answers = await raw.frames.take(2);
    assert.deepEqual(answers, [reply("2", "2", "api:main", OK), ["1", "1", "api:main", "phx_close", {}]]);
  });

  test("with a stale join_ref is dropped, one with none is the channel's", async (t) => {
    const raw = await open(t);
    await raw.join("api:main", "1");
    await raw.join("api:main", "5");
    await raw.frames.next("the close of the first channel");
    raw.send(["1", "6", "api:main", "echo", {}]);
    raw.send(["1", "7", "api:main", "phx_leave", {}]);
    assert.deepEqual(await raw.ask([null, "8", "api:main", "echo", {}]), reply("5", "8", "api:main", OK));
  });

  test("is answered with its ref as it came", async (t) => {
    const raw = await open(t);
    for (const ref of ["1", "", "ü\"\\", "9".repeat(200)]) {
      assert.deepEqual(await raw.ask([null, ref, "phoenix", "heartbeat", {}]), reply(null, ref, "phoenix", OK));
    }
  });

  test("of bytes has a place for each field", async (t) => {
    const raw = await open(t);
    await raw.join("api:bytes", "12");
    const frame = (kind, fields, payload) => {
      const texts = fields.map((field) => Buffer.from(field));
      return Buffer.concat([Buffer.from([kind, ...texts.map((text) => text.length)]), ...texts, Buffer.from(payload)]);
    };
    const payload = [0, 255, 128];
    const answer = await raw.ask(frame(0, ["12", "34", "api:bytes", "echo"], payload));
    assert.deepEqual(answer, frame(1, ["12", "34", "api:bytes", "ok"], payload));
    raw.send(frame(0, ["12", "35", "api:bytes", "push"], payload));
    assert.deepEqual(await raw.frames.next(), frame(0, ["12", "api:bytes", "pushed"], payload));
    assert.deepEqual(await raw.frames.next(), reply("12", "35", "api:bytes", OK));
    raw.send(frame(0, ["12", "36", "api:bytes", "bcast"], payload));
    assert.deepEqual(await raw.frames.next(), frame(2, ["api:bytes", "bcast"], payload));
  });

  const malformed = {
    "no JSON": "[1,",
    "no frame": "{}",
    "a list that is too short": "[null,null,\"phoenix\"]",
    "a list that is too long": "[null,\"1\",\"phoenix\",\"heartbeat\",{},{}]",
    "a topic that is no text": "[null,\"1\",7,\"heartbeat\",{}]",
    "an event that is no text": "[null,\"1\",\"phoenix\",null,{}]",
    "a ref that is a list": "[null,[1],\"phoenix\",\"heartbeat\",{}]",
    "no bytes": Buffer.alloc(0),
    "bytes of an unknown kind": Buffer.from([9, 0, 0, 0, 0]),
    "bytes that end in their header": Buffer.from([0, 255, 255, 255, 255, 1]),
  };
  for (const [what, frame] of Object.entries(malformed)) {
    test(`that is ${what} closes its socket with 1011, and no other`, async (t) => {
      const [raw, other] = await Promise.all([open(t), open(t)]);
      raw.send(frame);
      assert.equal((await raw.end()).code, 1011);
      assert.deepEqual(await other.join(), reply("1", "1", "api:main", OK));
    });
  }

  test("whose payload is nested deep harms nobody", async (t) => {
    const raw = await open(t);
    await raw.join("api:deep");
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    assert.equal((await raw.ask(`["1","2","api:deep","phoenix_gen_api",${deep}]`))[4].success, false);
    assert.equal((await raw.frames.next())[4].status, "error");
    const answer = await raw.ask(`["1","3","api:deep","echo",${deep}]`);
    assert.deepEqual(answer, reply("1", "3", "api:deep", { status: "error", response: { reason: "invalid payload" } }));
    assert.deepEqual(await raw.ask(["1", "4", "api:deep", "echo", {}]), reply("1", "4", "api:deep", OK));
  });

  test("in text that is not UTF-8 closes the socket", async (t) => {
    const raw = await open(t);
    raw.socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    const { code } = await raw.end();
    assert.ok([1007, 1011].includes(code), `closed with ${code}`);
  });

  test("in many fragments is one frame", async (t) => {
    const raw = await open(t);
    const text = JSON.stringify([null, "1", "phoenix", "heartbeat", {}]);
    raw.socket.send(text.slice(0, 5), { fin: false });
    raw.socket.send(text.slice(5, 9), { fin: false });
    raw.socket.send(text.slice(9));
    assert.deepEqual(await raw.frames.next(), reply(null, "1", "phoenix", OK));
  });

  test("that pings is answered with a pong", async (t) => {
    const raw = await open(t);
    const pong = new Promise((done) => raw.socket.once("pong", done));
    raw.socket.ping("are you there");
    assert.equal(String(await pong), "are you there");
  });
});

withGateway("a limit", { max_frame_bytes: 1_000, max_channels: 3 }, (gateway) => {
  test("of a frame's size closes with 1009", async (t) => {
    const fits = await Raw.connect(t, gateway());
    await fits.join();
    const frame = (bytes) => {
      const text = '["1","2","api:main","echo",{"a":""}]';
      return text.replace('""', `"${"x".repeat(bytes - text.length)}"`);
    };
    assert.equal((await fits.ask(frame(1_000)))[4].status, "ok");
    fits.send(frame(1_001));
    assert.equal((await fits.end()).code, 1009);

    const fragments = await Raw.connect(t, gateway());
    for (let n = 0; n < 3; n += 1) fragments.socket.send("x".repeat(400), { fin: false });
    assert.equal((await fragments.end()).code, 1009);
  });

  test("of channels a socket refuses the next join until one is left", async (t) => {
    const raw = await Raw.connect(t, gateway());
    for (const ref of ["1", "2", "3"]) assert.deepEqual((await raw.join(`api:${ref}`, ref))[4], OK);
    const refused = (await raw.join("api:4", "4"))[4];
    assert.equal(refused.status, "error");
    assert.match(refused.response.reason, /channels/);
    // A second join of a topic that is joined replaces it, and needs no further place.
    assert.deepEqual((await raw.join("api:3", "5"))[4], OK);
    await raw.frames.next("the close of the channel that was replaced");
    raw.send(["1", "6", "api:1", "phx_leave", {}]);
    await raw.frames.take(2);
    assert.deepEqual((await raw.join("api:4", "7"))[4], OK);
  });
});

withGateway("a limit of frames a second", { max_frames_per_second: 50 }, (gateway) => {
  test("slows a client down, and loses nothing", async (t) => {
    const raw = await Raw.connect(t, gateway());
    const begin = Date.now();
    for (let n = 1; n <= 150; n += 1) raw.send([null, String(n), "phoenix", "heartbeat", {}]);
    const answers = await raw.frames.take(150);
    assert.deepEqual(answers.map(([, ref]) => Number(ref)), Array.from({ length: 150 }, (_, n) => n + 1));
    const seconds = (Date.now() - begin) / 1_000;
    assert.ok(seconds > 0.9, `150 frames at 50 a second took ${seconds} s`);
  });
});

withGateway("a limit of sockets an address", { max_sockets_per_address: 2 }, (gateway) => {
  test("refuses the next one until one is gone", async (t) => {
    const [first] = await Promise.all([Raw.connect(t, gateway()), Raw.connect(t, gateway())]);
    await assert.rejects(Raw.connect(t, gateway()), /^Error: HTTP (429|503)$/);
    first.socket.close();
    await first.end();
    const socket = await connect(t, NEWEST, gateway());
    assert.equal(socket.isConnected(), true);
  });
});

withGateway("an idle timeout", { idle_timeout_ms: 300 }, (gateway) => {
  test("closes who is silent, and keeps who is not", async (t) => {
    const silent = await Raw.connect(t, gateway());
    const lively = await connect(t, NEWEST, gateway(), { heartbeatIntervalMs: 50 });
    const { code } = await silent.end();
    assert.ok(code > 1000, `closed with ${code}`);
    assert.equal(lively.closes.rest().length, 0);
  });
});

withGateway("a client that does not read", { outgoing_bytes: 10_000, slow_client_ms: 500 }, (gateway) => {
  test("is closed with 1013, and holds up nobody", async (t) => {
    const [slow, other] = await Promise.all([Raw.connect(t, gateway()), Raw.connect(t, gateway())]);
    await Promise.all([slow.join(), other.join()]);
    slow.socket.pause();
    slow.send(["1", "2", "api:main", "phoenix_gen_api", { service: "svc", request_type: "stream_endless", request_id: "r" }]);
    const left = async () => {
      assert.deepEqual((await other.ask(["1", "3", "api:main", "echo", {}]))[4], OK);
      return gateway().sockets();
    };
    await until(left, (sockets) => sockets === 1, "the slow client to be gone");
    slow.socket.resume();
    const { code } = await slow.end();
    assert.equal(code, 1013);
  });
});

// The server is killed, frozen, stopped, and comes back: clients reconnect and rejoin by themselves.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CLIENTS, V1, ask, call, connect, join, replyTo, response } from "../lib/clients.js";
import { Gateway } from "../lib/gateway.js";
import { Raw } from "../lib/raw.js";

const OK = { status: "ok", response: {} };

for (const client of CLIENTS) {
  describe(client.name, { timeout: 60_000, concurrency: true }, () => {
    const start = async (t, options) => {
      const gateway = await Gateway.server();
      t.after(() => gateway.kill());
      const socket = await connect(t, client, gateway, options);
      const channels = [];
      for (const topic of ["api:one", "api:two"]) {
        const channel = await join(socket, topic);
        assert.deepEqual(await channel.joins.next(), OK);
        channels.push(channel);
      }
      return { gateway, socket, channels };
    };

    const works = async (channels) => {
      for (const channel of channels) {
        assert.deepEqual(await channel.joins.next("the rejoin"), OK);
        channel.inbox.rest();
        assert.deepEqual((await call(channel, "sync_ok", { a: "back" })).push, response({ echo: "back" }));
      }
    };

    for (const [version, options] of Object.entries({ "2": {}, "1": V1 })) {
      test(`reconnects and rejoins after the server was killed, in version ${version}`, async (t) => {
        const { gateway, socket, channels } = await start(t, options);
        for (let round = 0; round < 2; round += 1) {
          const pending = ask(channels[0], "wait_for", { key: "never" }, {}, 1_000).reply;
          await gateway.kill();
          const { code } = await socket.closes.next("the socket to close");
          assert.equal(code, 1006);
          assert.equal((await pending).status, "timeout");
          await gateway.start();
          await works(channels);
          socket.closes.rest();
        }
      });
    }

    test("reconnects after the server was stopped, which says so with 1001", async (t) => {
      const { gateway, socket, channels } = await start(t);
      await gateway.stop();
      assert.equal((await socket.closes.next("the socket to close")).code, 1001);
      await gateway.start();
      await works(channels);
    });

    test("gives a server up that answers no heartbeat, and comes back", async (t) => {
      const { gateway, channels } = await start(t, { heartbeatIntervalMs: 500 });
      gateway.freeze();
      for (const channel of channels) {
        await channel.inbox.find(({ event }) => event === "phx_error", "the heartbeat to time out");
      }
      gateway.thaw();
      await works(channels);
    });

    test("reconnects after a malformed frame was closed with 1011", async (t) => {
      const { socket, channels } = await start(t);
      socket.conn.send("nonsense");
      assert.equal((await socket.closes.next("the socket to close")).code, 1011);
      await works(channels);
    });

    test("comes back over long polls too", async (t) => {
      const { gateway, channels } = await start(t, { transport: client.LongPoll });
      await gateway.kill();
      await gateway.start();
      await works(channels);
      assert.equal((await replyTo(channels[0].push("echo", {}))).status, "ok");
    });
  });
}

test("a server that stops closes every socket with 1001", { timeout: 30_000 }, async (t) => {
  const gateway = await Gateway.server();
  const sockets = await Promise.all(Array.from({ length: 20 }, () => Raw.connect(t, gateway)));
  for (const socket of sockets.slice(10)) await socket.join();
  await gateway.stop();
  for (const socket of sockets) assert.equal((await socket.end()).code, 1001);
});

// Relay groups between clients.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, call, connect, failure, join, nextPush, response, user } from "../lib/clients.js";
import { withClients } from "../lib/suite.js";
import { until } from "../lib/wait.js";

let groups = 0;

withClients("a relay group", {}, (client, gateway) => {
  const enter = async (t, name) => join(await connect(t, client, gateway(), { params: user(name) }));
  const done = async (...request) => assert.deepEqual((await call(...request)).push, response("ok"));
  const members = async (channel, group_id) => {
    const { push } = await call(channel, "get_group_info", { group_id });
    return Object.keys(push.result.members).sort();
  };
  const open = async (t, group_type, ...names) => {
    const group = { group_id: `g-${++groups}` };
    const channels = await Promise.all(names.map((name) => enter(t, name)));
    await done(channels[0], "create_group", { ...group, group_type });
    return [group, ...channels];
  };

  test("carries a message to every member, its sender included", async (t) => {
    const [group, ann, bob] = await open(t, "public", "ann", "bob");
    const joined = await call(bob, "join_group", group);
    assert.deepEqual(joined.push, response({ joined: "active" }));

    const message = { text: "hello", to: ["all"] };
    const { id } = ask(bob, "relay_msg", { ...group, message });
    const heard = await nextPush(ann, id);
    const { timestamp } = heard.result;
    assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 60_000, timestamp);
    const expected = response({ group_id: group.group_id, from_user_id: "bob", message, timestamp });
    assert.deepEqual(heard, expected);
    assert.deepEqual(await nextPush(bob, id), expected);
    assert.deepEqual(await nextPush(bob, id), response({ status: "relayed", recipients_count: 2 }));
  });

  test("shows all members one order", async (t) => {
    const [group, ann, bob] = await open(t, "public", "ann", "bob");
    await call(bob, "join_group", group);
    for (let n = 0; n < 30; n += 1) {
      for (const member of [ann, bob]) ask(member, "relay_msg", { ...group, message: n });
    }
    const heard = async (channel) => {
      const messages = [];
      while (messages.length < 60) {
        const { payload } = await channel.inbox.find(({ payload }) => payload.result?.group_id === group.group_id);
        messages.push([payload.result.from_user_id, payload.result.message]);
      }
      return messages;
    };
    assert.deepEqual(await heard(ann), await heard(bob));
  });

  test("that is private lets in whom a member accepts", async (t) => {
    const [group, ann, bob] = await open(t, "private", "ann", "bob");
    assert.deepEqual((await call(bob, "join_group", group)).push, response({ joined: "pending" }));
    const early = await call(bob, "relay_msg", { ...group, message: 1 });
    assert.deepEqual(early.push, failure("Pending membership: wait for acceptance"));
    await done(ann, "accept_member", { ...group, user_id: "bob" });
    const { id } = ask(ann, "relay_msg", { ...group, message: 2 });
    assert.equal((await nextPush(bob, id)).result.message, 2);
  });

  test("that is strict_private has members who are muted", async (t) => {
    const [group, ann, bob] = await open(t, "strict_private", "ann", "bob");
    await call(bob, "join_group", group);
    await done(ann, "accept_member", { ...group, user_id: "bob" });
    await done(ann, "mute_member", { ...group, user_id: "bob" });
    const muted = await call(bob, "relay_msg", { ...group, message: 1 });
    assert.deepEqual(muted.push, failure("You are muted and cannot send messages"));
    const { id } = ask(ann, "relay_msg", { ...group, message: 2 });
    assert.equal((await nextPush(bob, id)).result.message, 2);
  });

  test("is left by those whose connection or channel ends", async (t) => {
    const [group, ann, bob, eve] = await open(t, "public", "ann", "bob", "eve");
    for (const each of [bob, eve]) await call(each, "join_group", group);
    assert.deepEqual(await members(ann, group.group_id), ["ann", "bob", "eve"]);
    bob.socket.disconnect();
    await until(() => members(ann, group.group_id), (left) => String(left) === "ann,eve", "bob to be gone");
    eve.leave();
    await until(() => members(ann, group.group_id), (left) => String(left) === "ann", "eve to be gone");
  });
});

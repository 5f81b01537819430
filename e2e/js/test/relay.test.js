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
    // The sender has the answer to his request first, and his own message after that.
    const { id, push } = await call(bob, "relay_msg", { ...group, message });
    assert.deepEqual(push, response({ status: "relayed", recipients_count: 2 }));
    const heard = await nextPush(ann, id);
    const { timestamp } = heard.result;
    assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < 60_000, timestamp);
    const expected = response({ group_id: group.group_id, from_user_id: "bob", message, timestamp });
    assert.deepEqual(heard, expected);
    assert.deepEqual(await nextPush(bob, id), expected);
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

  test("is heard in every window of a member", async (t) => {
    const [group, ann, bob] = await open(t, "public", "ann", "bob");
    const window = await enter(t, "bob");
    await call(bob, "join_group", group);
    assert.deepEqual((await call(window, "join_group", group)).push, failure("already_member"));
    assert.deepEqual((await call(window, "attach_to_group", group)).push, response({ joined: "active" }));
    const { id, push } = await call(ann, "relay_msg", { ...group, message: 1 });
    assert.equal(push.result.recipients_count, 2);
    for (const each of [ann, bob, window]) assert.equal((await nextPush(each, id)).result.message, 1);
    // He leaves with his last window.
    bob.socket.disconnect();
    const again = await call(window, "relay_msg", { ...group, message: 2 });
    for (const each of [ann, window]) assert.equal((await nextPush(each, again.id)).result.message, 2);
    window.leave();
    await until(() => members(ann, group.group_id), (left) => String(left) === "ann", "bob to be gone");
  });

  test("is heard by clients whom the join callback enrols, for as long as they stay", async (t) => {
    const [group, ann] = await open(t, "public", "ann");
    const socket = await connect(t, client, gateway(), { params: user("bob") });
    const bob = await join(socket, "api:main", { enrol: group.group_id });
    assert.deepEqual(await members(ann, group.group_id), ["ann", "bob"]);
    const { id } = await call(ann, "relay_msg", { ...group, message: 1 });
    for (const each of [ann, bob]) assert.equal((await nextPush(each, id)).result.message, 1);
    bob.leave();
    await until(() => members(ann, group.group_id), (left) => String(left) === "ann", "bob to be gone");
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

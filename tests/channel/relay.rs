//! Relay groups over channels: a member is reached through the channel it joined over.

use gen_api::channel::{ChannelSettings, Connect, Session};
use serde_json::{Value, json};

use crate::{
    client::{Client, How, reply},
    gateway::Gateway,
};

const T: &str = "api:main";

async fn gateway() -> Gateway {
    let named = async |connect: Connect| {
        let user = connect.params.text("user").unwrap_or_default();
        Ok(Session::user(user))
    };
    Gateway::connecting(ChannelSettings::default(), named).await
}

async fn joined(gateway: &Gateway, user: &str) -> Client {
    let how = How {
        query: &format!("vsn=2.0.0&user={user}"),
        ..How::default()
    };
    let connected = Client::connect_with(gateway.address, how).await;
    let mut client = connected.expect("status 101");
    client.join("1", T).await;
    client
}

/// A request, as a frame.
fn request(topic: &str, service: &str, request_type: &str, id: &str, args: Value) -> Value {
    let payload = json!({
        "service": service, "request_type": request_type, "request_id": id, "args": args,
    });
    json!(["1", id, topic, "phoenix_gen_api", payload])
}

/// Sends a command; the pushed response.
async fn command(client: &mut Client, request_type: &str, args: Value) -> Value {
    client
        .send(request(T, "chat", request_type, "2", args))
        .await;
    let mut push = client.receive().await;
    let answer = reply(json!("1"), "2", T, "ok", json!(request_type));
    client.expect([answer]).await;
    push[4].take()
}

/// The next message of a group.
async fn message(client: &mut Client) -> Value {
    let mut push = client.receive().await;
    assert_eq!(push[3], "phoenix_gen_api");
    push[4]["result"].take()
}

#[actix_web::test]
async fn members_get_each_others_messages_until_their_channel_ends() {
    let gateway = gateway().await;
    let mut ann = joined(&gateway, "ann").await;
    let mut bob = joined(&gateway, "bob").await;
    let tea = json!({"group_id": "tea"});
    let create = json!({"group_id": "tea", "group_type": "public"});
    assert_eq!(
        command(&mut ann, "create_group", create).await["result"],
        "ok"
    );
    let joining = command(&mut bob, "join_group", tea.clone()).await;
    assert_eq!(joining["result"], json!({"joined": "active"}));
    let hello = json!({"group_id": "tea", "message": "hello"});
    bob.send(request(T, "chat", "relay_msg", "3", hello)).await;
    let sent = message(&mut bob).await;
    assert_eq!(sent, json!({"status": "relayed", "recipients_count": 2}));
    bob.expect([reply(json!("1"), "3", T, "ok", json!("relay_msg"))])
        .await;
    for client in [&mut ann, &mut bob] {
        let message = message(client).await;
        assert_eq!(message["group_id"], "tea");
        assert_eq!(message["from_user_id"], "bob");
        assert_eq!(message["message"], "hello");
        assert!(message["timestamp"].is_string());
    }

    bob.send(json!(["1", "4", T, "phx_leave", {}])).await;
    bob.expect([
        reply(json!("1"), "4", T, "ok", json!({})),
        json!(["1", "1", T, "phx_close", {}]),
    ])
    .await;
    let info = command(&mut ann, "get_group_info", tea.clone()).await;
    let members = info["result"]["members"].as_object();
    assert_eq!(members.map(serde_json::Map::len), Some(1), "{info}");
    ann.vanish();
    while gateway.endpoint.counts().channels > 0 {
        tokio::task::yield_now().await;
    }
    let group = gateway.api.relay().info("tea").expect("the group stays");
    assert!(group.members.is_empty());
    gateway.stop().await;
}

const TEA: &str = "group:tea";

/// Joins the topic whose join callback enrols its clients.
async fn in_group(gateway: &Gateway, user: &str) -> Client {
    let mut client = joined(gateway, user).await;
    client.join("1", TEA).await;
    client
}

fn say(id: &str, text: &str) -> Value {
    let args = json!({"group_id": TEA, "message": text});
    request(TEA, "chat", "relay_msg", id, args)
}

/// The texts of the next messages of a group.
async fn texts<const N: usize>(client: &mut Client) -> [Value; N] {
    let mut texts = [const { Value::Null }; N];
    for text in &mut texts {
        *text = message(client).await["message"].take();
    }
    texts
}

async fn answered(client: &mut Client, id: &str, request_type: &str, result: Value) {
    assert_eq!(message(client).await, result);
    let expected = reply(json!("1"), id, TEA, "ok", json!(request_type));
    client.expect([expected]).await;
}

#[actix_web::test]
async fn a_join_callback_enrols_its_client_for_as_long_as_the_channel_lasts() {
    let gateway = gateway().await;
    let mut ann = in_group(&gateway, "ann").await;
    // Two windows of one user: one member, and both hear.
    let mut windows = [
        in_group(&gateway, "bob").await,
        in_group(&gateway, "bob").await,
    ];
    ann.send(say("2", "hello")).await;
    let relayed = |count: usize| json!({"status": "relayed", "recipients_count": count});
    answered(&mut ann, "2", "relay_msg", relayed(2)).await;
    assert_eq!(texts(&mut ann).await, ["hello"]);
    for window in &mut windows {
        assert_eq!(texts(window).await, ["hello"]);
    }
    let [mut first, second] = windows;
    second.vanish();
    while gateway.endpoint.counts().sockets > 2 {
        tokio::task::yield_now().await;
    }
    first.send(say("2", "still here")).await;
    answered(&mut first, "2", "relay_msg", relayed(2)).await;
    assert_eq!(texts(&mut first).await, ["still here"]);

    first.send(json!(["1", "3", TEA, "phx_leave", {}])).await;
    let left = reply(json!("1"), "3", TEA, "ok", json!({}));
    let closed = json!(["1", "1", TEA, "phx_close", {}]);
    first.expect([left, closed]).await;
    let group = gateway.api.relay().info(TEA).expect("ann is in it");
    assert_eq!(group.members.keys().collect::<Vec<_>>(), ["ann"]);
    gateway.stop().await;
}

#[actix_web::test]
async fn who_is_enrolled_and_then_refused_is_no_member() {
    let gateway = gateway().await;
    let mut ann = joined(&gateway, "ann").await;
    let refused = json!(["1", "1", TEA, "phx_join", {"then": "refuse"}]);
    ann.send(refused).await;
    let reason = json!({"reason": "not today"});
    ann.expect([reply(json!("1"), "1", TEA, "error", reason)])
        .await;
    while gateway.endpoint.counts().channels > 1 {
        tokio::task::yield_now().await;
    }
    let group = gateway.api.relay().info(TEA).expect("it was created");
    assert!(group.members.is_empty());
    gateway.stop().await;
}

#[actix_web::test]
async fn what_is_relayed_to_a_client_that_joins_follows_the_reply_to_its_join() {
    let gateway = gateway().await;
    let mut ann = in_group(&gateway, "ann").await;
    let mut bob = joined(&gateway, "bob").await;
    let join = json!(["1", "1", TEA, "phx_join", {"then": "wait"}]);
    bob.send(join).await;
    let relay = gateway.api.relay();
    while relay.info(TEA).expect("ann's").members.len() < 2 {
        tokio::task::yield_now().await;
    }
    for text in ["one", "two"] {
        relay.send(TEA, "ann", text, "r").await.expect("relayed");
    }
    assert_eq!(texts(&mut ann).await, ["one", "two"]);
    gateway.gate.notify_one();
    bob.expect([reply(json!("1"), "1", TEA, "ok", json!({}))])
        .await;
    assert_eq!(texts(&mut bob).await, ["one", "two"]);
    gateway.stop().await;
}

#[actix_web::test]
async fn the_senders_own_message_follows_the_reply_in_the_groups_one_order() {
    let gateway = gateway().await;
    let mut ann = in_group(&gateway, "ann").await;
    let mut bob = in_group(&gateway, "bob").await;
    let mut window = in_group(&gateway, "ann").await;
    // A function of the embedder's own relays, and answers only later.
    let args = json!({"group_id": TEA, "message": "mine"});
    ann.send(request(TEA, "svc", "say", "2", args)).await;
    assert_eq!(texts(&mut bob).await, ["mine"]);
    bob.send(say("2", "yours")).await;
    let relayed = json!({"status": "relayed", "recipients_count": 2});
    answered(&mut bob, "2", "relay_msg", relayed).await;
    assert_eq!(texts(&mut bob).await, ["yours"]);
    // The sender's other window waits for no reply.
    assert_eq!(texts(&mut window).await, ["mine", "yours"]);

    // What was said after it waits with it, and answers to other requests do not.
    let hi = request(TEA, "svc", "sync_ok", "3", json!({"a": "hi"}));
    ann.send(hi).await;
    answered(&mut ann, "3", "sync_ok", json!({"echo": "hi"})).await;
    gateway.gate.notify_one();
    answered(&mut ann, "2", "say", Value::Null).await;
    assert_eq!(texts(&mut ann).await, ["mine", "yours"]);
    gateway.stop().await;
}

#[actix_web::test]
async fn messages_that_wait_for_a_reply_are_bounded() {
    let mut settings = ChannelSettings::default();
    settings.outgoing_bytes = 4_000;
    let gateway = Gateway::with(settings).await;
    let mut ann = in_group(&gateway, "ann").await;
    let args = json!({"group_id": TEA, "message": "mine"});
    ann.send(request(TEA, "svc", "say", "2", args)).await;
    // Answered after the request has been taken, whose message waits for its own reply.
    ann.expect_nothing().await;
    let relay = gateway.api.relay();
    let text = "x".repeat(1_000);
    let say = || relay.send(TEA, "ann", text.as_str(), "r");
    for _ in 0..3 {
        say().await.expect("relayed");
    }
    ann.expect_nothing().await;
    // One more than there is room for: the client gets them without the reply.
    say().await.expect("relayed");
    assert_eq!(texts(&mut ann).await, ["mine", &text, &text, &text, &text]);
    for _ in 0..10 {
        say().await.expect("relayed");
        assert_eq!(texts(&mut ann).await, [text.as_str()]);
    }
    gateway.stop().await;
}

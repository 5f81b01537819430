//! The embedder's own events, pushes and broadcasts.

use serde_json::json;

use crate::{
    client::{Client, guarded, reply},
    gateway::Gateway,
};

#[actix_web::test]
async fn an_event_is_answered_as_its_callback_says() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    for (event, status, response) in [
        ("echo", "ok", json!({"v": 1})),
        ("refuse", "error", json!({"reason": "no"})),
        ("nobody", "error", json!({"reason": "unknown event"})),
    ] {
        client
            .send(json!(["1", "2", "room:1", event, {"v": 1}]))
            .await;
        client
            .expect([reply(json!("1"), "2", "room:1", status, response)])
            .await;
    }
    client.send(json!(["1", "2", "room:1", "note", {}])).await;
    client.expect_nothing().await;
    gateway.stop().await;
}

#[actix_web::test]
async fn events_of_a_channel_are_answered_in_their_order() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    client.join("2", "room:2").await;
    client
        .send(json!(["1", "3", "room:1", "slow", {"n": 1}]))
        .await;
    client
        .send(json!(["1", "4", "room:1", "echo", {"n": 2}]))
        .await;
    client
        .send(json!(["2", "5", "room:2", "echo", {"n": 3}]))
        .await;
    client
        .expect([reply(json!("2"), "5", "room:2", "ok", json!({"n": 3}))])
        .await;
    gateway.gate.notify_one();
    client
        .expect([
            reply(json!("1"), "3", "room:1", "ok", json!({"n": 1})),
            reply(json!("1"), "4", "room:1", "ok", json!({"n": 2})),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_channel_without_requests_treats_their_event_like_any_other() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "quiet:1").await;
    client
        .send(json!(["1", "2", "quiet:1", "phoenix_gen_api", {}]))
        .await;
    let reason = json!({"reason": "unknown event"});
    client
        .expect([reply(json!("1"), "2", "quiet:1", "error", reason)])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_broadcast_reaches_every_member_without_refs_and_a_push_one() {
    let mut gateway = Gateway::start().await;
    let mut ann = Client::connect(gateway.address).await;
    let mut bob = Client::connect(gateway.address).await;
    ann.join("1", "room:1").await;
    bob.join("7", "room:1").await;
    let mut other = Client::connect(gateway.address).await;
    other.join("1", "room:2").await;
    let sent = gateway
        .endpoint
        .broadcast("room:1", "bcast", json!({"v": 1}));
    assert_eq!(sent, Ok(2));
    for client in [&mut ann, &mut bob] {
        client
            .expect([json!([null, null, "room:1", "bcast", {"v": 1}])])
            .await;
    }
    let membership = guarded(gateway.joined.recv()).await.unwrap();
    assert_eq!(membership.push("hint", json!({"v": 2})), Ok(true));
    ann.expect([json!(["1", null, "room:1", "hint", {"v": 2}])])
        .await;
    let id = membership.session().socket_id().to_owned();
    let pushed = gateway
        .endpoint
        .push(&id, "room:1", "hint", json!({"v": 3}));
    assert_eq!(pushed, Ok(1));
    ann.expect([json!(["1", null, "room:1", "hint", {"v": 3}])])
        .await;
    bob.expect_nothing().await;
    other.expect_nothing().await;
    assert_eq!(
        gateway.endpoint.broadcast("room:9", "bcast", json!({})),
        Ok(0)
    );
    assert_eq!(
        gateway.endpoint.push("nobody", "room:1", "x", json!({})),
        Ok(0)
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn a_member_can_broadcast_to_all_or_to_all_others() {
    let gateway = Gateway::start().await;
    let mut ann = Client::connect(gateway.address).await;
    let mut bob = Client::connect(gateway.address).await;
    ann.join("1", "room:1").await;
    bob.join("2", "room:1").await;
    ann.send(json!(["1", "3", "room:1", "shout", {"v": 1}]))
        .await;
    ann.expect([
        json!([null, null, "room:1", "shout", {"v": 1}]),
        reply(json!("1"), "3", "room:1", "ok", json!({"members": 2})),
    ])
    .await;
    ann.send(json!(["1", "4", "room:1", "whisper", {"v": 2}]))
        .await;
    ann.expect([reply(
        json!("1"),
        "4",
        "room:1",
        "ok",
        json!({"members": 1}),
    )])
    .await;
    bob.expect([
        json!([null, null, "room:1", "shout", {"v": 1}]),
        json!([null, null, "room:1", "whisper", {"v": 2}]),
    ])
    .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_membership_that_ended_takes_no_pushes() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    let membership = guarded(gateway.joined.recv()).await.unwrap();
    client.vanish();
    guarded(gateway.left.recv()).await;
    assert_eq!(membership.push("hint", json!({})), Ok(false));
    assert_eq!(
        gateway.endpoint.broadcast("room:1", "bcast", json!({})),
        Ok(0)
    );
    gateway.stop().await;
}

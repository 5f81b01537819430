//! Heartbeats, joins and leaves, and how channels end: docs/channels.md, "Frames".

use gen_api::channel::LeaveReason;
use serde_json::json;

use crate::{
    client::{Client, guarded, reply},
    gateway::Gateway,
};

const T: &str = "api:main";

#[actix_web::test]
async fn a_heartbeat_is_answered_with_its_own_ref() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    for reference in [json!("1"), json!(7), json!(null)] {
        client
            .send(json!([null, reference, "phoenix", "heartbeat", {}]))
            .await;
        let answer =
            json!([null, reference, "phoenix", "phx_reply", {"status": "ok", "response": {}}]);
        client.expect([answer]).await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_join_is_answered_under_its_join_ref_with_what_the_callback_says() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .send(json!(["3", "3", T, "phx_join", {"token": "t"}]))
        .await;
    client
        .expect([reply(json!("3"), "3", T, "ok", json!({}))])
        .await;
    client
        .send(json!(["4", "5", "room:1", "phx_join", {"a": 1}]))
        .await;
    let sent = json!({"sent": {"a": 1}});
    client
        .expect([reply(json!("4"), "5", "room:1", "ok", sent)])
        .await;
    assert_eq!(gateway.endpoint.counts().channels, 2);
    assert_eq!(gateway.endpoint.members("room:1"), 1);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_refused_join_and_one_that_panics_say_why() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    for (topic, reason) in [
        ("room:forbidden", "unauthorized"),
        ("room:crash", "join crashed"),
        ("room:forbidden", "unauthorized"),
    ] {
        client
            .send(json!(["10", "11", topic, "phx_join", {}]))
            .await;
        let answer = reply(json!("10"), "11", topic, "error", json!({"reason": reason}));
        client.expect([answer]).await;
    }
    client.join("12", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn what_no_channel_is_there_for_is_an_unmatched_topic() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    for (join_ref, topic, event) in [
        (json!("3"), "nope:x", "phx_join"),
        (json!("3"), T, "phoenix_gen_api"),
        (json!(null), T, "anything"),
        (json!(null), "phoenix", "anything"),
        (json!("3"), "phoenix", "phx_join"),
    ] {
        client.send(json!([join_ref, "3", topic, event, {}])).await;
        let reason = json!({"reason": "unmatched topic"});
        client
            .expect([reply(json!(null), "3", topic, "error", reason)])
            .await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_leave_is_answered_and_then_the_channel_is_closed() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("11", "room:1").await;
    client
        .send(json!(["11", "20", "room:1", "phx_leave", {}]))
        .await;
    client
        .expect([
            reply(json!("11"), "20", "room:1", "ok", json!({})),
            json!(["11", "11", "room:1", "phx_close", {}]),
        ])
        .await;
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left, Some(("room:1".to_owned(), LeaveReason::Left)));
    assert_eq!(gateway.endpoint.counts().topics, 0);
    client.send(json!(["11", "21", "room:1", "echo", {}])).await;
    let reason = json!({"reason": "unmatched topic"});
    client
        .expect([reply(json!(null), "21", "room:1", "error", reason)])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_leave_of_a_channel_that_is_not_joined_gets_the_reply_only() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.send(json!(["11", "20", T, "phx_leave", {}])).await;
    client
        .expect([reply(json!("11"), "20", T, "ok", json!({}))])
        .await;
    client.expect_nothing().await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stale_join_ref_is_dropped_and_a_missing_one_is_taken() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("5", "room:1").await;
    client
        .send(json!(["4", "6", "room:1", "echo", {"stale": 1}]))
        .await;
    client
        .send(json!(["4", "7", "room:1", "phx_leave", {}]))
        .await;
    client.expect_nothing().await;
    client
        .send(json!([null, "8", "room:1", "echo", {"v": 1}]))
        .await;
    client
        .expect([reply(json!("5"), "8", "room:1", "ok", json!({"v": 1}))])
        .await;
    client
        .send(json!([null, "9", "room:1", "phx_leave", {}]))
        .await;
    client
        .expect([
            reply(json!("5"), "9", "room:1", "ok", json!({})),
            json!(["5", "5", "room:1", "phx_close", {}]),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_second_join_is_answered_before_the_first_is_closed() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    client
        .send(json!(["2", "2", "room:1", "phx_join", {}]))
        .await;
    client
        .expect([
            reply(json!("2"), "2", "room:1", "ok", json!({})),
            json!(["1", "1", "room:1", "phx_close", {}]),
        ])
        .await;
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left, Some(("room:1".to_owned(), LeaveReason::Replaced)));
    client.send(json!(["1", "3", "room:1", "echo", {}])).await;
    client.expect_nothing().await;
    client.send(json!(["2", "4", "room:1", "echo", {}])).await;
    client
        .expect([reply(json!("2"), "4", "room:1", "ok", json!({}))])
        .await;
    assert_eq!(gateway.endpoint.members("room:1"), 1);
    gateway.stop().await;
}

#[actix_web::test]
async fn the_server_can_end_a_channel() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("5", "room:1").await;
    let membership = guarded(gateway.joined.recv()).await.expect("a channel");
    membership.close();
    client
        .expect([json!(["5", "5", "room:1", "phx_close", {}])])
        .await;
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left, Some(("room:1".to_owned(), LeaveReason::Closed)));
    client.join("6", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_callback_that_panics_costs_its_channel_only() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("3", "room:1").await;
    client.join("4", "room:2").await;
    client.send(json!(["3", "5", "room:1", "crash", {}])).await;
    let crash = json!({"reason": "channel_crash"});
    client
        .expect([json!(["3", "3", "room:1", "phx_error", crash])])
        .await;
    client.send(json!(["4", "6", "room:2", "echo", {}])).await;
    client
        .expect([reply(json!("4"), "6", "room:2", "ok", json!({}))])
        .await;
    assert_eq!(gateway.endpoint.members("room:1"), 0);
    client.join("7", "room:1").await;
    client.vanish();
    let mut left = Vec::new();
    for _ in 0..2 {
        left.extend(guarded(gateway.left.recv()).await);
    }
    left.sort_by(|one, other| one.0.cmp(&other.0));
    let gone = |topic: &str| (topic.to_owned(), LeaveReason::Disconnected);
    assert_eq!(left, [gone("room:1"), gone("room:2")]);
    gateway.stop().await;
}

#[actix_web::test]
async fn frames_wait_for_the_join_before_them() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .send(json!(["1", "1", "room:slow", "phx_join", {}]))
        .await;
    client
        .send(json!(["1", "2", "room:slow", "echo", {}]))
        .await;
    client
        .send(json!([null, "3", "phoenix", "heartbeat", {}]))
        .await;
    gateway.gate.notify_one();
    client
        .expect([reply(json!("1"), "1", "room:slow", "ok", json!({}))])
        .await;
    let mut both = [client.receive().await, client.receive().await];
    both.sort_by_key(|frame| frame[1].to_string());
    let echo = reply(json!("1"), "2", "room:slow", "ok", json!({}));
    assert_eq!(
        both,
        [echo, reply(json!(null), "3", "phoenix", "ok", json!({}))]
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn a_malformed_frame_closes_the_connection_with_1011() {
    let gateway = Gateway::start().await;
    for frame in [
        "no json",
        "{}",
        "[]",
        r#"[null,"1","phoenix","heartbeat"]"#,
        r#"[null,{},"phoenix","heartbeat",{}]"#,
        r#"[null,"1",5,"heartbeat",{}]"#,
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.send_text(frame).await;
        assert_eq!(client.closed().await, Some(1011), "{frame}");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_shutdown_closes_with_1001_and_tells_no_channel_that_it_is_over() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    gateway.api.stop().await;
    match client.frame().await {
        Some(actix_http::ws::Frame::Close(Some(reason))) => {
            assert_eq!(u16::from(reason.code), 1001);
        }
        other => panic!("{other:?}"),
    }
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left.map(|left| left.0), Some("room:1".to_owned()));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_client_that_closes_gets_its_own_code_back() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    let code = actix_http::ws::CloseCode::Normal;
    let close = actix_http::ws::Message::Close(Some(code.into()));
    client.send_message(close).await;
    assert_eq!(client.closed().await, Some(1000));
    gateway.stop().await;
}

//! What a connection may ask for.

use std::time::Duration;

use gen_api::channel::{ChannelSettings, Connect, LeaveReason, Session};
use serde_json::{Value, json};

use crate::{
    client::{Client, How, guarded, reply},
    gateway::Gateway,
};

fn settings(change: impl FnOnce(&mut ChannelSettings)) -> ChannelSettings {
    let mut settings = ChannelSettings::default();
    change(&mut settings);
    settings
}

#[actix_web::test]
async fn a_silent_connection_is_closed_after_a_minute() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.expect_nothing().await;
    gateway.clock.advance(Duration::from_secs(59));
    client.expect_nothing().await;
    gateway.clock.advance(Duration::from_secs(59));
    client.expect_nothing().await;
    gateway.clock.advance(Duration::from_secs(60));
    assert_eq!(client.closed().await, Some(1008));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_message_that_is_too_large_closes_the_connection_with_1009() {
    let gateway = Gateway::with(settings(|it| it.max_frame_bytes = 1_000)).await;
    let mut client = Client::connect(gateway.address).await;
    client
        .send(json!([null, "1", "phoenix", "heartbeat", {"x": "y".repeat(900)}]))
        .await;
    client
        .expect([reply(json!(null), "1", "phoenix", "ok", json!({}))])
        .await;
    client
        .send(json!([null, "1", "phoenix", "heartbeat", {"x": "y".repeat(1_000)}]))
        .await;
    assert_eq!(client.closed().await, Some(1009));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_connection_has_no_more_channels_than_it_may() {
    let gateway = Gateway::with(settings(|it| it.max_channels = 2)).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    client.join("2", "room:2").await;
    client
        .send(json!(["3", "3", "room:3", "phx_join", {}]))
        .await;
    let reason = json!({"reason": "too many channels"});
    client
        .expect([reply(json!("3"), "3", "room:3", "error", reason)])
        .await;
    // A second join of the same topic takes the place of the first.
    client
        .send(json!(["4", "4", "room:2", "phx_join", {}]))
        .await;
    client
        .expect([
            reply(json!("4"), "4", "room:2", "ok", json!({})),
            json!(["2", "2", "room:2", "phx_close", {}]),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn frames_beyond_the_rate_wait_for_the_next_second() {
    let gateway = Gateway::with(settings(|it| it.max_frames_per_second = 3)).await;
    let mut client = Client::connect(gateway.address).await;
    for n in 0..5 {
        client
            .send(json!([null, n.to_string(), "phoenix", "heartbeat", {}]))
            .await;
    }
    let answer = |n: u32| reply(json!(null), &n.to_string(), "phoenix", "ok", json!({}));
    client.expect([answer(0), answer(1), answer(2)]).await;
    // Nothing more comes until the clock moves; the socket waits for that.
    gateway.timers(1).await;
    gateway.clock.advance(Duration::from_secs(1));
    client.expect([answer(3), answer(4)]).await;
    gateway.stop().await;
}

#[actix_web::test]
async fn an_address_has_no_more_connections_than_it_may() {
    let gateway = Gateway::with(settings(|it| it.max_sockets_per_address = 1)).await;
    let how = How {
        query: "vsn=2.0.0",
        ..How::default()
    };
    let mut first = Client::connect_with(gateway.address, how).await.unwrap();
    let second = Client::connect_with(gateway.address, how).await;
    assert_eq!(second.err(), Some(429));
    first.expect_nothing().await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_join_that_takes_too_long_is_refused() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .send(json!(["1", "1", "room:hangs", "phx_join", {}]))
        .await;
    // That of the socket for its silence, and that of the join.
    gateway.timers(2).await;
    gateway.clock.advance(Duration::from_secs(10));
    let reason = json!({"reason": "join timeout"});
    client
        .expect([reply(json!("1"), "1", "room:hangs", "error", reason)])
        .await;
    client.join("2", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_connect_that_takes_too_long_gets_503() {
    let hang = async |_: Connect| std::future::pending().await;
    let gateway = Gateway::connecting(ChannelSettings::default(), hang).await;
    let how = How {
        query: "vsn=2.0.0",
        ..How::default()
    };
    let connecting = Client::connect_with(gateway.address, how);
    let advancing = async {
        gateway.timers(1).await;
        gateway.clock.advance(Duration::from_secs(10));
    };
    let (connected, ()) = futures_util::future::join(connecting, advancing).await;
    assert_eq!(connected.err(), Some(503));
    gateway.stop().await;
}

#[actix_web::test]
async fn requests_beyond_those_under_way_are_refused_and_may_be_tried_again() {
    let gateway = Gateway::with(settings(|it| it.max_in_flight = 2)).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("3", "api:main").await;
    let held = |reference: &str| {
        let payload = json!({"service": "svc", "request_type": "held", "request_id": reference, "args": {"a": "x"}});
        json!(["3", reference, "api:main", "phoenix_gen_api", payload])
    };
    for reference in ["4", "5", "6"] {
        client.send(held(reference)).await;
    }
    let refused = client.receive().await;
    assert_eq!(refused[4]["request_id"], "6");
    assert_eq!(refused[4]["error"], "Service temporarily unavailable");
    assert_eq!(refused[4]["can_retry"], true);
    client
        .expect([reply(json!("3"), "6", "api:main", "ok", json!("held"))])
        .await;
    gateway.gate.notify_waiters();
    for _ in 0..4 {
        client.receive().await;
    }
    client.send(held("7")).await;
    client.expect_nothing().await;
    gateway.gate.notify_waiters();
    assert_eq!(client.receive().await[4]["request_id"], "7");
    gateway.stop().await;
}

/// An event whose callback waits at the gate.
fn slow(reference: &str, bytes: usize) -> Value {
    json!(["1", reference, "room:1", "slow", {"x": "x".repeat(bytes)}])
}

fn too_many(reference: &str) -> Value {
    let reason = json!({"reason": "too many events"});
    reply(json!("1"), reference, "room:1", "error", reason)
}

#[actix_web::test]
async fn events_beyond_those_under_way_are_refused_at_once_while_the_first_runs() {
    let gateway = Gateway::with(settings(|it| it.max_in_flight = 2)).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    for reference in ["2", "3", "4", "5"] {
        client.send(slow(reference, 1)).await;
    }
    client.expect([too_many("4"), too_many("5")]).await;
    for reference in ["2", "3"] {
        gateway.gate.notify_one();
        let done = reply(json!("1"), reference, "room:1", "ok", json!({"x": "x"}));
        client.expect([done]).await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn events_that_wait_have_no_more_bytes_than_they_may() {
    let gateway = Gateway::with(settings(|it| it.incoming_bytes = 10_000)).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    // One is always taken, whatever its size.
    client.send(slow("2", 20_000)).await;
    client.send(slow("3", 10)).await;
    client.expect([too_many("3")]).await;
    gateway.gate.notify_one();
    client.receive().await;
    client.send(slow("4", 6_000)).await;
    client.send(slow("5", 6_000)).await;
    client.expect([too_many("5")]).await;
    // Requests count with them.
    let payload = json!({"service": "svc", "request_type": "sync_ok", "request_id": "6", "args": {"a": "x".repeat(6_000)}});
    client
        .send(json!(["1", "6", "room:1", "phoenix_gen_api", payload]))
        .await;
    let refused = client.receive().await;
    assert_eq!(refused[4]["error"], "Service temporarily unavailable");
    assert_eq!(refused[4]["can_retry"], true);
    gateway.stop().await;
}

#[actix_web::test]
async fn async_calls_and_streams_are_under_way_until_they_end() {
    for request_type in ["async_held", "stream"] {
        let gateway = Gateway::with(settings(|it| it.max_in_flight = 1)).await;
        let mut client = Client::connect(gateway.address).await;
        client.join("1", "api:main").await;
        let ask = |reference: &str, request_type: &str| {
            let payload = json!({"service": "svc", "request_type": request_type, "request_id": reference, "args": {"a": "x"}});
            json!(["1", reference, "api:main", "phoenix_gen_api", payload])
        };
        client.send(ask("2", request_type)).await;
        assert_eq!(client.receive().await[4]["async"], true);
        assert_eq!(client.receive().await[4]["status"], "ok");
        client.send(ask("3", "sync_ok")).await;
        let refused = client.receive().await;
        assert_eq!(refused[4]["can_retry"], true, "{request_type}: {refused}");
        gateway.stop().await;
    }
}

#[actix_web::test]
async fn a_broadcast_closes_the_client_that_reads_nothing_and_reaches_the_others() {
    let gateway = Gateway::with(settings(|it| it.outgoing_bytes = 10_000)).await;
    let mut slow = Client::connect(gateway.address).await;
    slow.join("1", "room:1").await;
    let mut quick = Client::connect(gateway.address).await;
    quick.join("1", "room:1").await;
    let payload = json!({"text": "x".repeat(5_000)});
    let mut sent = 2;
    // The network itself takes some before anything waits here.
    while sent == 2 {
        sent = gateway
            .endpoint
            .broadcast("room:1", "bcast", payload.clone())
            .unwrap();
        quick.receive().await;
    }
    assert_eq!(sent, 1);
    quick.expect_nothing().await;
    assert_eq!(slow.closed().await, Some(1013));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_client_that_stops_reading_slows_its_stream_down_and_is_closed_in_the_end() {
    let verified = async |_: Connect| Ok(Session::user("ann"));
    let settings = settings(|it| {
        it.outgoing_bytes = 100_000;
        it.idle_timeout_ms = 1_000_000_000;
    });
    let mut gateway = Gateway::connecting(settings, verified).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    let payload = json!({"service": "svc", "request_type": "flood", "request_id": "r", "args": {}});
    client
        .send(json!(["1", "2", "room:1", "phoenix_gen_api", payload]))
        .await;
    let closing = async {
        loop {
            gateway.clock.advance(Duration::from_secs(5));
            if gateway.endpoint.counts().sockets == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    guarded(closing).await;
    let left = guarded(gateway.left.recv()).await.unwrap();
    assert_eq!(left.1, LeaveReason::Disconnected);
    while gateway.api.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.closed().await, Some(1013));
    gateway.stop().await;
}

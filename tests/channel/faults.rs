//! Clients that misbehave: the others are served on.

use actix_http::ws::Message;
use bytes::Bytes;
use gen_api::channel::LeaveReason;
use serde_json::json;

use crate::{
    client::{Client, guarded, reply},
    gateway::Gateway,
};

#[actix_web::test]
async fn bytes_that_are_no_websocket_close_that_connection_only() {
    let gateway = Gateway::start().await;
    let mut good = Client::connect(gateway.address).await;
    good.join("1", "room:1").await;
    for odd in [
        b"\xff\xff\xff\xff\xff\xff" as &[u8],
        b"\x81\x02ab",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut bad = Client::connect(gateway.address).await;
        bad.send_raw(odd).await;
        assert_eq!(bad.closed().await, Some(1002), "{odd:?}");
    }
    good.expect_nothing().await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_header_that_announces_too_large_a_message_closes_with_1009_at_once() {
    let gateway = Gateway::start().await;
    for header in [
        b"\x81\xff\x0f\0\0\0\0\0\0\0" as &[u8],
        b"\x82\xff\0\0\0\0\0\x10\0\x01",
    ] {
        let mut bad = Client::connect(gateway.address).await;
        bad.send_raw(header).await;
        assert_eq!(bad.closed().await, Some(1009));
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_control_frame_that_is_too_long_or_in_fragments_closes_with_1002() {
    let gateway = Gateway::start().await;
    for frame in [b"\x89\xfe\0\x7e" as &[u8], b"\x09\x80mask"] {
        let mut bad = Client::connect(gateway.address).await;
        bad.send_raw(frame).await;
        assert_eq!(bad.closed().await, Some(1002));
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_topic_or_a_ref_without_end_is_a_malformed_frame() {
    let gateway = Gateway::start().await;
    let long = "x".repeat(10_000);
    for frame in [
        json!(["1", "1", format!("room:{long}"), "phx_join", {}]),
        json!([long, "1", "room:1", "phx_join", {}]),
        json!([null, long, "phoenix", "heartbeat", {}]),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.send(frame).await;
        assert_eq!(client.closed().await, Some(1011));
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn invalid_utf8_in_a_text_frame_closes_with_1007() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    // Masked with zeros.
    let text = b"[null,\"1\",\"\xff\",\"e\",{}]";
    let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    client.send_raw(&[&head[..], text].concat()).await;
    assert_eq!(client.closed().await, Some(1007));
    gateway.stop().await;
}

#[actix_web::test]
async fn deep_json_is_an_undecodable_request_and_no_crash() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let frame = |event: &str, reference: &str| {
        format!(r#"["1","{reference}","room:1","{event}",{{"args":{deep}}}]"#)
    };
    client.send_text(frame("phoenix_gen_api", "2")).await;
    assert_eq!(client.receive().await[4]["success"], false);
    assert_eq!(client.receive().await[4]["status"], "error");
    client.send_text(frame("echo", "3")).await;
    let reason = json!({"reason": "invalid payload"});
    client
        .expect([reply(json!("1"), "3", "room:1", "error", reason.clone())])
        .await;
    client.send_text(frame("phx_join", "4")).await;
    client
        .expect([
            reply(json!("1"), "4", "room:1", "error", reason),
            json!(["1", "1", "room:1", "phx_close", {}]),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_connection_that_is_cut_ends_its_channels() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    client.vanish();
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left, Some(("room:1".to_owned(), LeaveReason::Disconnected)));
    while gateway.endpoint.counts().sockets > 0 {
        tokio::task::yield_now().await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_flood_of_joins_leaves_as_many_channels_as_are_joined() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    for n in 0..300 {
        let n = n.to_string();
        client.send(json!([n, n, "room:1", "phx_join", {}])).await;
    }
    let mut joined = 0;
    while joined < 300 {
        joined += usize::from(client.receive().await[3] == "phx_reply");
    }
    client.receive().await;
    assert_eq!(gateway.endpoint.members("room:1"), 1);
    assert_eq!(gateway.endpoint.counts().channels, 1);
    gateway.stop().await;
}

#[actix_web::test]
async fn killed_actors_are_told_to_the_client_which_comes_back() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    let [sockets, channels] = gateway.endpoint.supervisors();
    let incarnation = channels.supervisor().incarnation().unwrap();
    channels.supervisor().kill().await;
    let crash = json!({"reason": "channel_crash"});
    client
        .expect([json!(["1", "1", "room:1", "phx_error", crash])])
        .await;
    guarded(channels.supervisor().wait_until_running(incarnation)).await;
    client.join("2", "room:1").await;
    let incarnation = sockets.supervisor().incarnation().unwrap();
    sockets.supervisor().kill().await;
    assert_eq!(client.closed().await, Some(1011));
    guarded(sockets.supervisor().wait_until_running(incarnation)).await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn pings_are_answered_and_fragments_put_together() {
    use actix_http::ws::{Frame, Item};
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    let piece = |text: &'static str| Bytes::from_static(text.as_bytes());
    for message in [
        Message::Continuation(Item::FirstText(piece(r#"[null,"1","#))),
        Message::Ping(piece("p")),
        Message::Continuation(Item::Last(piece(r#""phoenix","heartbeat",{}]"#))),
    ] {
        client.send_message(message).await;
    }
    assert_eq!(client.frame().await, Some(Frame::Pong(piece("p"))));
    client
        .expect([reply(json!(null), "1", "phoenix", "ok", json!({}))])
        .await;
    gateway.stop().await;
}

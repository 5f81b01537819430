//! Version 1 of the protocol, and binary frames.

use actix_http::ws::Message;
use bytes::Bytes;
use gen_api::channel::Payload;
use serde_json::json;

use crate::{
    client::{Client, How, guarded, reply},
    gateway::Gateway,
};

#[actix_web::test]
async fn a_client_of_version_1_speaks_in_objects() {
    let mut gateway = Gateway::start().await;
    for query in ["", "vsn=1.0.0"] {
        let how = How {
            query,
            ..How::default()
        };
        let mut client = Client::connect_with(gateway.address, how).await.unwrap();
        let frame = |event: &str, payload, reference: &str| json!({"topic": "room:1", "event": event, "payload": payload, "ref": reference});
        let ok = |response, reference: &str| {
            let payload = json!({"status": "ok", "response": response});
            frame("phx_reply", payload, reference)
        };
        client.send(frame("phx_join", json!({}), "1")).await;
        client.expect([ok(json!({}), "1")]).await;
        client.send(frame("echo", json!({"a": 1}), "2")).await;
        client.expect([ok(json!({"a": 1}), "2")]).await;
        let membership = guarded(gateway.joined.recv()).await.unwrap();
        assert_eq!(membership.push("news", json!({"v": 1})), Ok(true));
        assert_eq!(membership.broadcast("all", json!({"v": 2})), Ok(1));
        assert!(membership.push("raw", Bytes::from_static(b"x")).is_err());
        let push = |event: &str, payload| json!({"topic": "room:1", "event": event, "payload": payload, "ref": null});
        client
            .expect([push("news", json!({"v": 1})), push("all", json!({"v": 2}))])
            .await;
        client.send(frame("phx_leave", json!({}), "3")).await;
        client
            .expect([ok(json!({}), "3"), frame("phx_close", json!({}), "1")])
            .await;
        let binary = Bytes::from_static(b"\x00\x00\x00\x01\x01te");
        client.send_message(Message::Binary(binary)).await;
        assert_eq!(client.closed().await, Some(1011));
    }
    gateway.stop().await;
}

fn push(join_ref: &str, reference: &str, topic: &str, event: &str, payload: &[u8]) -> Message {
    let fields = [join_ref, reference, topic, event];
    let mut bytes = vec![0];
    bytes.extend(fields.map(|field| u8::try_from(field.len()).unwrap()));
    bytes.extend(fields.concat().as_bytes());
    bytes.extend(payload);
    Message::Binary(bytes.into())
}

#[actix_web::test]
async fn bytes_travel_in_binary_frames_both_ways() {
    let mut gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    client
        .send_message(push("1", "22", "room:1", "echo", b"\xff\x00"))
        .await;
    let expected = b"\x01\x01\x02\x06\x02122room:1ok\xff\x00";
    assert_eq!(client.receive_binary().await, &expected[..]);
    let membership = guarded(gateway.joined.recv()).await.unwrap();
    let bytes = || Payload::Binary(Bytes::from_static(b"\xfe"));
    assert_eq!(membership.push("raw", bytes()), Ok(true));
    assert_eq!(
        client.receive_binary().await,
        &b"\x00\x01\x06\x031room:1raw\xfe"[..]
    );
    assert_eq!(gateway.endpoint.broadcast("room:1", "raw", bytes()), Ok(1));
    assert_eq!(
        client.receive_binary().await,
        &b"\x02\x06\x03room:1raw\xfe"[..]
    );
    let long = "x".repeat(256);
    assert!(
        gateway
            .endpoint
            .broadcast("room:1", &long, bytes())
            .is_err()
    );
    gateway.stop().await;
}

#[actix_web::test]
async fn a_binary_request_is_answered_with_an_error() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "api:main").await;
    client
        .send_message(push("1", "2", "api:main", "phoenix_gen_api", b"{}"))
        .await;
    let reason = "payload must be an object, not binary data";
    let response = json!({
        "request_id": "unknown", "result": null, "success": false, "error": format!("Invalid request: {reason}"),
        "async": false, "has_more": false, "can_retry": false,
    });
    client
        .expect([
            json!(["1", null, "api:main", "phoenix_gen_api", response]),
            reply(json!("1"), "2", "api:main", "error", json!(reason)),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_malformed_binary_frame_closes_the_connection_with_1011() {
    let gateway = Gateway::start().await;
    for frame in [
        b"" as &'static [u8],
        b"\x00",
        b"\x00\x09\x00\x00\x00",
        b"\x07\x00\x00\x00\x00",
    ] {
        let mut client = Client::connect(gateway.address).await;
        client
            .send_message(Message::Binary(Bytes::from_static(frame)))
            .await;
        assert_eq!(client.closed().await, Some(1011), "{frame:?}");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_binary_answer_that_cannot_be_written_becomes_an_error_as_text() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    let (topic, reference) = (format!("room:{}", "x".repeat(300)), "9".repeat(300));
    client.join("1", &topic).await;
    client.join("1", "room:1").await;
    let reason = json!({"reason": "answer cannot be sent"});
    client.send(json!(["1", "2", topic, "bytes", {}])).await;
    client
        .expect([reply(json!("1"), "2", &topic, "error", reason.clone())])
        .await;
    client
        .send(json!(["1", reference, "room:1", "bytes", {}]))
        .await;
    client
        .expect([reply(
            json!("1"),
            &reference,
            "room:1",
            "error",
            reason.clone(),
        )])
        .await;
    let mut old = Client::connect_with(gateway.address, How::default())
        .await
        .unwrap();
    let frame = |event: &str, payload, reference: &str| json!({"topic": "room:1", "event": event, "payload": payload, "ref": reference});
    old.send(frame("phx_join", json!({}), "1")).await;
    old.receive().await;
    old.send(frame("bytes", json!({}), "2")).await;
    let error = json!({"status": "error", "response": reason});
    old.expect([frame("phx_reply", error, "2")]).await;
    gateway.stop().await;
}

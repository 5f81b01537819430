//! Requests on top: docs/channels.md, "Requests on top".

use gen_api::{
    channel::{ChannelSettings, Connect, Session},
    function::StreamHandle,
};
use serde_json::{Value, json};

use crate::{
    client::{Client, guarded, reply},
    gateway::Gateway,
};

const T: &str = "api:main";

fn request(reference: &str, request_type: &str, args: Value) -> Value {
    let payload = json!({
        "service": "svc", "request_type": request_type, "request_id": "r1", "device_id": "d1", "args": args,
    });
    json!(["3", reference, T, "phoenix_gen_api", payload])
}

fn push(response: Value) -> Value {
    json!(["3", null, T, "phoenix_gen_api", response])
}

fn ok(result: Value) -> Value {
    push(json!({
        "request_id": "r1", "result": result, "success": true, "error": null,
        "async": false, "has_more": false, "can_retry": false,
    }))
}

fn chunk(result: Value, has_more: bool) -> Value {
    push(json!({
        "request_id": "r1", "result": result, "success": true, "error": null,
        "async": true, "has_more": has_more, "can_retry": false,
    }))
}

fn error(request_id: &str, text: &str) -> Value {
    push(json!({
        "request_id": request_id, "result": null, "success": false, "error": text,
        "async": false, "has_more": false, "can_retry": false,
    }))
}

async fn joined(gateway: &Gateway) -> Client {
    let mut client = Client::connect(gateway.address).await;
    client.join("3", T).await;
    client
}

#[actix_web::test]
async fn the_result_is_pushed_with_all_seven_keys_before_the_reply() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    client
        .send(request("4", "sync_ok", json!({"a": "hi"})))
        .await;
    client
        .expect([
            ok(json!({"echo": "hi"})),
            reply(json!("3"), "4", T, "ok", json!("sync_ok")),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn the_reply_is_ok_also_when_the_function_failed_or_was_not_called() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    for (request_type, args, text) in [
        ("fails", json!({}), "no such thing"),
        ("breaks", json!({}), "Internal Server Error"),
        (
            "nope",
            json!({}),
            "unsupported function: nope version latest",
        ),
        ("admins", json!({"a": "x"}), "Permission denied"),
    ] {
        client.send(request("4", request_type, args)).await;
        let answer = reply(json!("3"), "4", T, "ok", json!(request_type));
        client.expect([error("r1", text), answer]).await;
    }
    client.send(request("4", "sync_ok", json!({}))).await;
    let pushed = client.receive().await;
    let text = pushed[4]["error"].as_str().unwrap();
    assert!(text.starts_with("invalid argument \"a\": "), "{text}");
    client
        .expect([reply(json!("3"), "4", T, "ok", json!("sync_ok"))])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn what_is_no_request_is_told_by_push_and_by_reply() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    for (payload, id, reason) in [
        (
            json!({"request_id": "r1", "request_type": "op"}),
            "r1",
            "Missing required fields: service",
        ),
        (
            json!({"request_type": "op", "service": "svc"}),
            "unknown",
            "Missing required fields: request_id",
        ),
        (
            json!([1]),
            "unknown",
            "payload must be an object, not a list",
        ),
        (
            json!(null),
            "unknown",
            "payload must be an object, not null",
        ),
    ] {
        client
            .send(json!(["3", "4", T, "phoenix_gen_api", payload]))
            .await;
        client
            .expect([
                error(id, &format!("Invalid request: {reason}")),
                reply(json!("3"), "4", T, "error", json!(reason)),
            ])
            .await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn an_async_request_is_acknowledged_and_its_result_follows() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    client
        .send(request("4", "async_held", json!({"a": "hi"})))
        .await;
    client
        .expect([
            chunk(json!(null), false),
            reply(json!("3"), "4", T, "ok", json!("async_held")),
        ])
        .await;
    gateway.gate.notify_one();
    client.expect([ok(json!({"echo": "hi"}))]).await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_request_without_a_response_gets_the_reply_only() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    client
        .send(request("4", "none_ok", json!({"a": "hi"})))
        .await;
    client
        .expect([reply(json!("3"), "4", T, "ok", json!("none_ok"))])
        .await;
    client.expect_nothing().await;
    gateway.stop().await;
}

async fn stream(gateway: &mut Gateway, client: &mut Client) -> StreamHandle {
    client.send(request("4", "stream", json!({}))).await;
    client
        .expect([
            chunk(json!("init"), true),
            reply(json!("3"), "4", T, "ok", json!("stream")),
        ])
        .await;
    guarded(gateway.streams.recv()).await.expect("a stream")
}

#[actix_web::test]
async fn a_stream_is_acknowledged_and_its_chunks_are_pushed() {
    let mut gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    let handle = stream(&mut gateway, &mut client).await;
    handle.send_result(1).await.unwrap();
    handle.send_result(json!({"n": 2})).await.unwrap();
    handle.complete().await.unwrap();
    client
        .expect([
            chunk(json!(1), true),
            chunk(json!({"n": 2}), true),
            chunk(json!(null), false),
        ])
        .await;
    let handle = stream(&mut gateway, &mut client).await;
    handle.send_last_result("end").await.unwrap();
    client.expect([chunk(json!("end"), false)]).await;
    let handle = stream(&mut gateway, &mut client).await;
    handle.fail("broken").await.unwrap();
    client.expect([error("r1", "Internal Server Error")]).await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_stream_ends_with_its_channel_and_with_its_connection() {
    let mut gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    let handle = stream(&mut gateway, &mut client).await;
    client.send(json!(["3", "9", T, "phx_leave", {}])).await;
    client
        .expect([
            reply(json!("3"), "9", T, "ok", json!({})),
            json!(["3", "3", T, "phx_close", {}]),
        ])
        .await;
    guarded(handle.closed()).await;
    client.join("3", T).await;
    let handle = stream(&mut gateway, &mut client).await;
    client.vanish();
    guarded(handle.closed()).await;
    assert!(handle.send_result(1).await.is_err());
    gateway.stop().await;
}

#[actix_web::test]
async fn requests_are_served_at_the_same_time_and_each_push_stands_before_its_reply() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    for n in 0..16 {
        let mut held = request(&format!("h{n}"), "held", json!({"a": n.to_string()}));
        held[4]["request_id"] = json!(format!("h{n}"));
        client.send(held).await;
    }
    client
        .send(request("4", "sync_ok", json!({"a": "hi"})))
        .await;
    client
        .expect([
            ok(json!({"echo": "hi"})),
            reply(json!("3"), "4", T, "ok", json!("sync_ok")),
        ])
        .await;
    gateway.gate.notify_waiters();
    let mut answered = Vec::new();
    for _ in 0..16 {
        let (push, reply) = (client.receive().await, client.receive().await);
        assert_eq!(push[3], "phoenix_gen_api");
        assert_eq!(reply[4], json!({"status": "ok", "response": "held"}));
        assert_eq!(push[4]["request_id"], reply[1]);
        answered.push(reply[1].to_string());
    }
    answered.sort();
    answered.dedup();
    assert_eq!(answered.len(), 16);
    gateway.stop().await;
}

#[actix_web::test]
async fn user_and_roles_come_from_the_session() {
    let gateway = Gateway::start().await;
    let mut client = joined(&gateway).await;
    let mut who = request("4", "who", json!({}));
    who[4]["user_id"] = json!("admin");
    client.send(who).await;
    let answer = reply(json!("3"), "4", T, "ok", json!("who"));
    client.expect([ok(json!("ann")), answer]).await;
    let mut admins = request("4", "admins", json!({"a": "x"}));
    admins[4]["user_roles"] = json!(["admin"]);
    client.send(admins).await;
    let answer = reply(json!("3"), "4", T, "ok", json!("admins"));
    client
        .expect([error("r1", "Permission denied"), answer])
        .await;
    gateway.stop().await;
}

async fn anonymous(settings: ChannelSettings) -> Gateway {
    Gateway::connecting(settings, async |_: Connect| Ok(Session::anonymous())).await
}

#[actix_web::test]
async fn without_a_verified_user_requests_are_refused() {
    let gateway = anonymous(ChannelSettings::default()).await;
    let mut client = joined(&gateway).await;
    let mut who = request("4", "who", json!({}));
    who[4]["user_id"] = json!("admin");
    client.send(who).await;
    let text = "Authentication required";
    client
        .expect([
            error("r1", text),
            reply(json!("3"), "4", T, "error", json!(text)),
        ])
        .await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_public_endpoint_lets_anonymous_clients_call_what_needs_no_user() {
    let gateway = anonymous(ChannelSettings::default().public()).await;
    let mut client = joined(&gateway).await;
    for (request_type, expected) in [
        ("who", ok(json!(null))),
        ("members", error("r1", "Permission denied")),
    ] {
        let mut call = request("4", request_type, json!({}));
        call[4]["user_id"] = json!("admin");
        client.send(call).await;
        let answer = reply(json!("3"), "4", T, "ok", json!(request_type));
        client.expect([expected, answer]).await;
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn the_payloads_user_counts_only_where_the_settings_say_so() {
    let mut settings = ChannelSettings::default().public();
    settings.override_user_id = false;
    let gateway = anonymous(settings).await;
    let mut client = joined(&gateway).await;
    let mut who = request("4", "who", json!({}));
    who[4]["user_id"] = json!("bob");
    client.send(who).await;
    let answer = reply(json!("3"), "4", T, "ok", json!("who"));
    client.expect([ok(json!("bob")), answer]).await;
    gateway.stop().await;
}

#[actix_web::test]
async fn the_event_of_requests_can_have_another_name() {
    let mut settings = ChannelSettings::default();
    settings.request_event = "call".to_owned();
    let gateway = Gateway::with(settings).await;
    let mut client = joined(&gateway).await;
    let mut call = request("4", "sync_ok", json!({"a": "hi"}));
    call[3] = json!("call");
    client.send(call).await;
    let mut expected = ok(json!({"echo": "hi"}));
    expected[3] = json!("call");
    client
        .expect([expected, reply(json!("3"), "4", T, "ok", json!("sync_ok"))])
        .await;
    gateway.stop().await;
}

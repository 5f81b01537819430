//! The four response modes, and what a function is called with.

use std::convert::Infallible;

use gen_api::{
    GenApi,
    arguments::ArgType,
    function::{Functions, RequestInfo, State},
    model::{CheckPermission, Identity, Response},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fixture::{config, echo, request, start, start_echo};

#[tokio::test]
async fn a_sync_request_is_answered_with_its_result() {
    let api = start_echo().await;
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
    assert!(reply.later.is_none());
    api.stop().await;
}

#[tokio::test]
async fn a_json_request_is_answered_like_any_other() {
    let api = start_echo().await;
    let json = br#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":"hi"}}"#;
    assert_eq!(
        api.execute_json(&Identity::anonymous(), json)
            .await
            .response,
        Some(Response::sync("r", "hi"))
    );
    api.stop().await;
}

#[tokio::test]
async fn the_caller_of_a_json_request_is_who_the_host_says_and_never_who_the_payload_says() {
    let who = async |info: RequestInfo| Ok::<_, Infallible>(info.user_id);
    let functions = Functions::new().register("T", "who", who);
    let admins = CheckPermission::Role(vec!["admin".into()]);
    let configs = [
        config("who", "who"),
        config("admins", "who").check_permission(admins),
    ];
    let api = start(functions, configs).await;
    let payload = |request_type: &str| {
        format!(
            r#"{{"request_id":"r","service":"svc","request_type":"{request_type}","user_id":"bob",
                "user_roles":["admin"],"ip_address":"192.0.2.1"}}"#
        )
    };
    let denied = Some(Response::error("r", "Permission denied"));
    let ann = Identity::user("ann");
    for (identity, user) in [
        (Identity::anonymous(), Value::Null),
        (ann.clone(), "ann".into()),
    ] {
        let reply = api.execute_json(&identity, payload("who").as_bytes()).await;
        assert_eq!(reply.response, Some(Response::sync("r", user)));
        let payload = payload("admins");
        let reply = api.execute_json(&identity, payload.as_bytes()).await;
        assert_eq!(reply.response, denied);
    }
    let admin = ann.with_roles(["admin"]);
    let reply = api.execute_json(&admin, payload("admins").as_bytes()).await;
    assert_eq!(reply.response, Some(Response::sync("r", "ann")));
    let trusted = api.execute_trusted_json(payload("admins").as_bytes()).await;
    assert_eq!(trusted.response, Some(Response::sync("r", "bob")));
    api.stop().await;
}

#[tokio::test]
async fn an_async_request_is_acknowledged_and_answered_later() {
    let functions = Functions::new().register("T", "echo", echo);
    let configs = [config("echo", "echo")
        .arg("value", ArgType::String)
        .asynchronous()];
    let api = start(functions, configs).await;
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(
        reply.collect().await,
        [Response::async_ack("r"), Response::sync("r", "hi")]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_request_without_response_is_still_called() {
    let (sender, mut called) = mpsc::unbounded_channel();
    let note = move |value: String| {
        let sent = sender.send(value);
        async move { sent.map_err(|_| "nobody listens") }
    };
    let functions = Functions::new().register("T", "note", note);
    let api = start(
        functions,
        [config("note", "note")
            .arg("value", ArgType::String)
            .no_response()],
    )
    .await;
    let reply = api
        .execute(request("r", "note").with_arg("value", "hi"))
        .await;
    assert!(reply.collect().await.is_empty());
    assert_eq!(called.recv().await.as_deref(), Some("hi"));
    let refused = api.execute(request("r", "note")).await.collect().await;
    assert_eq!(
        refused.len(),
        1,
        "what is refused before the call is answered in every mode"
    );
    api.stop().await;
}

#[tokio::test]
async fn predefined_arguments_come_first_then_those_of_the_request_then_what_the_engine_adds() {
    async fn show(
        first: String,
        second: u32,
        State(state): State<&'static str>,
        info: RequestInfo,
    ) -> Result<Value, Infallible> {
        Ok(json!([
            first,
            second,
            state,
            info.user_id,
            info.device_id,
            info.request_id
        ]))
    }
    let functions = Functions::new().state("shared").register("T", "show", show);
    let mut config = config("show", "show")
        .arg("second", ArgType::Num)
        .build()
        .expect("valid");
    config.mfa.args = vec![json!("predefined")];
    let api = GenApi::builder()
        .functions(functions)
        .config(config)
        .start()
        .await
        .expect("it starts");
    let request = request("r", "show")
        .with_arg("second", 2)
        .with_user_id("u")
        .with_device_id("d");
    let response = api.execute(request).await.response.expect("a response");
    assert_eq!(
        response.result,
        json!(["predefined", 2, "shared", "u", "d", "r"])
    );
    api.stop().await;
}

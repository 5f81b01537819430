//! What clients read when a request fails, and functions that take too long.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gen_api::{
    GenApi,
    arguments::ArgType,
    clock::ManualClock,
    function::{FunctionError, Functions},
    model::{Identity, Response},
};
use serde_json::Value;

use crate::fixture::{config, echo, request, start};

#[tokio::test]
async fn every_kind_of_bad_input_is_a_clear_error_response() {
    async fn fails() -> Result<(), &'static str> {
        Err("the password of the database is hunter2")
    }
    async fn panics() -> Result<(), Infallible> {
        panic!("hunter2");
    }
    async fn public() -> Result<(), FunctionError> {
        Err(FunctionError::public("no such user"))
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "fails", fails)
        .register("T", "panics", panics)
        .register("T", "public", public);
    let api = start(
        functions,
        [
            config("echo", "echo").arg("value", ArgType::String),
            config("off", "echo")
                .arg("value", ArgType::String)
                .disabled(),
            config("wrong_arity", "echo"),
            config("fails", "fails"),
            config("panics", "panics"),
            config("public", "public"),
            config("missing", "nope"),
        ],
    )
    .await;
    let internal = "Internal Server Error";
    let cases = [
        ("{", "Invalid request: payload cannot be read"),
        ("[]", "Invalid request: payload must be an object, not"),
        (
            r#"{"request_id":"r"}"#,
            "Invalid request: Missing required fields: request_type, service",
        ),
        (
            r#"{"request_id":1,"service":"svc","request_type":"echo"}"#,
            "Invalid request: Invalid fields: request_id",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"nope"}"#,
            "unsupported function: nope version latest",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","version":"9.9.9"}"#,
            "unsupported function: echo version 9.9.9",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"off"}"#,
            "disabled function: off version latest",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo"}"#,
            "invalid argument \"value\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":1}}"#,
            "invalid argument \"value\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":"x","more":1}}"#,
            "invalid argument \"more\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"wrong_arity"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"fails"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"panics"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"missing"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"public"}"#,
            "no such user",
        ),
    ];
    for (payload, expected) in cases {
        let response = api
            .execute_json(&Identity::anonymous(), payload.as_bytes())
            .await
            .response
            .expect("a response");
        let error = response.error.as_deref().unwrap_or_default();
        assert!(
            !response.success && error.starts_with(expected),
            "{payload}: {error}"
        );
        assert!(!error.contains("hunter2"), "{payload} leaks: {error}");
        assert_eq!(response.result, Value::Null, "{payload}");
    }
    let big = format!(r#"{{"request_id":"r","x":"{}"}}"#, "x".repeat(1_000_000));
    let response = api
        .execute_json(&Identity::anonymous(), big.as_bytes())
        .await
        .response
        .expect("a response");
    let error = response.error.unwrap_or_default();
    assert!(
        error.contains("larger than the limit of 1000000 bytes"),
        "{error}"
    );
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_dropped_and_answered_with_an_error() {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let functions = {
        let dropped = Arc::clone(&dropped);
        Functions::new().register("T", "hang", move || {
            let held = SetOnDrop(Arc::clone(&dropped));
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok::<(), Infallible>(())
            }
        })
    };
    let clock = ManualClock::new();
    let config = config("hang", "hang").timeout(Duration::from_millis(100));
    let api = GenApi::builder()
        .functions(functions)
        .config(config.build().expect("valid"))
        .clock(Arc::new(clock.clone()))
        .start()
        .await
        .expect("it starts");
    let call = tokio::spawn({
        let api = api.clone();
        async move { api.execute(request("r", "hang")).await }
    });
    while !call.is_finished() {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    let response = call.await.expect("no panic").response.expect("a response");
    assert_eq!(response, Response::error("r", "Internal Server Error"));
    assert!(dropped.load(Ordering::SeqCst));
    api.stop().await;
}

//! Functions that make requests of their own.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;
use gen_api::{
    GenApi,
    arguments::ArgType,
    function::{FunctionError, Functions, State, StreamHandle},
    model::Response,
};
use serde_json::json;
use tokio::sync::watch;

use crate::fixture::{config, request, start};

type Engine = Arc<OnceLock<GenApi>>;

async fn nest(levels: u32, State(api): State<Engine>) -> Result<u32, FunctionError> {
    let Some(below) = levels.checked_sub(1) else {
        return Ok(1);
    };
    let api = api.get().ok_or("it has not started")?;
    let request = request("r", "nest").with_arg("levels", below);
    let response = api.execute(request).await.response;
    let response = response.ok_or("no answer")?;
    match response.error {
        Some(error) => Err(FunctionError::public(error)),
        None => Ok(serde_json::from_value::<u32>(response.result)? + 1),
    }
}

#[tokio::test]
async fn a_function_that_calls_itself_without_end_gets_an_error_and_overflows_no_stack() {
    let engine = Engine::default();
    let functions = Functions::new()
        .state(Arc::clone(&engine))
        .register("T", "nest", nest);
    let api = start(
        functions,
        [config("nest", "nest").arg("levels", ArgType::Num)],
    )
    .await;
    engine.set(api.clone()).expect("it is set once");
    let nested = async |levels: u32| {
        let request = request("r", "nest").with_arg("levels", levels);
        let response = api.execute(request).await.response.expect("an answer");
        (response.result, response.error)
    };
    assert_eq!(nested(31).await, (json!(32), None));
    let too_deep = Some("Requests nest more than 32 deep".to_owned());
    for levels in [32, 10_000] {
        assert_eq!(nested(levels).await, (json!(null), too_deep.clone()));
    }
    assert_eq!(nested(31).await, (json!(32), None));
    api.stop().await;
}

type Gate = Arc<watch::Sender<bool>>;

/// Waits for the gate, and then asks the engine for `leaf`.
async fn ask(gate: Gate, api: Engine) -> Result<serde_json::Value, FunctionError> {
    gate.subscribe().wait_for(|open| *open).await?;
    let api = api.get().ok_or("it has not started")?;
    let response = api.execute(request("leaf", "leaf")).await.response;
    let response = response.ok_or("no answer")?;
    match response.error {
        Some(error) => Err(FunctionError::public(error)),
        None => Ok(response.result),
    }
}

#[tokio::test]
async fn a_function_under_way_may_make_requests_while_the_engine_drains() {
    async fn leaf() -> Result<u8, FunctionError> {
        Ok(7)
    }
    async fn outer(
        State(gate): State<Gate>,
        State(api): State<Engine>,
    ) -> Result<serde_json::Value, FunctionError> {
        ask(gate, api).await
    }
    async fn feed(
        stream: StreamHandle,
        State(gate): State<Gate>,
        State(api): State<Engine>,
    ) -> Result<(), FunctionError> {
        stream.send_result(ask(gate, api).await?).await?;
        stream.complete().await?;
        Ok(())
    }
    let (gate, engine) = (Gate::default(), Engine::default());
    let functions = Functions::new()
        .state(Arc::clone(&gate))
        .state(Arc::clone(&engine))
        .register("T", "leaf", leaf)
        .register("T", "outer", outer)
        .register("T", "feed", feed);
    let api = start(
        functions,
        [
            config("leaf", "leaf"),
            config("sync", "outer"),
            config("async", "outer").asynchronous(),
            config("stream", "feed").stream(),
        ],
    )
    .await;
    engine.set(api.clone()).expect("it is set once");
    let mut sync = pin!(api.execute(request("sync", "sync")));
    assert!(sync.as_mut().now_or_never().is_none());
    let later = api.execute(request("async", "async")).await;
    let stream = api.execute(request("stream", "stream")).await;

    let mut stop = pin!(api.stop());
    assert!(stop.as_mut().now_or_never().is_none());
    let refused = api.execute(request("r", "leaf")).await.response;
    assert!(refused.is_some_and(|refused| refused.can_retry));

    gate.send_replace(true);
    assert_eq!(sync.await.response, Some(Response::sync("sync", 7)));
    let answers = later.collect().await;
    assert_eq!(answers.last(), Some(&Response::sync("async", 7)));
    let chunks = stream.collect().await;
    let chunk = Response::stream_chunk("stream", 7);
    assert!(chunks.contains(&chunk), "{chunks:?}");
    stop.await;
}

//! An engine that bad input is sent to, and what must hold of every answer.

use std::{convert::Infallible, sync::Arc};

use futures_util::stream;
use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    clock::ManualClock,
    function::{Functions, StreamHandle},
    model::{DEFAULT_MAX_PAYLOAD_BYTES, FunConfig, FunConfigBuilder, Request, Response},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde::Deserialize;
use serde_json::Value;

/// What no client may ever read: the text of every failure and panic, and the module of every function.
pub(crate) const MARKER: &str = "hunter2";

pub(crate) const ALL_TYPES: [ArgType; 13] = [
    ArgType::String,
    ArgType::Num,
    ArgType::Boolean,
    ArgType::Uuid,
    ArgType::Datetime,
    ArgType::NaiveDatetime,
    ArgType::List,
    ArgType::ListString,
    ArgType::ListNum,
    ArgType::ListUuid,
    ArgType::ListMap,
    ArgType::Map,
    ArgType::Any,
];

pub(crate) const FUNCTIONS: [&str; 7] = [
    "echo", "fails", "panics", "picky", "counts", "breaks", "missing",
];

pub(crate) fn functions() -> Functions {
    async fn echo(value: Value) -> Result<Value, Infallible> {
        Ok(value)
    }
    async fn fails(value: Value) -> Result<(), String> {
        Err(format!("{MARKER}: {value}"))
    }
    async fn panics(value: Value) -> Result<(), Infallible> {
        std::panic::resume_unwind(Box::new(format!("{MARKER}: {value}")));
    }
    async fn picky(value: u8) -> Result<u8, Infallible> {
        Ok(value)
    }
    async fn counts(value: Value, stream: StreamHandle) -> Result<Value, String> {
        stream.complete().await.map_err(|_| MARKER.to_owned())?;
        Ok(value)
    }
    async fn breaks(
        value: Value,
    ) -> Result<impl stream::Stream<Item = Result<Value, String>>, Infallible> {
        Ok(stream::iter([Ok(value), Err(MARKER.to_owned())]))
    }
    Functions::new()
        .register(MARKER, "echo", echo)
        .register(MARKER, "fails", fails)
        .register(MARKER, "panics", panics)
        .register(MARKER, "picky", picky)
        .register(MARKER, "counts", counts)
        .register_stream(MARKER, "breaks", breaks)
}

/// A config of one argument named `value`.
pub(crate) fn config(request_type: &str, function: &str, arg: ArgType) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call(MARKER, function)
        .arg("value", arg)
        .local()
}

/// An engine with a request type for every pair of function and response mode that answers, and one for every argument type.
pub(crate) fn start(clock: Option<ManualClock>) -> GenApi {
    let modes = FUNCTIONS.into_iter().flat_map(|function| {
        let of = move |mode| config(&format!("{function}_{mode}"), function, ArgType::Any);
        [
            of("sync"),
            of("async").asynchronous(),
            of("stream").stream(),
        ]
    });
    let types = ALL_TYPES
        .into_iter()
        .map(|arg| config(&type_name(arg), "echo", arg));
    let configs = modes
        .chain(types)
        .map(|config| config.build().expect("a valid config"));
    let mut builder = GenApi::builder()
        .functions(functions())
        .configs(configs)
        .settings(Settings::default().with_threads(1));
    if let Some(clock) = clock {
        builder = builder.clock(Arc::new(clock));
    }
    builder.start_blocking().expect("the engine starts")
}

pub(crate) fn type_name(arg: ArgType) -> String {
    match serde_json::to_value(arg) {
        Ok(Value::String(name)) => name,
        other => panic!("{arg:?} has no name: {other:?}"),
    }
}

/// Runs a property on many inputs while one engine serves them all.
pub(crate) fn check<S: Strategy>(cases: u32, input: S, property: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&input, |input| {
        property(input);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

/// Every request that is answered ends in exactly one terminal response, and no text in it tells of the inside.
pub(crate) fn judge(responses: &[Response], request_id: &str) {
    let is_terminal = |(index, response): &(usize, &Response)| {
        let acknowledgement = *index == 0 && response.is_async && responses.len() > 1;
        !response.has_more && !acknowledgement
    };
    let terminal: Vec<_> = responses.iter().enumerate().filter(is_terminal).collect();
    assert_eq!(terminal.len(), 1, "{responses:?}");
    assert_eq!(terminal[0].0, responses.len() - 1, "{responses:?}");
    for response in responses {
        assert_eq!(response.request_id.as_deref(), Some(request_id));
        assert_eq!(response.success, response.error.is_none(), "{response:?}");
        let error = response.error.as_deref().unwrap_or_default();
        assert!(!error.contains(MARKER), "{error} tells of the inside");
        assert!(!error.contains(".rs"), "{error} tells of the inside");
        assert!(error.chars().count() < 1_000, "{error} is overlong");
        assert!(
            response.success || response.result.is_null(),
            "{response:?}"
        );
    }
}

/// The id that the response to a payload must carry: that of the request, also where the request cannot be read as a whole.
pub(crate) fn request_id_of(payload: &[u8]) -> String {
    // Fields that nobody knows are skipped unread, so a request can be fine although a full reader would refuse it.
    if let Ok(request) = Request::decode(payload, DEFAULT_MAX_PAYLOAD_BYTES) {
        return request.request_id;
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct WithId {
        request_id: Value,
    }
    let read = match payload.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice::<WithId>(payload).map(|payload| payload.request_id),
        _ => return "unknown".to_owned(),
    };
    let id = read.or_else(|_| {
        // The field may be there twice, of which the last counts.
        let payload = serde_json::from_slice::<Value>(payload);
        payload.map(|payload| payload["request_id"].clone())
    });
    match id {
        Ok(Value::String(id)) if !id.is_empty() => id,
        _ => "unknown".to_owned(),
    }
}

pub(crate) fn ask(api: &GenApi, payload: &[u8]) -> Vec<Response> {
    // As from a door that trusts its clients: more of what they send reaches the engine.
    let responses = api.block_on(async { api.execute_trusted_json(payload).await.collect().await });
    judge(&responses, &request_id_of(payload));
    responses
}

/// Asks, and takes the one response for an error whose text begins like this.
#[track_caller]
pub(crate) fn refused(api: &GenApi, payload: &[u8], beginning: &str) {
    let responses = ask(api, payload);
    let error = responses[0].error.as_deref().unwrap_or("no error");
    assert!(error.starts_with(beginning), "{error}");
}

pub(crate) fn stop(api: &GenApi) {
    assert_eq!(api.open_streams(), 0);
    api.block_on(api.stop());
}

//! What the tests of telemetry share: engines, and handlers that put what they hear into words.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use futures_util::{FutureExt, stream};
use gen_api::{
    GenApi, GenApiBuilder, Settings,
    clock::ManualClock,
    function::{FunctionError, Functions, StreamHandle},
    model::{FunConfig, FunConfigBuilder, Request},
    telemetry::{Event, Family, Filter, Telemetry},
};
use tokio::sync::mpsc;

pub(crate) fn config(request_type: &str) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call("T", request_type)
        .local()
}

pub(crate) fn request(request_type: &str) -> Request {
    Request::new("r", "svc", request_type)
}

pub(crate) fn engine(
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
) -> GenApiBuilder {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(Settings::default().with_threads(2))
}

pub(crate) async fn start(builder: GenApiBuilder) -> GenApi {
    builder.start().await.expect("the engine starts")
}

/// Hears a family from now on; what it hears is put into words.
pub(crate) fn hear(
    telemetry: &Telemetry,
    family: Family,
    word: impl Fn(&Event<'_>) -> String + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<String> {
    let (sender, heard) = mpsc::unbounded_channel();
    let note = move |event: &Event<'_>| {
        // A test that is over hears nothing any more.
        let _ = sender.send(word(event));
    };
    telemetry
        .attach("test", Filter::family(family), note)
        .expect("a free id");
    heard
}

pub(crate) fn all(heard: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

/// Moves the clock whenever somebody sleeps, until the future is done.
pub(crate) async fn driving<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
        clock.advance(Duration::from_secs(1));
    }
}

pub(crate) async fn stream_engine() -> GenApi {
    async fn numbers() -> Result<impl stream::Stream<Item = Result<u32, Infallible>>, Infallible> {
        Ok(stream::iter([1, 2, 3].map(Ok)))
    }
    async fn waits(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await.map_err(FunctionError::failed)?;
        pending().await
    }
    let functions = Functions::new()
        .register_stream("T", "numbers", numbers)
        .register("T", "waits", waits)
        .register_raw("T", "vanishes", |_| async { Ok(1.into()) });
    let configs = ["numbers", "waits", "vanishes"].map(|name| config(name).stream());
    start(engine(functions, configs)).await
}

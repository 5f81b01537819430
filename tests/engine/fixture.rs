//! What the tests of the engine share: an engine with a function or some streams, and an actor that collects responses.

use std::convert::Infallible;

use actix::prelude::*;
use futures_util::stream;
use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    function::{FunctionError, Functions, StreamHandle},
    model::{FunConfig, FunConfigBuilder, Request, Response},
};
use tokio::sync::mpsc;

pub(crate) fn config(request_type: &str, function: &str) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call("T", function)
        .local()
}

pub(crate) fn request(id: &str, request_type: &str) -> Request {
    Request::new(id, "svc", request_type)
}

pub(crate) async fn echo(value: String) -> Result<String, Infallible> {
    Ok(value)
}

pub(crate) async fn start(
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
) -> GenApi {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    let settings = Settings::default().with_threads(2);
    let builder = GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(settings);
    builder.start().await.expect("the engine starts")
}

pub(crate) async fn start_echo() -> GenApi {
    let functions = Functions::new().register("T", "echo", echo);
    start(
        functions,
        [config("echo", "echo").arg("value", ArgType::String)],
    )
    .await
}

pub(crate) async fn count_to(n: u32, stream: StreamHandle) -> Result<(), FunctionError> {
    for i in 1..=n {
        stream.send_result(i).await?;
    }
    stream.complete().await?;
    Ok(())
}

pub(crate) async fn countdown(
    n: u32,
) -> Result<impl stream::Stream<Item = Result<u32, Infallible>>, Infallible> {
    Ok(stream::iter((1..=n).rev().map(Ok)))
}

pub(crate) async fn start_streams() -> GenApi {
    async fn just_return(stream: StreamHandle) -> Result<(), FunctionError> {
        Ok(stream.send_result(1).await?)
    }
    async fn idle(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "count_to", count_to)
        .register_stream("T", "countdown", countdown)
        .register_raw("T", "vanish", |_| async { Ok("answer".into()) })
        .register("T", "just_return", just_return)
        .register("T", "idle", idle);
    start(
        functions,
        [
            config("count_to", "count_to")
                .arg("n", ArgType::Num)
                .stream(),
            config("countdown", "countdown")
                .arg("n", ArgType::Num)
                .stream(),
            config("vanish", "vanish").stream(),
            config("just_return", "just_return").stream(),
            config("idle", "idle").stream(),
        ],
    )
    .await
}

/// Collects what it is sent.
pub(crate) struct Collector(pub(crate) mpsc::UnboundedSender<Response>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<Response> for Collector {
    type Result = ();

    fn handle(&mut self, response: Response, _: &mut Context<Self>) {
        let _ = self.0.send(response);
    }
}

//! Engines to be measured, and requests for them.

use std::{convert::Infallible, future::pending};

use futures_util::{Stream, stream};
use gen_api::{
    GenApi, Settings,
    function::StreamClosed,
    model::CheckPermission,
    prelude::*,
    rate_limiter::{LimitKey, RateLimit},
};

use crate::actors::STARTED;

/// How many users take turns in the requests of [`owned_request`].
pub const USERS: u64 = 10_000;

async fn echo(value: String) -> Result<String, Infallible> {
    Ok(value)
}

async fn start(functions: Functions, configs: impl IntoIterator<Item = FunConfig>) -> GenApi {
    start_with(Settings::default(), functions, configs).await
}

async fn start_with(
    settings: Settings,
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfig>,
) -> GenApi {
    GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(settings.with_threads(1))
        .start()
        .await
        .expect("the engine starts")
}

fn echo_config(request_type: &str, permission: CheckPermission) -> FunConfig {
    FunConfig::builder("svc", request_type)
        .call("T", "echo")
        .arg("owner", ArgType::String)
        .check_permission(permission)
        .local()
        .build()
        .expect("a valid config")
}

/// An engine with `svc/echo`, which returns its one string argument, in the response mode sync.
#[must_use]
pub async fn echo_engine() -> GenApi {
    start(
        Functions::new().register("T", "echo", echo),
        [echo_config("echo", CheckPermission::Off)],
    )
    .await
}

/// An engine whose `svc/echo` may be called by the user its argument names, at the rate of [`rate_limit`].
#[must_use]
pub async fn guarded_engine() -> GenApi {
    let permission = CheckPermission::Arg("owner".to_owned());
    let api = start(
        Functions::new().register("T", "echo", echo),
        [echo_config("echo", permission)],
    )
    .await;
    api.rate_limiter()
        .add_global_limit(rate_limit())
        .expect("a valid limit");
    api
}

/// A limit that real users stay below, even when each of [`USERS`] comes back after a few milliseconds.
#[must_use]
pub fn rate_limit() -> RateLimit {
    RateLimit::new(LimitKey::UserId, 100, 50)
}

/// An engine with as many configs, named `type-0` and so on.
#[must_use]
pub async fn engine_with_configs(configs: u64) -> GenApi {
    start(
        Functions::new().register("T", "echo", echo),
        (0..configs).map(|index| echo_config(&config_name(index), CheckPermission::Off)),
    )
    .await
}

/// The request type of one of the configs of [`engine_with_configs`].
#[must_use]
pub fn config_name(index: u64) -> String {
    format!("type-{index}")
}

/// An engine with the streams `svc/handle` and `svc/stream`, which count to their argument `to`, and `svc/idle`, which
/// counts itself in ([`STARTED`]) and then does nothing for ever. As many chunks as `buffer` says may wait for a receiver.
#[must_use]
pub async fn streaming_engine(buffer: usize) -> GenApi {
    async fn by_handle(to: u64, stream: StreamHandle) -> Result<(), StreamClosed> {
        for number in 1..to {
            stream.send_result(number).await?;
        }
        stream.send_last_result(to).await
    }
    async fn by_stream(to: u64) -> Result<impl Stream<Item = Result<u64, Infallible>>, Infallible> {
        Ok(stream::iter((0..to).map(Ok)))
    }
    async fn idle(_to: u64, _stream: StreamHandle) -> Result<(), Infallible> {
        STARTED.count();
        pending().await
    }
    let functions = Functions::new()
        .register("T", "handle", by_handle)
        .register_stream("T", "stream", by_stream)
        .register("T", "idle", idle);
    let config = |name: &str| {
        FunConfig::builder("svc", name)
            .call("T", name)
            .arg("to", ArgType::Num)
            .local()
            .stream()
            .no_timeout()
            .build()
            .expect("a valid config")
    };
    let mut settings = Settings::default();
    settings.stream_pool.places = 100_000;
    settings.streams.buffer = buffer;
    start_with(
        settings,
        functions,
        ["handle", "stream", "idle"].map(config),
    )
    .await
}

/// A request to `svc/echo` by one of the [`USERS`], who names itself in the argument.
#[must_use]
pub fn owned_request(user: u64) -> Request {
    named_request(user % USERS)
}

/// The same, of any number of users.
#[must_use]
pub fn named_request(user: u64) -> Request {
    let user = format!("user-{user}");
    Request::new("request-1", "svc", "echo")
        .with_arg("owner", user.as_str())
        .with_user_id(user)
}

/// A request to a stream of [`streaming_engine`].
#[must_use]
pub fn stream_request(id: u64, request_type: &str, to: u64) -> Request {
    Request::new(format!("request-{id}"), "svc", request_type).with_arg("to", to)
}

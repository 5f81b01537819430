//! What the hosts serve: an engine with three functions, its answer as lines of JSON, and how they know who asks.

pub mod tokens;

use std::convert::Infallible;

use futures_util::stream::{self, Stream, StreamExt};
use gen_api::prelude::*;

async fn greet(name: String) -> Result<String, Infallible> {
    Ok(format!("Hello, {name}!"))
}

async fn who_am_i(info: RequestInfo) -> Result<Option<String>, Infallible> {
    Ok(info.user_id)
}

async fn countdown(from: u32) -> Result<impl Stream<Item = Result<u32, Infallible>>, Infallible> {
    Ok(stream::iter((1..=from).rev().map(Ok)))
}

/// Starts the engine that the hosts embed.
///
/// # Errors
///
/// When the engine does not start.
pub async fn start_engine() -> Result<GenApi, Box<dyn std::error::Error>> {
    let functions = Functions::new()
        .register("Demo", "greet", greet)
        .register("Demo", "who_am_i", who_am_i)
        .register_stream("Demo", "countdown", countdown);
    let greet = FunConfig::builder("demo", "greet").call("Demo", "greet");
    let who_am_i = FunConfig::builder("demo", "who_am_i")
        .call("Demo", "who_am_i")
        .check_permission(CheckPermission::AnyAuthenticated);
    let countdown = FunConfig::builder("demo", "countdown")
        .call("Demo", "countdown")
        .stream();
    Ok(GenApi::builder()
        .functions(functions)
        .config(greet.arg("name", ArgType::String).local().build()?)
        .config(who_am_i.local().build()?)
        .config(countdown.arg("from", ArgType::Num).local().build()?)
        .start()
        .await?)
}

/// The responses of a request as they come, each a line of JSON: a body for any web framework.
pub fn json_lines(reply: Reply) -> impl Stream<Item = Result<String, serde_json::Error>> {
    let later = stream::iter(reply.later).flatten();
    stream::iter(reply.response)
        .chain(later)
        .map(|response| Ok(serde_json::to_string(&response)? + "\n"))
}

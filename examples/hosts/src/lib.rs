//! What both hosts serve: an engine with two functions, and its answer as lines of JSON.

use std::convert::Infallible;

use futures_util::stream::{self, Stream, StreamExt};
use gen_api::prelude::*;

async fn greet(name: String) -> Result<String, Infallible> {
    Ok(format!("Hello, {name}!"))
}

async fn countdown(from: u32) -> Result<impl Stream<Item = Result<u32, Infallible>>, Infallible> {
    Ok(stream::iter((1..=from).rev().map(Ok)))
}

/// Starts the engine that both hosts embed.
///
/// # Errors
///
/// When the engine does not start.
pub async fn start_engine() -> Result<GenApi, Box<dyn std::error::Error>> {
    let functions = Functions::new()
        .register("Demo", "greet", greet)
        .register_stream("Demo", "countdown", countdown);
    let greet = FunConfig::builder("demo", "greet").call("Demo", "greet");
    let countdown = FunConfig::builder("demo", "countdown")
        .call("Demo", "countdown")
        .stream();
    Ok(GenApi::builder()
        .functions(functions)
        .config(greet.arg("name", ArgType::String).local().build()?)
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

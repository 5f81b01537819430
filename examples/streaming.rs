//! Streams: from a handle, from a Rust `Stream`, with backpressure, and stopped from outside.
//!
//! Run it with `cargo run --example streaming`.

use futures_util::stream::{self, Stream};
use gen_api::prelude::*;

/// A function with a stream handle sends when it likes, and says when it is done.
async fn cook(dish: String, stream: StreamHandle) -> Result<(), FunctionError> {
    for step in ["washing", "cutting", "boiling"] {
        stream.send_result(format!("{step} for the {dish}")).await?;
    }
    stream.send_last_result("served").await?;
    Ok(())
}

/// A function may also return a Rust stream; its end completes the response.
async fn squares() -> Result<impl Stream<Item = Result<u64, FunctionError>>, FunctionError> {
    Ok(stream::iter((1..=3).map(|n| Ok(n * n))))
}

/// Endless: `send_result` waits while the reader is slow, and fails once nobody listens.
async fn tick(stream: StreamHandle) -> Result<(), FunctionError> {
    let mut n = 0_u64;
    while stream.send_result(n).await.is_ok() {
        n += 1;
    }
    println!("  (the producer stopped after at least {n} sends)");
    Ok(())
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let functions = Functions::new()
        .register("Demo", "cook", cook)
        .register_stream("Demo", "squares", squares)
        .register("Demo", "tick", tick);
    let config = |name: &str| {
        let config = FunConfig::builder("demo", name).call("Demo", name);
        config.local().stream()
    };
    let api = GenApi::builder()
        .functions(functions)
        .config(config("cook").arg("dish", ArgType::String).build()?)
        .config(config("squares").build()?)
        .config(config("tick").no_timeout().build()?)
        .start()
        .await?;

    for request in [
        Request::new("r-1", "demo", "cook").with_arg("dish", "soup"),
        Request::new("r-2", "demo", "squares"),
    ] {
        for response in api.execute(request).await.collect().await {
            println!("{}", serde_json::to_string(&response)?);
        }
    }

    let reply = api.execute(Request::new("r-3", "demo", "tick")).await;
    let mut ticks = reply.later.ok_or("chunks")?;
    for _ in 0..3 {
        println!("{:?}", ticks.next().await.map(|response| response.result));
    }
    api.stop_stream("r-3")?;
    while let Some(response) = ticks.next().await {
        println!("{} has_more: {}", response.result, response.has_more);
    }
    api.stop().await;
    Ok(())
}

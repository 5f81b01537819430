//! A gateway for the service nodes of `examples/service_node.rs`: it takes their push, calls them, reads a stream, pulls, and
//! then calls once a second, so that you can stop nodes and start them again.
//! `cargo run --features grpc --example gateway`

use std::{error::Error, time::Duration};

use futures_util::{
    FutureExt,
    future::{Either, select},
};
use gen_api::{
    model::{Mfa, Nodes, ServiceConfig},
    prelude::*,
    settings::GrpcSettings,
};
use tokio::time::sleep;

/// Every node of the service, running or not.
const NODES: [&str; 3] = [
    "http://127.0.0.1:9000",
    "http://127.0.0.1:9001",
    "http://127.0.0.1:9002",
];
const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    settings.grpc = GrpcSettings::default()
        .with_listen("127.0.0.1:9100".parse()?)
        .with_cluster_secret("only-for-this-example");
    let api = GenApi::builder().settings(settings).start_blocking()?;

    let called = api.block_on(async {
        match select(
            call_nodes(&api).boxed_local(),
            gen_api::shutdown_signal().boxed_local(),
        )
        .await
        {
            Either::Left((called, _)) => called,
            Either::Right(_) => Ok(()),
        }
    });
    api.block_on(api.stop());
    called
}

async fn call_nodes(api: &GenApi) -> Result<(), Box<dyn Error>> {
    println!("waiting for a service node to push ...");
    while api.config_db().get_fast("greeter", "count").is_err() {
        sleep(Duration::from_millis(100)).await;
    }
    println!("{}", api.cluster_view());

    let request = Request::new("r-1", "greeter", "count").with_arg("to", 5);
    let reply = api.execute(request).await;
    let mut chunks = reply.later.ok_or("the stream was refused")?;
    while let Some(chunk) = chunks.next().await {
        println!("stream: {} (more: {})", chunk.result, chunk.has_more);
    }

    let configs = Mfa::new("GenApi", "configs").with_args(["greeter".into()]);
    let service = ServiceConfig::new("greeter", Nodes::list(NODES), configs);
    api.puller().add([service])?;
    println!("pull: {:?}", api.puller().pull().await?.results);

    for number in 2.. {
        let request = Request::new(format!("r-{number}"), "greeter", "greet");
        let reply = api.execute(request.with_arg("name", "Ann")).await;
        match reply.response {
            Some(answer) if answer.success => println!("{}", answer.result),
            answer => println!("no node answers: {}", serde_json::to_string(&answer)?),
        }
        sleep(SECOND).await;
    }
    Ok(())
}

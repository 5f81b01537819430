//! A service node: two functions that it pushes to the gateway of `examples/gateway.rs`. Start one, or one for each port:
//! `cargo run --features grpc --example service_node -- 9001`

use std::time::Duration;

use gen_api::{prelude::*, settings::GrpcSettings};

/// Every node of the service. Each tells gateways of all of them, so that one can stand in for another.
const NODES: [&str; 3] = [
    "http://127.0.0.1:9000",
    "http://127.0.0.1:9001",
    "http://127.0.0.1:9002",
];

#[gen_api::function(service = "greeter")]
async fn greet(name: String, State(port): State<u16>) -> Result<String, FunctionError> {
    Ok(format!("Hello, {name}! This is node {port}"))
}

#[gen_api::function(service = "greeter", stream)]
async fn count(to: u64, stream: StreamHandle) -> Result<(), FunctionError> {
    for number in 1..=to {
        stream.send_result(number).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(stream.complete().await?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args()
        .nth(1)
        .map_or(Ok(9000), |port| port.parse())?;
    let grpc = GrpcSettings::default()
        .with_listen(([127, 0, 0, 1], port).into())
        .with_cluster_secret("only-for-this-example");
    let node = ServiceNode::builder()
        .functions(Functions::new().state(port))
        .function(greet::api())
        .function(count::api())
        .grpc(grpc)
        .advertise(NODES)
        .push_to(["http://127.0.0.1:9100"])
        .start_blocking()?;

    println!("node {port} takes calls, and pushes itself to the gateway ...");
    node.block_on(node.pusher().wait_until_accepted("greeter"));
    println!("{}\nStop it with Ctrl-C.", node.pusher().status());
    node.block_on(gen_api::shutdown_signal());
    node.block_on(node.stop());
    Ok(())
}

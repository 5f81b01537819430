//! A gateway and the service node in Python of `examples/python_node` (specification, section 19).
//!
//! Needs `python3` and, the first time, its package index:
//! `cargo test -p gen_api-e2e --test python -- --ignored`

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use gen_api::{
    GenApi, Settings,
    model::{Mfa, Nodes, Request, ServiceConfig},
    settings::GrpcSettings,
};
use serde_json::{Value, json};

const SECRET: &str = "s3cret";

/// The node's process, which ends with it.
struct PythonNode {
    process: Child,
    address: String,
}

impl PythonNode {
    /// Starts the example as its script does, and waits until it says where it listens.
    fn start() -> Self {
        // The first one makes the venv of all.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut process = Command::new(format!("{root}/examples/python_node/run"))
            .arg("0")
            .env("CLUSTER_SECRET", SECRET)
            .env(
                "PYTHON_NODE_HOME",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/python_node"),
            )
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let output = process.stdout.take().expect("it is piped");
        let line = BufReader::new(output).lines().next();
        let line = line.expect("the node says where it listens").expect("text");
        let at = line.rsplit(' ').next().expect("a word");
        let address = format!("http://{at}");
        Self { process, address }
    }
}

impl Drop for PythonNode {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn gateway(secret: &str) -> GenApi {
    let mut settings = Settings::default().with_threads(1);
    settings.grpc = GrpcSettings::default().with_cluster_secret(secret);
    let api = GenApi::builder().settings(settings).start().await;
    api.expect("the gateway starts")
}

fn service(node: &PythonNode) -> ServiceConfig {
    let of_service = |name| Mfa::new("GenApi", name).with_args([Value::from("greeter")]);
    ServiceConfig::new(
        "greeter",
        Nodes::list([node.address.as_str()]),
        of_service("configs"),
    )
    .with_version_check(of_service("config_version"))
}

#[tokio::test]
#[ignore = "needs python3 and its package index"]
async fn a_gateway_pulls_from_a_node_in_python_and_calls_it_and_streams_from_it() {
    let node = PythonNode::start();
    let api = gateway(SECRET).await;
    api.puller().add([service(&node)]).expect("a service");
    let report = api.puller().pull().await.expect("the puller runs");
    let version = api.puller().get_service_version("greeter");
    assert_eq!(version, Some(json!("python-1")), "{report:?}");

    let greet = Request::new("r-1", "greeter", "greet").with_arg("name", "Ann");
    let answer = api.execute(greet).await.response.expect("an answer");
    assert_eq!(answer.result, json!("Hello, Ann! This is Python"));

    let count = Request::new("r-2", "greeter", "count").with_arg("to", 3);
    let mut later = api.execute(count).await.later.expect("a stream");
    let mut results = Vec::new();
    while let Some(chunk) = later.next().await {
        assert!(chunk.success, "{chunk:?}");
        results.push((chunk.result, chunk.has_more));
    }
    let more = |result| (result, true);
    let numbers = [1, 2, 3].map(|number| more(json!(number)));
    assert_eq!(results[..3], numbers);
    assert_eq!(results.last().map(|(_, more)| *more), Some(false));
    api.stop().await;
}

#[tokio::test]
#[ignore = "needs python3 and its package index"]
async fn a_node_in_python_tells_nothing_without_the_secret() {
    let node = PythonNode::start();
    let api = gateway("another").await;
    api.puller().add([service(&node)]).expect("a service");
    let _ = api.puller().pull().await.expect("the puller runs");
    assert!(api.config_db().get_fast("greeter", "greet").is_err());
    assert_eq!(api.puller().get_service_version("greeter"), None);
    api.stop().await;
}

//! What a very large push leaves behind in a gateway.
//!
//! The gateway is a process of its own: this binary, started once more, so that nothing of the pusher counts.
#![cfg(all(feature = "grpc", target_os = "linux"))]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use gen_api::{
    GenApi, Settings,
    grpc::proto::{PushRequest, gateway_client::GatewayClient, push_reply},
    model::{FunConfig, Nodes, PushConfig},
    settings::GrpcSettings,
};
use tonic::transport::Endpoint;

const SECRET: &str = "s3cret";
const IS_GATEWAY: &str = "GEN_API_TEST_GATEWAY";
const FUNCTIONS: usize = 50_000;

fn settings() -> Settings {
    let mut settings = Settings::default().with_threads(1);
    settings.grpc = GrpcSettings::default()
        .with_listen("127.0.0.1:0".parse().expect("an address"))
        .with_cluster_secret(SECRET)
        .with_max_message_bytes(64 * 1024 * 1024);
    settings
}

/// Serves until its input is closed, that is until the test is over.
fn be_a_gateway() {
    let api = GenApi::builder().settings(settings());
    let api = api.start_blocking().expect("a gateway");
    println!("at {}", api.grpc_address().expect("a door"));
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

struct Gateway {
    process: Child,
    url: String,
}

impl Gateway {
    fn start() -> Self {
        let mut process = Command::new(env::current_exe().expect("this binary"))
            .args(["--exact", "a_large_push_is_held_once", "--nocapture"])
            .env(IS_GATEWAY, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map(|line| line.expect("a line"));
        let address = lines.find_map(|line| Some(line.split_once("at ")?.1.to_owned()));
        let url = format!("http://{}", address.expect("its address"));
        Self { process, url }
    }

    /// What the process holds, and what it held at most, in MiB.
    fn memory(&self) -> (usize, usize) {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("the status of a process");
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number
                .and_then(|kib| kib.parse::<usize>().ok())
                .expect("KiB")
                / 1_024
        };
        (mib("VmRSS:"), mib("VmHWM:"))
    }

    /// Pushes functions in messages of so many.
    async fn push(&self, at_a_time: usize) {
        let channel = Endpoint::from_shared(self.url.clone()).expect("an address");
        let channel = channel.connect().await.expect("a connection");
        let mut client = GatewayClient::new(channel);
        for first in (0..FUNCTIONS).step_by(at_a_time) {
            let functions = (first..first + at_a_time).map(|number| {
                let config = FunConfig::builder("svc", format!("function-{number}"));
                let config = config.version("1.0.0").call("Module", "function").local();
                config.build().expect("a valid config")
            });
            let nodes = Nodes::list(["http://10.0.0.7:9000"]);
            let push = PushConfig::new("svc", nodes, first.to_string(), functions);
            let mut request = tonic::Request::new(PushRequest {
                config: serde_json::to_vec(&push).expect("JSON").into(),
                ..PushRequest::default()
            });
            let secret = format!("Bearer {SECRET}").parse().expect("a header");
            request.metadata_mut().insert("authorization", secret);
            let reply = client.push(request).await.expect("an answer").into_inner();
            let outcome = reply.outcome;
            let accepted = matches!(outcome, Some(push_reply::Outcome::Accepted(_)));
            assert!(accepted, "{outcome:?}");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_large_push_is_held_once() {
    if env::var_os(IS_GATEWAY).is_some() {
        return be_a_gateway();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let measure = |at_a_time| {
        let gateway = Gateway::start();
        runtime.block_on(gateway.push(at_a_time));
        gateway.memory()
    };
    let (in_parts, in_one) = (measure(FUNCTIONS / 10), measure(FUNCTIONS));
    println!("resident and most, in MiB: in ten messages {in_parts:?}, in one {in_one:?}");
    // The message itself is held for a moment; its JSON as values, or a second copy of the configs, is over this.
    let (resident, most) = in_one;
    assert!(resident < in_parts.0 + 60, "{in_parts:?}, {in_one:?}");
    assert!(most < in_parts.1 + 60, "{in_parts:?}, {in_one:?}");
}

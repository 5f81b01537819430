//! A service node as a process of its own, for tests that stop, freeze and kill it.
//!
//! It prints `listening on ADDR`, answers the line `status` with what its pusher says as a JSON line, and ends when its
//! standard input does, so that none is left behind by a test.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::{self, BufRead, Write},
    sync::Arc,
    time::Duration,
};

use gen_api::{
    arguments::ArgType,
    function::{Functions, RequestInfo, StreamHandle},
    model::FunConfig,
    prelude::*,
    settings::{GrpcSettings, Settings, TlsSettings},
};
use gen_api_e2e::Arguments;
use serde_json::{Value, json};

const KNOWN: [&str; 16] = [
    "service",
    "name",
    "listen",
    "secret",
    "ledger",
    "push-to",
    "advertise",
    "config-version",
    "verify-interval-ms",
    "pulled",
    "filler",
    "max-message-bytes",
    "ca",
    "certificate",
    "key",
    "function-version",
];

fn main() -> Result<(), Box<dyn Error>> {
    let given = Arguments::of_process(&KNOWN)?;
    let service = given.text("service").unwrap_or("demo").to_owned();
    let name = given.text("name").unwrap_or("node").to_owned();
    let ledger = Arc::new(Ledger::open(given.text("ledger"))?);

    let mut builder = ServiceNode::builder()
        .functions(functions(&name, &ledger))
        .configs(configs(&service, given.text("function-version"))?)
        .configs(filler(&service, given.read("filler")?.unwrap_or(0))?)
        .settings(settings(&given)?)
        .advertise(given.all("advertise"))
        .push_to(given.all("push-to"));
    if let Some(version) = given.text("config-version") {
        builder = builder.config_version(version);
    }
    if given.read("pulled")?.unwrap_or(false) {
        builder = builder.pulled();
    }
    let node = builder.start_blocking()?;
    say(&format!("listening on {}", node.address()))?;
    for line in io::stdin().lock().lines() {
        if line? == "status" {
            say(&serde_json::to_string(&node.pusher().status())?)?;
        }
    }
    node.block_on(node.stop());
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn settings(given: &Arguments) -> Result<Settings, Box<dyn Error>> {
    let listen = given.read("listen")?;
    let listen = match listen {
        Some(address) => address,
        None => "127.0.0.1:0".parse()?,
    };
    let mut grpc = GrpcSettings::default()
        .with_listen(listen)
        .with_cluster_secret(given.text("secret").unwrap_or("s3cret"));
    if let Some(bytes) = given.read("max-message-bytes")? {
        grpc = grpc.with_max_message_bytes(bytes);
    }
    let mut tls = TlsSettings::default();
    if let Some(ca) = given.text("ca") {
        tls = tls.with_ca(ca);
    }
    if let (Some(certificate), Some(key)) = (given.text("certificate"), given.text("key")) {
        grpc = grpc.with_tls(tls.with_identity(certificate, key));
    }
    let mut settings = Settings::default().with_threads(2);
    settings.grpc = grpc;
    // Tests wait for what happens then, so it happens soon.
    settings.pusher = settings
        .pusher
        .with_backoff(Duration::from_millis(50), Duration::from_millis(200))
        .with_verify_interval(Duration::from_millis(
            given.read("verify-interval-ms")?.unwrap_or(100),
        ));
    Ok(settings)
}

/// A file that keeps a line for each thing that happened, whatever becomes of the process: a line is written at once, by one
/// call of the system.
struct Ledger(Option<File>);

impl Ledger {
    fn open(path: Option<&str>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        path.map(open).transpose().map(Self)
    }

    fn note(&self, what: &str, request_id: &str) -> io::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(file) => {
                let mut file: &File = file;
                file.write_all(format!("{what} {request_id}\n").as_bytes())
            }
        }
    }

    /// Notes that a function runs, and later that it was dropped before it was done.
    fn begin(self: &Arc<Self>, request_id: String) -> io::Result<Running> {
        self.note("ran", &request_id)?;
        Ok(Running {
            ledger: Arc::clone(self),
            request_id,
            is_done: false,
        })
    }
}

struct Running {
    ledger: Arc<Ledger>,
    request_id: String,
    is_done: bool,
}

impl Running {
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.ledger.note("dropped", &self.request_id);
        }
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn functions(name: &str, ledger: &Arc<Ledger>) -> Functions {
    let name: Arc<str> = name.into();
    let [echoes, slow, numbers] = [(); 3].map(|()| Arc::clone(ledger));
    let [of_echo, of_slow] = [(); 2].map(|()| Arc::clone(&name));
    Functions::new()
        .register("Demo", "echo", move |value: Value, info: RequestInfo| {
            let (ledger, name) = (Arc::clone(&echoes), Arc::clone(&of_echo));
            async move {
                ledger.begin(info.request_id)?.done();
                Ok::<_, io::Error>(json!({ "value": value, "node": &*name }))
            }
        })
        .register("Demo", "slow", move |ms: u64, info: RequestInfo| {
            let (ledger, name) = (Arc::clone(&slow), Arc::clone(&of_slow));
            async move {
                let running = ledger.begin(info.request_id)?;
                pause(ms).await;
                running.done();
                Ok::<_, io::Error>(json!({ "node": &*name }))
            }
        })
        .register(
            "Demo",
            "numbers",
            move |count: u64, ms: u64, info: RequestInfo, stream: StreamHandle| {
                let ledger = Arc::clone(&numbers);
                async move {
                    let running = ledger.begin(info.request_id)?;
                    for number in 0..count {
                        if stream.send_result(number).await.is_err() {
                            return Ok(());
                        }
                        pause(ms).await;
                    }
                    let _ = stream.complete().await;
                    running.done();
                    Ok::<_, io::Error>(())
                }
            },
        )
        .register("Demo", "is_ann", |request: Value| async move {
            Ok::<_, io::Error>(request["user_id"] == "ann")
        })
}

fn configs(service: &str, version: Option<&str>) -> Result<Vec<FunConfig>, Box<dyn Error>> {
    let config = |name: &str| {
        let config = FunConfig::builder(service, name).call("Demo", name).local();
        match version {
            Some(version) => config.version(version),
            None => config,
        }
    };
    Ok(vec![
        config("echo").arg("value", ArgType::Any).build()?,
        config("slow").arg("ms", ArgType::Num).build()?,
        config("numbers")
            .arg("count", ArgType::Num)
            .arg("ms", ArgType::Num)
            .stream()
            .build()?,
        config("for_ann")
            .call("Demo", "echo")
            .arg("value", ArgType::Any)
            .permission_callback(("Demo", "is_ann"))
            .build()?,
    ])
}

/// So many more functions, to make a list long.
fn filler(service: &str, count: usize) -> Result<Vec<FunConfig>, Box<dyn Error>> {
    let config = |index| {
        FunConfig::builder(service, format!("echo_{index}"))
            .call("Demo", "echo")
            .local()
            .arg("value", ArgType::Any)
            .build()
    };
    Ok((0..count).map(config).collect::<Result<_, _>>()?)
}

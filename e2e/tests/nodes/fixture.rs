//! Processes, gateways in this process, and waiting for what has to happen.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use gen_api::{
    GenApi,
    arguments::ArgType,
    model::{FunConfig, FunConfigBuilder, Request, Response},
    settings::{GrpcSettings, Settings},
};
use serde_json::{Value, json};

/// Only a fault takes this long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const SECRET: &str = "s3cret";

/// A folder that ends with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gen_api-nodes-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that listens; killed with this.
pub(crate) struct Process {
    child: Child,
    /// Open for as long as it runs; both programs stop in order when it closes.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    pub(crate) at: SocketAddr,
}

impl Process {
    pub(crate) fn node<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start(env!("CARGO_BIN_EXE_node"), arguments)
    }

    pub(crate) fn gateway<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::start(env!("CARGO_BIN_EXE_gateway"), arguments)
    }

    fn start<A: AsRef<str>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program);
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("a process");
        let stdin = child.stdin.take().expect("its input");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Self {
            child,
            stdin: Some(stdin),
            lines,
            at: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = process.line();
        let at = line.strip_prefix("listening on ").map(str::parse);
        process.at = at.expect("where it listens").expect("an address");
        process
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub(crate) fn url_over_tls(&self) -> String {
        format!("https://{}", self.at)
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line in time")
    }

    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Says a line and answers with what the process says to it.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// Lets it stop in order, and waits until it has ended.
    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().expect("it was there").success());
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it was there");
        self.child.wait().expect("it has ended");
    }

    /// Stops it as it stands: its connections stay open, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let done = Command::new("sh").args(["-c", &kill]).status();
        assert!(done.expect("a shell").success(), "{kill}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What ran on a node, as its file says: the request ids with how often.
pub(crate) fn noted(ledger: &Path, what: &str) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(ledger).unwrap_or_default();
    let mut noted = BTreeMap::new();
    for line in text.lines() {
        if let Some((word, request_id)) = line.split_once(' ')
            && word == what
        {
            *noted.entry(request_id.to_owned()).or_default() += 1;
        }
    }
    noted
}

/// The settings of a gateway whose patience is short enough for tests.
pub(crate) fn settings() -> Settings {
    let mut grpc = GrpcSettings::default()
        .with_cluster_secret(SECRET)
        .with_keepalive(Duration::from_millis(500), Duration::from_millis(1_000));
    grpc.trial_interval_ms = 100;
    let mut settings = Settings::default().with_threads(2).with_detail_error(true);
    settings.grpc = grpc;
    settings
}

/// The same, where nodes push to the gateway too.
pub(crate) fn listening() -> Settings {
    let mut settings = settings();
    settings.grpc.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings
}

pub(crate) async fn gateway(
    settings: Settings,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
) -> GenApi {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a config"));
    let started = GenApi::builder().settings(settings).configs(configs);
    started.start().await.expect("a gateway")
}

/// Where nodes push to it.
pub(crate) fn door(api: &GenApi) -> String {
    format!("http://{}", api.grpc_address().expect("it listens"))
}

/// A function of the program `node` on these nodes, in turn.
pub(crate) fn config<A: Into<String>>(
    name: &str,
    nodes: impl IntoIterator<Item = A>,
) -> FunConfigBuilder {
    let config = FunConfig::builder("demo", name)
        .call("Demo", name)
        .nodes(nodes)
        .choose_node_mode(gen_api::model::ChooseNodeMode::RoundRobin)
        .timeout(Duration::from_secs(20));
    match name {
        "echo" => config.arg("value", ArgType::Any),
        "slow" => config.arg("ms", ArgType::Num),
        _ => config
            .arg("count", ArgType::Num)
            .arg("ms", ArgType::Num)
            .stream(),
    }
}

pub(crate) fn request(id: impl Into<String>, name: &str, args: &Value) -> Request {
    let args = args.as_object().expect("an object").clone();
    Request::new(id, "demo", name).with_args(args)
}

/// The one response of a request.
pub(crate) async fn ask(api: &GenApi, request: Request) -> Response {
    let reply = tokio::time::timeout(LIMIT, async { api.execute(request).await.collect().await });
    let mut responses = reply.await.expect("an answer in time");
    assert_eq!(responses.len(), 1, "{responses:?}");
    responses.remove(0)
}

pub(crate) async fn echo(api: &GenApi, id: impl Into<String>) -> Response {
    ask(api, request(id, "echo", &json!({ "value": 1 }))).await
}

/// The name of the node that gave this answer.
pub(crate) fn node_of(response: &Response) -> &str {
    response.result["node"].as_str().unwrap_or_default()
}

/// Waits until something holds. It is looked at again and again, since processes do not tell when their files change.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {LIMIT:?}: {what}");
}

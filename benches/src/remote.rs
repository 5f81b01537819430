//! A process with a service node of gen_api beside a bare tonic server, and the ways to call both.
//!
//! The two answer the same messages of `proto/node.proto`, each from a runtime with one thread of its own. On the side of the
//! caller both connections live in a runtime on another thread than the callers', as those of an engine do.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read, Write},
    pin::Pin,
    process::{Child, Command, Stdio},
};

use futures_util::{Stream, stream};
use gen_api::{
    GenApi, Settings,
    function::StreamClosed,
    grpc::proto::{
        self, Accepted, InvokeReply, InvokeRequest, StreamItem, invoke_reply::Outcome,
        node_client::NodeClient, node_server, stream_item::Item,
    },
    model::{Mfa, Nodes, ServiceConfig},
    prelude::*,
    service_node::Offer,
    settings::GrpcSettings,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// How many configs the node offers to who pulls them.
pub const OFFERED: usize = 10_000;

/// The one string argument of the calls.
pub const PAYLOAD: &str = "user-1234567890";

const SECRET: &str = "only-for-benchmarks";

/// The argument with which the benchmark starts itself as the process of the servers.
const SERVE: &str = "--serve-nodes";

/// The process of the two servers, which ends with it.
pub struct Servers {
    process: Child,
    /// The address of the service node.
    pub node: String,
    /// The address of the bare tonic server.
    pub bare: String,
}

impl Servers {
    /// Starts this program again as the process of the servers.
    ///
    /// # Panics
    /// Where the operating system does not let it, or the process does not come up.
    #[must_use]
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut process = Command::new(program)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let mut address = || lines.next().expect("an address").expect("text");
        let (node, bare) = (address(), address());
        Self {
            process,
            node,
            bare,
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether this process is the one of the servers.
#[must_use]
pub fn is_server() -> bool {
    std::env::args().any(|argument| argument == SERVE)
}

/// Serves until the process that started this one has gone.
///
/// # Panics
/// Where a server does not start.
pub fn serve() {
    let runtime = worker();
    let bare = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(node_server::NodeServer::new(Bare));
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    });
    let mut settings = Settings::default().with_threads(1);
    settings.grpc = grpc().with_listen(([127, 0, 0, 1], 0).into());
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "count", count);
    let node = ServiceNode::builder()
        .settings(settings)
        .functions(functions)
        .configs((0..OFFERED).map(|index| echo_config("offered", &format!("type-{index}"))))
        .start_blocking()
        .expect("the node starts");
    println!("http://{}\nhttp://{bare}", node.address());
    std::io::stdout().flush().expect("somebody reads");
    let _ = std::io::stdin().read(&mut [0]);
}

/// A gateway that calls the functions of the node: `svc/echo` and `svc/count`.
///
/// # Panics
/// Where the engine does not start.
pub async fn gateway(node: &str) -> GenApi {
    let mut settings = Settings::default().with_threads(1);
    settings.grpc = grpc();
    let count = FunConfig::builder("svc", "count")
        .call("T", "count")
        .arg("to", ArgType::Num)
        .nodes([node])
        .stream()
        .no_timeout()
        .build()
        .expect("a valid config");
    let mut echo = echo_config("svc", "echo");
    echo.nodes = Nodes::list([node]);
    GenApi::builder()
        .configs([echo, count])
        .settings(settings)
        .start()
        .await
        .expect("the engine starts")
}

/// How a gateway pulls what the node offers.
#[must_use]
pub fn offered(node: &str) -> ServiceConfig {
    let configs = Mfa::new(Offer::MODULE, Offer::CONFIGS).with_args(["offered".into()]);
    ServiceConfig::new("offered", Nodes::list([node]), configs)
}

/// A bare client, whose connection is kept by a runtime with a thread of its own.
pub struct BareClient {
    /// Calls the bare server.
    pub client: NodeClient<Channel>,
    _connection: Runtime,
}

impl BareClient {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody answers.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let connection = worker();
        let client = connection.block_on(async {
            let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
            NodeClient::new(endpoint.connect().await.expect("a connection"))
        });
        Self {
            client,
            _connection: connection,
        }
    }

    /// The message that a gateway sends for the same call.
    #[must_use]
    pub fn message(function: &str, args: String) -> InvokeRequest {
        InvokeRequest {
            module: "T".to_owned(),
            function: function.to_owned(),
            args: args.into(),
            request_id: "request-1".to_owned(),
            ..InvokeRequest::default()
        }
    }
}

fn worker() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn grpc() -> GrpcSettings {
    GrpcSettings::default().with_cluster_secret(SECRET)
}

fn echo_config(service: &str, request_type: &str) -> FunConfig {
    FunConfig::builder(service, request_type)
        .call("T", "echo")
        .arg("owner", ArgType::String)
        .local()
        .build()
        .expect("a valid config")
}

async fn echo(value: String) -> Result<String, Infallible> {
    Ok(value)
}

async fn count(to: u64, stream: StreamHandle) -> Result<(), StreamClosed> {
    for number in 1..to {
        stream.send_result(number).await?;
    }
    stream.send_last_result(to).await
}

/// What a service does that was written for these two functions alone.
struct Bare;

#[tonic::async_trait]
impl node_server::Node for Bare {
    async fn invoke(
        &self,
        request: tonic::Request<InvokeRequest>,
    ) -> Result<Response<InvokeReply>, Status> {
        let outcome = Some(Outcome::Value(request.into_inner().args));
        Ok(Response::new(InvokeReply { outcome }))
    }

    type InvokeStreamStream = Pin<Box<dyn Stream<Item = Result<StreamItem, Status>> + Send>>;

    async fn invoke_stream(
        &self,
        request: tonic::Request<InvokeRequest>,
    ) -> Result<Response<Self::InvokeStreamStream>, Status> {
        let args: (u64,) = serde_json::from_slice(&request.into_inner().args)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let items = (0..=args.0).map(|number| {
            let item = match number {
                0 => Item::Accepted(Accepted {}),
                number => Item::Chunk(number.to_string().into()),
            };
            Ok(StreamItem { item: Some(item) })
        });
        Ok(Response::new(Box::pin(stream::iter(items))))
    }

    async fn check_permission(
        &self,
        _: tonic::Request<proto::PermissionRequest>,
    ) -> Result<Response<proto::PermissionReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_config(
        &self,
        _: tonic::Request<proto::FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn config_version(
        &self,
        _: tonic::Request<proto::FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn function_exists(
        &self,
        _: tonic::Request<proto::FunctionName>,
    ) -> Result<Response<proto::FunctionExistsReply>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

//! The way between an engine and its nodes over real gRPC: a server for each node that a case gives, and the engine's own
//! door for pushes.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use gen_api::{
    grpc::{
        GrpcClient,
        proto::{
            FunctionCall, FunctionExistsReply, FunctionName, InvokeReply, InvokeRequest,
            PermissionReply, PermissionRequest, PushRequest, StreamItem, VerifyRequest,
            gateway_client::GatewayClient, invoke_reply, node_server, push_reply, verify_reply,
        },
    },
    model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification},
    node::{
        Address, NodeCallError, NodeClient,
        client::{Invocation, NodeFuture, NodeStream},
    },
    settings::GrpcSettings,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{
    Response, Status, async_trait,
    codegen::tokio_stream::Stream,
    transport::{Channel, Server, server::TcpIncoming},
};

use super::remote::Remotes;

const SECRET: &str = "s3cret";

/// The settings of a gateway that nodes can push to.
pub(crate) fn settings() -> GrpcSettings {
    GrpcSettings::default()
        .with_listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .with_cluster_secret(SECRET)
}

/// Carries what the engine asks of the nodes of a case, and what is pushed to the engine. Clones are the same.
#[derive(Clone)]
pub(crate) struct Wire {
    client: GrpcClient,
    shared: Arc<Shared>,
}

struct Shared {
    remotes: Remotes,
    /// Where each node of the case really listens.
    servers: Mutex<HashMap<Address, Address>>,
    /// Runs the servers, the connections to them, and those to the engine.
    runtime: Option<Runtime>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Wire {
    pub(crate) fn start(remotes: Remotes) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let client = GrpcClient::new(&settings(), runtime.handle().clone());
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            shared: Arc::new(Shared {
                remotes,
                servers: Mutex::default(),
                runtime: Some(runtime),
            }),
        })
    }

    /// Waits for work that needs connections.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let runtime = self.shared.runtime.as_ref().ok_or("the runtime is gone")?;
        let done = runtime.spawn(work).await;
        done.map_err(|error| error.to_string())
    }

    /// Pushes JSON to the engine at this address, whatever it holds, and answers the result of the step.
    ///
    /// A refusal tells what is at fault in words alone: the expected fields must be among them.
    pub(crate) async fn push(
        &self,
        gateway: SocketAddr,
        config: &Value,
        force: bool,
        expected: &Value,
    ) -> Result<Value, String> {
        let request = PushRequest {
            config: config.to_string().into(),
            force,
            replace: false,
        };
        let pushed = self.run(async move {
            let mut gateway = GatewayClient::new(channel(gateway).await?);
            gateway.push(shown(request)?).await
        });
        let reply = pushed.await?.map_err(|status| status.to_string())?;
        let refused = match reply.into_inner().outcome.ok_or("an empty reply")? {
            push_reply::Outcome::Accepted(_) => return Ok("accepted".into()),
            push_reply::Outcome::Skipped(skipped) => {
                return Ok(json!({ "skipped": skipped.reason }));
            }
            push_reply::Outcome::Refused(refused) => refused,
        };
        if expected.get("rejected").is_some() {
            return Ok(json!({ "rejected": true }));
        }
        let named = |field: &Value| {
            let field = field.as_str().unwrap_or_default();
            let mut words = refused
                .reason
                .split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.any(|word| word == field)
        };
        let fields = expected.get("fields").and_then(Value::as_array);
        let fields: Vec<&Value> = fields
            .into_iter()
            .flatten()
            .filter(|field| named(field))
            .collect();
        Ok(json!({ "error": refused.code, "fields": fields }))
    }

    pub(crate) async fn verify(
        &self,
        gateway: SocketAddr,
        service: String,
        config_version: String,
    ) -> Result<Verification, String> {
        let request = VerifyRequest {
            service,
            config_version,
        };
        let verified = self.run(async move {
            let mut gateway = GatewayClient::new(channel(gateway).await?);
            gateway.verify(shown(request)?).await
        });
        let reply = verified.await?.map_err(|status| status.to_string())?;
        Ok(match reply.into_inner().outcome.ok_or("an empty reply")? {
            verify_reply::Outcome::Matched(_) => Verification::Matched,
            verify_reply::Outcome::Mismatch(stored) => Verification::Mismatch(stored),
            verify_reply::Outcome::NotFound(_) => Verification::NotFound,
        })
    }

    /// Where this node of the case really listens: from now on, if it did not before.
    fn at(&self, node: &Address) -> Result<Address, NodeCallError> {
        let failed = |reason: String| NodeCallError::Unreachable { reason };
        let mut servers = self.shared.servers.lock();
        if let Some(at) = servers.get(node) {
            return Ok(at.clone());
        }
        let at = self.serve(node.clone()).map_err(failed)?;
        servers.insert(node.clone(), at.clone());
        Ok(at)
    }

    fn serve(&self, node: Address) -> Result<Address, String> {
        let told = |error: std::io::Error| error.to_string();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(told)?;
        listener.set_nonblocking(true).map_err(told)?;
        let at = listener.local_addr().map_err(told)?;
        let runtime = self.shared.runtime.as_ref().ok_or("the runtime is gone")?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener).map_err(told)?;
        let node = Scripted {
            node,
            remotes: self.shared.remotes.clone(),
        };
        let served = Server::builder()
            .add_service(node_server::NodeServer::new(node))
            .serve_with_incoming(TcpIncoming::from(listener));
        runtime.spawn(served);
        Address::new(format!("http://{at}")).map_err(|error| error.to_string())
    }
}

async fn channel(gateway: SocketAddr) -> Result<Channel, Status> {
    let endpoint = Channel::from_shared(format!("http://{gateway}"));
    let endpoint = endpoint.map_err(|error| Status::internal(error.to_string()))?;
    let connected = endpoint.connect().await;
    connected.map_err(|error| Status::unavailable(error.to_string()))
}

/// The request with the secret of the cluster.
fn shown<T>(request: T) -> Result<tonic::Request<T>, Status> {
    let mut request = tonic::Request::new(request);
    let secret = format!("Bearer {SECRET}").parse();
    let secret = secret.map_err(|_| Status::internal("the secret is no header"))?;
    request.metadata_mut().insert("authorization", secret);
    Ok(request)
}

/// A node of the case, as a server.
struct Scripted {
    node: Address,
    remotes: Remotes,
}

/// Only a fault takes this long.
const LIMIT: Duration = Duration::from_secs(20);

fn reply(answer: Result<Value, NodeCallError>) -> Result<Response<InvokeReply>, Status> {
    let outcome = match answer {
        Ok(value) => invoke_reply::Outcome::Value(value.to_string().into()),
        Err(NodeCallError::Failed(failure)) => {
            invoke_reply::Outcome::Failure(gen_api::grpc::proto::Failure {
                kind: gen_api::grpc::proto::FailureKind::Failed.into(),
                message: failure.message,
            })
        }
        // What is no JSON at all is a shape that nobody expects.
        Err(NodeCallError::Malformed { reason }) => {
            invoke_reply::Outcome::Value(format!("<{reason}>").into())
        }
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(Response::new(InvokeReply {
        outcome: Some(outcome),
    }))
}

fn mfa(call: FunctionCall) -> Mfa {
    let args: Vec<Value> = serde_json::from_slice(&call.args).unwrap_or_default();
    Mfa::new(call.module, call.function).with_args(args)
}

type Items = std::pin::Pin<Box<dyn Stream<Item = Result<StreamItem, Status>> + Send>>;

#[async_trait]
impl node_server::Node for Scripted {
    async fn get_config(
        &self,
        request: tonic::Request<FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        let function = mfa(request.into_inner());
        reply(self.remotes.get_config(&self.node, &function, LIMIT).await)
    }

    async fn config_version(
        &self,
        request: tonic::Request<FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        let function = mfa(request.into_inner());
        reply(
            self.remotes
                .config_version(&self.node, &function, LIMIT)
                .await,
        )
    }

    async fn function_exists(
        &self,
        request: tonic::Request<FunctionName>,
    ) -> Result<Response<FunctionExistsReply>, Status> {
        let FunctionName { module, function } = request.into_inner();
        let asked = self
            .remotes
            .function_exists(&self.node, &module, &function, LIMIT);
        match asked.await {
            Ok(exists) => Ok(Response::new(FunctionExistsReply { exists })),
            Err(NodeCallError::Unreachable { reason }) => Err(Status::unavailable(reason)),
            Err(error) => Err(Status::unknown(error.to_string())),
        }
    }

    // No case calls a function of these nodes.

    async fn invoke(
        &self,
        _: tonic::Request<InvokeRequest>,
    ) -> Result<Response<InvokeReply>, Status> {
        Err(Status::unimplemented("no case calls it"))
    }

    type InvokeStreamStream = Items;

    async fn invoke_stream(
        &self,
        _: tonic::Request<InvokeRequest>,
    ) -> Result<Response<Items>, Status> {
        Err(Status::unimplemented("no case calls it"))
    }

    async fn check_permission(
        &self,
        _: tonic::Request<PermissionRequest>,
    ) -> Result<Response<PermissionReply>, Status> {
        Err(Status::unimplemented("no case calls it"))
    }
}

/// The engine asks through this: each node at the address where it really listens.
impl NodeClient for Wire {
    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            self.client
                .get_config(&self.at(node)?, function, timeout)
                .await
        })
    }

    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let at = self.at(node)?;
            self.client.config_version(&at, function, timeout).await
        })
    }

    fn function_exists<'a>(
        &'a self,
        node: &'a Address,
        module: &'a str,
        function: &'a str,
        timeout: Duration,
    ) -> NodeFuture<'a, bool> {
        Box::pin(async move {
            let at = self.at(node)?;
            self.client
                .function_exists(&at, module, function, timeout)
                .await
        })
    }

    fn invoke<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            self.client
                .invoke(&self.at(node)?, invocation, timeout)
                .await
        })
    }

    fn invoke_stream<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        Box::pin(async move {
            let at = self.at(node)?;
            self.client.invoke_stream(&at, invocation, timeout).await
        })
    }

    fn check_permission<'a>(
        &'a self,
        node: &'a Address,
        callback: &'a Mfa,
        request: &'a Request,
        timeout: Duration,
    ) -> NodeFuture<'a, bool> {
        Box::pin(async move {
            let at = self.at(node)?;
            self.client
                .check_permission(&at, callback, request, timeout)
                .await
        })
    }

    fn push<'a>(
        &'a self,
        gateway: &'a Address,
        config: &'a PushConfig,
        options: PushOptions,
        timeout: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        self.client.push(gateway, config, options, timeout)
    }

    fn verify<'a>(
        &'a self,
        gateway: &'a Address,
        service: &'a str,
        config_version: &'a str,
        timeout: Duration,
    ) -> NodeFuture<'a, Verification> {
        self.client
            .verify(gateway, service, config_version, timeout)
    }
}

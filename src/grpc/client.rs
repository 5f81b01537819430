//! The way from a gateway to service nodes, and from a service node to gateways that take pushes (specification, section 19).

mod cancel;
mod connection;
mod error;
mod groups;
mod peer;
mod peers;
mod stream;
mod target;
mod transport;
mod wire;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt, stream::FuturesUnordered};
use prost::Message;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tokio::{runtime::Handle, time::Instant};
use tonic::{Response, Status, codegen::http::Uri};

pub use error::GrpcSetupError;

use self::{
    connection::Connector,
    error::{TOO_LARGE, of_status, refused, unreachable},
    groups::{Groups, Lookup, SystemLookup},
    peer::Peer,
    peers::Peers,
    stream::Chunks,
    target::{Encryption, GROUP, Target},
    transport::{Manners, Transport},
};
use super::{
    proto::{self, gateway_client::GatewayClient, node_client::NodeClient as Generated},
    secret::Bearer,
    tls::{Reloaded, client_tls},
    trace_context::{TraceContext, W3cTraceContext},
};
use crate::{
    clock::{Clock, SystemClock, within},
    model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification},
    node::{
        Address, NodeCallError, NodeClient,
        client::{Invocation, NodeFuture, NodeRevival, NodeStream},
    },
    settings::GrpcSettings,
};

/// Calls service nodes over gRPC. Clones share their connections.
///
/// | address | |
/// |---|---|
/// | `http://host:port` | a node, in the clear; not called where `grpc.tls` is set, so that the secret stays secret |
/// | `https://host:port` | a node over TLS; its certificate has to carry `grpc.tls.domain`, else the host |
/// | `https://host:port#name` | the same, but the certificate has to carry this name |
/// | `dns://host:port` | all nodes behind a name: as `https` where `grpc.tls` is set, else as `http` |
///
/// Each node has one connection, which is kept and made again by itself; the first call of a node waits for it. A node whose
/// connection cannot be made, or that gives no sign of life within `keepalive_interval_ms` + `keepalive_timeout_ms`, is
/// known dead: its calls answer [`NodeCallError::Unreachable`] at once. As long as somebody asks for it, it is tried every
/// `trial_interval_ms`, then ever more rarely up to every 5 seconds, until it is back; once it has served, these pauses start
/// anew. Where all nodes of a call are known dead, they are tried at once, at most every `trial_interval_ms`. A node that has
/// another secret counts as dead until it takes this one. A node that nobody asked for in 5 minutes is forgotten.
///
/// An error is `Unreachable` only where the node cannot have begun the call: nothing was sent, the node refused the stream, it
/// was leaving (GOAWAY) before it came to the call, it is stopping, or it did not take the secret. A message over `max_message_bytes`, in whichever
/// direction, is [`NodeCallError::Refused`] with the code `message_too_large`.
///
/// ```
/// use std::time::Duration;
/// use gen_api::{grpc::GrpcClient, node::{Address, NodeClient}, settings::GrpcSettings};
///
/// # let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
/// let settings = GrpcSettings::default().with_cluster_secret("s3cret");
/// let client = GrpcClient::new(&settings, threads.handle().clone())?;
///
/// // Port 1 of this machine answers nobody.
/// let node = Address::new("http://127.0.0.1:1")?;
/// let call = client.function_exists(&node, "Users", "get", Duration::from_secs(5));
/// let error = threads.block_on(call).unwrap_err();
/// assert!(error.was_not_sent());
/// assert_eq!(client.is_up(&node), Some(false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GrpcClient {
    shared: Arc<Shared>,
}

struct Shared {
    peers: Peers,
    groups: Groups,
    manners: Arc<Manners>,
    tls: bool,
    domain: Option<String>,
    max_message_bytes: usize,
    clock: SystemClock,
}

impl GrpcClient {
    /// A client with these settings, whose connections live in this runtime. The calls themselves can be made from any
    /// thread, inside a runtime or outside of one. Nobody is called yet.
    ///
    /// # Errors
    ///
    /// [`GrpcSetupError`]: no secret, or one that no header can carry; TLS files that cannot be used.
    pub fn new(settings: &GrpcSettings, runtime: Handle) -> Result<Self, GrpcSetupError> {
        Self::build(
            settings,
            runtime,
            Arc::new(W3cTraceContext),
            Arc::new(SystemLookup),
        )
    }

    /// As [`new`](Self::new), with a tracing system of one's own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_trace_context(
        settings: &GrpcSettings,
        runtime: Handle,
        trace: impl TraceContext,
    ) -> Result<Self, GrpcSetupError> {
        Self::with_shared_trace_context(settings, runtime, Arc::new(trace))
    }

    pub(super) fn with_shared_trace_context(
        settings: &GrpcSettings,
        runtime: Handle,
        trace: Arc<dyn TraceContext>,
    ) -> Result<Self, GrpcSetupError> {
        Self::build(settings, runtime, trace, Arc::new(SystemLookup))
    }

    fn build(
        settings: &GrpcSettings,
        runtime: Handle,
        trace: Arc<dyn TraceContext>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, GrpcSetupError> {
        let secret = settings.secrets().next();
        let bearer = Bearer::new(secret.ok_or(GrpcSetupError::NoSecret)?)?;
        let tls = settings.tls.as_ref();
        let tls = tls.map(|tls| Reloaded::new(tls, client_tls)).transpose()?;
        let trial_interval = Duration::from_millis(settings.trial_interval_ms);
        let shared = Shared {
            tls: tls.is_some(),
            domain: settings.tls.as_ref().and_then(|tls| tls.domain.clone()),
            groups: Groups::new(
                lookup,
                Duration::from_millis(settings.dns_interval_ms),
                trial_interval,
                tls.is_some(),
                runtime.clone(),
            ),
            clock: SystemClock::new(runtime.clone()),
            peers: Peers::new(
                Connector::new(settings, tls, bearer.clone()),
                trial_interval,
                runtime,
            ),
            manners: Arc::new(Manners { bearer, trace }),
            max_message_bytes: settings.max_message_bytes,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// How a call gets to the node; it may wait only where the address is a name.
    async fn transport(
        &self,
        node: &Address,
        timeout: Option<Duration>,
    ) -> Result<(Transport, Uri), NodeCallError> {
        let deadline = timeout.and_then(|timeout| {
            let deadline = Instant::now().checked_add(timeout)?;
            Some((deadline, timeout))
        });
        let peer = match self.shared.peers.get(node) {
            Some(peer) => peer,
            None => self.peer(node).await?,
        };
        let origin = peer.target.origin.clone();
        let transport = Transport {
            peer,
            manners: Arc::clone(&self.shared.manners),
            deadline,
        };
        Ok((transport, origin))
    }

    /// A node that nobody asked for yet, or one of those behind a name.
    async fn peer(&self, address: &Address) -> Result<Arc<Peer>, NodeCallError> {
        let group = match self.parse(address)? {
            Target::Node(target) => return self.shared.peers.start(address, target),
            Target::Group(group) => group,
        };
        let nodes = self.shared.groups.nodes(address, group).await;
        let nodes = nodes.map_err(|reason| unreachable(format!("{address}: {reason}")))?;
        let (down, others): (Vec<_>, Vec<_>) =
            (nodes.iter()).partition(|node| self.is_up(node) == Some(false));
        let chosen = others.choose(&mut rand::rng());
        let chosen = chosen.or_else(|| down.choose(&mut rand::rng()));
        let node = chosen.ok_or_else(|| unreachable(format!("{address}: no address")))?;
        match self.shared.peers.get(node) {
            Some(peer) => Ok(peer),
            None => match self.parse(node)? {
                Target::Node(target) => self.shared.peers.start(node, target),
                Target::Group(_) => Err(unreachable(format!("{node} is no address of a node"))),
            },
        }
    }

    fn parse(&self, address: &Address) -> Result<Target, NodeCallError> {
        let encryption = if self.shared.tls {
            Encryption::Tls {
                domain: self.shared.domain.as_deref(),
            }
        } else {
            Encryption::None
        };
        Target::parse(address.as_str(), encryption).map_err(unreachable)
    }

    fn fits(&self, message: &impl Message) -> Result<(), NodeCallError> {
        let (bytes, most) = (message.encoded_len(), self.shared.max_message_bytes);
        if bytes > most {
            let reason = format!("the request has {bytes} bytes, more than {most}");
            return Err(refused(TOO_LARGE, reason));
        }
        Ok(())
    }

    async fn in_time<T>(
        &self,
        timeout: Option<Duration>,
        call: impl Future<Output = Result<T, NodeCallError>>,
    ) -> Result<T, NodeCallError> {
        match timeout {
            None => call.await,
            Some(after) => within(&self.shared.clock, after, call)
                .await
                .unwrap_or(Err(NodeCallError::TimedOut { after })),
        }
    }

    /// One call of a node that answers one message.
    async fn ask<M: Message, R, F>(
        &self,
        node: &Address,
        timeout: Option<Duration>,
        message: M,
        call: impl FnOnce(Generated<Transport>, M) -> F,
    ) -> Result<R, NodeCallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let answer = self.call(node, timeout, message, call);
        self.in_time(timeout, answer).await
    }

    /// One call of a node, which ends in time only where the node does.
    async fn call<M: Message, R, F>(
        &self,
        node: &Address,
        timeout: Option<Duration>,
        message: M,
        call: impl FnOnce(Generated<Transport>, M) -> F,
    ) -> Result<R, NodeCallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.fits(&message)?;
        let (transport, origin) = self.transport(node, timeout).await?;
        let client = Generated::with_origin(transport, origin)
            .max_decoding_message_size(self.shared.max_message_bytes);
        let answer = call(client, message).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| of_status(&status))
    }

    /// One call of a gateway that takes pushes.
    async fn ask_gateway<M: Message, R, F>(
        &self,
        gateway: &Address,
        timeout: Duration,
        message: M,
        call: impl FnOnce(GatewayClient<Transport>, M) -> F,
    ) -> Result<R, NodeCallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.fits(&message)?;
        let answer = async {
            let (transport, origin) = self.transport(gateway, Some(timeout)).await?;
            let client = GatewayClient::with_origin(transport, origin)
                .max_decoding_message_size(self.shared.max_message_bytes);
            let answer = call(client, message).await;
            answer.map_err(|status| of_status(&status))
        };
        Ok(self.in_time(Some(timeout), answer).await?.into_inner())
    }
}

impl NodeClient for GrpcClient {
    fn invoke<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let message = wire::invoke_request(invocation)?;
            let call = |mut node: Generated<_>, message| async move { node.invoke(message).await };
            wire::invoked(self.ask(node, timeout, message, call).await?)
        })
    }

    fn invoke_stream<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        Box::pin(async move {
            let message = wire::invoke_request(invocation)?;
            // It bounds the whole stream, so it counts from here.
            let limit = timeout.map(|timeout| (self.shared.clock.sleep(timeout), timeout));
            let opening = async {
                let call = |mut node: Generated<_>, message| async move {
                    node.invoke_stream(message).await
                };
                let items = self.call(node, timeout, message, call).await?;
                Chunks::accepted(items).await
            };
            let items = self.in_time(timeout, opening).await?;
            Ok(Box::pin(Chunks::new(items, limit)) as NodeStream)
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
            let message = proto::PermissionRequest {
                callback: Some(wire::function_call(callback)?),
                request: wire::json(request)?,
            };
            let call = |mut node: Generated<_>, message| async move {
                node.check_permission(message).await
            };
            Ok(self.ask(node, Some(timeout), message, call).await?.allowed)
        })
    }

    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let message = wire::function_call(function)?;
            let call =
                |mut node: Generated<_>, message| async move { node.get_config(message).await };
            wire::invoked(self.ask(node, Some(timeout), message, call).await?)
        })
    }

    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let message = wire::function_call(function)?;
            let call =
                |mut node: Generated<_>, message| async move { node.config_version(message).await };
            wire::invoked(self.ask(node, Some(timeout), message, call).await?)
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
            let message = proto::FunctionName {
                module: module.to_owned(),
                function: function.to_owned(),
            };
            let call = |mut node: Generated<_>, message| async move {
                node.function_exists(message).await
            };
            Ok(self.ask(node, Some(timeout), message, call).await?.exists)
        })
    }

    fn push<'a>(
        &'a self,
        gateway: &'a Address,
        config: &'a PushConfig,
        options: PushOptions,
        timeout: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        Box::pin(async move {
            let message = proto::PushRequest {
                config: wire::json(config)?,
                force: options.force,
                replace: options.replace,
            };
            let call =
                |mut gateway: GatewayClient<_>, message| async move { gateway.push(message).await };
            wire::pushed(self.ask_gateway(gateway, timeout, message, call).await?)
        })
    }

    fn verify<'a>(
        &'a self,
        gateway: &'a Address,
        service: &'a str,
        config_version: &'a str,
        timeout: Duration,
    ) -> NodeFuture<'a, Verification> {
        Box::pin(async move {
            let message = proto::VerifyRequest {
                service: service.to_owned(),
                config_version: config_version.to_owned(),
            };
            let call = |mut gateway: GatewayClient<_>, message| async move {
                gateway.verify(message).await
            };
            wire::verified(self.ask_gateway(gateway, timeout, message, call).await?)
        })
    }

    fn is_up(&self, node: &Address) -> Option<bool> {
        self.shared.peers.get(node)?.is_up()
    }

    fn revive<'a>(&'a self, nodes: &[&'a Address]) -> Option<NodeRevival<'a>> {
        let known = nodes.iter().map(|node| {
            let peer = self.shared.peers.get(node)?;
            (peer.is_up() == Some(false)).then_some((*node, peer))
        });
        let dead: Vec<(&'a Address, Arc<Peer>)> = known.collect::<Option<_>>()?;
        let urged = dead.into_iter().filter_map(|(node, peer)| {
            let tried = peer.urge()?;
            Some(async move { tried.await.then_some(node) })
        });
        let mut tried: FuturesUnordered<_> = urged.collect();
        if tried.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            while let Some(node) = tried.next().await {
                if node.is_some() {
                    return node;
                }
            }
            None
        }))
    }

    fn connected<'a>(&'a self, node: &'a Address, above: u64) -> Option<BoxFuture<'a, u64>> {
        if node.as_str().starts_with(GROUP) {
            return None;
        }
        Some(Box::pin(async move {
            let connected = match self.peer(node).await {
                Ok(peer) => peer.connected(above).await,
                Err(_) => None,
            };
            match connected {
                Some(number) => number,
                None => std::future::pending().await,
            }
        }))
    }

    fn expand<'a>(&'a self, address: &'a Address) -> Option<NodeFuture<'a, Arc<[Address]>>> {
        if !address.as_str().starts_with(GROUP) {
            return None;
        }
        let group = match self.parse(address) {
            Ok(Target::Group(group)) => group,
            Ok(Target::Node(_)) => return None,
            Err(error) => return Some(Box::pin(std::future::ready(Err(error)))),
        };
        Some(Box::pin(async move {
            self.shared
                .groups
                .nodes(address, group)
                .await
                .map_err(unreachable)
        }))
    }
}

impl fmt::Debug for GrpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcClient")
            .field("nodes", &self.shared.peers.count())
            .field("tls", &self.shared.tls)
            .finish_non_exhaustive()
    }
}

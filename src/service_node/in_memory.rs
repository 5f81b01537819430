//! A transport that never leaves the process: what a transport has to do, in one short file.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream,
};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;

use super::NodeCore;
use crate::{
    clock::Clock,
    config::{PushError, ReceiverRef},
    model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification},
    node::{
        Address,
        client::{Invocation, NodeCallError, NodeClient, NodeFuture, NodeStream},
    },
};

/// Connects engines and service nodes of one process by addresses; for tests, and as a pattern for other transports.
///
/// Clones share the addresses. An address nobody serves is [`Unreachable`](NodeCallError::Unreachable); what is under way at
/// one that is [removed](Self::remove) ends as [`Disconnected`](NodeCallError::Disconnected), as when a process dies.
#[derive(Clone)]
pub struct InMemoryTransport {
    clock: Arc<dyn Clock>,
    places: Arc<RwLock<HashMap<Address, Place>>>,
}

/// Who serves at an address.
#[derive(Default)]
struct Place {
    node: Option<NodeCore>,
    gateway: Option<ReceiverRef>,
    /// Dropped with the place, which is what the calls under way notice.
    up: watch::Sender<()>,
}

/// The connection to a place, of one call.
#[derive(Clone)]
struct Line(watch::Receiver<()>);

impl InMemoryTransport {
    /// A transport without addresses, whose time limits are taken from this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            places: Arc::default(),
        }
    }

    /// Lets a service node answer at this address.
    pub fn serve_node(&self, address: Address, node: NodeCore) {
        self.places.write().entry(address).or_default().node = Some(node);
    }

    /// Lets a gateway take pushes at this address.
    pub fn serve_gateway(&self, address: Address, gateway: ReceiverRef) {
        self.places.write().entry(address).or_default().gateway = Some(gateway);
    }

    /// Lets nobody answer at this address any more, from one moment to the next.
    pub fn remove(&self, address: &Address) {
        self.places.write().remove(address);
    }

    fn node(&self, address: &Address) -> Result<(NodeCore, Line), NodeCallError> {
        self.find(address, |place| place.node.clone())
    }

    fn gateway(&self, address: &Address) -> Result<(ReceiverRef, Line), NodeCallError> {
        self.find(address, |place| place.gateway.clone())
    }

    fn find<T>(
        &self,
        address: &Address,
        pick: impl FnOnce(&Place) -> Option<T>,
    ) -> Result<(T, Line), NodeCallError> {
        let places = self.places.read();
        let Some(place) = places.get(address) else {
            let reason = format!("nobody serves {address}");
            return Err(NodeCallError::Unreachable { reason });
        };
        let served = pick(place).ok_or_else(|| NodeCallError::Refused {
            code: "unimplemented".to_owned(),
            reason: format!("{address} does not offer this"),
        })?;
        Ok((served, Line(place.up.subscribe())))
    }

    /// A call of a gateway, which knows no time limits of its own.
    async fn in_time<T>(
        &self,
        after: Duration,
        call: impl Future<Output = Result<T, NodeCallError>>,
    ) -> Result<T, NodeCallError> {
        match select(Box::pin(call), self.clock.sleep(after)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(NodeCallError::TimedOut { after }),
        }
    }
}

impl NodeClient for InMemoryTransport {
    fn invoke<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let (core, line) = self.node(node)?;
            line.carry(core.invoke(invocation.clone(), timeout)).await
        })
    }

    fn invoke_stream<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        Box::pin(async move {
            let (core, line) = self.node(node)?;
            let opened = core.invoke_stream(invocation.clone(), timeout);
            let chunks = line.clone().carry(opened).await?;
            Ok(line.carry_stream(chunks))
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
            let (core, line) = self.node(node)?;
            let decision = core.check_permission(callback, request, Some(timeout));
            line.carry(decision).await
        })
    }

    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let (core, line) = self.node(node)?;
            line.carry(core.get_config(function, Some(timeout))).await
        })
    }

    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        function: &'a Mfa,
        timeout: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async move {
            let (core, line) = self.node(node)?;
            let version = core.config_version(function, Some(timeout));
            line.carry(version).await
        })
    }

    fn function_exists<'a>(
        &'a self,
        node: &'a Address,
        module: &'a str,
        function: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        let found = self.node(node);
        Box::pin(ready(
            found.map(|(core, _)| core.function_exists(module, function)),
        ))
    }

    fn push<'a>(
        &'a self,
        gateway: &'a Address,
        config: &'a PushConfig,
        options: PushOptions,
        timeout: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        Box::pin(async move {
            let (receiver, line) = self.gateway(gateway)?;
            let pushed = async {
                let outcome = receiver.push(config.clone(), options).await;
                outcome.map_err(refusal)
            };
            self.in_time(timeout, line.carry(pushed)).await
        })
    }

    fn verify<'a>(
        &'a self,
        gateway: &'a Address,
        service: &'a str,
        config_version: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        let found = self.gateway(gateway);
        Box::pin(ready(
            found.map(|(receiver, _)| receiver.verify(service, config_version)),
        ))
    }

    fn is_up(&self, node: &Address) -> Option<bool> {
        Some(self.places.read().contains_key(node))
    }
}

fn refusal(error: PushError) -> NodeCallError {
    NodeCallError::Refused {
        code: error.code().to_owned(),
        reason: error.to_string(),
    }
}

impl Line {
    async fn cut(mut self) {
        while self.0.changed().await.is_ok() {}
    }

    /// The answer, unless the place vanishes first.
    async fn carry<T>(
        self,
        call: impl Future<Output = Result<T, NodeCallError>>,
    ) -> Result<T, NodeCallError> {
        match select(Box::pin(call), Box::pin(self.cut())).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(disconnected()),
        }
    }

    /// The chunks, and an error where the place vanishes before their end.
    fn carry_stream(self, chunks: NodeStream) -> NodeStream {
        let cut = Box::pin(self.cut());
        Box::pin(stream::unfold(Some((chunks, cut)), |line| async move {
            let (mut chunks, cut) = line?;
            match select(chunks.next(), cut).await {
                Either::Left((chunk, cut)) => {
                    let chunk = chunk?;
                    let more = chunk.is_ok();
                    Some((chunk, more.then_some((chunks, cut))))
                }
                Either::Right(_) => Some((Err(disconnected()), None)),
            }
        }))
    }
}

fn disconnected() -> NodeCallError {
    NodeCallError::Disconnected {
        reason: "nobody serves the address any more".to_owned(),
    }
}

impl fmt::Debug for InMemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.read();
        f.debug_list().entries(places.keys()).finish()
    }
}

//! What is done about each call: read, handed to the core or the receiver, answered.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tonic::{Request, Response, Status, async_trait, metadata::MetadataMap};
use tracing::{Instrument, Span, field::Empty};

use super::{DoorPlan, connection::Peer, guard::Arrival, wire};
use crate::{
    clock::{Clock, within},
    config::ReceiverRef,
    grpc::{
        TraceContext, TraceParent,
        proto::{
            FunctionCall, FunctionExistsReply, FunctionName, InvokeReply, InvokeRequest,
            PermissionReply, PermissionRequest, PushReply, PushRequest, StreamItem, VerifyReply,
            VerifyRequest, gateway_server::Gateway, node_server::Node,
        },
        trace_context::continued,
    },
    log_text::cut,
    model::{PushConfig, PushOptions},
    node::{NodeCallError, client::NodeStream},
    service_node::NodeCore,
};

/// The calls of gateways, answered by a core.
pub(super) struct NodeHandler {
    core: NodeCore,
    trace: Arc<dyn TraceContext>,
    max_message_bytes: usize,
}

impl NodeHandler {
    pub(super) fn new(core: NodeCore, plan: &DoorPlan) -> Self {
        Self {
            core,
            trace: Arc::clone(&plan.trace),
            max_message_bytes: plan.settings.max_message_bytes,
        }
    }
}

/// Boxed, because its type cannot be named.
type Items = Pin<Box<dyn Stream<Item = Result<StreamItem, Status>> + Send>>;

#[async_trait]
impl Node for NodeHandler {
    async fn invoke(
        &self,
        request: Request<InvokeRequest>,
    ) -> Result<Response<InvokeReply>, Status> {
        let left = time_left(&request)?;
        let invoke = request.get_ref();
        let span = tracing::info_span!(
            "gen_api.node.invoke",
            module = cut(&invoke.module),
            function = cut(&invoke.function),
            request_id = cut(&invoke.request_id),
            trace_id = Empty
        );
        let caller = extract(&*self.trace, request.metadata(), &span);
        let invocation = wire::invocation(request.into_inner())?;
        let called = continued(caller, self.core.invoke(invocation, left)).instrument(span);
        wire::invoke_reply(called.await, self.max_message_bytes).map(Response::new)
    }

    type InvokeStreamStream = Items;

    async fn invoke_stream(
        &self,
        request: Request<InvokeRequest>,
    ) -> Result<Response<Items>, Status> {
        let left = time_left(&request)?;
        let invoke = request.get_ref();
        let span = tracing::info_span!(
            "gen_api.node.invoke_stream",
            module = cut(&invoke.module),
            function = cut(&invoke.function),
            request_id = cut(&invoke.request_id),
            trace_id = Empty
        );
        let caller = extract(&*self.trace, request.metadata(), &span);
        let invocation = wire::invocation(request.into_inner())?;
        let core = self.core.clone();
        let opened = async move { core.invoke_stream(invocation, left).await };
        let work = Work { span, caller };
        Ok(Response::new(items(opened, work, self.max_message_bytes)))
    }

    async fn check_permission(
        &self,
        request: Request<PermissionRequest>,
    ) -> Result<Response<PermissionReply>, Status> {
        let left = time_left(&request)?;
        let span = tracing::info_span!("gen_api.node.check_permission", trace_id = Empty);
        let caller = extract(&*self.trace, request.metadata(), &span);
        let (callback, asked) = wire::permission(request.into_inner())?;
        let decided = self.core.check_permission(&callback, &asked, left);
        let allowed = continued(caller, decided).instrument(span).await;
        let allowed = allowed.map_err(|error| wire::status(&error))?;
        Ok(Response::new(PermissionReply { allowed }))
    }

    async fn get_config(
        &self,
        request: Request<FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        let left = time_left(&request)?;
        let function = wire::function_call(request.into_inner())?;
        let called = self.core.get_config(&function, left).await;
        wire::invoke_reply(called, self.max_message_bytes).map(Response::new)
    }

    async fn config_version(
        &self,
        request: Request<FunctionCall>,
    ) -> Result<Response<InvokeReply>, Status> {
        let left = time_left(&request)?;
        let function = wire::function_call(request.into_inner())?;
        let called = self.core.config_version(&function, left).await;
        wire::invoke_reply(called, self.max_message_bytes).map(Response::new)
    }

    async fn function_exists(
        &self,
        request: Request<FunctionName>,
    ) -> Result<Response<FunctionExistsReply>, Status> {
        let name = request.get_ref();
        let exists = self.core.function_exists(&name.module, &name.function);
        Ok(Response::new(FunctionExistsReply { exists }))
    }
}

/// On whose behalf a stream works, each time that it is read.
struct Work {
    span: Span,
    caller: Option<TraceParent>,
}

/// A stream's items. The headers of the answer go out at once, the first item when the function has begun or failed. Nothing
/// runs but while the connection has room; dropped, the function is dropped.
fn items(
    opened: impl Future<Output = Result<NodeStream, NodeCallError>> + Send + 'static,
    work: Work,
    max_message_bytes: usize,
) -> Items {
    enum Step<F> {
        Open(F),
        Next(NodeStream),
    }
    let first = Some((Step::Open(Box::pin(opened)), work));
    Box::pin(stream::unfold(first, move |state| async move {
        let (step, work) = state?;
        let Work { span, caller } = &work;
        match step {
            Step::Open(opened) => match continued(*caller, opened).instrument(span.clone()).await {
                Ok(chunks) => Some((Ok(wire::accepted()), Some((Step::Next(chunks), work)))),
                Err(error) => Some((wire::failed_item(error), None)),
            },
            Step::Next(mut chunks) => {
                let next = continued(*caller, chunks.next()).instrument(span.clone());
                let item = match next.await? {
                    Ok(chunk) => wire::chunk_item(chunk, max_message_bytes),
                    Err(error) => return Some((wire::failed_item(error), None)),
                };
                let more = item.is_ok().then_some((Step::Next(chunks), work));
                Some((item, more))
            }
        }
    }))
}

/// The pushes of service nodes, handed to the receiver.
pub(super) struct GatewayHandler {
    receiver: ReceiverRef,
    plan: Arc<DoorPlan>,
}

impl GatewayHandler {
    pub(super) fn new(receiver: ReceiverRef, plan: Arc<DoorPlan>) -> Self {
        Self { receiver, plan }
    }

    /// Why a push with this token is not even judged; notes a wrong one.
    ///
    /// Both in one step: of many pushes at the same moment no more are judged than of many in a row.
    fn refusal(&self, peer: SocketAddr, push: &PushConfig) -> Option<Status> {
        if self.plan.token_brake.holds(peer.ip()) {
            return Some(Status::unavailable(
                "too many wrong push tokens from this address",
            ));
        }
        if !self.receiver.takes(push.push_token.as_ref()) {
            self.was_wrong(peer, &push.service);
        }
        None
    }

    fn was_wrong(&self, peer: SocketAddr, service: &str) {
        self.plan.token_brake.was_wrong(peer.ip());
        if let Some(left_out) = self.plan.refusal_lines.take() {
            let service = cut(service);
            tracing::warn!(%peer, service, left_out, "refused a push with a wrong token");
        }
    }
}

#[async_trait]
impl Gateway for GatewayHandler {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushReply>, Status> {
        let left = time_left(&request)?;
        let span = tracing::info_span!("gen_api.gateway.push", trace_id = Empty);
        let caller = extract(&*self.plan.trace, request.metadata(), &span);
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
        let PushRequest {
            config,
            force,
            replace,
        } = request.into_inner();
        // A long list takes its time, and the connections of all callers live on this thread.
        let read = tokio::task::spawn_blocking(move || PushConfig::read_slice(&config)).await;
        let read = read.map_err(|_| Status::unavailable("stopping"))?;
        let read = read.map_err(|error| Status::invalid_argument(format!("config: {error}")))?;
        let push = read.as_ref().unwrap_or_else(|error| &error.push);
        if let Some(refusal) = peer.and_then(|peer| self.refusal(peer, push)) {
            return Err(refusal);
        }
        let options = PushOptions { force, replace };
        let pushed = self.receiver.push_read(read, options);
        let pushed = continued(caller, pushed).instrument(span);
        let outcome = in_time(&*self.plan.clock, left, pushed).await?;
        Ok(Response::new(wire::push_reply(outcome)))
    }

    async fn verify(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<VerifyReply>, Status> {
        let asked = request.get_ref();
        let verified = self.receiver.verify(&asked.service, &asked.config_version);
        Ok(Response::new(wire::verify_reply(verified)))
    }
}

async fn in_time<T>(
    clock: &dyn Clock,
    left: Option<Duration>,
    work: impl Future<Output = T>,
) -> Result<T, Status> {
    let Some(left) = left else {
        return Ok(work.await);
    };
    let done = within(clock, left, work).await;
    done.ok_or_else(|| wire::status(&NodeCallError::TimedOut { after: left }))
}

/// The trace that a call belongs to.
/// The time left for a call, less what has passed since it came in.
fn time_left<T>(request: &Request<T>) -> Result<Option<Duration>, Status> {
    let arrival = request.extensions().get::<Arrival>();
    let passed = arrival.map_or(Duration::ZERO, |arrival| arrival.elapsed());
    let left = wire::time_left(request.metadata())?;
    Ok(left.map(|left| left.saturating_sub(passed)))
}

fn extract(trace: &dyn TraceContext, headers: &MetadataMap, span: &Span) -> Option<TraceParent> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    trace.extract(&get, span)
}

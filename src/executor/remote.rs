//! Stage 6 on other nodes: which of them are asked in one attempt, and how their answers read (specification, sections 8 and 9).

use futures_util::StreamExt;

use super::{
    attempt::{Attempts, Input},
    candidates::{Reach, candidates},
    limit::Limit,
    target::Chosen,
};
use crate::{
    call::local::CallError,
    config::Route,
    function::{FunctionError, Outcome, StreamHandle},
    node::{
        Address, Node, NodeCallError, NodeError, NodeOrder,
        client::{FailureKind, Invocation, NodeStream, StreamChunk},
    },
    request_error::RequestError,
};

impl Attempts {
    /// One attempt on the chosen nodes; `retry` counts the attempts before it.
    pub(super) async fn on_nodes(
        &self,
        route: &Route,
        chosen: &Chosen,
        input: Input,
        retry: u32,
        limit: &Limit<'_>,
    ) -> Result<Outcome, RequestError> {
        let reach = Reach::of(route);
        let fresh = match &chosen.request {
            Some(request) if retry > 0 => {
                let order = self.selector.order(request, &route.config);
                Some(limit.hold::<_, NodeError>(order).await?)
            }
            _ => None,
        };
        let order: &NodeOrder = fresh.as_ref().unwrap_or(&chosen.order);
        let mut nodes = candidates(&*self.client, order, reach);
        let mut last = None;
        while let Some(node) = nodes.next(limit).await {
            match self.on_node(route, node, input.clone(), limit).await {
                Err(error) if reach.goes_on(&error) && !limit.is_over() => last = Some(error),
                settled => return settled,
            }
        }
        Err(last.unwrap_or_else(|| no_node(route)))
    }

    async fn on_node(
        &self,
        route: &Route,
        node: &Node,
        input: Input,
        limit: &Limit<'_>,
    ) -> Result<Outcome, RequestError> {
        let address = match node {
            Node::Remote(address) => address,
            Node::Local => return self.local(route, input).await,
        };
        let Input {
            args, info, stream, ..
        } = input;
        let invocation = Invocation {
            module: route.config.mfa.module.clone(),
            function: route.config.mfa.function.clone(),
            args,
            arg_names: route.arg_names.clone(),
            request_id: info.request_id,
            user_id: info.user_id,
            device_id: info.device_id,
            append_info: route.config.request_info,
        };
        match stream {
            Some(handle) => self.stream(address, &invocation, handle, limit).await,
            None => {
                let call = self.client.invoke(address, &invocation, limit.left());
                Ok(Outcome::Value(limit.hold(call).await?))
            }
        }
    }

    /// Opens a stream on a node and hands its chunks on. Once it is open nothing is retried any more.
    async fn stream(
        &self,
        address: &Address,
        invocation: &Invocation,
        handle: StreamHandle,
        limit: &Limit<'_>,
    ) -> Result<Outcome, RequestError> {
        let open = self.client.invoke_stream(address, invocation, limit.left());
        let chunks = limit.hold(open).await?;
        // A receiver that has had enough is no failure of the call.
        let _ = hand_on(chunks, handle).await;
        Ok(Outcome::Unit)
    }
}

/// An order is never empty, so nobody meets this.
pub(super) fn no_node(route: &Route) -> RequestError {
    let service = route.config.service.clone();
    NodeError::NoNodesAvailable { service }.into()
}

async fn hand_on(
    mut chunks: NodeStream,
    handle: StreamHandle,
) -> Result<(), crate::function::StreamClosed> {
    loop {
        match chunks.next().await {
            Some(Ok(StreamChunk::Result(value))) => handle.send_value(value).await?,
            Some(Ok(StreamChunk::Last(value))) => return handle.send_last_result(value).await,
            Some(Err(NodeCallError::Failed(failure)))
                if matches!(
                    failure.kind,
                    FailureKind::Public | FailureKind::InvalidArgument
                ) =>
            {
                return handle.fail(FunctionError::public(failure.message)).await;
            }
            Some(Err(error)) => return handle.fail(error.to_string()).await,
            None => return handle.complete().await,
        }
    }
}

impl From<NodeCallError> for RequestError {
    fn from(error: NodeCallError) -> Self {
        match error {
            NodeCallError::TimedOut { after } => Self::Call(CallError::TimedOut(after)),
            NodeCallError::Failed(failure) => Self::Call(match failure.kind {
                FailureKind::Public => CallError::Public(failure.message),
                FailureKind::Arguments => CallError::Arguments(failure.message),
                FailureKind::InvalidArgument => CallError::InvalidArgument(failure.message),
                FailureKind::Panicked => CallError::Panicked(failure.message),
                FailureKind::Failed | FailureKind::NotFound => {
                    CallError::Failed(failure.to_string())
                }
            }),
            other => Self::Node(other),
        }
    }
}

//! Stage 6 on other nodes: which of them are asked in one attempt, and how their answers read (SPEC sections 8 and 9).

use std::{future::Future, time::Duration};

use futures_util::StreamExt;

use super::{
    attempt::{Attempts, Input},
    target::Chosen,
};
use crate::{
    call::local::CallError,
    clock::within,
    config::Route,
    function::{FunctionError, Outcome, StreamHandle},
    model::Retry,
    node::{
        Address, Node, NodeCallError, NodeOrder,
        client::{FailureKind, Invocation, NodeStream, StreamChunk},
    },
    request_error::RequestError,
};

/// Which nodes one attempt may ask.
enum Reach {
    /// The first, and each other one once where a node could not be reached.
    FallBack,
    /// The first alone.
    First,
    /// One after another until one answers.
    UntilAnswered,
}

impl Attempts {
    /// One attempt on the chosen nodes; `retry` counts the attempts before it.
    pub(super) async fn on_nodes(
        &self,
        route: &Route,
        chosen: &Chosen,
        input: Input,
        retry: u32,
    ) -> Result<Outcome, RequestError> {
        let reach = match route.config.normalize_retry() {
            Some(Retry::SameNode(_)) => Reach::First,
            Some(_) => Reach::UntilAnswered,
            None => Reach::FallBack,
        };
        let fresh = match &chosen.request {
            Some(request) if retry > 0 => Some(self.selector.order(request, &route.config).await?),
            _ => None,
        };
        let order: &NodeOrder = fresh.as_ref().unwrap_or(&chosen.order);
        let mut last = match self.on_node(route, order.first(), input.clone()).await {
            Err(error) if reach.goes_on(&error) => error,
            settled => return settled,
        };
        for node in order.fallback() {
            match self.on_node(route, node, input.clone()).await {
                Err(error) if reach.goes_on(&error) => last = error,
                settled => return settled,
            }
        }
        Err(last)
    }

    async fn on_node(
        &self,
        route: &Route,
        node: &Node,
        input: Input,
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
            Some(handle) => self.stream(route, address, &invocation, handle).await,
            None => {
                let call = self.client.invoke(address, &invocation, route.timeout);
                let value = self.in_time(route.timeout, call).await?;
                Ok(Outcome::Value(value))
            }
        }
    }

    /// Opens a stream on a node and hands its chunks on. Once it is open nothing is retried any more.
    async fn stream(
        &self,
        route: &Route,
        address: &Address,
        invocation: &Invocation,
        handle: StreamHandle,
    ) -> Result<Outcome, RequestError> {
        let open = self
            .client
            .invoke_stream(address, invocation, route.timeout);
        let chunks = self.in_time(route.timeout, open).await?;
        // A receiver that has had enough is no failure of the call.
        let _ = hand_on(chunks, handle).await;
        Ok(Outcome::Unit)
    }

    /// Holds a node to the timeout, whatever its transport does.
    async fn in_time<T>(
        &self,
        timeout: Option<Duration>,
        call: impl Future<Output = Result<T, NodeCallError>>,
    ) -> Result<T, RequestError> {
        let answer = match timeout {
            None => call.await,
            Some(timeout) => within(&*self.clock, timeout, call)
                .await
                .unwrap_or(Err(NodeCallError::TimedOut { after: timeout })),
        };
        answer.map_err(RequestError::from)
    }
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

impl Reach {
    fn goes_on(&self, error: &RequestError) -> bool {
        match (self, error) {
            (Self::FallBack, RequestError::Node(error)) => error.was_not_sent(),
            (Self::UntilAnswered, RequestError::Node(error)) => !error.was_answered(),
            (Self::UntilAnswered, RequestError::Call(CallError::TimedOut(_))) => true,
            _ => false,
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

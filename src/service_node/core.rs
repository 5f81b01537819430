//! What a service node does when it is called, whatever carries the call.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::runtime::Handle;

use super::stream::RunningStream;
use crate::{
    call::local::{self, CallError},
    clock::{Clock, SystemClock},
    function::{Call, Function, Functions, Outcome, RequestInfo, stream_within},
    model::{DEFAULT_BUFFER_BYTES, StreamBuffer},
    model::{Mfa, Request},
    node::client::{FailureKind, Invocation, NodeCallError, NodeStream, RemoteFailure},
};

/// How many chunks of a stream may wait for its reader, unless set otherwise.
const STREAM_BUFFER: usize = 16;

/// A service node without its transport: calls functions, with panics kept in and under the time that is left.
///
/// Its methods answer what a [`NodeClient`](crate::node::NodeClient) answers to its caller. Of the errors only
/// [`Failed`](NodeCallError::Failed) and [`TimedOut`](NodeCallError::TimedOut) occur here; the others belong to transports.
/// Clones share the functions.
///
/// Functions are polled by whoever polls the answer; one that is registered as blocking runs on the runtime's threads for
/// blocking work. Dropping an answer on its way drops the function's future: that is how a transport cancels.
#[derive(Clone)]
pub struct NodeCore {
    functions: Arc<Functions>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    stream_buffer: StreamBuffer,
}

impl NodeCore {
    /// A node with these functions, which find their timers and threads for blocking work in `runtime`.
    ///
    /// [`Offer::register`](super::Offer::register) adds the functions under which configs are pulled.
    #[must_use]
    pub fn new(functions: Arc<Functions>, runtime: Handle) -> Self {
        Self {
            functions,
            clock: Arc::new(SystemClock::new(runtime.clone())),
            runtime,
            stream_buffer: StreamBuffer::new(STREAM_BUFFER, DEFAULT_BUFFER_BYTES),
        }
    }

    /// Takes the time of timeouts from this clock; the default is the real one. For tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets this many chunks of a stream, of so many bytes in all, wait for its reader before the function has to; at least
    /// one, and 16 of 1 000 000 bytes by default.
    #[must_use]
    pub fn with_stream_buffer(mut self, chunks: usize, bytes: usize) -> Self {
        self.stream_buffer = StreamBuffer::new(chunks, bytes);
        self
    }

    /// Calls a function and waits for its result; `timeout` is the time left for it, `None` is no limit.
    ///
    /// # Errors
    /// [`Failed`](NodeCallError::Failed) where the function failed, panicked or does not exist, or answers with a stream;
    /// [`TimedOut`](NodeCallError::TimedOut) where the time has passed, its future dropped.
    pub async fn invoke(
        &self,
        invocation: Invocation,
        timeout: Option<Duration>,
    ) -> Result<Value, NodeCallError> {
        let function = self.function(&invocation.module, &invocation.function)?;
        let call = self.call_of(invocation);
        single(local::call(&**function, call, timeout, &self.clock).await)
    }

    /// Calls a streaming function. Done when the function has sent something or has ended; `timeout` bounds the stream as
    /// a whole.
    ///
    /// The function is driven by the reading of its stream, and waits where nobody reads. Dropped, the stream makes the
    /// function's next send fail.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke), where the function failed before it had sent anything. Later failures are the last
    /// item of the stream.
    pub async fn invoke_stream(
        &self,
        invocation: Invocation,
        timeout: Option<Duration>,
    ) -> Result<NodeStream, NodeCallError> {
        let function = Arc::clone(self.function(&invocation.module, &invocation.function)?);
        let (handle, events) = stream_within(self.stream_buffer);
        let call = self.call_of(invocation).with_stream(handle);
        let clock = Arc::clone(&self.clock);
        let running = {
            let clock = Arc::clone(&clock);
            // The stream as a whole has its own limit, so the call has none.
            async move { local::call(&*function, call, None, &clock).await }
        };
        RunningStream::new(Box::pin(running), events, timeout, clock)
            .begun()
            .await
    }

    /// Lets a permission callback decide about a request, which is its first argument. What answers no `true` denies: another
    /// value, an error, a panic, a function that is not there.
    ///
    /// # Errors
    /// [`TimedOut`](NodeCallError::TimedOut) where it did not decide in time, which denies too.
    pub async fn check_permission(
        &self,
        callback: &Mfa,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<bool, NodeCallError> {
        let asked = serde_json::to_value(request).unwrap_or_default();
        let args = std::iter::once(asked).chain(callback.args.iter().cloned());
        match self.call(callback, args.collect(), timeout).await {
            Ok(answer) => Ok(answer == Value::Bool(true)),
            Err(error @ NodeCallError::TimedOut { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(
                    callback = crate::log_text::printed(callback),
                    error = crate::log_text::printed(&error),
                    "a permission callback failed, which denies"
                );
                Ok(false)
            }
        }
    }

    /// Calls the function that answers a service's configs.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn get_config(
        &self,
        function: &Mfa,
        timeout: Option<Duration>,
    ) -> Result<Value, NodeCallError> {
        self.call(function, function.args.clone(), timeout).await
    }

    /// Calls the function that answers the version of a service's configs.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn config_version(
        &self,
        function: &Mfa,
        timeout: Option<Duration>,
    ) -> Result<Value, NodeCallError> {
        self.call(function, function.args.clone(), timeout).await
    }

    /// Whether there is a function of this name.
    #[must_use]
    pub fn function_exists(&self, module: &str, function: &str) -> bool {
        self.functions.get(module, function).is_some()
    }

    /// The clock that its timeouts are taken from.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Calls a function outside of any request.
    async fn call(
        &self,
        named: &Mfa,
        args: Vec<Value>,
        timeout: Option<Duration>,
    ) -> Result<Value, NodeCallError> {
        let function = self.function(&named.module, &named.function)?;
        let call = Call::new(args, RequestInfo::default(), self.runtime.clone());
        single(local::call(&**function, call, timeout, &self.clock).await)
    }

    fn function(&self, module: &str, name: &str) -> Result<&Arc<dyn Function>, NodeCallError> {
        self.functions.get(module, name).ok_or_else(|| {
            let name = format!("{module}.{name}");
            NodeCallError::Failed(RemoteFailure::new(FailureKind::NotFound, name))
        })
    }

    fn call_of(&self, invocation: Invocation) -> Call {
        let info = RequestInfo::new(
            invocation.request_id,
            invocation.user_id,
            invocation.device_id,
        );
        let mut call = Call::new(invocation.args, info, self.runtime.clone());
        if let Some(names) = invocation.arg_names {
            call = call.with_arg_names(names);
        }
        if invocation.append_info {
            call = call.with_appended_info();
        }
        call
    }
}

impl fmt::Debug for NodeCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCore")
            .field("functions", &self.functions)
            .field("stream_buffer", &self.stream_buffer)
            .finish_non_exhaustive()
    }
}

/// The one value of a call that is no stream.
fn single(outcome: Result<Outcome, CallError>) -> Result<Value, NodeCallError> {
    match outcome.map_err(failure)? {
        Outcome::Unit => Ok(Value::Null),
        Outcome::Value(value) => Ok(value),
        _ => Err(NodeCallError::Failed(RemoteFailure::failed(
            "the function returns a stream, but one value was asked for",
        ))),
    }
}

/// How a failed call is told to a gateway.
pub(super) fn failure(error: CallError) -> NodeCallError {
    let (kind, message) = match error {
        CallError::TimedOut(after) => return NodeCallError::TimedOut { after },
        CallError::Failed(text) | CallError::Busy(text) => (FailureKind::Failed, text),
        CallError::Public(text) => (FailureKind::Public, text),
        CallError::Arguments(text) => (FailureKind::Arguments, text),
        CallError::InvalidArgument(text) => (FailureKind::InvalidArgument, text),
        CallError::Panicked(text) => (FailureKind::Panicked, text),
    };
    NodeCallError::Failed(RemoteFailure::new(kind, message))
}

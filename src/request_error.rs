//! Why a request failed, one variant a stage; `respond` alone turns these into what a client reads.

use std::time::Duration;

use crate::{
    arguments::ArgumentError,
    call::local::CallError,
    hooks::HookRejection,
    lifecycle::NoEntry,
    model::ResponseType,
    node::{NodeCallError, NodeError},
    rate_limiter::RateLimitError,
    worker_pool::{Rejected, TaskEnd},
};

/// Why a request did not get its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// More requests are in flight than the setting allows, or a pool takes no more work.
    #[error("too much work at the moment: {0}")]
    Busy(String),
    /// The engine stops: it lets nothing in any more, and cuts what has not ended in time.
    #[error("the engine is stopping")]
    Stopping,
    /// No config answers the request.
    #[error("no config for the request type")]
    Unsupported {
        request_type: String,
        version: Option<String>,
    },
    /// The config that would answer is switched off.
    #[error("the config is disabled")]
    Disabled {
        request_type: String,
        version: Option<String>,
    },
    /// The before hook ended the request.
    #[error("the before hook rejected the request: {0}")]
    HookRejected(#[from] HookRejection),
    /// The caller may not call this.
    #[error("permission denied")]
    PermissionDenied,
    /// The caller asks too often, or the limiter cannot tell.
    #[error(transparent)]
    RateLimit(#[from] RateLimitError),
    /// The caller's own mistake.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The config names a function that this process does not have.
    #[error("the function {module}.{function} is not registered")]
    NoFunction { module: String, function: String },
    /// No node could be chosen for the request.
    #[error(transparent)]
    Selection(#[from] NodeError),
    /// The chosen nodes could not be asked.
    #[error(transparent)]
    Node(NodeCallError),
    /// The call itself failed.
    #[error(transparent)]
    Call(CallError),
    /// The call failed, and so did every retry.
    #[error("all {retries} retries failed, the last one: {last}")]
    RetriesExhausted {
        retries: u32,
        last: Box<RequestError>,
    },
    /// The producer of a stream went away without an end.
    #[error("the producer of the stream vanished")]
    ProducerVanished,
    /// A function that returns a stream was called in another response mode.
    #[error("the function returns a stream, but the config's response_type is not `stream`")]
    UnexpectedStream,
    /// A stream was asked for, and the config answers in another mode.
    #[error("a stream was asked for, but the config's response_type is `{0}`")]
    NotAStream(ResponseType),
    /// A function makes a request, whose function makes a request, and so on.
    #[error("requests nest more than {most} deep: a function calls itself through `execute`")]
    TooDeep { most: usize },
    /// The limit that came with the request has passed.
    #[error("the request timed out")]
    TimedOut(Duration),
}

impl From<NoEntry> for RequestError {
    fn from(refused: NoEntry) -> Self {
        match refused {
            NoEntry::Full => Self::Busy("as many requests are in flight as there may be".into()),
            NoEntry::Stopping => Self::Stopping,
        }
    }
}

impl From<CallError> for RequestError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Busy(reason) => Self::Busy(reason),
            error => Self::Call(error),
        }
    }
}

impl From<Rejected> for RequestError {
    fn from(rejected: Rejected) -> Self {
        Self::Busy(rejected.to_string())
    }
}

impl RequestError {
    /// Whether it tells an operator of something that is not well here, and not of the caller's own doing or of a business answer.
    pub(crate) fn is_for_operators(&self) -> bool {
        !matches!(
            self,
            Self::Stopping
                | Self::Unsupported { .. }
                | Self::Disabled { .. }
                | Self::HookRejected(_)
                | Self::PermissionDenied
                | Self::RateLimit(RateLimitError::Limited(_))
                | Self::Argument(_)
                | Self::NotAStream(_)
                | Self::Call(CallError::Public(_) | CallError::Arguments(_))
        )
    }

    /// How a task that failed so has ended for its pool: only panics and timeouts are failures of the pool.
    pub(crate) fn task_end(&self) -> TaskEnd {
        match self {
            Self::RetriesExhausted { last, .. } => last.task_end(),
            Self::Call(CallError::Panicked(_)) => TaskEnd::Panicked,
            Self::Call(CallError::TimedOut(_)) => TaskEnd::TimedOut,
            Self::Stopping => TaskEnd::Cancelled,
            _ => TaskEnd::Error,
        }
    }

    /// Whether another attempt may go better: a failure of the call, not of the caller (specification, section 9).
    pub(crate) fn may_be_retried(&self) -> bool {
        matches!(
            self,
            Self::NoFunction { .. }
                | Self::Selection(_)
                | Self::Node(
                    NodeCallError::Unreachable { .. } | NodeCallError::Disconnected { .. },
                )
                | Self::Call(
                    CallError::Failed(_) | CallError::Panicked(_) | CallError::TimedOut(_)
                )
        )
    }
}

//! The way of a request.

use std::time::Duration;

use serde::Serialize;

use super::{ExceptionKind, Reason, RequestTags};
use crate::model::ResponseType;

/// What happened to a request.
///
/// Each `RequestStart` is followed by exactly one `RequestStop`, `RequestException` or `RequestCancelled`. A sync request is over with its
/// result. In the modes `async`, `stream` and `none` the executor is done with a request once it is accepted; what
/// follows is told by the families worker pool and stream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ExecutorEvent<'a> {
    /// A request came in; no stage has looked at it yet.
    #[non_exhaustive]
    RequestStart {
        /// Which one.
        request: RequestTags<'a>,
    },
    /// A request was answered: accepted, refused, or with the function's own error.
    #[non_exhaustive]
    RequestStop {
        /// Which one.
        request: RequestTags<'a>,
        /// The response mode of its config; none where no config was found. The service
        /// and function asked for then need not exist.
        response_type: Option<ResponseType>,
        /// The time since its start.
        duration: Duration,
        /// How it was answered.
        outcome: Outcome,
    },
    /// The way of a request broke: a panic, a timeout, a node out of reach.
    #[non_exhaustive]
    RequestException {
        /// Which one.
        request: RequestTags<'a>,
        /// The response mode of its config; none where no config was found. The service
        /// and function asked for then need not exist.
        response_type: Option<ResponseType>,
        /// The time since its start.
        duration: Duration,
        /// In which way it broke.
        kind: ExceptionKind,
        /// Why; for logs, not for clients.
        reason: Reason<'a>,
    },
    /// Nobody waits for the answer of a request any more: its caller dropped the future.
    #[non_exhaustive]
    RequestCancelled {
        /// Which one.
        request: RequestTags<'a>,
        /// The response mode of its config; none where no config was found. The service
        /// and function asked for then need not exist.
        response_type: Option<ResponseType>,
        /// The time since its start.
        duration: Duration,
    },
    /// The permission rule of the config refused the request (specification, section 5).
    #[non_exhaustive]
    PermissionDenied {
        /// Which one.
        request: RequestTags<'a>,
        /// On whose behalf it came.
        user_id: Option<&'a str>,
        /// The mode that refused, such as `any_authenticated`, or `callback`.
        mode: &'a str,
    },
    /// A call failed and is made once more after a pause (specification, section 9).
    #[non_exhaustive]
    Retry {
        /// Which one.
        request: RequestTags<'a>,
        /// Which retry comes now, from 1.
        attempt: u32,
        /// How many there may be.
        limit: u32,
        /// The pause before it.
        delay: Duration,
        /// Why the call before failed.
        reason: Reason<'a>,
    },
    /// The last retry failed too.
    #[non_exhaustive]
    RetryExhausted {
        /// Which one.
        request: RequestTags<'a>,
        /// How many calls were made, the first included.
        calls: u32,
        /// Why the last one failed.
        reason: Reason<'a>,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.request.start",
    "gen_api.request.stop",
    "gen_api.request.exception",
    "gen_api.request.cancelled",
    "gen_api.request.denied",
    "gen_api.request.retry",
    "gen_api.request.retry_exhausted",
];

impl ExecutorEvent<'_> {
    /// Its name, such as `gen_api.request.stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestStart { .. } => "gen_api.request.start",
            Self::RequestStop { .. } => "gen_api.request.stop",
            Self::RequestException { .. } => "gen_api.request.exception",
            Self::RequestCancelled { .. } => "gen_api.request.cancelled",
            Self::PermissionDenied { .. } => "gen_api.request.denied",
            Self::Retry { .. } => "gen_api.request.retry",
            Self::RetryExhausted { .. } => "gen_api.request.retry_exhausted",
        }
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// With its result, or accepted where the result follows later or not at all.
    Success,
    /// With the error of the function, or of every retry.
    Failed,
    /// Refused: no config answers it.
    Unsupported,
    /// Refused: its config is switched off.
    Disabled,
    /// Refused by the hook before it.
    Rejected,
    /// Refused by the permission rule.
    Denied,
    /// Refused by a rate limit.
    RateLimited,
    /// Refused: its arguments are not those that were declared.
    InvalidArguments,
    /// Refused: there is no place for it at the moment.
    Unavailable,
    /// It broke; the event is then a `RequestException`.
    Exception,
    /// It was not answered, for nobody waited any more; the event is then a `RequestCancelled`.
    Cancelled,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Failed,
        Self::Unsupported,
        Self::Disabled,
        Self::Rejected,
        Self::Denied,
        Self::RateLimited,
        Self::InvalidArguments,
        Self::Unavailable,
        Self::Exception,
        Self::Cancelled,
    ];

    /// Its name in snake case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
            Self::Disabled => "disabled",
            Self::Rejected => "rejected",
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::InvalidArguments => "invalid_arguments",
            Self::Unavailable => "unavailable",
            Self::Exception => "exception",
            Self::Cancelled => "cancelled",
        }
    }
}

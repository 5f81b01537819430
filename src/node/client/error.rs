//! How a call of a node can fail.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Why a call of a node gave no result. The texts are for logs.
///
/// | | the function may have run | asked elsewhere without retry |
/// |---|---|---|
/// | `Unreachable` | no | yes |
/// | `Disconnected`, `TimedOut` | yes | no |
/// | `Failed` | yes | no |
/// | `Refused` | no | no |
/// | `Malformed` | yes | no |
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeCallError {
    /// The node could not be reached or is known to be dead, or it certainly has not begun the call: it refused the stream, it
    /// is stopping, or it does not take the secret.
    #[error("node is unreachable: {reason}")]
    Unreachable {
        /// What the transport met.
        reason: String,
    },
    /// The connection ended after the call was sent and before its answer had come.
    #[error("connection to the node was lost during the call: {reason}")]
    Disconnected {
        /// What the transport met.
        reason: String,
    },
    /// The node did not answer in time.
    #[error("node timed out after {} ms", .after.as_millis())]
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// The function ran into a failure on the node.
    #[error("{0}")]
    Failed(RemoteFailure),
    /// The node refused the call: a push that is not valid, a door that does not offer this.
    #[error("node refused the call ({code}): {reason}")]
    Refused {
        /// The stable name of the refusal, such as `invalid_push_token`.
        code: String,
        /// What the node said.
        reason: String,
    },
    /// The node answered something that cannot be understood.
    #[error("node gave an unusable answer: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

impl NodeCallError {
    /// Whether the call certainly was not begun, so that asking the next node cannot make it run twice (specification, section 9).
    #[must_use]
    pub fn was_not_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the node answered, in whatever way.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } => false,
            Self::Failed(_) | Self::Refused { .. } | Self::Malformed { .. } => true,
        }
    }
}

/// How a function failed on its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoteFailure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// Its text, for the log; for the client only where the kind is [`Public`](FailureKind::Public)
    /// or [`InvalidArgument`](FailureKind::InvalidArgument).
    pub message: String,
}

impl RemoteFailure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// An internal failure, which a retry may cure.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }
}

impl fmt::Display for RemoteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Failed
            | FailureKind::Public
            | FailureKind::Arguments
            | FailureKind::InvalidArgument => f.write_str(&self.message),
            FailureKind::Panicked => write!(f, "the function panicked: {}", self.message),
            FailureKind::NotFound => write!(f, "there is no such function: {}", self.message),
        }
    }
}

/// What sort of failure a function on a node ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The function failed; a retry may cure it.
    Failed,
    /// The function gave a negative answer that is meant for the client and that no retry changes.
    Public,
    /// The call does not fit the function, by a fault of its config; no retry changes that.
    Arguments,
    /// The function cannot take an argument of the request: a text for the client, which names it; no retry changes that.
    InvalidArgument,
    /// The function panicked.
    Panicked,
    /// The node has no function of that name.
    NotFound,
}

//! What can go wrong with the verbs of a dynamic supervisor.

use crate::start_error::{BadSpec, StartError};

/// Why a [`DynamicSupervisorRef`](crate::DynamicSupervisorRef) did not start a child; nothing is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartDynamicError {
    /// There are as many children as are allowed, those that wait for a restart included (OTP: `max_children`).
    #[error("there are already {0} children, as many as are allowed")]
    MaxChildren(usize),
    /// The supervisor is not running.
    #[error("the supervisor is not running")]
    NoSupervisor,
    /// The factory declined with [`Init::Ignore`](crate::Init::Ignore) (OTP: `ignore`).
    #[error("the factory declined to start the child")]
    Ignored,
    /// The spec contradicts the supervisor: a dynamic supervisor has no auto-shutdown, so no child can be significant.
    #[error("bad child spec: {0}")]
    BadSpec(#[from] BadSpec),
    /// The child did not start.
    #[error("the child did not start: {0}")]
    Start(#[from] StartError),
}

/// Why [`DynamicSupervisorRef::terminate_child`](crate::DynamicSupervisorRef::terminate_child) did not end a child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateDynamicError {
    /// The supervisor has no such child: it ended, or it belongs to somebody else.
    #[error("the supervisor has no such child")]
    NotFound,
    /// It was killed and went on blocking its thread beyond the kill timeout; it ends as soon as its handler returns.
    #[error("the child was killed, but still blocks its thread")]
    Unresponsive,
    /// The supervisor is not running, and so is none of its children.
    #[error("the supervisor is not running")]
    NoSupervisor,
}

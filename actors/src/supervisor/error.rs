//! What can go wrong with a supervisor's verbs: one error type a verb, named as in OTP.

use std::sync::Arc;

use crate::start_error::{BadSpec, StartError};

/// Why [`StartChild`](super::StartChild) did not start a child; the spec was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child with this id runs.
    #[error("child `{0}` is already started")]
    AlreadyStarted(Arc<str>),
    /// A child with this id is known and not running: restart or delete it, or wait for the restart that goes on.
    #[error("child `{0}` is already present")]
    AlreadyPresent(Arc<str>),
    /// The spec contradicts itself or the supervisor.
    #[error("bad child spec: {0}")]
    BadSpec(#[from] BadSpec),
    /// The child did not start.
    #[error("child `{id}` did not start: {error}")]
    Start {
        /// The id of the child.
        id: Arc<str>,
        /// Why it did not start.
        error: StartError,
    },
    /// The supervisor could not be asked.
    #[error("the supervisor is not running")]
    NoSupervisor,
}

/// Why [`RestartChild`](super::RestartChild) did not start a child again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartChildError {
    /// No child has this id.
    #[error("no child has the id `{0}`")]
    NotFound(Arc<str>),
    /// It runs.
    #[error("child `{0}` is running")]
    Running(Arc<str>),
    /// Its supervisor is already trying to restart it.
    #[error("child `{0}` is being restarted")]
    Restarting(Arc<str>),
    /// It did not start; it stays known and not running.
    #[error("child `{id}` did not start: {error}")]
    Start {
        /// The id of the child.
        id: Arc<str>,
        /// Why it did not start.
        error: StartError,
    },
    /// The supervisor could not be asked.
    #[error("the supervisor is not running")]
    NoSupervisor,
}

/// Why [`TerminateChild`](super::TerminateChild) did not end a child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminateChildError {
    /// No child has this id.
    #[error("no child has the id `{0}`")]
    NotFound(Arc<str>),
    /// It was killed and went on blocking its thread beyond the supervisor's kill timeout. It counts as not running;
    /// it ends as soon as its handler returns.
    #[error("child `{0}` was killed, but still blocks its thread")]
    Unresponsive(Arc<str>),
    /// The supervisor could not be asked.
    #[error("the supervisor is not running")]
    NoSupervisor,
}

/// Why [`DeleteChild`](super::DeleteChild) did not forget a child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// No child has this id.
    #[error("no child has the id `{0}`")]
    NotFound(Arc<str>),
    /// It runs; terminate it first.
    #[error("child `{0}` is running")]
    Running(Arc<str>),
    /// Its supervisor is trying to restart it; terminate it first.
    #[error("child `{0}` is being restarted")]
    Restarting(Arc<str>),
    /// The supervisor could not be asked.
    #[error("the supervisor is not running")]
    NoSupervisor,
}

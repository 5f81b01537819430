//! Why something did not start: [`StartError`], and [`BadSpec`] for what is refused before anything is tried.

use std::{sync::Arc, time::Duration};

use crate::exit::ExitReason;

/// Why a child did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The factory failed or panicked, or the actor ended before its start was complete.
    #[error("{0}")]
    Exited(ExitReason),
    /// The arbiter it is placed on has stopped.
    #[error("its arbiter has stopped")]
    ArbiterStopped,
    /// The previous incarnation was told to end and blocks its thread: two at a time are never run.
    #[error("its previous incarnation has not ended yet")]
    StillRunning,
    /// The start was not complete in time; what had begun was ended again.
    #[error("its start took longer than {0:?}")]
    TimedOut(Duration),
    /// The supervisor was told to stop before the start was complete; what had begun was ended again.
    #[error("its supervisor is stopping")]
    SupervisorStopping,
    /// The spec of a supervisor contradicts itself; nothing was started.
    #[error("bad supervisor spec: {0}")]
    BadSpec(#[from] BadSpec),
}

impl StartError {
    /// The same as the reason of an exit.
    pub(crate) fn into_reason(self) -> ExitReason {
        match self {
            Self::Exited(reason) => reason,
            Self::ArbiterStopped => ExitReason::ArbiterStopped,
            Self::SupervisorStopping => ExitReason::Shutdown,
            Self::StillRunning | Self::TimedOut(_) | Self::BadSpec(_) => ExitReason::error(self),
        }
    }
}

/// A spec that no supervisor takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSpec {
    /// Two first children have the same id.
    #[error("two children have the id `{0}`")]
    DuplicateId(Arc<str>),
    /// A permanent child cannot be significant: it never ends for good.
    #[error("child `{0}` is permanent and significant at once")]
    SignificantPermanent(Arc<str>),
    /// A child is significant, but the supervisor's auto-shutdown is `Never`.
    #[error("child `{0}` is significant, but the supervisor has no auto-shutdown")]
    SignificantWithoutAuto(Arc<str>),
    /// A period of zero holds no restart, so no intensity could ever be exceeded.
    #[error("the period of the restart intensity is zero")]
    ZeroPeriod,
}

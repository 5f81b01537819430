//! The actors of the engine.

use actix_otp::{ExitReason, SupervisionEvent};

/// What happened to a child of one of the engine's supervisors (specification, section 15).
///
/// The actors of streams are too many for this; see [`StreamEvent`](super::StreamEvent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorEvent<'a> {
    /// A child runs.
    #[non_exhaustive]
    ChildStarted {
        /// The path of the supervisor, ids joined by `/`.
        supervisor: &'a str,
        /// The id of the child.
        child: &'a str,
        /// Its incarnation, counted from 1.
        incarnation: u64,
    },
    /// A child ended, wanted or not.
    #[non_exhaustive]
    ChildTerminated {
        /// The path of the supervisor.
        supervisor: &'a str,
        /// The id of the child.
        child: &'a str,
        /// The incarnation that ended.
        incarnation: u64,
        /// Why it ended.
        reason: &'a ExitReason,
    },
    /// A child runs again after its supervisor restarted it; follows its `ChildStarted`.
    #[non_exhaustive]
    ChildRestarted {
        /// The path of the supervisor.
        supervisor: &'a str,
        /// The id of the child.
        child: &'a str,
        /// The new incarnation.
        incarnation: u64,
    },
    /// A supervisor had more restarts than its intensity allows: it stops its children and itself.
    #[non_exhaustive]
    GaveUp {
        /// The path of the supervisor.
        supervisor: &'a str,
        /// The child whose exit was one too many.
        child: &'a str,
        /// Why that child ended.
        reason: &'a ExitReason,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.supervisor.child.started",
    "gen_api.supervisor.child.terminated",
    "gen_api.supervisor.child.restarted",
    "gen_api.supervisor.gave_up",
];

impl<'a> SupervisorEvent<'a> {
    /// The same event in this family; none for a kind that is not known here.
    #[must_use]
    pub fn from_supervision(event: &'a SupervisionEvent) -> Option<Self> {
        match event {
            SupervisionEvent::ChildStarted {
                supervisor,
                child,
                incarnation,
            } => Some(Self::ChildStarted {
                supervisor,
                child,
                incarnation: *incarnation,
            }),
            SupervisionEvent::ChildTerminated {
                supervisor,
                child,
                incarnation,
                reason,
            } => Some(Self::ChildTerminated {
                supervisor,
                child,
                incarnation: *incarnation,
                reason,
            }),
            SupervisionEvent::ChildRestarted {
                supervisor,
                child,
                incarnation,
            } => Some(Self::ChildRestarted {
                supervisor,
                child,
                incarnation: *incarnation,
            }),
            SupervisionEvent::GaveUp {
                supervisor,
                child,
                reason,
            } => Some(Self::GaveUp {
                supervisor,
                child,
                reason,
            }),
            _ => None,
        }
    }

    /// Its name, such as `gen_api.supervisor.child.restarted`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ChildStarted { .. } => "gen_api.supervisor.child.started",
            Self::ChildTerminated { .. } => "gen_api.supervisor.child.terminated",
            Self::ChildRestarted { .. } => "gen_api.supervisor.child.restarted",
            Self::GaveUp { .. } => "gen_api.supervisor.gave_up",
        }
    }
}

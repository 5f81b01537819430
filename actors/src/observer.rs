//! Telemetry of a tree: what happened to which child, for an [`Observer`] and as `tracing` events.

use std::{fmt, sync::Arc};

use crate::{exit::ExitReason, panics::catch_panic};

/// Something a supervisor did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisionEvent {
    /// A child runs.
    ChildStarted {
        /// The path of the supervisor, ids joined by `/`.
        supervisor: Arc<str>,
        /// The id of the child.
        child: Arc<str>,
        /// Its incarnation, counted from 1.
        incarnation: u64,
    },
    /// A child ended, wanted or not.
    ChildTerminated {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The id of the child.
        child: Arc<str>,
        /// The incarnation that ended.
        incarnation: u64,
        /// Why it ended.
        reason: ExitReason,
    },
    /// A child runs again after its supervisor restarted it; follows its `ChildStarted`.
    ChildRestarted {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The id of the child.
        child: Arc<str>,
        /// The new incarnation.
        incarnation: u64,
    },
    /// A supervisor had more restarts than its intensity allows: it stops its children and itself.
    GaveUp {
        /// The path of the supervisor.
        supervisor: Arc<str>,
        /// The child whose exit was one too many.
        child: Arc<str>,
        /// Why that child ended.
        reason: ExitReason,
    },
}

/// Receives the events of a supervisor and of all supervisors below it.
///
/// Any `Fn(&SupervisionEvent) + Send + Sync` is one. It is called on the supervisor's thread, so it must not block; a
/// panic in it is caught and logged.
pub trait Observer: Send + Sync + 'static {
    /// Called for each event, in the order in which the supervisor saw them.
    fn observe(&self, event: &SupervisionEvent);
}

impl<F: Fn(&SupervisionEvent) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &SupervisionEvent) {
        self(event);
    }
}

/// Where a supervisor stands in its tree, and who watches; handed down to every child.
#[derive(Clone)]
pub(crate) struct Lineage {
    path: Arc<str>,
    observer: Option<Arc<dyn Observer>>,
}

impl Lineage {
    /// The lineage above a root.
    pub(crate) fn none() -> Self {
        Self {
            path: "".into(),
            observer: None,
        }
    }

    /// The lineage of the supervisor `id` under this one, with its own observer where it has one.
    pub(crate) fn supervisor(&self, id: &str, observer: Option<Arc<dyn Observer>>) -> Self {
        let path = if self.path.is_empty() {
            id.into()
        } else {
            format!("{}/{id}", self.path).into()
        };
        Self {
            path,
            observer: observer.or_else(|| self.observer.clone()),
        }
    }

    pub(crate) fn child_started(&self, child: &Arc<str>, incarnation: u64, restarted: bool) {
        tracing::debug!(supervisor = %self.path, child = &**child, incarnation, restarted, "child started");
        self.emit(|supervisor| SupervisionEvent::ChildStarted {
            supervisor,
            child: Arc::clone(child),
            incarnation,
        });
        if restarted {
            self.emit(|supervisor| SupervisionEvent::ChildRestarted {
                supervisor,
                child: Arc::clone(child),
                incarnation,
            });
        }
    }

    pub(crate) fn child_terminated(&self, child: &Arc<str>, incarnation: u64, reason: &ExitReason) {
        if reason.is_abnormal() {
            tracing::warn!(supervisor = %self.path, child = &**child, incarnation, reason = reason.to_string(), "child terminated");
        } else {
            tracing::debug!(supervisor = %self.path, child = &**child, incarnation, reason = reason.to_string(), "child terminated");
        }
        self.emit(|supervisor| SupervisionEvent::ChildTerminated {
            supervisor,
            child: Arc::clone(child),
            incarnation,
            reason: reason.clone(),
        });
    }

    /// Whether anybody hears of what happens here.
    pub(crate) fn is_watched(&self) -> bool {
        self.observer.is_some() || tracing::enabled!(tracing::Level::DEBUG)
    }

    /// A child without an id runs; observers get the type of its actor instead.
    pub(crate) fn unnamed_started(&self, actor: &'static str) {
        tracing::debug!(supervisor = %self.path, actor, "child started");
        self.emit(|supervisor| SupervisionEvent::ChildStarted {
            supervisor,
            child: actor.into(),
            incarnation: 1,
        });
    }

    /// A child without an id ended.
    pub(crate) fn unnamed_terminated(&self, actor: &'static str, reason: &ExitReason) {
        if reason.is_abnormal() && *reason != ExitReason::Killed {
            tracing::warn!(supervisor = %self.path, actor, reason = reason.to_string(), "child terminated");
        } else {
            tracing::debug!(supervisor = %self.path, actor, reason = reason.to_string(), "child terminated");
        }
        self.emit(|supervisor| SupervisionEvent::ChildTerminated {
            supervisor,
            child: actor.into(),
            incarnation: 1,
            reason: reason.clone(),
        });
    }

    pub(crate) fn start_failed(&self, child: &Arc<str>, error: &dyn fmt::Display) {
        tracing::error!(supervisor = %self.path, child = &**child, error = error.to_string(), "child did not start");
    }

    pub(crate) fn gave_up(&self, child: &Arc<str>, reason: &ExitReason) {
        tracing::error!(
            supervisor = %self.path, child = &**child, reason = reason.to_string(), "restart intensity exceeded: the supervisor gives up"
        );
        self.emit(|supervisor| SupervisionEvent::GaveUp {
            supervisor,
            child: Arc::clone(child),
            reason: reason.clone(),
        });
    }

    fn emit(&self, event: impl FnOnce(Arc<str>) -> SupervisionEvent) {
        let Some(observer) = &self.observer else {
            return;
        };
        let event = event(Arc::clone(&self.path));
        if let Err(panic) = catch_panic(|| observer.observe(&event)) {
            let panic = panic.text();
            tracing::error!(?event, panic, "an observer of supervision events panicked");
        }
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lineage")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

//! One child with a spec and where it stands, as both kinds of supervisor keep it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::messages::{ChildCounts, ChildInfo, ChildState, SupervisionTree};
use crate::{
    backoff::Pace,
    child_spec::{Blueprint, ChildKind},
    control::{Control, Signal},
    exit::ExitReason,
    launch::Launched,
};

/// A child and where it stands.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) blueprint: Blueprint,
    pub(crate) life: Life,
    pace: Pace,
}

#[derive(Clone)]
pub(crate) enum Life {
    /// Not launched yet, or ended without a restart.
    Stopped,
    /// It ended, or its restart failed, for this reason, and it will be started again, at once or at this moment.
    Restarting {
        reason: ExitReason,
        until: Option<Instant>,
    },
    /// Launched; its start may be under way.
    Alive {
        control: Arc<Control>,
        incarnation: u64,
        started: bool,
    },
}

impl Life {
    /// That of a child whose start is under way.
    pub(crate) fn of(launched: &Launched) -> Self {
        Self::Alive {
            control: Arc::clone(&launched.control),
            incarnation: launched.incarnation,
            started: false,
        }
    }
}

impl Child {
    pub(crate) fn new(blueprint: Blueprint) -> Self {
        Self {
            blueprint,
            life: Life::Stopped,
            pace: Pace::default(),
        }
    }

    /// Whether it runs at this moment: a child that ended may not have been heard of yet.
    pub(crate) fn is_active(&self) -> bool {
        matches!(&self.life, Life::Alive { control, .. } if control.exit_reason().is_none())
    }

    pub(crate) fn is_alive_as(&self, of: u64) -> bool {
        matches!(self.life, Life::Alive { incarnation, .. } if incarnation == of)
    }

    /// Runs, or is being restarted: a significant child that is not there for good.
    pub(super) fn is_significant_and_not_stopped(&self) -> bool {
        self.blueprint.info.significant && !matches!(self.life, Life::Stopped)
    }

    /// Why it does not run, where the next attempt at its restart is due.
    pub(crate) fn failure(&self) -> Option<ExitReason> {
        match &self.life {
            Life::Restarting { reason, until } if until.is_none_or(|at| at <= Instant::now()) => {
                Some(reason.clone())
            }
            _ => None,
        }
    }

    /// The start of it is complete.
    pub(crate) fn set_started(&mut self) {
        if let Life::Alive { started, .. } = &mut self.life {
            *started = true;
        }
        if self.blueprint.info.backoff.is_some() {
            self.pace.serves();
        }
    }

    /// It is to be restarted, for this reason; the pause before that, where there is one.
    pub(crate) fn restarts(&mut self, reason: ExitReason) -> Option<Duration> {
        let pause = self.blueprint.info.backoff.as_ref();
        let pause = pause.map(|backoff| self.pace.next(backoff));
        let until = pause.map(|pause| Instant::now() + pause);
        self.life = Life::Restarting { reason, until };
        pause
    }

    pub(crate) fn state(&self) -> ChildState {
        match self.life {
            Life::Stopped => ChildState::Stopped,
            Life::Restarting { until: None, .. } => ChildState::Restarting,
            Life::Restarting {
                until: Some(until), ..
            } => ChildState::Waiting {
                left: until.saturating_duration_since(Instant::now()),
            },
            Life::Alive {
                incarnation,
                started: false,
                ..
            } => ChildState::Starting { incarnation },
            Life::Alive { incarnation, .. } => ChildState::Running { incarnation },
        }
    }

    pub(crate) fn info(&self) -> ChildInfo {
        let info = &self.blueprint.info;
        ChildInfo {
            id: Arc::clone(&info.id),
            state: self.state(),
            kind: info.kind,
            actor: info.actor,
        }
    }

    /// Sends a signal, if it is alive.
    pub(crate) fn tell(&self, signal: Signal) {
        if let Life::Alive { control, .. } = &self.life {
            control.send(signal);
        }
    }

    /// Waits for its end, if it is alive.
    pub(crate) async fn exited(&self) {
        if let Life::Alive { control, .. } = &self.life {
            control.exited().await;
        }
    }
}

impl ChildCounts {
    pub(crate) fn of<'a>(children: impl Iterator<Item = &'a Child>) -> Self {
        let mut counts = Self::default();
        for child in children {
            counts.specs += 1;
            counts.active += usize::from(child.is_active());
            match child.blueprint.info.kind {
                ChildKind::Supervisor => counts.supervisors += 1,
                ChildKind::Worker => counts.workers += 1,
            }
        }
        counts
    }
}

/// The trees of children as they stand now, each with everything below it.
pub(crate) fn trees<'a>(children: impl Iterator<Item = &'a Child>) -> Vec<SupervisionTree> {
    children
        .map(|child| child.blueprint.tree(child.state()))
        .collect()
}

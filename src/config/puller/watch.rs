//! What telemetry is told of the pull of one service (specification, section 16).

use std::{fmt, time::Duration};

use super::state::PullResult;
use crate::{
    clock::Clock,
    telemetry::{ConfigEvent, Family, Reason, Telemetry},
};

/// Looks at the pull of one service; dropped before its end, it tells that the pull was given up.
pub(super) struct PullWatch<'a> {
    telemetry: &'a Telemetry,
    clock: &'a dyn Clock,
    service: &'a str,
    /// Where somebody listened at the start, and until the end was told.
    started: Option<Duration>,
}

impl<'a> PullWatch<'a> {
    pub(super) fn start(telemetry: &'a Telemetry, clock: &'a dyn Clock, service: &'a str) -> Self {
        let listened = telemetry.listens(Family::Config);
        telemetry.emit(Family::Config, || ConfigEvent::PullStart { service });
        Self {
            telemetry,
            clock,
            service,
            started: listened.then(|| clock.now()),
        }
    }

    pub(super) fn stop(mut self, result: &PullResult) {
        match result {
            PullResult::Pulled {
                stored, refused, ..
            } => self.tell(*stored, *refused, None),
            PullResult::Failed { reason } => self.tell(0, 0, Some(reason)),
            PullResult::Skipped | PullResult::Outdated => self.tell(0, 0, None),
        }
    }

    fn tell(&mut self, stored: usize, rejected: usize, error: Option<&dyn fmt::Display>) {
        let Some(started) = self.started.take() else {
            return;
        };
        self.telemetry
            .emit(Family::Config, || ConfigEvent::PullStop {
                service: self.service,
                duration: self.clock.now().saturating_sub(started),
                stored,
                rejected,
                error: error.map(Reason::new),
            });
    }
}

impl Drop for PullWatch<'_> {
    fn drop(&mut self) {
        self.tell(0, 0, Some(&"the pull was given up"));
    }
}

//! What telemetry is told of the run of a hook (specification, section 16).

use std::{fmt, time::Duration};

use crate::{
    call::local::CallError,
    clock::Clock,
    function::Outcome,
    telemetry::{ExceptionKind, Family, HookCall, HookEvent, Reason, Telemetry},
};

/// Looks at one run of a hook; dropped before its end, it tells that the run was given up.
pub(super) struct HookWatch<'a> {
    telemetry: &'a Telemetry,
    clock: &'a dyn Clock,
    hook: HookCall<'a>,
    /// Set until the end was told, where somebody listened at the start.
    started: Option<Duration>,
}

impl<'a> HookWatch<'a> {
    pub(super) fn start(
        telemetry: &'a Telemetry,
        clock: &'a dyn Clock,
        hook: HookCall<'a>,
    ) -> Self {
        telemetry.emit(Family::Hook, || HookEvent::Start { hook });
        let started = telemetry.listens(Family::Hook).then(|| clock.now());
        Self {
            telemetry,
            clock,
            hook,
            started,
        }
    }

    pub(super) fn end(mut self, answer: &Result<Outcome, CallError>) {
        match answer {
            Ok(_) => self.stop(false),
            Err(CallError::Failed(_) | CallError::Public(_)) => self.stop(true),
            Err(error @ CallError::Panicked(_)) => self.exception(ExceptionKind::Panic, error),
            Err(error @ CallError::TimedOut(_)) => self.exception(ExceptionKind::Timeout, error),
            Err(
                error @ (CallError::Arguments(_)
                | CallError::InvalidArgument(_)
                | CallError::Busy(_)),
            ) => {
                self.exception(ExceptionKind::Internal, error);
            }
        }
    }

    fn stop(&mut self, rejected: bool) {
        self.tell(|hook, duration| HookEvent::Stop {
            hook,
            duration,
            rejected,
        });
    }

    fn exception(&mut self, kind: ExceptionKind, reason: &dyn fmt::Display) {
        self.tell(|hook, duration| HookEvent::Exception {
            hook,
            duration,
            kind,
            reason: Reason::new(reason),
        });
    }

    fn tell<'e>(&mut self, event: impl FnOnce(HookCall<'a>, Duration) -> HookEvent<'e>)
    where
        'a: 'e,
    {
        if let Some(started) = self.started.take() {
            self.telemetry.emit(Family::Hook, || {
                event(self.hook, self.clock.now().saturating_sub(started))
            });
        }
    }
}

impl Drop for HookWatch<'_> {
    fn drop(&mut self) {
        self.tell(|hook, duration| HookEvent::Cancelled { hook, duration });
    }
}

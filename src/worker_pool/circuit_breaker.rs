//! The circuit breaker of a pool, as a state machine over times: it reads no clock and takes no lock.
//!
//! ```text
//!            failures in a row              cooldown over, a call comes
//! closed ------------------------> open ------------------------------> half-open
//!    ^                              ^                                    |   |
//!    |                              +----------- the trial fails --------+   |
//!    +---------------------------------- the trial succeeds ----------------+
//! ```
//!
//! A trial that does not end gives way: after a further cooldown another call is let through, and whichever ends first
//! decides.
//!
//! Every call that is let through holds a [`Pass`], and hands it back with what became of it. Passes from before an
//! opening count for nothing any more: how old calls end says nothing about whether new ones would work.

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::settings::CircuitSettings;

/// The state of a pool's circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Calls go through.
    Closed,
    /// Calls are rejected until the cooldown is over. The first call after that is the trial, and makes it half-open.
    Open,
    /// A trial call is let through, and decides; another follows where it has not ended after a further cooldown.
    HalfOpen,
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

/// Lets calls through until too many in a row have failed.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    settings: CircuitSettings,
    inner: Inner,
    /// How often it was opened or reset; tells the passes of before from those of now.
    era: u64,
}

#[derive(Clone, Copy, Debug)]
enum Inner {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    /// So long the trial that is out keeps all others out; none is out where there is no time.
    HalfOpen {
        until: Option<Duration>,
    },
}

/// A call that was let through. It is handed back once, with its verdict.
#[derive(Debug)]
#[must_use = "a pass that is not handed back keeps the trial slot taken"]
pub(super) struct Pass {
    era: u64,
    trial: bool,
}

impl Pass {
    /// Whether the circuit waits for what becomes of this call.
    pub(super) fn is_trial(&self) -> bool {
        self.trial
    }
}

/// What a call says about the health of what it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Failure,
    /// It did not run to its end.
    Unknown,
}

/// The circuit lets no call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CircuitOpen {
    /// How long until a trial is let through.
    pub(super) retry_after: Duration,
}

impl CircuitBreaker {
    pub(super) fn new(settings: CircuitSettings) -> Self {
        Self {
            settings,
            inner: Inner::Closed { failures: 0 },
            era: 0,
        }
    }

    /// Lets a call through, or says when to come back.
    pub(super) fn admit(&mut self, now: Duration) -> Result<Pass, CircuitOpen> {
        let trial = match self.inner {
            Inner::Closed { .. } => false,
            Inner::Open { until } | Inner::HalfOpen { until: Some(until) } if now < until => {
                let retry_after = until - now;
                return Err(CircuitOpen { retry_after });
            }
            // A trial that has not ended for so long says nothing: a call without a timeout may work well, or hang.
            Inner::Open { .. } | Inner::HalfOpen { .. } => {
                let until = Some(self.after_cooldown(now));
                self.inner = Inner::HalfOpen { until };
                true
            }
        };
        Ok(Pass {
            era: self.era,
            trial,
        })
    }

    /// Takes a pass back.
    pub(super) fn settle(&mut self, pass: Pass, verdict: Verdict, now: Duration) {
        if pass.era != self.era {
            return;
        }
        self.inner = match (self.inner, verdict) {
            // Only its trials have a pass of a half-open circuit's era.
            (Inner::Closed { .. } | Inner::HalfOpen { .. }, Verdict::Success) => {
                Inner::Closed { failures: 0 }
            }
            (Inner::Closed { failures }, Verdict::Failure) => {
                let failures = failures.saturating_add(1);
                let limit = self.settings.failures_to_open;
                if limit == 0 || failures < limit {
                    Inner::Closed { failures }
                } else {
                    self.opened(now)
                }
            }
            (Inner::HalfOpen { .. }, Verdict::Failure) => self.opened(now),
            (Inner::HalfOpen { .. }, Verdict::Unknown) => Inner::HalfOpen { until: None },
            (unchanged, _) => unchanged,
        };
    }

    /// Closes a half-open circuit because its trial works well, though it has not ended; any other pass changes nothing.
    ///
    /// From then on it is a call like any other.
    pub(super) fn prove(&mut self, pass: &mut Pass) {
        let decides = std::mem::take(&mut pass.trial) && pass.era == self.era;
        if decides && matches!(self.inner, Inner::HalfOpen { .. }) {
            self.inner = Inner::Closed { failures: 0 };
        }
    }

    /// Closes the circuit; what is under way counts for nothing any more.
    pub(super) fn reset(&mut self) {
        self.inner = Inner::Closed { failures: 0 };
        self.era += 1;
    }

    pub(super) fn state(&self) -> CircuitState {
        match self.inner {
            Inner::Closed { .. } => CircuitState::Closed,
            Inner::Open { .. } => CircuitState::Open,
            Inner::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// How many calls in a row have failed; zero unless the circuit is closed.
    pub(super) fn failures_in_a_row(&self) -> u32 {
        match self.inner {
            Inner::Closed { failures } => failures,
            Inner::Open { .. } | Inner::HalfOpen { .. } => 0,
        }
    }

    /// How long the circuit goes on to reject; zero where it lets a call through.
    pub(super) fn retry_after(&self, now: Duration) -> Duration {
        match self.inner {
            Inner::Open { until } | Inner::HalfOpen { until: Some(until) } => {
                until.saturating_sub(now)
            }
            Inner::Closed { .. } | Inner::HalfOpen { until: None } => Duration::ZERO,
        }
    }

    fn opened(&mut self, now: Duration) -> Inner {
        self.era += 1;
        Inner::Open {
            until: self.after_cooldown(now),
        }
    }

    fn after_cooldown(&self, now: Duration) -> Duration {
        now.saturating_add(self.settings.cooldown())
    }
}

//! The pace of a pusher and its patience.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::retry::Backoff;

/// The settings of a pusher (specification, section 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct PusherSettings {
    /// How long each call of a gateway may take, in milliseconds; at least 1, and 5 000 by default.
    pub push_timeout_ms: u64,
    /// The pause after a first failure, in milliseconds; at least 1, and 500 by default. It doubles with each failure, with
    /// jitter from half to one and a half.
    pub backoff_min_ms: u64,
    /// The longest pause between two failures, in milliseconds; at least 1, and 30 000 by default.
    pub backoff_max_ms: u64,
    /// The pause between two questions whether a gateway still holds what it accepted, in milliseconds; at least 1, and
    /// 30 000 by default. Where the connection was lost, it is asked as soon as there is another.
    pub verify_interval_ms: u64,
}

impl Default for PusherSettings {
    fn default() -> Self {
        Self {
            push_timeout_ms: 5_000,
            backoff_min_ms: 500,
            backoff_max_ms: 30_000,
            verify_interval_ms: 30_000,
        }
    }
}

impl PusherSettings {
    /// Sets how long each call of a gateway may take, in whole milliseconds.
    #[must_use]
    pub fn with_push_timeout(mut self, timeout: Duration) -> Self {
        self.push_timeout_ms = millis(timeout);
        self
    }

    /// Sets the first and the longest pause after failures, in whole milliseconds.
    #[must_use]
    pub fn with_backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff_min_ms = millis(min);
        self.backoff_max_ms = millis(max);
        self
    }

    /// Sets the pause between two questions whether a gateway still holds what it accepted, in whole milliseconds.
    #[must_use]
    pub fn with_verify_interval(mut self, interval: Duration) -> Self {
        self.verify_interval_ms = millis(interval);
        self
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.push_timeout_ms)
    }

    pub(super) fn backoff(&self) -> Backoff {
        // A pause of nothing would be a loop at full speed.
        let pause = |millis: u64| Duration::from_millis(millis.max(1));
        Backoff::new(pause(self.backoff_min_ms), pause(self.backoff_max_ms))
    }

    pub(super) fn verify_interval(&self) -> Duration {
        Duration::from_millis(self.verify_interval_ms.max(1))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

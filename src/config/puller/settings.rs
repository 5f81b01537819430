//! The pace of a puller and its patience.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest pause after rounds that failed, unless the interval itself is longer (specification, section 12).
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The settings of a puller (specification, section 12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PullerSettings {
    /// The pause between two rounds, in milliseconds; 30 000 by default. Zero counts as 1.
    pub pull_interval_ms: u64,
    /// How long each call of a node may take, in milliseconds; 5 000 by default.
    pub pull_timeout_ms: u64,
}

impl Default for PullerSettings {
    fn default() -> Self {
        Self {
            pull_interval_ms: 30_000,
            pull_timeout_ms: 5_000,
        }
    }
}

impl PullerSettings {
    /// Sets the pause between two rounds, in whole milliseconds.
    #[must_use]
    pub fn with_pull_interval(mut self, interval: Duration) -> Self {
        self.pull_interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Sets how long each call of a node may take, in whole milliseconds.
    #[must_use]
    pub fn with_pull_timeout(mut self, timeout: Duration) -> Self {
        self.pull_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.pull_timeout_ms)
    }

    /// The pause after so many failed rounds in a row: doubled by each, up to five minutes.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let interval = Duration::from_millis(self.pull_interval_ms.max(1));
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let longest = MAX_PAUSE.max(interval);
        interval.saturating_mul(factor).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_double_from_the_interval_to_five_minutes(interval: u64, failures: u32) {
            let settings = PullerSettings { pull_interval_ms: interval, ..PullerSettings::default() };
            let (pause, next) = (settings.pause(failures), settings.pause(failures.saturating_add(1)));
            let interval = settings.pause(0);
            prop_assert!(pause >= interval && pause <= interval.max(MAX_PAUSE));
            prop_assert!(next == pause * 2 || next == interval.max(MAX_PAUSE) || failures == u32::MAX);
        }
    }
}

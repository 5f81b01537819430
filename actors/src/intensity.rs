//! How often a supervisor may restart before it gives up: a pure sliding window.
//!
//! OTP's rule (`supervisor`, "Maximum Restart Intensity"): more than `intensity` restarts within `period` and the
//! supervisor stops its children and itself.
//!
//! ```
//! use std::time::Duration;
//! use actix_otp::Intensity;
//!
//! let intensity = Intensity::new(1, Duration::from_secs(5));
//! assert_eq!(intensity.max_restarts(), 1);
//! ```

use std::{collections::VecDeque, time::Duration};

/// At most `max_restarts` within `period`; the default is 3 within 5 seconds, as in Elixir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    max_restarts: usize,
    period: Duration,
}

impl Intensity {
    /// A limit of `max_restarts` within `period`; zero restarts mean that the first crash already ends the supervisor.
    #[must_use]
    pub const fn new(max_restarts: usize, period: Duration) -> Self {
        Self {
            max_restarts,
            period,
        }
    }

    /// How many restarts are allowed within [`period`](Self::period).
    #[must_use]
    pub const fn max_restarts(&self) -> usize {
        self.max_restarts
    }

    /// The length of the window.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }
}

impl Default for Intensity {
    fn default() -> Self {
        Self::new(3, Duration::from_secs(5))
    }
}

/// The restarts of one supervisor within the current window, as times since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct RestartWindow {
    recent: VecDeque<Duration>,
}

impl RestartWindow {
    /// Counts a restart at `now`; false when it is one too many.
    pub(crate) fn admit(&mut self, limit: Intensity, now: Duration) -> bool {
        // A restart is out of the window once it is older than the period: one exactly as old still counts, as in OTP.
        while self
            .recent
            .front()
            .is_some_and(|&then| now.saturating_sub(then) > limit.period)
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit.max_restarts {
            return false;
        }
        self.recent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_restart_after_the_last_allowed_one_is_refused() {
        let mut window = RestartWindow::default();
        let limit = Intensity::new(2, seconds(5));
        assert!(window.admit(limit, seconds(0)));
        assert!(window.admit(limit, seconds(1)));
        assert!(!window.admit(limit, seconds(2)));
    }

    #[test]
    fn a_restart_counts_until_it_is_older_than_the_period() {
        let mut window = RestartWindow::default();
        let limit = Intensity::new(1, seconds(5));
        assert!(window.admit(limit, seconds(0)));
        assert!(!window.admit(limit, seconds(5)));
        assert!(window.admit(limit, Duration::from_millis(5_001)));
    }

    #[test]
    fn zero_restarts_refuse_the_first() {
        assert!(!RestartWindow::default().admit(Intensity::new(0, seconds(5)), seconds(0)));
    }

    proptest! {
        #[test]
        fn no_period_ever_holds_more_restarts_than_allowed(
            max in 0_usize..6,
            period in 1_u64..50,
            gaps in prop::collection::vec(0_u64..20, 0..200),
        ) {
            let limit = Intensity::new(max, Duration::from_millis(period));
            let mut window = RestartWindow::default();
            let (mut now, mut admitted) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if window.admit(limit, Duration::from_millis(now)) {
                    admitted.push(now);
                }
            }
            for &end in &admitted {
                let within = admitted.iter().filter(|&&at| at <= end && end - at <= period).count();
                prop_assert!(within <= max);
            }
        }
    }
}

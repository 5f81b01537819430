//! How often strangers may try, and how many log lines they may cause.

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::neighbourhood;
use crate::clock::Clock;

/// How often an address may be wrong in a row.
const WRONG_AT_ONCE: u32 = 20;
/// After how long it may be wrong once more.
const WRONG_EVERY: Duration = Duration::from_secs(1);
/// How many addresses are remembered; each is forgotten when it has been quiet for twenty seconds.
const MOST_ADDRESSES: usize = 10_000;

/// How many lines are written in a row.
const LINES_AT_ONCE: u32 = 10;
/// After how long there may be one more.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Some at once, then one in each pause. What was used up is one moment: when all of it will be there again.
#[derive(Clone, Copy)]
struct Pace {
    at_once: u32,
    every: Duration,
}

impl Pace {
    fn is_used_up(self, full_at: Duration, now: Duration) -> bool {
        full_at > now + self.every.saturating_mul(self.at_once.saturating_sub(1))
    }

    /// The moment after one more was used.
    fn used(self, full_at: Duration, now: Duration) -> Duration {
        full_at.max(now) + self.every
    }
}

/// Slows down those who guess a secret: an address that was wrong twenty times in a row is not looked at until a second has
/// passed, then once each second. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Brake {
    clock: Arc<dyn Clock>,
    /// When each address is as good as one that was never wrong.
    forgiven: Arc<Mutex<HashMap<IpAddr, Duration>>>,
}

impl Brake {
    const PACE: Pace = Pace {
        at_once: WRONG_AT_ONCE,
        every: WRONG_EVERY,
    };

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            forgiven: Arc::default(),
        }
    }

    /// Whether this address has to wait before it may try again.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        let now = self.clock.now();
        let forgiven = self.forgiven.lock();
        let known = forgiven.get(&neighbourhood(address));
        known.is_some_and(|full_at| Self::PACE.is_used_up(*full_at, now))
    }

    /// Notes that this address was wrong.
    pub(crate) fn was_wrong(&self, address: IpAddr) {
        let now = self.clock.now();
        let address = neighbourhood(address);
        let mut forgiven = self.forgiven.lock();
        if forgiven.len() >= MOST_ADDRESSES && !forgiven.contains_key(&address) {
            forgiven.retain(|_, full_at| *full_at > now);
            // So many callers at a time are no guesser but a network of them, and each is as good as another.
            if forgiven.len() >= MOST_ADDRESSES
                && let Some(any) = forgiven.keys().next().copied()
            {
                forgiven.remove(&any);
            }
        }
        let full_at = forgiven.entry(address).or_default();
        *full_at = Self::PACE.used(*full_at, now);
    }
}

impl fmt::Debug for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brake")
            .field("addresses", &self.forgiven.lock().len())
            .finish_non_exhaustive()
    }
}

/// Bounds the lines that strangers cause: ten in a row, then one each second.
pub(crate) struct LineBudget {
    clock: Arc<dyn Clock>,
    state: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    full_at: Duration,
    left_out: u64,
}

impl LineBudget {
    const PACE: Pace = Pace {
        at_once: LINES_AT_ONCE,
        every: LINE_EVERY,
    };

    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Whether a line may be written now; then also how many were left out since the last one.
    pub(crate) fn take(&self) -> Option<u64> {
        let now = self.clock.now();
        let mut lines = self.state.lock();
        if Self::PACE.is_used_up(lines.full_at, now) {
            lines.left_out += 1;
            return None;
        }
        lines.full_at = Self::PACE.used(lines.full_at, now);
        Some(std::mem::take(&mut lines.left_out))
    }
}

impl fmt::Debug for LineBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineBudget").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn brake() -> (Brake, ManualClock) {
        let clock = ManualClock::new();
        (Brake::new(Arc::new(clock.clone())), clock)
    }

    #[test]
    fn an_address_that_was_wrong_twenty_times_waits_a_second_for_each_further_try() {
        let (brake, clock) = brake();
        let address = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..WRONG_AT_ONCE {
            assert!(!brake.holds(address));
            brake.was_wrong(address);
        }
        for _ in 0..3 {
            assert!(brake.holds(address));
            assert!(!brake.holds(IpAddr::from([10, 0, 0, 2])));
            clock.advance(Duration::from_secs(1));
            assert!(!brake.holds(address));
            brake.was_wrong(address);
        }
    }

    #[test]
    fn who_is_seldom_wrong_is_never_held() {
        let (brake, clock) = brake();
        let address = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..100 {
            brake.was_wrong(address);
            assert!(!brake.holds(address));
            clock.advance(Duration::from_secs(1));
        }
    }

    #[test]
    fn no_number_of_addresses_makes_a_brake_large() {
        let (brake, clock) = brake();
        let address = |number: usize| {
            let [_, b, c, d] = u32::try_from(number).unwrap().to_be_bytes();
            IpAddr::from([10, b, c, d])
        };
        for number in 0..2 * MOST_ADDRESSES {
            brake.was_wrong(address(number));
        }
        assert_eq!(brake.forgiven.lock().len(), MOST_ADDRESSES);
        clock.advance(Duration::from_secs(1));
        brake.was_wrong(address(3 * MOST_ADDRESSES));
        assert_eq!(brake.forgiven.lock().len(), 1);
    }

    #[test]
    fn ten_lines_are_written_at_once_then_one_each_second_that_counts_the_others() {
        let clock = ManualClock::new();
        let lines = LineBudget::new(Arc::new(clock.clone()));
        let written = (0..100).filter_map(|_| lines.take()).collect::<Vec<_>>();
        assert_eq!(written, [0; 10]);
        clock.advance(Duration::from_secs(1));
        assert_eq!((lines.take(), lines.take()), (Some(90), None));
        clock.advance(Duration::from_secs(1));
        assert_eq!(lines.take(), Some(1));
    }
}

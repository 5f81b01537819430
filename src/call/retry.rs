//! How long to wait before a failed call is tried again.
//!
//! ```
//! use std::time::Duration;
//! use gen_api::call::retry::Backoff;
//!
//! let backoff = Backoff::default();
//! assert_eq!(backoff.wait(1), Duration::from_millis(100));
//! assert_eq!(backoff.wait(4), Duration::from_millis(800));
//! assert_eq!(backoff.wait(99), Duration::from_secs(5));
//!
//! let pause = backoff.pause(4, &mut rand::rng());
//! assert!((400..=1_200).contains(&pause.as_millis()));
//! ```

use std::time::Duration;

use rand::{Rng, RngExt};

/// Waits that grow exponentially (specification, section 9): from 100 ms, doubling, at most 5 s, unless made otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }
}

impl Backoff {
    /// Waits from `base` to `max`; where `max` is the smaller one, every wait is `max`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The wait before this retry, without jitter. Retries are counted from 1; 0 counts as 1.
    #[must_use]
    pub fn wait(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }

    /// The pause before this retry: 0.5 to 1.5 times its [`wait`](Self::wait), so that callers who failed together do
    /// not come back together, and never more than the maximum.
    pub fn pause<R: Rng + ?Sized>(&self, retry: u32, rng: &mut R) -> Duration {
        let wait = self.wait(retry);
        // Drawn from what is allowed instead of cut down to it: cut pauses would all be equal, and meet again.
        rng.random_range(wait / 2..=wait.saturating_add(wait / 2).min(self.max).max(wait / 2))
    }

    /// The pauses of one call with this many retries, each drawn when it is asked for.
    pub fn pauses<R: Rng>(self, retries: u32, mut rng: R) -> impl Iterator<Item = Duration> {
        (1..=retries).map(move |retry| self.pause(retry, &mut rng))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn rng() -> SmallRng {
        SmallRng::seed_from_u64(1)
    }

    #[test]
    fn waits_double_from_a_tenth_of_a_second_to_five_seconds() {
        let waits: Vec<u128> = (1..=8)
            .map(|retry| Backoff::default().wait(retry).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn jitter_reaches_from_half_to_one_and_a_half() {
        let mut rng = rng();
        let mut pauses: Vec<u128> = (0..1_000)
            .map(|_| Backoff::default().pause(3, &mut rng).as_millis())
            .collect();
        pauses.sort_unstable();
        assert!((200..220).contains(&pauses[0]), "{}", pauses[0]);
        assert!((580..=600).contains(&pauses[999]), "{}", pauses[999]);
        assert!((370..430).contains(&pauses[500]), "{}", pauses[500]);
    }

    #[test]
    fn a_call_has_as_many_pauses_as_retries() {
        assert_eq!(Backoff::default().pauses(3, rng()).count(), 3);
        assert_eq!(Backoff::default().pauses(0, rng()).count(), 0);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_maximum_nor_shorter_than_half_its_wait(
            base: Duration, max: Duration, retry: u32, seed: u64,
        ) {
            let backoff = Backoff::new(base, max);
            let pause = backoff.pause(retry, &mut SmallRng::seed_from_u64(seed));
            prop_assert!(pause <= max);
            prop_assert!(pause >= backoff.wait(retry) / 2);
            prop_assert!(backoff.wait(retry) <= backoff.wait(retry.saturating_add(1)));
        }
    }
}

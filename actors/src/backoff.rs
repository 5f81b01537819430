//! Pauses between restarts: [`Backoff`].

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

/// How long a child waits before it is started again, longer each time.
///
/// OTP restarts at once and relies on the [`Intensity`](crate::Intensity) alone: right for a fault that a fresh start mends, and
/// a busy loop over one that needs time, such as a database that is down. The pause before the first restart is `first`,
/// each further one is `factor` times as long, up to `longest`. A child that has run for a while starts anew with `first`.
///
/// While the child waits its supervisor serves everybody else; the wait ends at once when the child is terminated or the
/// supervisor stops. Where a group is restarted, the others are ended before the wait. The intensity still counts each
/// restart, when it is made.
///
/// ```
/// use std::time::Duration;
/// use actix::prelude::*;
/// use actix_otp::{Backoff, ChildSpec};
///
/// struct Consumer;
/// impl Actor for Consumer {
///     type Context = Context<Self>;
/// }
///
/// // After 100, 200, 400 ms, and so on up to 10 s, each up to a fifth shorter.
/// let backoff = Backoff::new(Duration::from_millis(100))
///     .longest(Duration::from_secs(10))
///     .jitter_percent(20);
/// let spec = ChildSpec::new("consumer", || Consumer).backoff(backoff);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a backoff does nothing until a child spec gets it"]
pub struct Backoff {
    first: Duration,
    factor: u32,
    longest: Duration,
    jitter_percent: u8,
    resets_after: Option<Duration>,
}

impl Backoff {
    /// Pauses that begin with this one and double, up to a minute, without jitter.
    pub const fn new(first: Duration) -> Self {
        Self {
            first,
            factor: 2,
            longest: Duration::from_secs(60),
            jitter_percent: 0,
            resets_after: None,
        }
    }

    /// How much longer each pause is than the one before it; the default is 2, and 1 stands for pauses of equal length.
    pub const fn factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// The longest pause there is; the default is a minute.
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// By how much a pause is shortened at most, at random, so that many children do not come back at one moment; in percent,
    /// at most 100. The default is 0.
    pub const fn jitter_percent(mut self, jitter_percent: u8) -> Self {
        self.jitter_percent = jitter_percent;
        self
    }

    /// How long a child must have run for the next pause to be the first one again; the default is the longest pause.
    pub const fn resets_after(mut self, resets_after: Duration) -> Self {
        self.resets_after = Some(resets_after);
        self
    }

    /// The pause after so many restarts in a row, with a random number for the jitter.
    fn pause(&self, restarts: u32, random: u64) -> Duration {
        let factor = self.factor.max(1).saturating_pow(restarts);
        let pause = self.first.saturating_mul(factor).min(self.longest);
        let jitter = pause * u32::from(self.jitter_percent.min(100)) / 100;
        let share = (random >> 32) as u32;
        let taken_off = jitter.as_nanos() * u128::from(share) / u128::from(u32::MAX);
        pause.saturating_sub(Duration::from_nanos(
            u64::try_from(taken_off).unwrap_or(u64::MAX),
        ))
    }
}

/// Where a child stands in its pauses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Restarts in a row.
    restarts: u32,
    serves_since: Option<Instant>,
}

impl Pace {
    pub(crate) fn serves(&mut self) {
        self.serves_since = Some(Instant::now());
    }

    /// The pause before the next restart.
    pub(crate) fn next(&mut self, backoff: &Backoff) -> Duration {
        let resets_after = backoff.resets_after.unwrap_or(backoff.longest);
        let served = self.serves_since.take().map(|since| since.elapsed());
        if served.is_some_and(|served| served >= resets_after) {
            self.restarts = 0;
        }
        let pause = backoff.pause(self.restarts, RandomState::new().hash_one(self.restarts));
        self.restarts = self.restarts.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_pause_is_longer_by_the_factor_up_to_the_longest() {
        let backoff = Backoff::new(ms(100)).factor(3).longest(ms(1_000));
        let pauses: Vec<_> = (0..5).map(|n| backoff.pause(n, u64::MAX)).collect();
        assert_eq!(pauses, [ms(100), ms(300), ms(900), ms(1_000), ms(1_000)]);
        assert_eq!(backoff.pause(u32::MAX, 0), ms(1_000));
        assert_eq!(Backoff::new(ms(7)).factor(0).pause(9, 0), ms(7));
    }

    proptest! {
        #[test]
        fn jitter_shortens_a_pause_by_no_more_than_its_share(
            first in 0_u64..10_000,
            percent in 0_u8..=100,
            restarts in 0_u32..40,
            random in any::<u64>(),
        ) {
            let plain = Backoff::new(ms(first));
            let whole = plain.pause(restarts, random);
            let pause = plain.jitter_percent(percent).pause(restarts, random);
            prop_assert!(pause <= whole);
            prop_assert!(pause >= whole * (100 - u32::from(percent)) / 100);
        }
    }
}

//! Time as a dependency: everything in the engine that waits or measures asks a [`Clock`].
//!
//! The engine spans several threads, each with a timer of its own, so pausing one runtime's time is not enough to
//! test it. A [`ManualClock`] stands still until a test moves it, and then wakes whoever waited for that moment.
//!
//! ```
//! use std::time::Duration;
//! use gen_api::clock::{Clock, ManualClock};
//!
//! let clock = ManualClock::new();
//! clock.advance(Duration::from_millis(250));
//! assert_eq!(clock.now(), Duration::from_millis(250));
//! ```

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::background::Background;

/// The longest time that a setting may name, in milliseconds: a year. A longer one is a slip, and endless ones overflow a
/// clock.
pub(crate) const LONGEST_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// A pause that a [`Clock`] hands out; it is done when the clock has reached the moment.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time that never goes back.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time since some fixed moment of this clock; only differences mean anything.
    fn now(&self) -> Duration;

    /// A future that is done once `duration` has passed, counted from this call.
    ///
    /// It may be polled on any thread, inside a tokio runtime or outside of one.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The system's monotonic time, with timers driven by one tokio runtime.
///
/// It is the time of [`std::time::Instant`], so what is measured by it agrees with every other clock of the process, and a
/// rate window never passes early. The counter of the processor would be read in less than half of the time, but its rate
/// has to be measured first, and a measurement short enough for the start of a process is wrong by up to 0.04 %.
///
/// The runtime must be running for a [`sleep`](Clock::sleep) to end; the engine uses one of its own. A runtime whose time
/// is paused pauses the timers alone.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: Instant,
    /// `None` where each timer belongs to the runtime in which it is made.
    timers: Option<Handle>,
    /// Keeps the runtime of the timers alive.
    background: Option<Background>,
}

impl SystemClock {
    /// A clock whose timers live in the runtime behind `timers`; its time starts at zero now.
    #[must_use]
    pub fn new(timers: Handle) -> Self {
        Self {
            timers: Some(timers),
            ..Self::default()
        }
    }

    /// A clock whose timers outlive every sleep of it.
    pub(crate) fn with_timers_of_its_own(background: &Background) -> Self {
        Self {
            background: Some(background.clone()),
            ..Self::new(background.handle().clone())
        }
    }
}

impl Default for SystemClock {
    /// A clock whose timers live in the runtime in which [`sleep`](Clock::sleep) is called, and only there may it be called; its
    /// time starts at zero now.
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            timers: None,
            background: None,
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        // A timer belongs to the runtime that is entered while it is made, wherever it is polled later.
        let _entered = self.timers.as_ref().map(Handle::enter);
        let sleep = tokio::time::sleep(duration);
        match self.background.clone() {
            None => Box::pin(sleep),
            // Whoever waits may have nothing left of the clock.
            Some(background) => Box::pin(async move {
                sleep.await;
                drop(background);
            }),
        }
    }
}

/// A clock that stands still until [`advance`](Self::advance) moves it: for tests, the embedder's included.
///
/// Clones share one time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    state: Arc<Mutex<ManualState>>,
}

#[derive(Debug, Default)]
struct ManualState {
    now: Duration,
    next_sleeper: u64,
    /// Who waits, by the moment waited for; the number tells sleepers of the same moment apart.
    sleepers: BTreeMap<(Duration, u64), Waker>,
}

impl ManualClock {
    /// A clock at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time forward and wakes everybody whose moment has come, the earliest first.
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut state = self.state.lock();
            state.now += by;
            let first_later = (state.now + Duration::from_nanos(1), 0);
            let later = state.sleepers.split_off(&first_later);
            std::mem::replace(&mut state.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// How many pauses are waiting for their moment: lets a test advance only once the code under test waits.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.state.lock().sleepers.len()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.state.lock().now
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.state.lock();
        let key = (state.now + duration, state.next_sleeper);
        state.next_sleeper += 1;
        drop(state);
        Box::pin(ManualSleep {
            key,
            state: Arc::clone(&self.state),
        })
    }
}

struct ManualSleep {
    key: (Duration, u64),
    state: Arc<Mutex<ManualState>>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.state.lock().sleepers.remove(&self.key);
    }
}

/// What the future answers, or `None` where it has not after `limit`; then it is dropped.
///
/// The limit counts from the first time that the future waits, so one that never waits arms no timer.
pub(crate) async fn within<F: Future>(
    clock: &dyn Clock,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let timer = timer.get_or_insert_with(|| clock.sleep(limit));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_manual_sleep_ends_exactly_when_its_moment_comes() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_millis(10));
        assert!(sleep.as_mut().now_or_never().is_none());
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(9));
        assert!(sleep.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.sleepers(), 0);
        assert!(sleep.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_dropped_manual_sleep_leaves_nothing_behind() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_millis(10));
        assert!(sleep.as_mut().now_or_never().is_none());
        drop(sleep);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_limit_ends_what_waits_and_arms_no_timer_for_what_does_not() {
        let clock = ManualClock::new();
        let limit = Duration::from_millis(5);
        assert_eq!(
            within(&clock, limit, async { 7 }).now_or_never(),
            Some(Some(7))
        );
        let mut waiting = Box::pin(within(&clock, limit, std::future::pending::<()>()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(clock.sleepers(), 1);
        clock.advance(limit);
        assert_eq!(waiting.now_or_never(), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_timers_of_the_system_clock_are_those_of_its_runtime() {
        let clock = SystemClock::new(Handle::current());
        let before = tokio::time::Instant::now();
        clock.sleep(Duration::from_secs(3)).await;
        assert!(before.elapsed() >= Duration::from_secs(3));
    }

    #[test]
    fn the_system_clock_never_goes_back_and_never_runs_ahead_of_the_systems_monotonic_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let clock = SystemClock::new(runtime.expect("a runtime").handle().clone());
        // The other clock is read on both sides, so that nothing is lost where this thread loses its processor.
        let read = || (Instant::now(), clock.now(), Instant::now());
        let (before, start, after) = read();
        let mut latest = start;
        while after.elapsed() < Duration::from_millis(20) {
            let now = clock.now();
            assert!(now >= latest);
            latest = now;
        }
        let (earlier, end, later) = read();
        assert!(end - start >= earlier - after);
        assert!(end - start <= later - before);
    }
}

//! The pool itself: a shared state behind a short lock, and the handle on it.

use std::{fmt, sync::Arc, time::Duration};

use actix_otp::catch_panic;
use parking_lot::Mutex;

use super::{
    circuit_breaker::{CircuitBreaker, CircuitState, Pass, Verdict},
    event::{PoolEvent, PoolObserver, Rejected, TaskEnd},
    places::{Places, Standing},
    settings::PoolSettings,
    status::PoolStatus,
    ticket::Ticket,
};
use crate::clock::Clock;

/// A bounded number of places, a bounded queue before them, and a circuit breaker: a handle that is cheap to clone and
/// usable from any thread. Clones share everything.
///
/// A pool starts no threads and spawns nothing: it says which task may run, and when. No verb waits for an actor.
#[derive(Clone)]
pub struct WorkerPool {
    shared: Arc<Shared>,
}

/// What the handles, tickets and places of a pool share.
pub(super) struct Shared {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn PoolObserver>>,
    circuit_cooldown: Duration,
    state: Mutex<State>,
}

struct State {
    places: Places,
    breaker: CircuitBreaker,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    executed: u64,
    failed: u64,
    errors: u64,
    cancelled: u64,
    rejected: u64,
}

impl WorkerPool {
    /// An empty pool with a closed circuit.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, settings: PoolSettings, clock: Arc<dyn Clock>) -> Self {
        Self::build(name.into(), settings, clock, None)
    }

    /// The same, with an observer that hears of all that happens in it.
    #[must_use]
    pub fn observed(
        name: impl Into<Arc<str>>,
        settings: PoolSettings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn PoolObserver>,
    ) -> Self {
        Self::build(name.into(), settings, clock, Some(observer))
    }

    fn build(
        name: Arc<str>,
        settings: PoolSettings,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn PoolObserver>>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                clock,
                observer,
                circuit_cooldown: settings.circuit.cooldown(),
                state: Mutex::new(State {
                    places: Places::new(settings.places, settings.queue),
                    breaker: CircuitBreaker::new(settings.circuit),
                    totals: Totals::default(),
                }),
            }),
        }
    }

    /// The name of the pool, as it stands in its status and events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Accepts a task or refuses it, at once: it gets a place, or else waits in the queue behind all that came before.
    ///
    /// What was accepted keeps its right to run, also when the circuit opens or the pool is made smaller before its turn.
    ///
    /// # Errors
    ///
    /// [`Rejected`]: the circuit is open, or there is neither a place nor room in the queue. The circuit is asked first.
    pub fn admit(&self) -> Result<Ticket, Rejected> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let (admitted, circuit) = shared.change(|state| state.admit(now));
        shared.announce(circuit);
        match admitted {
            Ok((standing, pass)) => Ok(Ticket::new(Arc::clone(shared), standing, pass, now)),
            Err(reason) => {
                shared.emit(|pool| PoolEvent::Rejected { pool, reason });
                Err(reason)
            }
        }
    }

    /// What the pool does and has done.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let now = self.shared.clock.now();
        let state = self.shared.state.lock();
        let State {
            places,
            breaker,
            totals,
        } = &*state;
        let retry_after_ms = breaker.retry_after(now).as_millis();
        PoolStatus {
            pool: self.name().to_owned(),
            places: places.limit,
            idle: places.limit.saturating_sub(places.busy()),
            busy: places.busy(),
            queue: places.queue_limit,
            queued: places.queued(),
            executed: totals.executed,
            failed: totals.failed,
            errors: totals.errors,
            cancelled: totals.cancelled,
            rejected: totals.rejected,
            circuit: breaker.state(),
            failures_in_a_row: breaker.failures_in_a_row(),
            retry_after_ms: u64::try_from(retry_after_ms).unwrap_or(u64::MAX),
        }
    }

    /// Changes the number of places and the room in the queue; `None` leaves the one or the other as it is.
    ///
    /// New places go at once to those who wait. A pool made smaller interrupts nobody and throws nobody out of the queue:
    /// it takes fewer from then on.
    pub fn resize(&self, places: Option<usize>, queue: Option<usize>) {
        let wakers = {
            let mut state = self.shared.state.lock();
            let limit = places.unwrap_or(state.places.limit);
            let queue_limit = queue.unwrap_or(state.places.queue_limit);
            state.places.resize(limit, queue_limit)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// Closes the circuit. How the tasks that were accepted before end counts nothing for it any more.
    pub fn reset_circuit(&self) {
        let ((), circuit) = self.shared.change(|state| state.breaker.reset());
        self.shared.announce(circuit);
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl State {
    fn admit(&mut self, now: Duration) -> Result<(Standing, Pass), Rejected> {
        let admitted = match self.breaker.admit(now) {
            Err(open) => Err(Rejected::CircuitOpen {
                retry_after: open.retry_after,
            }),
            Ok(pass) => match self.places.enter() {
                Some(standing) => Ok((standing, pass)),
                None => {
                    // A trial that finds no room is no trial.
                    self.breaker.settle(pass, Verdict::Unknown, now);
                    Err(Rejected::QueueFull)
                }
            },
        };
        self.totals.rejected += u64::from(admitted.is_err());
        admitted
    }

    fn record(&mut self, pass: Pass, end: TaskEnd, now: Duration) {
        let totals = &mut self.totals;
        let verdict = match end {
            TaskEnd::Cancelled => Verdict::Unknown,
            TaskEnd::Panicked | TaskEnd::TimedOut => Verdict::Failure,
            TaskEnd::Completed | TaskEnd::Error => Verdict::Success,
        };
        totals.cancelled += u64::from(verdict == Verdict::Unknown);
        totals.executed += u64::from(verdict != Verdict::Unknown);
        totals.failed += u64::from(verdict == Verdict::Failure);
        totals.errors += u64::from(end == TaskEnd::Error);
        self.breaker.settle(pass, verdict, now);
    }
}

impl Shared {
    /// Who watches at the moment.
    fn listener(&self) -> Option<&dyn PoolObserver> {
        self.observer
            .as_deref()
            .filter(|observer| observer.listens())
    }

    /// The time now, where somebody watches.
    pub(super) fn watched_now(&self) -> Option<Duration> {
        self.listener().map(|_| self.clock.now())
    }

    /// Asks the places something, under the lock; wakers may come out, and are dropped outside of it.
    pub(super) fn places<R>(&self, ask: impl FnOnce(&mut Places) -> R) -> R {
        ask(&mut self.state.lock().places)
    }

    /// Takes back what a ticket or a place held; `started` is when the task got its place, where that is known.
    pub(super) fn leave(
        &self,
        standing: Standing,
        pass: Pass,
        end: TaskEnd,
        started: Option<Duration>,
    ) {
        let now = self.clock.now();
        let ((wakers, _left_behind), circuit) = self.change(|state| {
            state.record(pass, end, now);
            state.places.leave(standing)
        });
        for waker in wakers {
            waker.wake();
        }
        if let Some(started) = started {
            let duration = now.saturating_sub(started);
            self.emit(|pool| match end.is_failure() {
                true => PoolEvent::TaskException {
                    pool,
                    duration,
                    end,
                },
                false => PoolEvent::TaskStop {
                    pool,
                    duration,
                    end,
                },
            });
        }
        self.announce(circuit);
    }

    /// Lets a trial close the circuit before it ends.
    pub(super) fn prove(&self, pass: &mut Pass) {
        let ((), circuit) = self.change(|state| state.breaker.prove(pass));
        self.announce(circuit);
    }

    /// Changes the state under the lock; also says to which state the circuit went over, if it did.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> (R, Option<CircuitState>) {
        let mut state = self.state.lock();
        let before = state.breaker.state();
        let result = change(&mut state);
        let after = state.breaker.state();
        (result, (after != before).then_some(after))
    }

    fn announce(&self, circuit: Option<CircuitState>) {
        let Some(circuit) = circuit else {
            return;
        };
        match circuit {
            CircuitState::Open => {
                let cooldown = self.circuit_cooldown;
                tracing::warn!(pool = %self.name, ?cooldown, "the circuit of a pool opened");
                self.emit(|pool| PoolEvent::CircuitOpen { pool, cooldown });
            }
            CircuitState::HalfOpen => self.emit(|pool| PoolEvent::CircuitHalfOpen { pool }),
            CircuitState::Closed => {
                tracing::info!(pool = %self.name, "the circuit of a pool closed");
                self.emit(|pool| PoolEvent::CircuitClose { pool });
            }
        }
    }

    pub(super) fn emit(&self, event: impl FnOnce(Arc<str>) -> PoolEvent) {
        let Some(observer) = self.listener() else {
            return;
        };
        let event = event(Arc::clone(&self.name));
        // Places are given back while a panic unwinds, and a second one then would end the process.
        if catch_panic(|| observer.observe(&event)).is_err() {
            tracing::error!(?event, "an observer of pool events panicked");
        }
    }
}

//! The circuit of a pool: when it refuses, who is the trial, and what decides.

use super::*;

const COOLDOWN: Duration = Duration::from_secs(5);

fn pool(places: usize, queue: usize) -> (WorkerPool, ManualClock) {
    let clock = ManualClock::new();
    let settings = PoolSettings::new(places, queue);
    let pool = WorkerPool::new("test", settings, Arc::new(clock.clone()));
    (pool, clock)
}

fn open(pool: &WorkerPool) {
    for _ in 0..5 {
        placed(pool).finish(TaskEnd::Panicked);
        placed(pool).finish(TaskEnd::TimedOut);
    }
    assert_eq!(pool.status().circuit, CircuitState::Open);
}

fn open_for(millis: u64) -> Rejected {
    Rejected::CircuitOpen {
        retry_after: Duration::from_millis(millis),
    }
}

#[test]
fn ten_panics_or_timeouts_in_a_row_open_it_for_five_seconds() {
    let (pool, clock) = pool(20, 0);
    open(&pool);
    assert_eq!(pool.admit().unwrap_err(), open_for(5_000));
    clock.advance(Duration::from_millis(4_999));
    assert_eq!(pool.admit().unwrap_err(), open_for(1));
    assert_eq!(pool.status().retry_after_ms, 1);
    clock.advance(Duration::from_millis(1));
    assert!(pool.admit().is_ok());
    assert_eq!(pool.status().rejected, 2);
}

#[test]
fn a_functions_own_error_is_no_failure_and_ends_the_row() {
    let (pool, _) = pool(1, 0);
    for _ in 0..100 {
        placed(&pool).finish(TaskEnd::Error);
    }
    for _ in 0..9 {
        placed(&pool).finish(TaskEnd::Panicked);
    }
    assert_eq!(pool.status().failures_in_a_row, 9);
    placed(&pool).finish(TaskEnd::Error);
    assert_eq!(pool.status().failures_in_a_row, 0);
    assert_eq!(pool.status().circuit, CircuitState::Closed);
}

#[test]
fn half_open_it_lets_one_trial_through_which_decides() {
    let (pool, clock) = pool(20, 0);
    for (end, state) in [
        (TaskEnd::Completed, CircuitState::Closed),
        (TaskEnd::Error, CircuitState::Closed),
        (TaskEnd::TimedOut, CircuitState::Open),
        (TaskEnd::Panicked, CircuitState::Open),
    ] {
        pool.reset_circuit();
        open(&pool);
        clock.advance(COOLDOWN);
        let trial = placed(&pool);
        assert_eq!(pool.status().circuit, CircuitState::HalfOpen);
        assert_eq!(pool.admit().unwrap_err(), open_for(5_000));
        trial.finish(end);
        assert_eq!(pool.status().circuit, state, "after {end:?}");
    }
}

#[test]
fn a_trial_that_is_dropped_anywhere_frees_the_trial_slot() {
    let (pool, clock) = pool(1, 1);
    let long_running = placed(&pool);
    pool.resize(Some(2), None);
    open(&pool);
    pool.resize(Some(1), None);
    clock.advance(COOLDOWN);

    drop(pool.admit().unwrap()); // as a ticket in the queue
    let mut asked: PlaceFuture = Box::pin(pool.admit().unwrap().place());
    assert!(poll_once(&mut asked).is_none());
    drop(asked); // while it waits
    let mut granted: PlaceFuture = Box::pin(pool.admit().unwrap().place());
    assert!(poll_once(&mut granted).is_none());
    drop(long_running);
    drop(granted); // with a place that it does not know of
    drop(placed(&pool)); // with its place
    assert_eq!(pool.status().circuit, CircuitState::HalfOpen);
    placed(&pool).finish(TaskEnd::Completed);
    assert_eq!(pool.status().circuit, CircuitState::Closed);
}

#[test]
fn a_trial_that_finds_no_room_is_no_trial() {
    let (pool, clock) = pool(1, 0);
    open(&pool);
    pool.resize(Some(0), None);
    clock.advance(COOLDOWN);
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
    assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
    pool.resize(Some(1), None);
    placed(&pool).finish(TaskEnd::Completed);
    assert_eq!(pool.status().circuit, CircuitState::Closed);
}

#[test]
fn what_was_accepted_before_the_circuit_opened_still_runs() {
    let (pool, _) = pool(1, 20);
    let tickets: Vec<_> = (0..15).map(|_| pool.admit().unwrap()).collect();
    for ticket in tickets {
        ticket.try_place().unwrap().finish(TaskEnd::Panicked);
    }
    assert_eq!(pool.status().circuit, CircuitState::Open);
    assert_eq!((pool.status().executed, pool.status().failed), (15, 15));
}

#[test]
fn a_long_trial_that_works_lets_the_others_in_before_it_ends() {
    let (pool, clock) = pool(20, 0);
    open(&pool);
    clock.advance(COOLDOWN);
    let mut stream = placed(&pool);
    assert!(pool.admit().is_err());
    stream.works();
    assert_eq!(pool.status().circuit, CircuitState::Closed);
    let mut other = placed(&pool);
    stream.works();
    other.works();
    stream.finish(TaskEnd::TimedOut);
    assert_eq!(pool.status().failures_in_a_row, 1);
    other.finish(TaskEnd::TimedOut);
    assert_eq!(pool.status().failures_in_a_row, 2);
}

#[test]
fn a_reset_closes_it_at_once() {
    let (pool, _) = pool(1, 0);
    open(&pool);
    pool.reset_circuit();
    assert_eq!(pool.status().circuit, CircuitState::Closed);
    assert!(pool.admit().is_ok());
}

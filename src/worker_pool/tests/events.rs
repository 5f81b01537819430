//! What an observer hears of a pool.

use super::*;

type Log = Arc<Mutex<Vec<PoolEvent>>>;

fn watched(settings: PoolSettings) -> (WorkerPool, ManualClock, Log) {
    let (clock, log) = (ManualClock::new(), Log::default());
    let observer = {
        let log = Arc::clone(&log);
        move |event: &PoolEvent| log.lock().push(event.clone())
    };
    let pool = WorkerPool::observed(
        "test",
        settings,
        Arc::new(clock.clone()),
        Arc::new(observer),
    );
    (pool, clock, log)
}

fn name() -> Arc<str> {
    "test".into()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_task_tells_how_long_it_waited_and_how_long_it_ran() {
    let (pool, clock, log) = watched(PoolSettings::new(1, 1));
    let first = placed(&pool);
    let second = pool.admit().unwrap();
    clock.advance(SECOND);
    first.finish(TaskEnd::Error);
    clock.advance(SECOND);
    let second = second.try_place().unwrap();
    clock.advance(3 * SECOND);
    second.finish(TaskEnd::TimedOut);
    drop(placed(&pool));
    let start = |waited| PoolEvent::TaskStart {
        pool: name(),
        waited,
    };
    let stop = |duration, end| PoolEvent::TaskStop {
        pool: name(),
        duration,
        end,
    };
    let exception = PoolEvent::TaskException {
        pool: name(),
        duration: 3 * SECOND,
        end: TaskEnd::TimedOut,
    };
    let expected = [
        start(Duration::ZERO),
        stop(SECOND, TaskEnd::Error),
        start(2 * SECOND),
        exception,
        start(Duration::ZERO),
        stop(Duration::ZERO, TaskEnd::Cancelled),
    ];
    assert_eq!(*log.lock(), expected);
}

#[test]
fn a_task_that_never_got_its_place_has_neither_start_nor_end() {
    let (pool, _, log) = watched(PoolSettings::new(0, 1));
    drop(pool.admit().unwrap());
    assert!(log.lock().is_empty());
}

#[test]
fn the_circuit_tells_each_of_its_states_and_a_refusal_its_reason() {
    let settings = PoolSettings::new(1, 0).with_circuit(CircuitSettings::new(1, 1_000));
    let (pool, clock, log) = watched(settings);
    placed(&pool).finish(TaskEnd::Panicked);
    assert!(pool.admit().is_err());
    clock.advance(SECOND);
    let trial = placed(&pool);
    trial.finish(TaskEnd::Completed);
    pool.reset_circuit();
    let kinds: Vec<_> = log.lock().iter().map(kind).collect();
    let expected = [
        "start",
        "exception",
        "open",
        "rejected",
        "half-open",
        "start",
        "stop",
        "close",
    ];
    assert_eq!(kinds, expected);
    let log = log.lock();
    assert_eq!(
        log[2],
        PoolEvent::CircuitOpen {
            pool: name(),
            cooldown: SECOND
        }
    );
    let reason = Rejected::CircuitOpen {
        retry_after: SECOND,
    };
    let refused = PoolEvent::Rejected {
        pool: name(),
        reason,
    };
    assert_eq!(log[3], refused);
}

fn kind(event: &PoolEvent) -> &'static str {
    match event {
        PoolEvent::TaskStart { .. } => "start",
        PoolEvent::TaskStop { .. } => "stop",
        PoolEvent::TaskException { .. } => "exception",
        PoolEvent::Rejected { .. } => "rejected",
        PoolEvent::CircuitOpen { .. } => "open",
        PoolEvent::CircuitHalfOpen { .. } => "half-open",
        PoolEvent::CircuitClose { .. } => "close",
    }
}

#[test]
fn an_observer_that_panics_hurts_nobody() {
    let observer = |_: &PoolEvent| panic!("on purpose");
    let clock = Arc::new(ManualClock::new());
    let pool = WorkerPool::observed("test", PoolSettings::new(1, 0), clock, Arc::new(observer));
    let place = placed(&pool);
    assert!(pool.admit().is_err());
    drop(place);
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn an_observer_may_ask_the_pool() {
    let asked = Arc::new(Mutex::new(None::<WorkerPool>));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (asked, seen) = (Arc::clone(&asked), Arc::clone(&seen));
        move |_: &PoolEvent| {
            let busy = asked.lock().as_ref().map(|pool| pool.status().busy);
            seen.lock().extend(busy);
        }
    };
    let clock = Arc::new(ManualClock::new());
    let pool = WorkerPool::observed("test", PoolSettings::new(1, 0), clock, Arc::new(observer));
    *asked.lock() = Some(pool.clone());
    drop(placed(&pool));
    assert_eq!(*seen.lock(), [1, 0]);
}

#[test]
fn both_pools_of_an_engine_tell_one_observer() {
    let log = Log::default();
    let observer: Arc<dyn PoolObserver> = {
        let log = Arc::clone(&log);
        Arc::new(move |event: &PoolEvent| log.lock().push(event.clone()))
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let pools = WorkerPools::new(
        PoolSettings::ASYNC,
        PoolSettings::STREAM,
        PoolSettings::BLOCKING,
        &clock,
        Some(observer),
    );
    let held = (placed(&pools.async_pool), placed(&pools.stream_pool));
    let names: Vec<_> = log
        .lock()
        .iter()
        .map(|event| match event {
            PoolEvent::TaskStart { pool, .. } => pool.to_string(),
            other => panic!("unexpected: {other:?}"),
        })
        .collect();
    assert_eq!(names, ["async", "stream"]);
    let status = pools.status();
    assert_eq!(
        (status.async_pool.idle, status.stream_pool.idle),
        (999, 9_999)
    );
    drop(held);
}

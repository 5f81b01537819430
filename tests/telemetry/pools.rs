//! What is told of worker pools and their circuits.

use std::{sync::Arc, time::Duration};

use gen_api::{
    clock::ManualClock,
    model::FunConfig,
    telemetry::{Event, Family, Telemetry, WorkerPoolEvent},
    worker_pool::{CircuitSettings, PoolSettings, TaskEnd, WorkerPool},
};

use crate::fixture::{all, hear, request, stream_engine};

#[tokio::test]
async fn a_pool_that_is_watched_tells_of_its_tasks_and_its_circuit() {
    let telemetry = Telemetry::new();
    let clock = ManualClock::new();
    let circuit = CircuitSettings::new(1, 5_000);
    let settings = PoolSettings::new(1, 0).with_circuit(circuit);
    let (clock, observer) = (Arc::new(clock.clone()), Arc::new(telemetry.clone()));
    let pool = WorkerPool::observed("reports", settings, clock.clone(), observer);
    let mut heard = hear(&telemetry, Family::WorkerPool, |event| {
        let name = event.name().trim_start_matches("gen_api.worker_pool.");
        match event {
            Event::WorkerPool(WorkerPoolEvent::TaskStop { pool, outcome, .. }) => {
                format!("{name} {pool} {}", outcome.as_str())
            }
            Event::WorkerPool(WorkerPoolEvent::TaskException { kind, duration, .. }) => {
                format!("{name} {} {duration:?}", kind.as_str())
            }
            Event::WorkerPool(WorkerPoolEvent::TaskRejected { rejection, .. }) => {
                format!("{name} {}", rejection.as_str())
            }
            _ => name.to_owned(),
        }
    });
    let running = pool.admit().expect("a free place").place().await;
    assert!(pool.admit().is_err());
    running.finish(TaskEnd::Error);
    let running = pool.admit().expect("a free place").place().await;
    clock.advance(Duration::from_secs(2));
    running.finish(TaskEnd::TimedOut);
    assert!(pool.admit().is_err());
    clock.advance(Duration::from_secs(5));
    let trial = pool.admit().expect("a trial").place().await;
    trial.finish(TaskEnd::Completed);
    assert_eq!(
        all(&mut heard),
        [
            "task.start",
            "task.rejected queue_full",
            "task.stop reports failed",
            "task.start",
            "task.exception timeout 2s",
            "circuit.open",
            "task.rejected circuit_open",
            "circuit.half_open",
            "task.start",
            "task.stop reports success",
            "circuit.close"
        ]
    );
}

#[tokio::test]
async fn async_and_stream_calls_are_told_as_tasks_of_their_pools() {
    let api = stream_engine().await;
    let later = FunConfig::builder("svc", "later").call("T", "waits");
    let later = later.local().asynchronous().build().expect("valid");
    api.config_db().add(later).await.expect("it is valid");
    let mut heard = hear(api.telemetry(), Family::WorkerPool, |event| match event {
        Event::WorkerPool(WorkerPoolEvent::TaskStart { pool, .. }) => format!("start {pool}"),
        Event::WorkerPool(WorkerPoolEvent::TaskStop { pool, outcome, .. }) => {
            format!("stop {pool} {}", outcome.as_str())
        }
        other => format!("unexpected: {other:?}"),
    });
    let _ = api.execute(request("numbers")).await.collect().await;
    assert_eq!(heard.recv().await.as_deref(), Some("start stream"));
    assert_eq!(heard.recv().await.as_deref(), Some("stop stream success"));
    // The function wants a stream handle, which an async call has not.
    let _ = api.execute(request("later")).await.collect().await;
    assert_eq!(heard.recv().await.as_deref(), Some("start async"));
    assert_eq!(heard.recv().await.as_deref(), Some("stop async failed"));
    api.stop().await;
}

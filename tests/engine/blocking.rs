//! Threads of blocking functions: how many there are, who waits for one, and when one is free again.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use futures_util::FutureExt;
use gen_api::{
    GenApi, Settings,
    clock::ManualClock,
    function::{Functions, State},
    model::{Request, Response},
    worker_pool::PoolSettings,
};

use crate::fixture::{config, request};

type Gate = Arc<Mutex<Receiver<()>>>;

/// Lets those go who hold a thread.
struct Opener {
    open: mpsc::Sender<()>,
    gate: Gate,
}

impl Opener {
    fn open(&self) {
        self.open.send(()).expect("the gate is there");
    }

    /// Returns once a function holds its thread; work that has not begun is given up with its caller.
    async fn is_waited_for(&self) {
        while self.gate.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

/// An engine with one function that holds its thread until the sender lets it go, and one that needs none.
async fn engine(queue: usize) -> (GenApi, Opener, Arc<ManualClock>) {
    fn hold(State(gate): State<Gate>) -> Result<u8, Infallible> {
        let _ = gate.lock().map(|gate| gate.recv());
        Ok(7)
    }
    fn judge(_: Request, State(gate): State<Gate>) -> Result<bool, Infallible> {
        let _ = gate.lock().map(|gate| gate.recv());
        Ok(true)
    }
    async fn quick() -> Result<u8, Infallible> {
        Ok(1)
    }
    let (open, gate) = mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    let clock = Arc::new(ManualClock::new());
    let functions = Functions::new()
        .state::<Gate>(Arc::clone(&gate))
        .register_blocking("T", "hold", hold)
        .register_blocking("T", "judge", judge)
        .register("T", "quick", quick);
    let timeout = Duration::from_secs(5);
    let configs = [
        config("sync", "hold").timeout(timeout),
        config("async", "hold").timeout(timeout).asynchronous(),
        config("quick", "quick"),
        config("judged", "quick").permission_callback(("T", "judge")),
    ];
    let settings = Settings::default()
        .with_threads(1)
        .with_blocking_pool(PoolSettings::new(1, queue));
    let api = GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("a valid config")))
        .settings(settings)
        .clock(clock.clone())
        .start()
        .await
        .expect("the engine starts");
    (api, Opener { open, gate }, clock)
}

fn refusal(id: &str) -> Response {
    Response::retryable_error(id, "Service temporarily unavailable")
}

fn busy(api: &GenApi) -> (usize, usize) {
    let pool = api.pool_status().blocking_pool;
    (pool.busy, pool.queued)
}

#[tokio::test]
async fn without_a_free_thread_or_room_to_wait_a_blocking_call_is_refused_at_once_and_others_run() {
    let (api, open, _clock) = engine(0).await;
    let mut first = pin!(api.execute(request("1", "sync")));
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(busy(&api), (1, 0));
    let second = api.execute(request("2", "sync")).now_or_never();
    assert_eq!(second.expect("at once").response, Some(refusal("2")));
    let third = api.execute(request("3", "async")).await.collect().await;
    assert_eq!(third.last(), Some(&refusal("3")));
    let quick = api.execute(request("4", "quick")).await;
    assert_eq!(quick.response, Some(Response::sync("4", 1)));
    let health = api.health_check().await.to_string();
    assert!(health.contains("blocking"), "{health}");
    open.open();
    assert_eq!(first.await.response, Some(Response::sync("1", 7)));
    api.stop().await;
}

#[tokio::test]
async fn a_blocking_call_that_timed_out_keeps_its_place_until_its_thread_is_free() {
    let (api, open, clock) = engine(0).await;
    let mut first = pin!(api.execute(request("1", "sync")));
    assert!(first.as_mut().now_or_never().is_none());
    open.is_waited_for().await;
    clock.advance(Duration::from_secs(5));
    let answer = first.await.response.expect("an answer");
    assert!(!answer.success && !answer.can_retry, "{answer:?}");
    assert_eq!(busy(&api), (1, 0));
    let second = api.execute(request("2", "sync")).await;
    assert_eq!(second.response, Some(refusal("2")));
    open.open();
    while busy(&api) != (0, 0) {
        tokio::task::yield_now().await;
    }
    open.open();
    let third = api.execute(request("3", "sync")).await;
    assert_eq!(third.response, Some(Response::sync("3", 7)));
    api.stop().await;
}

#[tokio::test]
async fn a_blocking_call_that_got_no_thread_within_its_timeout_is_told_to_try_again() {
    let (api, open, clock) = engine(1).await;
    let mut first = pin!(api.execute(request("1", "sync")));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = pin!(api.execute(request("2", "sync")));
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(busy(&api), (1, 1));
    clock.advance(Duration::from_secs(5));
    assert_eq!(second.await.response, Some(refusal("2")));
    assert_eq!(busy(&api), (1, 0));
    drop(open);
    assert!(first.await.response.is_some_and(|answer| !answer.success));
    api.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_thread_gets_it_when_it_is_free() {
    let (api, open, _clock) = engine(1).await;
    let mut first = pin!(api.execute(request("1", "sync")));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = pin!(api.execute(request("2", "sync")));
    assert!(second.as_mut().now_or_never().is_none());
    drop(open);
    assert_eq!(first.await.response, Some(Response::sync("1", 7)));
    assert_eq!(second.await.response, Some(Response::sync("2", 7)));
    api.stop().await;
}

#[tokio::test]
async fn a_callback_that_blocks_takes_its_thread_from_the_same_pool() {
    let (api, open, _clock) = engine(0).await;
    let mut judged = pin!(api.execute(request("1", "judged")));
    assert!(judged.as_mut().now_or_never().is_none());
    assert_eq!(busy(&api), (1, 0));
    open.open();
    assert_eq!(judged.await.response, Some(Response::sync("1", 1)));
    api.stop().await;
}

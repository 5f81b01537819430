//! Ten times the capacity: what exceeds places and queue is refused at once, what is accepted ends in exactly one terminal
//! response, and nothing of it is left behind.
//!
//! The functions wait for a semaphore of the test, so nothing here depends on how fast the machine is.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::join_all;
use gen_api::{
    GenApi, Reply, Settings,
    function::{FunctionError, Functions, StreamHandle},
    model::{FunConfig, Request, Response},
    worker_pool::{PoolSettings, PoolStatus},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::yield_now,
};

const PLACES: usize = 20;
const QUEUE: usize = 30;
const STREAMS: usize = 25;
const WAVES: usize = 3;

/// An engine whose functions wait until the test lets them go.
struct Load {
    api: GenApi,
    gate: Arc<Semaphore>,
    /// Hears of each function that begins.
    begun: mpsc::UnboundedReceiver<()>,
}

impl Load {
    async fn start(settings: Settings) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (sender, begun) = mpsc::unbounded_channel();
        let pass = {
            let gate = Arc::clone(&gate);
            move || {
                let (gate, sender) = (Arc::clone(&gate), sender.clone());
                async move {
                    let _ = sender.send(());
                    if let Ok(permit) = gate.acquire().await {
                        permit.forget();
                    }
                }
            }
        };
        let waits = {
            let pass = pass.clone();
            move || {
                let passed = pass();
                async move {
                    passed.await;
                    Ok::<_, Infallible>("done")
                }
            }
        };
        let streams = move |stream: StreamHandle| {
            let passed = pass();
            async move {
                passed.await;
                stream.send_result(1).await?;
                stream.complete().await?;
                Ok::<(), FunctionError>(())
            }
        };
        let functions = Functions::new()
            .register("T", "waits", waits)
            .register("T", "streams", streams);
        let config = |request_type: &str, function: &str| {
            FunConfig::builder("svc", request_type)
                .call("T", function)
                .no_timeout()
                .local()
        };
        let configs = [
            config("sync", "waits"),
            config("async", "waits").asynchronous(),
            config("none", "waits").no_response(),
            config("stream", "streams").stream(),
        ];
        let api = GenApi::builder()
            .functions(functions)
            .configs(configs.map(|config| config.build().expect("a valid config")))
            .settings(settings.with_threads(2))
            .start()
            .await
            .expect("the engine starts");
        Self { api, gate, begun }
    }

    /// Offers so many requests, whose answers come at once: those that were accepted and the number of those refused.
    async fn offer(&self, request_type: &str, requests: usize) -> (Vec<Reply>, usize) {
        let offered = (0..requests).map(|number| self.ask(request_type, number));
        let (mut accepted, mut refused) = (Vec::new(), 0);
        for (number, reply) in join_all(offered).await.into_iter().enumerate() {
            match &reply.response {
                Some(response) if response.is_error() => {
                    assert_refused(response, number);
                    assert!(reply.later.is_none(), "nothing follows a refusal");
                    refused += 1;
                }
                _ => accepted.push(reply),
            }
        }
        (accepted, refused)
    }

    async fn ask(&self, request_type: &str, number: usize) -> Reply {
        let request = Request::new(number.to_string(), "svc", request_type);
        self.api.execute(request).await
    }

    async fn until_begun(&mut self, functions: usize) {
        for _ in 0..functions {
            self.begun.recv().await.expect("the functions live");
        }
    }

    /// Waits until the pools have nothing to do and no stream is open.
    async fn until_idle(&self) {
        loop {
            let status = self.api.pool_status();
            let busy =
                [&status.async_pool, &status.stream_pool].map(|pool| pool.busy + pool.queued);
            if busy == [0, 0] && self.api.open_streams() == 0 {
                return;
            }
            yield_now().await;
        }
    }
}

fn assert_refused(response: &Response, number: usize) {
    let expected = Response::retryable_error(number.to_string(), "Service temporarily unavailable");
    assert_eq!(*response, expected);
}

fn assert_idle(pool: &PoolStatus, executed: usize, rejected: usize) {
    assert_eq!((pool.idle, pool.busy, pool.queued), (pool.places, 0, 0));
    assert_eq!(pool.executed, executed as u64, "{pool}");
    assert_eq!(pool.rejected, rejected as u64, "{pool}");
    assert_eq!(
        (pool.failed, pool.errors, pool.cancelled),
        (0, 0, 0),
        "{pool}"
    );
}

fn settings() -> Settings {
    let settings = Settings::default();
    settings.with_pools(
        PoolSettings::new(PLACES, QUEUE),
        PoolSettings::new(STREAMS, 0),
    )
}

#[tokio::test]
async fn the_async_pool_takes_what_has_a_place_or_room_in_the_queue_and_refuses_the_rest_at_once() {
    const CAPACITY: usize = PLACES + QUEUE;
    let mut load = Load::start(settings()).await;
    for wave in 1..=WAVES {
        let (accepted, refused) = load.offer("async", 10 * CAPACITY).await;
        assert_eq!((accepted.len(), refused), (CAPACITY, 9 * CAPACITY));
        load.until_begun(PLACES).await;
        let status = load.api.pool_status().async_pool;
        assert_eq!(
            (status.idle, status.busy, status.queued),
            (0, PLACES, QUEUE)
        );
        assert!(
            load.begun.try_recv().is_err(),
            "what is queued does not run"
        );
        load.gate.add_permits(CAPACITY);
        for reply in accepted {
            let id = reply
                .response
                .as_ref()
                .and_then(|first| first.request_id.clone());
            let id = id.expect("an id");
            let responses = reply.collect().await;
            assert_eq!(
                responses,
                [Response::async_ack(&*id), Response::sync(&*id, "done")]
            );
        }
        load.until_begun(QUEUE).await;
        load.until_idle().await;
        let status = load.api.pool_status();
        assert_idle(&status.async_pool, wave * CAPACITY, wave * 9 * CAPACITY);
        assert_idle(&status.stream_pool, 0, 0);
    }
    load.api.stop().await;
}

#[tokio::test]
async fn calls_without_a_response_share_the_places_of_the_async_calls() {
    const CAPACITY: usize = PLACES + QUEUE;
    let mut load = Load::start(settings()).await;
    for wave in 1..=WAVES {
        let (accepted, refused) = load.offer("none", 5 * CAPACITY).await;
        assert_eq!((accepted.len(), refused), (CAPACITY, 4 * CAPACITY));
        let (more, refused) = load.offer("async", 5 * CAPACITY).await;
        assert_eq!((more.len(), refused), (0, 5 * CAPACITY));
        load.gate.add_permits(CAPACITY);
        load.until_begun(CAPACITY).await;
        for reply in accepted {
            assert!(reply.collect().await.is_empty());
        }
        load.until_idle().await;
        let status = load.api.pool_status();
        assert_idle(&status.async_pool, wave * CAPACITY, wave * 9 * CAPACITY);
    }
    load.api.stop().await;
}

#[tokio::test]
async fn the_stream_pool_opens_as_many_streams_as_it_has_places_and_refuses_the_rest_at_once() {
    let mut load = Load::start(settings()).await;
    for wave in 1..=WAVES {
        let (accepted, refused) = load.offer("stream", 10 * STREAMS).await;
        assert_eq!((accepted.len(), refused), (STREAMS, 9 * STREAMS));
        load.until_begun(STREAMS).await;
        assert_eq!(load.api.open_streams(), STREAMS);
        assert_eq!(load.api.pool_status().stream_pool.busy, STREAMS);
        load.gate.add_permits(STREAMS);
        for reply in accepted {
            let id = reply
                .response
                .as_ref()
                .and_then(|first| first.request_id.clone());
            let id = id.expect("an id");
            let expected = [
                Response::stream_chunk(&*id, "init"),
                Response::stream_chunk(&*id, 1),
                Response::stream_end(&*id),
            ];
            assert_eq!(reply.collect().await, expected);
        }
        load.until_idle().await;
        let status = load.api.pool_status();
        assert_idle(&status.stream_pool, wave * STREAMS, wave * 9 * STREAMS);
    }
    load.api.stop().await;
}

#[tokio::test]
async fn receivers_that_leave_in_the_middle_of_a_full_load_leave_nothing_behind() {
    let mut load = Load::start(settings()).await;
    for _ in 0..WAVES {
        let (calls, _) = load.offer("async", 10 * (PLACES + QUEUE)).await;
        let (streams, _) = load.offer("stream", 10 * STREAMS).await;
        load.until_begun(PLACES + STREAMS).await;
        drop(calls);
        drop(streams);
        // Streams end with their receivers; accepted async calls are made whoever listens.
        while load.api.open_streams() > 0 {
            yield_now().await;
        }
        load.gate.add_permits(PLACES + QUEUE);
        load.until_begun(QUEUE).await;
        load.until_idle().await;
    }
    let status = load.api.pool_status();
    assert_eq!(
        status.async_pool.executed,
        (WAVES * (PLACES + QUEUE)) as u64
    );
    assert_eq!(
        (status.async_pool.idle, status.stream_pool.idle),
        (PLACES, STREAMS)
    );
    load.api.stop().await;
}

#[tokio::test]
async fn more_requests_in_flight_than_allowed_are_refused_at_once_in_every_mode() {
    const LIMIT: usize = 15;
    let mut load = Load::start(settings().with_max_in_flight(LIMIT)).await;
    for _ in 0..WAVES {
        let held: Vec<_> = (0..LIMIT)
            .map(|number| {
                let api = load.api.clone();
                let request = Request::new(number.to_string(), "svc", "sync");
                tokio::spawn(async move { api.execute(request).await.collect().await })
            })
            .collect();
        load.until_begun(LIMIT).await;
        for request_type in ["sync", "async", "none", "stream"] {
            let (accepted, refused) = load.offer(request_type, 10 * LIMIT).await;
            assert_eq!((accepted.len(), refused), (0, 10 * LIMIT), "{request_type}");
        }
        load.gate.add_permits(LIMIT);
        for (number, held) in held.into_iter().enumerate() {
            let responses = held.await.expect("it ends");
            assert_eq!(responses, [Response::sync(number.to_string(), "done")]);
        }
    }
    let status = load.api.pool_status();
    assert_eq!(
        (status.async_pool.rejected, status.stream_pool.rejected),
        (0, 0)
    );
    load.api.stop().await;
}

/// Exact also where the offers race: ten times the limit from tasks on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limits_are_exact_while_many_threads_offer_at_once() {
    const CAPACITY: usize = PLACES + QUEUE;
    let mut load = Load::start(settings()).await;
    for _ in 0..WAVES {
        let offers = (0..10).map(|_| {
            let api = load.api.clone();
            tokio::spawn(async move {
                let offered = (0..CAPACITY).map(|number| {
                    let request = Request::new(number.to_string(), "svc", "async");
                    api.execute(request)
                });
                join_all(offered).await
            })
        });
        let replies = join_all(offers).await.into_iter();
        let replies = replies.flat_map(|replies| replies.expect("no panic"));
        let (accepted, refused): (Vec<_>, Vec<_>) =
            replies.partition(|reply| reply.later.is_some());
        assert_eq!((accepted.len(), refused.len()), (CAPACITY, 9 * CAPACITY));
        load.gate.add_permits(CAPACITY);
        for reply in accepted {
            assert_eq!(reply.collect().await.len(), 2);
        }
        load.until_begun(CAPACITY).await;
        load.until_idle().await;
    }
    load.api.stop().await;
}

/// Whoever asks while the engine stops gets one answer too, and so do all whose calls were under way.
#[tokio::test]
async fn a_stop_in_the_middle_of_a_full_load_leaves_one_terminal_response_each() {
    let mut settings = settings();
    // Nothing of it would end by itself.
    settings.engine.stop_timeout_ms = 0;
    let mut load = Load::start(settings).await;
    let (calls, _) = load.offer("async", 10 * (PLACES + QUEUE)).await;
    let (streams, _) = load.offer("stream", 10 * STREAMS).await;
    load.until_begun(PLACES + STREAMS).await;
    load.api.stop().await;
    for reply in calls.into_iter().chain(streams) {
        let responses = reply.collect().await;
        let terminal = responses
            .iter()
            .skip(1)
            .filter(|response| !response.has_more);
        assert_eq!(terminal.count(), 1, "{responses:?}");
    }
    for request_type in ["async", "stream"] {
        let responses = load.ask(request_type, 0).await.collect().await;
        let last = responses.last().expect("an answer");
        assert!(last.is_error() && !last.has_more, "{responses:?}");
    }
}

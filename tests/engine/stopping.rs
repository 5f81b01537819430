//! What a stop promises (specification, section 23): refusals at once, time for what runs, and one answer for what is cut.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use actix::Actor;
use futures_util::{
    FutureExt,
    future::{join_all, join3},
};
use gen_api::{
    Execute, GenApi, GenApiBuilder, Settings, Unavailable,
    clock::ManualClock,
    config::AddError,
    function::{FunctionError, Functions, State, StreamHandle},
    model::{FunConfigBuilder, Response, Retry},
    telemetry::Outcome,
    worker_pool::{Run, RunError},
};
use tokio::sync::{Notify, watch};

use crate::{
    fixture::{Collector, config, request},
    hosts::futures_executor,
};

const MODES: [&str; 4] = ["sync", "async", "stream", "none"];

fn refusal(id: &str) -> Response {
    Response::retryable_error(id, "Service temporarily unavailable")
}

/// The same function in every mode, under the mode's name.
fn in_every_mode(function: &str) -> [FunConfigBuilder; 4] {
    MODES.map(|mode| {
        let config = config(mode, function);
        match mode {
            "async" => config.asynchronous(),
            "stream" => config.stream(),
            "none" => config.no_response(),
            _ => config,
        }
    })
}

fn engine(
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
    stop_timeout: Duration,
) -> GenApiBuilder {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    let mut settings = Settings::default().with_threads(2);
    settings.engine.stop_timeout_ms = stop_timeout.as_millis().try_into().expect("it fits");
    GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(settings)
}

async fn start(builder: GenApiBuilder) -> GenApi {
    builder.start().await.expect("the engine starts")
}

const PATIENT: Duration = Duration::from_secs(3_600);
const IMPATIENT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn after_a_stop_every_mode_is_refused_with_can_retry_and_no_function_runs() {
    async fn count(State(calls): State<Arc<AtomicUsize>>) -> Result<(), Infallible> {
        calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let functions = Functions::new()
        .state(Arc::clone(&calls))
        .register("T", "count", count);
    let api = start(engine(functions, in_every_mode("count"), PATIENT)).await;
    assert!(api.is_ready());
    api.stop().await;
    assert!(!api.is_ready());
    for mode in MODES {
        let answers = api.execute(request("r", mode)).await.collect().await;
        assert_eq!(answers, [refusal("r")], "{mode}");
        let timed = api.execute_with_timeout(request("r", mode), Duration::from_secs(1));
        assert_eq!(timed.await.response, Some(refusal("r")), "{mode}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(api.statistics().requests(Outcome::Unavailable), 8);
    assert_eq!(api.health_check().await.to_string().lines().count(), {
        let report = api.health_check().await;
        assert!(!report.is_ready());
        report.components.len() + 2
    });
}

#[tokio::test]
async fn verbs_answer_that_they_are_unavailable_after_a_stop_at_once() {
    // Its time stands still, so nothing that waits for it would end.
    let clock = Arc::new(ManualClock::new());
    let api = start(engine(Functions::new(), [], PATIENT).clock(clock)).await;
    api.stop().await;
    let valid = config("new", "new").build().expect("valid");
    let added = api.config_db().add(valid).await;
    assert_eq!(added, Err(AddError::Unavailable(unavailable(&api).await)));
    assert!(api.config_db().disable("svc", "new", None).await.is_err());
    assert!(api.puller().pull().await.is_err());
    assert!(api.puller().force_pull().await.is_err());
    assert!(api.receiver().delete_pushed("svc").await.is_err());
}

async fn unavailable(api: &GenApi) -> Unavailable {
    api.config_db().clear().await.expect_err("it has stopped")
}

/// Functions that wait until a gate opens.
fn gated() -> (Functions, Arc<watch::Sender<bool>>) {
    async fn open(State(gate): State<Arc<watch::Sender<bool>>>) -> Result<u8, Infallible> {
        let _ = gate.subscribe().wait_for(|open| *open).await;
        Ok(7)
    }
    let gate = Arc::new(watch::Sender::new(false));
    let functions = Functions::new()
        .state(Arc::clone(&gate))
        .register("T", "gated", open);
    (functions, gate)
}

#[tokio::test]
async fn what_runs_ends_with_its_result_while_new_requests_are_refused() {
    let (functions, gate) = gated();
    let api = start(engine(functions, in_every_mode("gated"), PATIENT)).await;
    let mut sync = pin!(api.execute(request("sync", "sync")));
    assert!(sync.as_mut().now_or_never().is_none());
    let later = api.execute(request("async", "async")).await;
    let stream = api.execute(request("stream", "stream")).await;
    let none = api.execute(request("none", "none")).await;
    assert_eq!(none.response, None);
    let opened = Arc::clone(&gate);
    let task = Run::new(async move {
        let _ = opened.subscribe().wait_for(|open| *open).await;
        "done"
    });
    let mut task = pin!(api.async_pool().call(task));
    assert!(task.as_mut().now_or_never().is_none());
    while api.pool_status().async_pool.busy < 3 {
        tokio::task::yield_now().await;
    }

    let mut stop = pin!(api.stop());
    assert!(stop.as_mut().now_or_never().is_none());
    for mode in MODES {
        let answers = api.execute(request("r", mode)).await.collect().await;
        assert_eq!(answers, [refusal("r")], "{mode}");
    }
    let refused = api.async_pool().call(Run::new(async {})).await;
    assert_eq!(refused.expect("it answers"), Err(RunError::Stopping));
    assert!(!api.health_check().await.is_ready());
    assert!(stop.as_mut().now_or_never().is_none());

    gate.send_replace(true);
    assert_eq!(sync.await.response, Some(Response::sync("sync", 7)));
    let answers = later.collect().await;
    assert_eq!(answers.last(), Some(&Response::sync("async", 7)));
    let chunks = stream.collect().await;
    let last = chunks.last().expect("a last chunk");
    assert_eq!((&last.result, last.has_more), (&7.into(), false));
    assert_eq!(task.await.expect("it answers"), Ok("done"));
    stop.await;
    assert_eq!(api.pool_status().async_pool.executed, 3);
}

/// Every shape of a call that waits.
fn endless() -> (Functions, Vec<FunConfigBuilder>) {
    async fn sleeps() -> Result<(), Infallible> {
        tokio::time::sleep(PATIENT).await;
        Ok(())
    }
    async fn fails() -> Result<(), FunctionError> {
        Err(FunctionError::failed("again"))
    }
    async fn ok() -> Result<(), Infallible> {
        Ok(())
    }
    async fn hook(_: serde_json::Value, _: serde_json::Value) -> Result<(), Infallible> {
        pending().await
    }
    async fn after(
        _: serde_json::Value,
        _: serde_json::Value,
        _: serde_json::Value,
    ) -> Result<(), Infallible> {
        pending().await
    }
    async fn feeds(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await?;
        pending().await
    }
    fn blocks(
        State(gate): State<Arc<parking_lot::Mutex<mpsc::Receiver<()>>>>,
    ) -> Result<(), Infallible> {
        let _ = gate.lock().recv();
        Ok(())
    }
    let (release, gate) = mpsc::channel::<()>();
    // For ever: a blocked thread keeps nobody from ending.
    std::mem::forget(release);
    let functions = Functions::new()
        .state(Arc::new(parking_lot::Mutex::new(gate)))
        .register("T", "sleeps", sleeps)
        .register("T", "fails", fails)
        .register("T", "ok", ok)
        .register("T", "hook", hook)
        .register("T", "after", after)
        .register("T", "feeds", feeds)
        .register_blocking("T", "blocks", blocks);
    let hooked = |config: FunConfigBuilder| config.hook_timeout(PATIENT);
    let configs = vec![
        config("sleeps", "sleeps").no_timeout(),
        config("timed", "sleeps").timeout(Duration::from_secs(300)),
        config("retried", "fails").retry(Retry::SameNode(1_000_000)),
        config("blocks", "blocks").no_timeout(),
        hooked(config("before", "ok").before_execute(("T", "hook"))),
        hooked(config("after", "ok").after_execute(("T", "after"))),
        config("later", "sleeps").no_timeout().asynchronous(),
        config("later_retried", "fails")
            .retry(Retry::SameNode(1_000_000))
            .asynchronous(),
        hooked(
            config("later_after", "ok")
                .after_execute(("T", "after"))
                .asynchronous(),
        ),
        config("stream", "feeds").no_timeout().stream(),
        config("timed_stream", "feeds")
            .timeout(Duration::from_secs(300))
            .stream(),
    ];
    (functions, configs)
}

async fn poll_once<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

const ENDLESS: [&str; 11] = [
    "sleeps",
    "timed",
    "retried",
    "blocks",
    "before",
    "after",
    "later",
    "later_retried",
    "later_after",
    "stream",
    "timed_stream",
];

/// Calls of every shape are under way when the engine stops; each ends in one response that says to try again.
async fn all_are_cut(api: &GenApi) {
    let begun = Arc::new(AtomicUsize::new(0));
    let calls = ENDLESS.map(|name| {
        let (api, begun) = (api.clone(), Arc::clone(&begun));
        async move {
            let mut call = Box::pin(api.execute(request(name, name)));
            let polled = poll_once(&mut call).await;
            begun.fetch_add(1, Ordering::SeqCst);
            let reply = match polled {
                Poll::Ready(reply) => reply,
                Poll::Pending => call.await,
            };
            (name, reply.collect().await)
        }
    });
    let timed = async {
        let timed = api.execute_with_timeout(request("within", "sleeps"), PATIENT);
        ("within", timed.await.collect().await)
    };
    let stop = async {
        while begun.load(Ordering::SeqCst) < ENDLESS.len() {
            tokio::task::yield_now().await;
        }
        api.stop().await;
    };
    let (answers, timed, ()) = join3(join_all(calls), timed, stop).await;
    for (name, answers) in answers.into_iter().chain([timed]) {
        assert_eq!(answers.last(), Some(&refusal(name)), "{name}");
        let (_, before) = answers.split_last().expect("a response");
        let goes_on = |response: &Response| response.has_more || response.is_async;
        assert!(before.iter().all(goes_on), "{name}: {before:?}");
    }
}

async fn impatient() -> GenApi {
    let (functions, configs) = endless();
    start(engine(functions, configs, IMPATIENT)).await
}

#[tokio::test]
async fn what_has_not_ended_in_time_is_cut_with_can_retry_on_one_thread() {
    all_are_cut(&impatient().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_ended_in_time_is_cut_with_can_retry_on_many_threads() {
    let api = impatient().await;
    let cut = tokio::spawn(async move { all_are_cut(&api).await });
    cut.await.expect("nothing panics");
}

#[actix::test]
async fn what_has_not_ended_in_time_is_cut_with_can_retry_under_actix() {
    all_are_cut(&impatient().await).await;
}

#[test]
fn a_call_on_a_thread_without_a_runtime_is_cut_with_can_retry_and_nothing_panics() {
    let (functions, configs) = endless();
    let api = engine(functions, configs, IMPATIENT)
        .start_blocking()
        .expect("it starts");
    let calls = ENDLESS.map(|name| {
        let api = api.clone();
        let (begun, wait) = mpsc::channel();
        let call = std::thread::spawn(move || {
            let call = async {
                let mut call = Box::pin(api.execute(request(name, name)));
                let polled = poll_once(&mut call).await;
                let _ = begun.send(());
                match polled {
                    Poll::Ready(reply) => reply,
                    Poll::Pending => call.await,
                }
                .collect()
                .await
            };
            futures_executor(call)
        });
        wait.recv().expect("it has begun");
        (name, call)
    });
    api.block_on(api.stop());
    for (name, call) in calls {
        let answers = call.join().expect("nothing panics");
        assert_eq!(answers.last(), Some(&refusal(name)), "{name}");
    }
}

#[tokio::test]
async fn a_second_stop_waits_for_the_first_which_goes_on_without_its_caller() {
    let (functions, gate) = gated();
    let api = start(engine(functions, in_every_mode("gated"), PATIENT)).await;
    let later = api.execute(request("r", "async")).await;
    assert!(api.stop().now_or_never().is_none());
    let mut second = pin!(api.stop());
    assert!(second.as_mut().now_or_never().is_none());
    gate.send_replace(true);
    second.await;
    assert_eq!(later.collect().await.last(), Some(&Response::sync("r", 7)));
    assert!(!api.executor(0).is_running());
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_stops_its_engine_is_cut_and_the_engine_stops() {
    async fn stops(State(api): State<Arc<OnceLock<GenApi>>>) -> Result<(), FunctionError> {
        api.get().ok_or("no engine")?.stop().await;
        Ok(())
    }
    let own = Arc::new(OnceLock::new());
    let functions = Functions::new()
        .state(Arc::clone(&own))
        .register("T", "stops", stops);
    let api = start(engine(functions, [config("stops", "stops")], IMPATIENT)).await;
    own.get_or_init(|| api.clone());
    let reply = api.execute(request("r", "stops")).await;
    assert_eq!(reply.response, Some(refusal("r")));
    api.stop().await;
    assert!(!api.executor(0).is_running());
}

#[tokio::test]
async fn the_drop_of_the_last_handle_cuts_what_runs_and_says_to_try_again() {
    let (functions, configs) = endless();
    let api = start(engine(functions, configs, PATIENT)).await;
    let replies = [
        api.execute(request("later", "later")).await,
        api.execute(request("stream", "stream")).await,
    ];
    drop(api);
    for (reply, id) in replies.into_iter().zip(["later", "stream"]) {
        assert_eq!(reply.collect().await.last(), Some(&refusal(id)));
    }
}

#[actix::test]
async fn a_recipient_of_a_call_that_is_cut_hears_of_it_once() {
    let (functions, configs) = endless();
    let api = start(engine(functions, configs, IMPATIENT)).await;
    for name in ["sleeps", "later", "stream"] {
        let (sender, mut got) = tokio::sync::mpsc::unbounded_channel();
        let collector = Collector(sender).start();
        let execute = Execute::new(request(name, name)).deliver_to(collector.recipient());
        api.executor(0).cast(execute).expect("it takes messages");
        if name == "stream" {
            // The first chunk follows the acknowledgement.
            let _ = got.recv().await.expect("an acknowledgement");
            let _ = got.recv().await.expect("a chunk");
            api.stop().await;
        }
        tokio::task::spawn_local(async move {
            let mut last = None;
            while let Some(response) = got.recv().await {
                let terminal = !response.has_more && !response.is_async;
                if terminal {
                    assert_eq!(last, None, "{name}");
                    last = Some(response);
                }
            }
            assert_eq!(last, Some(refusal(name)));
        });
    }
}

#[tokio::test]
async fn async_calls_count_as_in_flight_until_they_end() {
    let (functions, gate) = gated();
    let mut settings = Settings::default().with_threads(1);
    settings.engine.max_in_flight = Some(2);
    let builder = engine(functions, in_every_mode("gated"), PATIENT).settings(settings);
    let api = start(builder).await;
    let first = api.execute(request("a", "async")).await;
    let second = api.execute(request("b", "none")).await;
    assert_eq!(second.response, None);
    assert_eq!(api.statistics().in_flight, 2);
    let refused = api.execute(request("c", "async")).await;
    assert_eq!(refused.response, Some(refusal("c")));
    gate.send_replace(true);
    assert_eq!(first.collect().await.len(), 2);
    while api.statistics().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    let taken = api.execute(request("d", "async")).await;
    assert_eq!(taken.collect().await.len(), 2);
    api.stop().await;
}

#[tokio::test]
async fn a_call_waits_in_the_queue_of_its_pool_no_longer_than_its_timeout() {
    let (functions, gate) = gated();
    let clock = ManualClock::new();
    let mut settings = Settings::default().with_threads(1);
    settings.async_pool.places = 1;
    let timeout = Duration::from_secs(2);
    let configs = [
        config("patient", "gated").no_timeout().asynchronous(),
        config("async", "gated").timeout(timeout).asynchronous(),
    ];
    let builder = engine(functions, configs, PATIENT).settings(settings);
    let api = start(builder.clock(Arc::new(clock.clone()))).await;
    let before = clock.sleepers();
    let first = api.execute(request("first", "patient")).await;
    let queued = api.execute(request("queued", "async")).await;
    while clock.sleepers() == before {
        tokio::task::yield_now().await;
    }
    clock.advance(timeout);
    let answers = queued.collect().await;
    assert_eq!(answers.last(), Some(&refusal("queued")));
    gate.send_replace(true);
    assert_eq!(
        first.collect().await.last(),
        Some(&Response::sync("first", 7))
    );
    assert_eq!(api.pool_status().async_pool.cancelled, 1);
    api.stop().await;
}

#[tokio::test]
async fn a_call_holds_no_place_of_its_pool_while_it_pauses_before_a_retry() {
    async fn fails(State(calls): State<Arc<Notify>>) -> Result<(), FunctionError> {
        calls.notify_one();
        Err(FunctionError::failed("again"))
    }
    async fn ok() -> Result<u8, Infallible> {
        Ok(1)
    }
    let called = Arc::new(Notify::new());
    let functions = Functions::new()
        .state(Arc::clone(&called))
        .register("T", "fails", fails)
        .register("T", "ok", ok);
    let mut settings = Settings::default().with_threads(1);
    settings.async_pool.places = 1;
    settings.async_pool.queue = 1;
    let configs = [
        config("fails", "fails")
            .retry(Retry::SameNode(1))
            .asynchronous(),
        config("ok", "ok").asynchronous(),
    ];
    // Its time stands still, so the pause does not end by itself.
    let clock = ManualClock::new();
    let builder = engine(functions, configs, PATIENT).settings(settings);
    let api = start(builder.clock(Arc::new(clock.clone()))).await;
    let retried = api.execute(request("retried", "fails")).await;
    called.notified().await;
    let other = api.execute(request("other", "ok")).await;
    assert_eq!(
        other.collect().await.last(),
        Some(&Response::sync("other", 1))
    );
    let retried = tokio::spawn(retried.collect());
    while !retried.is_finished() {
        clock.advance(Duration::from_millis(50));
        tokio::task::yield_now().await;
    }
    let answers = retried.await.expect("it ends");
    let error = answers.last().and_then(|last| last.error.as_deref());
    assert_eq!(error, Some("all retry attempts exhausted"));
    api.stop().await;
}

//! What the engine tells of itself: events for handlers, spans for subscribers (SPEC section 16).

use std::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use futures_util::{FutureExt, stream};
use gen_api::{
    GenApi, GenApiBuilder, Settings,
    arguments::ArgType,
    clock::ManualClock,
    function::{FunctionError, Functions, StreamHandle},
    model::{CheckPermission, FunConfig, FunConfigBuilder, Request, Response, Retry},
    rate_limiter::{LimitKey, RateLimit, Scope},
    telemetry::{
        ConfigEvent, Event, ExecutorEvent, Family, Filter, HookEvent, RateLimiterEvent,
        StreamEvent, SupervisorEvent, Telemetry, WorkerPoolEvent,
    },
    worker_pool::{CircuitSettings, PoolSettings, TaskEnd, WorkerPool},
};
use tokio::sync::mpsc;
use tracing::{Metadata, Subscriber, field, span};
use tracing_core::span::Current;

fn config(request_type: &str) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call("T", request_type)
        .local()
}

fn request(request_type: &str) -> Request {
    Request::new("r", "svc", request_type)
}

fn engine(
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
) -> GenApiBuilder {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(Settings::default().with_threads(2))
}

async fn start(builder: GenApiBuilder) -> GenApi {
    builder.start().await.expect("the engine starts")
}

/// Hears a family from now on; what it hears is put into words.
fn hear(
    telemetry: &Telemetry,
    family: Family,
    word: impl Fn(&Event<'_>) -> String + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<String> {
    let (sender, heard) = mpsc::unbounded_channel();
    let note = move |event: &Event<'_>| {
        // A test that is over hears nothing any more.
        let _ = sender.send(word(event));
    };
    telemetry
        .attach("test", Filter::family(family), note)
        .expect("a free id");
    heard
}

fn all(heard: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

fn executor_words(event: &Event<'_>) -> String {
    let name = event.name();
    match event {
        Event::Executor(ExecutorEvent::RequestStart { request, .. }) => {
            let version = request.version.unwrap_or("latest");
            format!(
                "{name} {} {}/{} {version}",
                request.request_id, request.service, request.request_type
            )
        }
        Event::Executor(ExecutorEvent::RequestStop {
            request,
            response_type,
            duration,
            outcome,
            ..
        }) => {
            let (id, outcome) = (request.request_id, outcome.as_str());
            format!("{name} {id} {outcome} {response_type:?} {duration:?}")
        }
        Event::Executor(ExecutorEvent::RequestException {
            request,
            kind,
            reason,
            duration,
            ..
        }) => {
            let (id, kind) = (request.request_id, kind.as_str());
            format!("{name} {id} {kind} {duration:?}: {reason}")
        }
        Event::Executor(ExecutorEvent::PermissionDenied {
            request,
            user_id,
            mode,
            ..
        }) => format!("{name} {} {user_id:?} {mode}", request.request_id),
        Event::Executor(ExecutorEvent::Retry {
            request,
            attempt,
            limit,
            delay,
            reason,
            ..
        }) => {
            let known = (50..=300).contains(&delay.as_millis());
            let id = request.request_id;
            format!("{name} {id} {attempt} of {limit} pause {known}: {reason}")
        }
        Event::Executor(ExecutorEvent::RetryExhausted {
            request,
            calls,
            reason,
            ..
        }) => format!("{name} {} after {calls}: {reason}", request.request_id),
        other => format!("unexpected: {other:?}"),
    }
}

/// Moves the clock whenever somebody sleeps, until the future is done.
async fn driving<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = future.as_mut().now_or_never() {
            return output;
        }
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_request_is_told_from_start_to_stop_with_its_duration() {
    let clock = ManualClock::new();
    let hand = clock.clone();
    let slow = move || {
        hand.advance(Duration::from_millis(30));
        async { Ok::<_, Infallible>(1) }
    };
    let functions = Functions::new().register("T", "slow", slow);
    let configs = [config("slow").version("1.2.0")];
    let api = start(engine(functions, configs).clock(Arc::new(clock))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    let asked = Request::new("r-7", "svc", "slow").with_version("1.2.0");
    assert!(api.execute(asked).await.response.is_some());
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.request.start r-7 svc/slow 1.2.0",
            "gen_api.request.stop r-7 success Some(Sync) 30ms"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn what_is_refused_or_answered_with_an_error_stops_with_its_outcome() {
    async fn fail(_: String) -> Result<(), FunctionError> {
        Err(FunctionError::public("no such user"))
    }
    let functions = Functions::new().register("T", "fail", fail);
    let configs = [config("fail").arg("id", ArgType::String)];
    let api = start(engine(functions, configs).clock(Arc::new(ManualClock::new()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    for asked in [
        request("nothing"),
        request("fail"),
        request("fail").with_arg("id", "a"),
    ] {
        assert!(api.execute(asked).await.response.is_some());
    }
    api.config_db()
        .disable("svc", "fail", None)
        .await
        .expect("it is there");
    assert!(api.execute(request("fail")).await.response.is_some());
    let stops: Vec<_> = all(&mut heard)
        .into_iter()
        .filter(|words| words.starts_with("gen_api.request.stop"))
        .collect();
    assert_eq!(
        stops,
        [
            "gen_api.request.stop r unsupported None 0ns",
            "gen_api.request.stop r invalid_arguments Some(Sync) 0ns",
            "gen_api.request.stop r failed Some(Sync) 0ns",
            "gen_api.request.stop r disabled None 0ns",
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn what_breaks_is_an_exception_with_its_kind_and_reason() {
    async fn panics() -> Result<(), Infallible> {
        panic!("kaboom")
    }
    async fn hangs() -> Result<(), Infallible> {
        pending().await
    }
    let clock = ManualClock::new();
    let functions = Functions::new()
        .register("T", "panics", panics)
        .register("T", "hangs", hangs);
    let configs = [config("panics"), config("hangs"), config("unknown")];
    let api = start(engine(functions, configs).clock(Arc::new(clock.clone()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    let _ = api.execute(request("panics")).await;
    let (_, ()) = tokio::join!(api.execute(request("hangs")), async {
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(5));
    });
    let _ = api.execute(request("unknown")).await;
    let exceptions: Vec<_> = all(&mut heard)
        .into_iter()
        .filter(|words| !words.starts_with("gen_api.request.start"))
        .collect();
    assert_eq!(
        exceptions,
        [
            "gen_api.request.exception r panic 0ns: the function panicked: kaboom",
            "gen_api.request.exception r timeout 5s: the function timed out after 5000 ms",
            "gen_api.request.exception r internal 0ns: the function T.unknown is not registered",
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_ends_the_request_for_telemetry_too() {
    async fn hangs() -> Result<(), Infallible> {
        pending().await
    }
    let functions = Functions::new().register("T", "hangs", hangs);
    let api = start(engine(functions, [config("hangs")]).clock(Arc::new(ManualClock::new()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    assert!(api.execute(request("hangs")).now_or_never().is_none());
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.request.start r svc/hangs latest",
            "gen_api.request.exception r cancelled 0ns: the caller stopped waiting"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_exceeds_the_limit_it_came_with_is_a_timeout() {
    async fn hangs() -> Result<(), Infallible> {
        pending().await
    }
    let clock = ManualClock::new();
    let functions = Functions::new().register("T", "hangs", hangs);
    let configs = [config("hangs").no_timeout()];
    let api = start(engine(functions, configs).clock(Arc::new(clock.clone()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    let limited = api.execute_with_timeout(request("hangs"), Duration::from_secs(1));
    let _ = driving(&clock, limited).await;
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.request.start r svc/hangs latest",
            "gen_api.request.exception r timeout 1s: the request timed out"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn each_retry_is_told_and_that_none_is_left() {
    async fn fail() -> Result<(), FunctionError> {
        Err(FunctionError::failed("locked"))
    }
    let clock = ManualClock::new();
    let functions = Functions::new().register("T", "fail", fail);
    let configs = [config("fail").retry(Retry::SameNode(2))];
    let api = start(engine(functions, configs).clock(Arc::new(clock.clone()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    let _ = driving(&clock, api.execute(request("fail"))).await;
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.request.start r svc/fail latest",
            "gen_api.request.retry r 1 of 2 pause true: locked",
            "gen_api.request.retry r 2 of 2 pause true: locked",
            "gen_api.request.retry_exhausted r after 3: locked",
            "gen_api.request.stop r failed Some(Sync) 2s"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_denied_request_is_told_with_its_user_and_mode() {
    let functions = Functions::new().register("T", "admin", || async { Ok::<_, Infallible>(1) });
    let roles = CheckPermission::Role(vec!["admin".to_owned()]);
    let configs = [config("admin").check_permission(roles)];
    let api = start(engine(functions, configs).clock(Arc::new(ManualClock::new()))).await;
    let mut heard = hear(api.telemetry(), Family::Executor, executor_words);
    let _ = api.execute(request("admin").with_user_id("bob")).await;
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.request.start r svc/admin latest",
            "gen_api.request.denied r Some(\"bob\") role",
            "gen_api.request.stop r denied Some(Sync) 0ns"
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn the_runs_of_hooks_are_told_with_how_they_ended() {
    async fn ok() -> Result<u32, Infallible> {
        Ok(1)
    }
    async fn pass(request: Request, _: FunConfig) -> Result<Request, Infallible> {
        Ok(request)
    }
    async fn refuse(_: Request, _: FunConfig) -> Result<(), FunctionError> {
        Err(FunctionError::failed("no quota"))
    }
    async fn panics(_: Request, _: FunConfig, _: Response) -> Result<(), Infallible> {
        panic!("kaboom")
    }
    let functions = Functions::new()
        .register("T", "a", ok)
        .register("T", "b", ok)
        .register("H", "pass", pass)
        .register("H", "refuse", refuse)
        .register("H", "panics", panics);
    let configs = [
        config("a")
            .before_execute(("H", "pass"))
            .after_execute(("H", "panics")),
        config("b")
            .before_execute(("H", "refuse"))
            .after_execute(("H", "missing")),
    ];
    let api = start(engine(functions, configs)).await;
    let mut heard = hear(api.telemetry(), Family::Hook, |event| {
        let Event::Hook(hook) = event else {
            return format!("unexpected: {event:?}");
        };
        let words = format!("{} {}", event.name(), hook.hook().function);
        match hook {
            HookEvent::Stop { rejected, .. } => format!("{words} rejected {rejected}"),
            HookEvent::Exception { kind, .. } => format!("{words} {}", kind.as_str()),
            _ => words,
        }
    });
    let _ = api.execute(request("a")).await;
    let _ = api.execute(request("b")).await;
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.hook.before.start pass",
            "gen_api.hook.before.stop pass rejected false",
            "gen_api.hook.after.start panics",
            "gen_api.hook.after.exception panics panic",
            "gen_api.hook.before.start refuse",
            "gen_api.hook.before.stop refuse rejected true",
            "gen_api.hook.after.start missing",
            "gen_api.hook.after.exception missing internal",
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn checks_of_rate_limits_are_told_and_what_they_refuse() {
    let functions = Functions::new().register("T", "a", || async { Ok::<_, Infallible>(1) });
    let clock = ManualClock::new();
    let api = start(engine(functions, [config("a")]).clock(Arc::new(clock))).await;
    let limiter = api.rate_limiter();
    limiter
        .add_global_limit(RateLimit::new(LimitKey::UserId, 1, 2_000))
        .expect("a valid limit");
    let mut heard = hear(api.telemetry(), Family::RateLimiter, |event| match event {
        Event::RateLimiter(RateLimiterEvent::Check {
            service, passed, ..
        }) => format!("check {service:?} {passed}"),
        Event::RateLimiter(RateLimiterEvent::Exceeded {
            key,
            service,
            max_requests,
            window,
            retry_after,
            ..
        }) => format!("exceeded {key} {service:?} {max_requests} {window:?} {retry_after:?}"),
        Event::RateLimiter(RateLimiterEvent::Reset { key, value, .. }) => {
            format!("reset {key} {value}")
        }
        Event::RateLimiter(RateLimiterEvent::Cleanup {
            removed, remaining, ..
        }) => format!("cleanup {removed} {remaining}"),
        other => format!("unexpected: {other:?}"),
    });
    for _ in 0..2 {
        let _ = api.execute(request("a").with_user_id("ann")).await;
    }
    assert!(limiter.reset("ann", &Scope::Global, &LimitKey::UserId));
    assert!(!limiter.reset("bob", &Scope::Global, &LimitKey::UserId));
    let direct = limiter.check_key("ann", &Scope::Global, &LimitKey::UserId);
    assert!(direct.is_ok());
    limiter.sweep();
    assert_eq!(
        all(&mut heard),
        [
            "check Some(\"svc\") true",
            "check Some(\"svc\") false",
            "exceeded user_id None 1 2s 2s",
            "reset user_id ann",
            "check None true",
            "cleanup 0 1"
        ]
    );
    api.stop().await;
}

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
    let later = FunConfig::builder("svc", "later").call("T", "vanishes");
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

#[tokio::test]
async fn every_change_of_the_configs_is_told_and_a_refused_one_is_not() {
    let api = start(engine(Functions::new(), [])).await;
    let mut heard = hear(api.telemetry(), Family::Config, |event| {
        let name = event.name();
        match event {
            Event::Config(ConfigEvent::BatchAdd {
                stored, rejected, ..
            }) => format!("{name} {stored} {rejected}"),
            Event::Config(
                ConfigEvent::Add {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Delete {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Enable {
                    request_type,
                    version,
                    ..
                }
                | ConfigEvent::Disable {
                    request_type,
                    version,
                    ..
                },
            ) => format!("{name} {request_type} {}", version.unwrap_or("unversioned")),
            _ => name.to_owned(),
        }
    });
    let db = api.config_db();
    let valid = |name: &str| config(name).build().expect("a valid config");
    let versioned = config("a").version("2.0.0").build().expect("valid");
    let mut invalid = valid("bad");
    invalid.service.clear();
    db.add(valid("a")).await.expect("it is valid");
    db.update(versioned).await.expect("it is valid");
    assert!(db.add(invalid.clone()).await.is_err());
    let report = db.batch_add(vec![valid("b"), invalid, valid("c")]).await;
    assert_eq!(report.expect("the database lives").stored, 2);
    db.disable("svc", "a", Some("2.0.0")).await.expect("there");
    db.enable("svc", "a", Some("2.0.0")).await.expect("there");
    assert!(db.enable("svc", "nothing", None).await.is_err());
    db.delete("svc", "a", None).await.expect("it lives");
    db.clear().await.expect("it lives");
    assert_eq!(
        all(&mut heard),
        [
            "gen_api.config.add a unversioned",
            "gen_api.config.add a 2.0.0",
            "gen_api.config.batch_add 2 1",
            "gen_api.config.disable a 2.0.0",
            "gen_api.config.enable a 2.0.0",
            "gen_api.config.delete a unversioned",
            "gen_api.config.clear"
        ]
    );
    api.stop().await;
}

fn stream_words(event: &Event<'_>) -> String {
    match event {
        Event::Stream(StreamEvent::Start {
            service,
            request_type,
            open,
            ..
        }) => format!("start {service}/{request_type} open {open}"),
        Event::Stream(StreamEvent::Stop {
            chunks, end, open, ..
        }) => format!("stop {} chunks {chunks} open {open}", end.as_str()),
        other => format!("unexpected: {other:?}"),
    }
}

async fn stream_engine() -> GenApi {
    async fn numbers() -> Result<impl stream::Stream<Item = Result<u32, Infallible>>, Infallible> {
        Ok(stream::iter([1, 2, 3].map(Ok)))
    }
    async fn waits(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await.map_err(FunctionError::failed)?;
        pending().await
    }
    async fn vanishes(_: StreamHandle) -> Result<(), Infallible> {
        Ok(())
    }
    let functions = Functions::new()
        .register_stream("T", "numbers", numbers)
        .register("T", "waits", waits)
        .register("T", "vanishes", vanishes);
    let configs = ["numbers", "waits", "vanishes"].map(|name| config(name).stream());
    start(engine(functions, configs)).await
}

#[tokio::test]
async fn a_stream_is_told_from_start_to_stop_before_its_reader_sees_the_end() {
    let api = stream_engine().await;
    let mut heard = hear(api.telemetry(), Family::Stream, stream_words);
    let responses = api.execute(request("numbers")).await.collect().await;
    assert_eq!(responses.len(), 5);
    assert_eq!(
        all(&mut heard),
        ["start svc/numbers open 1", "stop complete chunks 3 open 0"]
    );
    let _ = api.execute(request("vanishes")).await.collect().await;
    assert_eq!(
        all(&mut heard),
        ["start svc/vanishes open 1", "stop failed chunks 0 open 0"]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_stopped_left_or_killed_says_so() {
    let api = stream_engine().await;
    let mut heard = hear(api.telemetry(), Family::Stream, stream_words);
    for expected in ["stopped", "receiver_gone", "lost"] {
        let mut later = api.execute(request("waits")).await.later.expect("a stream");
        assert!(later.next().await.is_some());
        assert_eq!(
            heard.recv().await.as_deref(),
            Some("start svc/waits open 1")
        );
        match expected {
            "stopped" => api.stop_stream("r").expect("it is open"),
            "receiver_gone" => drop(later),
            _ => {
                api.streams_supervisor().kill().await;
            }
        }
        let stop = heard.recv().await.unwrap_or_default();
        assert!(stop.starts_with(&format!("stop {expected} ")), "{stop}");
        assert!(stop.ends_with(" open 0"), "{stop}");
    }
    api.stop().await;
}

#[tokio::test]
async fn the_actors_of_the_engine_are_told_of_from_their_first_start() {
    let telemetry = Telemetry::new();
    let mut heard = hear(&telemetry, Family::Supervisor, |event| {
        let name = event.name();
        match event {
            Event::Supervisor(
                SupervisorEvent::ChildStarted {
                    supervisor, child, ..
                }
                | SupervisorEvent::ChildRestarted {
                    supervisor, child, ..
                },
            ) => format!("{name} {supervisor}/{child}"),
            Event::Supervisor(SupervisorEvent::ChildTerminated {
                supervisor,
                child,
                reason,
                ..
            }) => format!("{name} {supervisor}/{child} {reason}"),
            other => format!("unexpected: {other:?}"),
        }
    });
    let api = start(engine(Functions::new(), []).telemetry(telemetry)).await;
    let started = all(&mut heard);
    for child in ["config_db", "executors/executor-0", "executors"] {
        let words = format!("gen_api.supervisor.child.started gen_api/{child}");
        assert!(started.contains(&words), "{words} in {started:?}");
    }
    api.config_db().actor().kill().await;
    for words in [
        "gen_api.supervisor.child.terminated gen_api/config_db killed",
        "gen_api.supervisor.child.started gen_api/config_db",
        "gen_api.supervisor.child.restarted gen_api/config_db",
    ] {
        assert_eq!(heard.recv().await.as_deref(), Some(words));
    }
    api.stop().await;
}

/// A subscriber that notes spans with their fields, the threads that enter them, and events.
#[derive(Clone, Default)]
struct Notes {
    ids: Arc<AtomicU64>,
    spans: Arc<Mutex<Vec<NotedSpan>>>,
    events: Arc<Mutex<Vec<String>>>,
    /// A target of which it wants nothing.
    unwanted: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct NotedSpan {
    id: u64,
    metadata: Option<&'static Metadata<'static>>,
    fields: String,
    entered_on: Vec<ThreadId>,
}

struct Words<'a>(&'a mut String);

impl field::Visit for Words<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        write!(self.0, "{}={value:?};", field.name()).expect("a String takes it");
    }
}

impl Notes {
    fn change(&self, id: &span::Id, change: impl FnOnce(&mut NotedSpan)) {
        let mut spans = self.spans.lock().expect("no note panics");
        change(
            spans
                .iter_mut()
                .find(|span| span.id == id.into_u64())
                .expect("a span that was made"),
        );
    }

    fn requests(&self) -> Vec<NotedSpan> {
        let spans = self.spans.lock().expect("no note panics");
        let requests = spans.iter().filter(|span| {
            let name = span.metadata.map(Metadata::name);
            name == Some("gen_api.request")
        });
        requests.cloned().collect()
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.unwanted != Some(metadata.target())
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let mut span = NotedSpan {
            id,
            metadata: Some(attributes.metadata()),
            ..NotedSpan::default()
        };
        attributes.record(&mut Words(&mut span.fields));
        self.spans.lock().expect("no note panics").push(span);
        span::Id::from_u64(id)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        self.change(id, |span| values.record(&mut Words(&mut span.fields)));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut words = String::new();
        event.record(&mut Words(&mut words));
        self.events.lock().expect("no note panics").push(words);
    }

    fn enter(&self, id: &span::Id) {
        self.change(id, |span| span.entered_on.push(thread::current().id()));
        ENTERED.with_borrow_mut(|entered| entered.push(id.clone()));
    }

    fn exit(&self, _: &span::Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().cloned()) else {
            return Current::none();
        };
        let mut metadata = None;
        self.change(&id, |span| metadata = span.metadata);
        metadata.map_or_else(Current::none, |metadata| Current::new(id, metadata))
    }
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<span::Id>> = const { RefCell::new(Vec::new()) };
}

async fn with_subscriber<F: Future>(notes: &Notes, future: F) -> F::Output {
    let _default = tracing::subscriber::set_default(notes.clone());
    future.await
}

async fn ping_engine() -> (GenApi, mpsc::UnboundedReceiver<ThreadId>) {
    let (sender, called) = mpsc::unbounded_channel();
    let ping = move || {
        let sent = sender.send(thread::current().id());
        async move { sent.map_err(|_| "nobody listens") }
    };
    let functions = Functions::new().register("T", "ping", ping);
    let configs = [
        config("ping"),
        FunConfig::builder("svc", "later")
            .call("T", "ping")
            .local()
            .asynchronous(),
    ];
    (start(engine(functions, configs)).await, called)
}

#[tokio::test]
async fn a_request_runs_in_a_span_with_its_fields_and_outcome() {
    let (api, mut called) = ping_engine().await;
    let notes = Notes::default();
    let asked = request("ping");
    let _ = with_subscriber(&notes, api.execute(asked)).await;
    let [span] = &notes.requests()[..] else {
        panic!("one request, one span")
    };
    assert_eq!(
        span.fields,
        "service=svc;request_type=ping;request_id=r;response_mode=\"sync\";outcome=\"success\";"
    );
    let called_on = called.recv().await.expect("the call was made");
    assert!(span.entered_on.contains(&called_on));
    api.stop().await;
}

#[tokio::test]
async fn the_span_goes_with_the_call_after_the_acknowledgement() {
    let (api, mut called) = ping_engine().await;
    let notes = Notes::default();
    let reply = with_subscriber(&notes, api.execute(request("later"))).await;
    assert_eq!(reply.collect().await.len(), 2);
    let called_on = called.recv().await.expect("the call was made");
    assert_ne!(called_on, thread::current().id());
    let [span] = &notes.requests()[..] else {
        panic!("one request, one span")
    };
    assert!(span.fields.contains("response_mode=\"async\""));
    assert!(span.entered_on.contains(&called_on));
    api.stop().await;
}

#[tokio::test]
async fn a_span_that_the_subscriber_does_not_want_is_not_made() {
    let (api, _called) = ping_engine().await;
    let notes = Notes {
        unwanted: Some("gen_api::request"),
        ..Notes::default()
    };
    let reply = with_subscriber(&notes, api.execute(request("ping"))).await;
    assert!(reply.response.is_some_and(|response| response.success));
    assert!(notes.requests().is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_is_logged_with_its_id_and_the_engine_goes_on() {
    let (api, _called) = ping_engine().await;
    let careless = |_: &Event<'_>| panic!("careless");
    api.telemetry()
        .attach("my handler", Family::Executor, careless)
        .expect("a free id");
    let notes = Notes::default();
    let reply = with_subscriber(&notes, api.execute(request("ping"))).await;
    assert!(reply.response.is_some_and(|response| response.success));
    assert!(api.telemetry().handlers().is_empty());
    let events = notes.events.lock().expect("no note panics").clone();
    let logged = |words: &String| {
        words.contains("handler=my handler")
            && words.contains("gen_api.request.start")
            && words.contains("careless")
    };
    assert_eq!(events.iter().filter(|words| logged(words)).count(), 1);
    api.stop().await;
}

//! What is told of a request on its way.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use gen_api::{
    arguments::ArgType,
    clock::ManualClock,
    function::{FunctionError, Functions},
    model::{CheckPermission, Request, Retry},
    telemetry::{Event, ExecutorEvent, Family, Outcome},
};

use crate::fixture::{all, config, driving, engine, hear, request, start};

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
        Event::Executor(ExecutorEvent::RequestCancelled {
            request, duration, ..
        }) => format!("{name} {} {duration:?}", request.request_id),
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
async fn a_request_whose_caller_stops_waiting_is_cancelled_and_no_exception() {
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
            "gen_api.request.cancelled r 0ns"
        ]
    );
    let statistics = api.statistics();
    assert_eq!(statistics.requests(Outcome::Cancelled), 1);
    assert_eq!(statistics.requests(Outcome::Exception), 0);
    api.stop().await;
}

#[tokio::test]
async fn a_handler_that_makes_requests_does_not_hear_of_them_and_ends() {
    let functions = Functions::new().register("T", "works", || async { Ok::<_, Infallible>(1) });
    let api = start(engine(functions, [config("works")])).await;
    let (asked, heard) = (api.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&heard);
    let handler = move |_: &Event<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        let reply = asked.execute(request("works")).now_or_never();
        assert!(reply.is_some_and(|reply| reply.response.is_some_and(|it| it.success)));
    };
    let telemetry = api.telemetry();
    telemetry.attach("asks", Family::Executor, handler).unwrap();
    assert!(
        api.execute(request("works"))
            .await
            .response
            .is_some_and(|it| it.success)
    );
    assert_eq!(heard.load(Ordering::SeqCst), 2);
    assert_eq!(telemetry.handlers().len(), 1);
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

//! The contract of a local call, with a clock that stands still and futures polled by hand.

use std::{
    convert::Infallible,
    future::{self, Future},
    panic::panic_any,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, stream};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use super::*;
use crate::{
    clock::ManualClock,
    function::{Functions, RequestInfo},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The only function of a registry, with what a call of it needs.
struct Bench {
    functions: Functions,
    clock: ManualClock,
    shared_clock: Arc<dyn Clock>,
    runtime: Runtime,
}

impl Bench {
    fn new(functions: Functions) -> Self {
        let clock = ManualClock::new();
        Self {
            functions,
            shared_clock: Arc::new(clock.clone()),
            clock,
            runtime: Builder::new_current_thread().enable_time().build().unwrap(),
        }
    }

    fn call(
        &self,
        args: Vec<Value>,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<Outcome, CallError>> + Send {
        let names = self.functions.names();
        let function = self.functions.get(names[0].0, names[0].1).unwrap();
        let call = Call::new(args, RequestInfo::default(), self.runtime.handle().clone());
        super::call(&**function, call, timeout, &self.shared_clock)
    }

    /// The outcome of a call that never waits.
    fn at_once(&self, args: Vec<Value>) -> Result<Outcome, CallError> {
        self.call(args, Some(TIMEOUT))
            .now_or_never()
            .expect("an outcome at once")
    }
}

/// Sets the flag when it is dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
struct PanicOnDrop;

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

fn panicked(text: &str) -> CallError {
    CallError::Panicked(text.into())
}

#[test]
fn a_function_that_never_waits_answers_at_once_and_arms_no_timer() {
    #[derive(Debug)]
    struct NoTimers;
    impl Clock for NoTimers {
        fn now(&self) -> Duration {
            panic!("nobody asks for the time")
        }
        fn sleep(&self, _: Duration) -> crate::clock::Sleep {
            panic!("nobody arms a timer")
        }
    }
    let mut bench = Bench::new(
        Functions::new().register("T", "echo", |text: String| async move {
            Ok::<_, Infallible>(text)
        }),
    );
    bench.shared_clock = Arc::new(NoTimers);
    let outcome = bench.at_once(vec![json!("Ann")]);
    assert!(matches!(outcome, Ok(Outcome::Value(text)) if text == "Ann"));
}

#[test]
fn the_errors_of_a_function_keep_their_kinds() {
    let bench = Bench::new(
        Functions::new().register("T", "f", |kind: String| async move {
            Err::<(), _>(match &*kind {
                "public" => FunctionError::public("no such user"),
                _ => FunctionError::failed("boom"),
            })
        }),
    );
    let error = |args| bench.at_once(args).unwrap_err();
    assert_eq!(
        error(vec![json!("public")]),
        CallError::Public("no such user".into())
    );
    assert_eq!(
        error(vec![json!("failed")]),
        CallError::Failed("boom".into())
    );
    assert!(matches!(error(vec![]), CallError::Arguments(text) if text.contains("is missing")));
}

#[test]
fn a_panic_in_the_future_is_an_error_with_its_text() {
    let bench = Bench::new(
        Functions::new().register("T", "raise", |what: String| async move {
            match &*what {
                "text" => panic!("kaboom"),
                "formatted" => panic!("kaboom {what}"),
                _ => panic_any(7),
            }
            #[allow(unreachable_code)]
            Ok::<(), Infallible>(())
        }),
    );
    let error = |what: &str| bench.at_once(vec![json!(what)]).unwrap_err();
    assert_eq!(error("text"), panicked("kaboom"));
    assert_eq!(error("formatted"), panicked("kaboom formatted"));
    assert_eq!(error("other"), panicked("a panic whose payload is no text"));
}

#[test]
fn a_panic_before_the_future_exists_is_an_error() {
    let functions = Functions::new().register("T", "f", |raise: bool| {
        assert!(!raise, "kaboom");
        future::ready(Ok::<_, Infallible>(()))
    });
    assert_eq!(
        Bench::new(functions)
            .at_once(vec![json!(true)])
            .unwrap_err(),
        panicked("kaboom")
    );
}

#[test]
fn a_panic_while_the_future_is_dropped_changes_no_outcome() {
    /// Its future answers, panics or waits, and panics again when it is dropped.
    struct Dropping;
    impl Function for Dropping {
        fn call(&self, call: Call) -> BoxFuture<'static, Result<Outcome, FunctionError>> {
            let held = PanicOnDrop;
            Box::pin(future::poll_fn(move |_| {
                let _held = &held;
                match call.args[0].as_str() {
                    Some("answer") => Poll::Ready(Ok(Outcome::Unit)),
                    Some("raise") => panic!("in poll"),
                    _ => Poll::Pending,
                }
            }))
        }
    }
    let functions = Functions::new().register_function("T", "f", Dropping);
    let bench = Bench::new(functions);
    assert!(matches!(
        bench.at_once(vec![json!("answer")]),
        Ok(Outcome::Unit)
    ));
    assert_eq!(
        bench.at_once(vec![json!("raise")]).unwrap_err(),
        panicked("in poll")
    );

    let mut waiting = Box::pin(bench.call(vec![json!("wait")], Some(TIMEOUT)));
    assert!(waiting.as_mut().now_or_never().is_none());
    bench.clock.advance(TIMEOUT);
    assert_eq!(
        waiting.now_or_never().unwrap().unwrap_err(),
        CallError::TimedOut(TIMEOUT)
    );

    let mut given_up = Box::pin(bench.call(vec![json!("wait")], None));
    assert!(given_up.as_mut().now_or_never().is_none());
    drop(given_up);
}

#[test]
fn what_a_panic_carries_may_panic_in_its_own_drop() {
    let bench = Bench::new(
        Functions::new().register("T", "f", |raise: bool| async move {
            if raise {
                panic_any(PanicOnDrop);
            }
            Ok::<_, Infallible>(())
        }),
    );
    let error = bench.at_once(vec![json!(true)]).unwrap_err();
    assert_eq!(error, panicked("a panic whose payload is no text"));
}

#[test]
fn on_a_timeout_the_function_is_dropped_and_the_timer_too() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let bench = Bench::new(Functions::new().register("T", "hang", move || {
        let held = SetOnDrop(Arc::clone(&flag));
        async move {
            future::pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(())
        }
    }));
    let mut call = pin!(bench.call(vec![], Some(TIMEOUT)));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(bench.clock.sleepers(), 1);
    bench.clock.advance(TIMEOUT - Duration::from_millis(1));
    assert!(call.as_mut().now_or_never().is_none());
    assert!(!dropped.load(Ordering::SeqCst));
    bench.clock.advance(Duration::from_millis(1));
    let error = call.now_or_never().unwrap().unwrap_err();
    assert_eq!(error, CallError::TimedOut(TIMEOUT));
    assert_eq!(error.to_string(), "the function timed out after 5000 ms");
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(bench.clock.sleepers(), 0);
}

#[test]
fn without_a_timeout_a_call_waits_as_long_as_it_takes() {
    let functions = Functions::new().register("T", "hang", future::pending::<Result<(), &str>>);
    let bench = Bench::new(functions);
    let mut call = pin!(bench.call(vec![], None));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(bench.clock.sleepers(), 0);
    bench.clock.advance(Duration::from_secs(1_000_000));
    assert!(call.now_or_never().is_none());
}

#[test]
fn an_answer_that_is_there_wins_over_a_timeout_that_has_passed() {
    let (send, receive) = tokio::sync::watch::channel(false);
    let bench = Bench::new(Functions::new().register("T", "wait", move || {
        let mut receive = receive.clone();
        async move { receive.wait_for(|ready| *ready).await.map(|_| "done") }
    }));
    let mut call = pin!(bench.call(vec![], Some(TIMEOUT)));
    assert!(call.as_mut().now_or_never().is_none());
    send.send(true).unwrap();
    bench.clock.advance(TIMEOUT);
    assert!(matches!(call.now_or_never(), Some(Ok(Outcome::Value(text))) if text == "done"));
}

#[test]
fn a_function_may_use_timers_and_tasks_on_a_thread_without_a_runtime() {
    let bench = Bench::new(Functions::new().register("T", "f", || async {
        let task = tokio::spawn(async { 7 });
        tokio::time::sleep(Duration::ZERO).await;
        task.await
    }));
    assert!(Handle::try_current().is_err());
    let mut call = pin!(bench.call(vec![], None));
    let mut outcome = call.as_mut().now_or_never();
    // Somebody must drive the runtime, and another thread or task may poll the call.
    while outcome.is_none() {
        bench.runtime.block_on(tokio::task::yield_now());
        assert!(Handle::try_current().is_err());
        outcome = call.as_mut().now_or_never();
    }
    assert!(matches!(outcome, Some(Ok(Outcome::Value(value))) if value == 7));
}

#[test]
fn a_function_sees_the_callers_runtime_where_there_is_one() {
    let bench = Bench::new(Functions::new().register("T", "f", || async {
        Ok::<_, Infallible>(Handle::current().id().to_string())
    }));
    let host = Builder::new_current_thread().build().unwrap();
    let Ok(Outcome::Value(seen)) = host.block_on(bench.call(vec![], None)) else {
        panic!("a value")
    };
    assert_eq!(seen, host.handle().id().to_string());
    let Ok(Outcome::Value(seen)) = bench.at_once(vec![]) else {
        panic!("a value")
    };
    assert_eq!(seen, bench.runtime.handle().id().to_string());
}

#[test]
fn the_panic_of_a_blocking_function_is_a_panic() {
    let functions = Functions::new().register_blocking("T", "f", |raise: bool| {
        assert!(!raise, "kaboom");
        Ok::<_, Infallible>(())
    });
    let bench = Bench::new(functions);
    let outcome = bench.runtime.block_on(bench.call(vec![json!(true)], None));
    assert_eq!(outcome.unwrap_err(), panicked("kaboom"));
    let outcome = bench.runtime.block_on(bench.call(vec![json!(false)], None));
    assert!(matches!(outcome, Ok(Outcome::Unit)));
}

#[test]
fn a_blocking_function_that_hangs_times_out() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = parking_lot::Mutex::new(wait);
    let functions = Functions::new().register_blocking("T", "hang", move || {
        wait.lock().recv().map_err(|_gone| "released")
    });
    let bench = Bench::new(functions);
    let mut call = pin!(bench.call(vec![], Some(TIMEOUT)));
    assert!(call.as_mut().now_or_never().is_none());
    bench.clock.advance(TIMEOUT);
    assert_eq!(
        call.now_or_never().unwrap().unwrap_err(),
        CallError::TimedOut(TIMEOUT)
    );
    drop(release);
}

#[test]
fn a_panic_inside_an_answered_stream_ends_it_with_an_error() {
    let functions = Functions::new().register_stream("T", "f", || async {
        let held = PanicOnDrop;
        Ok::<_, Infallible>(stream::iter(1..).map(move |n| {
            let _held = &held;
            assert!(n < 2, "kaboom");
            Ok::<_, Infallible>(n)
        }))
    });
    let Ok(Outcome::Stream(items)) = Bench::new(functions).at_once(vec![]) else {
        panic!("a stream")
    };
    let items: Vec<_> = items.collect().now_or_never().expect("an end");
    let [Ok(first), Err(error)] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(first, 1);
    assert_eq!(CallError::from(error.clone()), panicked("kaboom"));
}

#[test]
fn an_answered_stream_finds_a_runtime_in_every_poll() {
    let functions = Functions::new().register_stream("T", "f", || async {
        Ok::<_, Infallible>(stream::poll_fn(|_| {
            Poll::Ready(Some(
                Handle::try_current().map(|handle| handle.id().to_string()),
            ))
        }))
    });
    let bench = Bench::new(functions);
    let Ok(Outcome::Stream(mut items)) = bench.at_once(vec![]) else {
        panic!("a stream")
    };
    let seen = items.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(seen, bench.runtime.handle().id().to_string());
}

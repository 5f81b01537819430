//! The contract of registered functions, called as the engine calls them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Display,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use super::*;

/// A runtime that nobody drives: what needs one to make progress would hang the test.
fn idle_runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn info() -> RequestInfo {
    RequestInfo::new("r-1", Some("ann".into()), None)
}

fn call(args: Value) -> Call {
    let Value::Array(args) = args else {
        panic!("a list of arguments")
    };
    Call::new(args, info(), idle_runtime().handle().clone())
}

/// The answer of the only function of a registry; it must be there at once.
fn answer(functions: &Functions, call: Call) -> Result<Outcome, FunctionError> {
    let names = functions.names();
    let [(module, name)] = names[..] else {
        panic!("one function")
    };
    let function = functions.get(module, name).unwrap();
    function
        .call(call)
        .now_or_never()
        .expect("an answer at once")
}

fn value(functions: &Functions, call: Call) -> Value {
    match answer(functions, call) {
        Ok(Outcome::Value(value)) => value,
        other => panic!("no value: {other:?}"),
    }
}

fn error(functions: &Functions, call: Call) -> FunctionError {
    answer(functions, call).expect_err("an error")
}

fn names(names: &[&str]) -> Arc<[String]> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Waits on a thread that has no runtime, as a plain `main` might.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

async fn echo(text: String) -> Result<String, FunctionError> {
    Ok(text)
}

async fn add(a: i64, b: i64) -> Result<i64, FunctionError> {
    Ok(a + b)
}

#[test]
fn a_function_is_found_by_module_and_name_only() {
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "add", add);
    assert!(functions.get("T", "echo").is_some());
    assert!(functions.get("T", "nope").is_none());
    assert!(functions.get("U", "echo").is_none());
    assert_eq!(functions.names(), [("T", "add"), ("T", "echo")]);
}

#[test]
fn arguments_become_parameters_in_their_order() {
    let functions = Functions::new().register("T", "sub", |a: i64, b: i64| async move {
        Ok::<_, Infallible>(a - b)
    });
    assert_eq!(value(&functions, call(json!([44, 2]))), json!(42));
}

#[test]
fn a_function_takes_up_to_eight_parameters() {
    type Is = Result<[u8; 8], FunctionError>;
    let eight = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8| async move {
        Is::Ok([a, b, c, d, e, f, g, h])
    };
    let functions = Functions::new().register("T", "eight", eight);
    let args = json!([1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(value(&functions, call(args.clone())), args);

    let functions = Functions::new().register("T", "none", || async { Ok::<_, Infallible>("x") });
    assert_eq!(value(&functions, call(json!([]))), json!("x"));
}

#[test]
fn the_map_of_a_map_style_config_becomes_a_struct() {
    #[derive(Serialize, Deserialize)]
    struct Person {
        name: String,
        age: Option<u8>,
    }
    let functions = Functions::new().register("T", "person", |person: Person| async move {
        Ok::<_, Infallible>(person)
    });
    let person = json!({"name": "Ann", "age": null});
    assert_eq!(value(&functions, call(json!([person]))), person);
}

#[test]
fn an_option_accepts_null_and_other_parameters_do_not() {
    let functions = Functions::new().register("T", "f", |name: Option<String>| async move {
        Ok::<_, Infallible>(name.is_none())
    });
    assert_eq!(value(&functions, call(json!([null]))), json!(true));
    assert_eq!(value(&functions, call(json!(["Ann"]))), json!(false));

    let functions = Functions::new().register("T", "echo", echo);
    let error = error(&functions, call(json!([null])));
    assert_eq!(error.kind(), FunctionErrorKind::Arguments);
}

#[test]
fn info_and_state_are_taken_in_any_position_and_use_up_no_argument() {
    async fn f(
        info: RequestInfo,
        a: u8,
        State(factor): State<u8>,
        b: u8,
        State(name): State<&'static str>,
    ) -> Result<(String, u8, &'static str), FunctionError> {
        Ok((info.request_id, factor * (a + b), name))
    }
    let functions = Functions::new()
        .state(10u8)
        .register("T", "f", f)
        .state("late");
    assert_eq!(
        value(&functions, call(json!([1, 2]))),
        json!(["r-1", 30, "late"])
    );
}

#[test]
fn an_embedder_can_write_a_parameter_of_its_own() {
    struct User(String);
    impl Parameter for User {
        fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
            let user = arguments.info().user_id.clone();
            user.map(Self)
                .ok_or_else(|| FunctionError::public("please log in"))
        }
    }
    let functions =
        Functions::new().register(
            "T",
            "f",
            |user: User| async move { Ok::<_, Infallible>(user.0) },
        );
    assert_eq!(value(&functions, call(json!([]))), json!("ann"));
    let mut anonymous = call(json!([]));
    anonymous.info.user_id = None;
    assert_eq!(
        error(&functions, anonymous),
        FunctionError::public("please log in")
    );
}

#[test]
fn only_a_function_that_reads_the_info_needs_it() {
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "info", |_: u8, _: RequestInfo| async {
            Ok::<_, Infallible>(())
        })
        .register("T", "state", |_: State<u8>| async {
            Ok::<_, Infallible>(())
        })
        .register_raw("T", "raw", |_call| async { Ok(Value::Null) });
    let needs = |name| functions.get("T", name).unwrap().needs_info();
    assert!(!needs("echo") && !needs("state"));
    assert!(needs("info") && needs("raw"));
}

#[test]
fn a_missing_argument_is_an_error_that_says_which() {
    let functions = Functions::new().register("T", "add", add);
    let error = error(&functions, call(json!([1])));
    assert_eq!(error.kind(), FunctionErrorKind::Arguments);
    assert_eq!(
        error.message(),
        "T.add takes 2 arguments, the call has 1: argument 2 is missing"
    );
}

#[test]
fn an_argument_too_many_is_an_error_that_names_it() {
    let functions = Functions::new().register("T", "echo", echo);
    let call = call(json!(["a", "b"])).with_arg_names(names(&["x", "y"]));
    let error = error(&functions, call);
    assert_eq!(error.kind(), FunctionErrorKind::Arguments);
    let text = r#"T.echo takes 1 argument, the call has 2: argument 2 ("y") is too much"#;
    assert_eq!(error.message(), text);
}

#[test]
fn a_wrong_type_of_a_sent_argument_is_the_callers_and_of_a_predefined_one_the_configs_fault() {
    let functions = Functions::new().register("T", "add", add);
    let range = "-9223372036854775808 to 9223372036854775807";
    let what = format!("expected an integer from {range}, got \"x\"");
    let named = call(json!([1, "x"])).with_arg_names(names(&["a", "b"]));
    let invalid = FunctionError::invalid_argument("b", &what);
    assert_eq!(error(&functions, named), invalid);
    assert_eq!(invalid.message(), format!("invalid argument \"b\": {what}"));
    let unnamed = error(&functions, call(json!([1, "x"])));
    let text = format!("T.add: argument 2: {what}");
    assert_eq!(unnamed, FunctionError::arguments(text));
}

#[test]
fn names_belong_to_the_arguments_after_the_predefined_ones() {
    let functions = Functions::new().register("T", "add", add);
    let predefined_first = || call(json!([1, "x"])).with_arg_names(names(&["b"]));
    assert_eq!(predefined_first().arg_name(0), None);
    assert_eq!(predefined_first().arg_name(1), Some("b"));
    assert_eq!(predefined_first().arg_name(2), None);
    assert!(
        error(&functions, predefined_first())
            .message()
            .contains(r#"argument "b""#)
    );
}

#[test]
fn what_a_client_sent_is_cut_to_a_short_length_in_errors() {
    let functions = Functions::new().register("T", "add", add);
    let error = error(&functions, call(json!([1, "ü".repeat(100_000)])));
    assert!(
        error.message().chars().count() < 300,
        "{}",
        error.message().len()
    );
}

#[test]
fn a_state_that_nobody_provided_is_found_by_check_and_in_the_call() {
    #[derive(Clone)]
    struct Database;
    let functions = Functions::new().register("T", "f", |_: State<Database>| async {
        Ok::<_, Infallible>(())
    });
    let missing = functions.check().unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("the function T.f needs a shared state of type `")
    );
    assert!(missing.to_string().contains("Database"));
    let error = error(&functions, call(json!([])));
    assert!(error.message().contains("Database") && error.message().starts_with("T.f "));
    assert_eq!(functions.state(Database).check(), Ok(()));
}

#[test]
fn of_two_functions_of_one_name_the_first_stays_and_check_reports_it() {
    let functions = Functions::new()
        .register("T", "f", || async { Ok::<_, Infallible>(1) })
        .register_raw("T", "f", |_call| async { Ok(json!(2)) });
    assert_eq!(value(&functions, call(json!([]))), json!(1));
    assert_eq!(functions.duplicates(), [("T".into(), "f".into())]);
    let text = "the function T.f is registered twice";
    assert_eq!(functions.check().unwrap_err().to_string(), text);
}

#[test]
fn merged_registries_share_their_states_and_report_names_that_are_in_both() {
    let reads = async |State(n): State<u8>| Ok::<_, Infallible>(n);
    let first = Functions::new().register("T", "f", reads).state(1_i32);
    let second = Functions::new()
        .register("T", "g", async |State(n): State<i32>| {
            Ok::<_, Infallible>(n)
        })
        .register("T", "h", reads);
    let merged = Functions::new().merge(first).merge(second).state(7_u8);
    assert_eq!(merged.check(), Ok(()));
    for (name, state) in [("f", 7), ("g", 1), ("h", 7)] {
        let function = merged.get("T", name).expect("it is merged");
        let outcome = function.call(call(json!([]))).now_or_never();
        let outcome = outcome.expect("at once").expect("no error");
        assert!(
            matches!(outcome, Outcome::Value(value) if value == state),
            "{name}"
        );
    }

    let again = Functions::new().register("T", "g", reads);
    let error = merged.merge(again).check().unwrap_err();
    assert_eq!(error.to_string(), "the function T.g is registered twice");
}

#[test]
fn appended_info_is_no_arity_error_and_fills_a_parameter_without_argument() {
    let appended = |args| call(args).with_appended_info();
    let functions = Functions::new().register("T", "echo", echo);
    assert_eq!(value(&functions, appended(json!(["x"]))), json!("x"));
    let counts = error(&functions, appended(json!(["x", "y"])));
    assert!(
        counts
            .message()
            .contains("the call has 2: argument 2 is too much")
    );

    let as_info = json!({"request_id": "r-1", "user_id": "ann", "device_id": null});
    let functions = Functions::new().register("T", "f", |a: u8, info: Value| async move {
        Ok::<_, Infallible>(json!([a, info]))
    });
    assert_eq!(value(&functions, appended(json!([1]))), json!([1, as_info]));
    let counts = error(&functions, appended(json!([])));
    assert!(
        counts
            .message()
            .ends_with("the call has 0: argument 1 is missing")
    );
}

#[test]
fn a_raw_function_takes_any_number_of_arguments_and_the_appended_info() {
    let functions = Functions::new().register_raw("T", "collect", |call: Call| async move {
        Ok(Value::Array(call.into_args()))
    });
    assert_eq!(value(&functions, call(json!([]))), json!([]));
    assert_eq!(value(&functions, call(json!([1, "b"]))), json!([1, "b"]));
    let with_info = value(
        &functions,
        call(json!(["pre", {"m": 5}])).with_appended_info(),
    );
    let as_info = json!({"request_id": "r-1", "user_id": "ann", "device_id": null});
    assert_eq!(with_info, json!(["pre", {"m": 5}, as_info]));
    assert_eq!(serde_json::to_value(info()).unwrap(), as_info);
}

#[test]
fn unit_is_told_from_null() {
    let functions = Functions::new().register("T", "unit", || async { Ok::<_, Infallible>(()) });
    assert!(matches!(
        answer(&functions, call(json!([]))),
        Ok(Outcome::Unit)
    ));
    let functions =
        Functions::new().register("T", "null", || async { Ok::<_, Infallible>(None::<u8>) });
    assert_eq!(value(&functions, call(json!([]))), Value::Null);
}

#[test]
fn an_error_of_any_displayable_type_is_the_functions_failure() {
    fn failing<E: Display + Clone + Send + Sync + 'static>(error: E) -> FunctionError {
        let functions = Functions::new().register("T", "fail", move || {
            let error = error.clone();
            async move { Err::<(), _>(error) }
        });
        self::error(&functions, call(json!([])))
    }
    assert_eq!(failing("boom"), FunctionError::failed("boom"));
    assert_eq!(
        failing(String::from("boom")).kind(),
        FunctionErrorKind::Failed
    );
    assert_eq!(failing(StreamClosed).message(), "the stream is closed");
}

#[test]
fn a_result_without_a_json_form_is_a_failure() {
    let functions = Functions::new().register("T", "f", || async {
        Ok::<_, Infallible>(BTreeMap::from([((1, 2), 3)]))
    });
    let error = error(&functions, call(json!([])));
    assert_eq!(error.kind(), FunctionErrorKind::Failed);
    assert!(error.message().starts_with("the result has no JSON form"));
}

#[test]
fn a_blocking_function_runs_on_another_thread_and_needs_no_runtime_at_the_caller() {
    let functions = Functions::new().register_blocking("T", "thread", |text: String| {
        let elsewhere = format!("{:?}", thread::current().id());
        Ok::<_, Infallible>((text, elsewhere))
    });
    let runtime = idle_runtime();
    let call = Call::new(vec![json!("x")], info(), runtime.handle().clone());
    assert!(Handle::try_current().is_err());
    let function = functions.get("T", "thread").unwrap();
    let outcome = block_on(function.call(call)).unwrap();
    let Outcome::Value(value) = outcome else {
        panic!("a value")
    };
    assert_eq!(value[0], "x");
    assert_ne!(value[1], format!("{:?}", thread::current().id()));
}

#[test]
fn a_blocking_function_can_feed_a_stream_from_its_thread() {
    let functions = Functions::new().register_blocking("T", "f", |stream: StreamHandle| {
        Handle::current().block_on(async {
            stream.send_result(1).await?;
            stream.send_last_result(2).await
        })
    });
    let runtime = idle_runtime();
    let (handle, mut events) = stream_channel(1);
    let call = Call::new(vec![], info(), runtime.handle().clone()).with_stream(handle);
    let running = functions.get("T", "f").unwrap().call(call);
    block_on(async {
        assert_eq!(events.next().await, StreamEvent::Result(json!(1)));
        assert_eq!(events.next().await, StreamEvent::Last(json!(2)));
        assert!(matches!(running.await, Ok(Outcome::Unit)));
    });
}

#[test]
fn blocking_work_that_was_dropped_before_it_began_never_begins() {
    let begun = Arc::new(AtomicUsize::new(0));
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, wait) = mpsc::channel::<()>();
    let busy = runtime.spawn_blocking(move || wait.recv());
    let functions = Functions::new()
        .state(Arc::clone(&begun))
        .register_blocking("T", "f", |State(begun): State<Arc<AtomicUsize>>| {
            begun.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(())
        });
    let call = Call::new(vec![], info(), runtime.handle().clone());
    drop(functions.get("T", "f").unwrap().call(call));
    release.send(()).unwrap();
    runtime.block_on(busy).unwrap().unwrap();
    // The pool's only thread takes its work in order, so what stands here has passed the dropped call.
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 0);
}

#[test]
fn a_streaming_function_answers_with_the_items_of_its_stream() {
    async fn count(
        to: u32,
    ) -> Result<impl Stream<Item = Result<u32, &'static str>>, FunctionError> {
        if to == 0 {
            return Err(FunctionError::public("nothing to count"));
        }
        Ok(stream::iter(1..=to).map(|n| if n < 3 { Ok(n) } else { Err("too far") }))
    }
    let functions = Functions::new().register_stream("T", "count", count);
    let Ok(Outcome::Stream(items)) = answer(&functions, call(json!([3]))) else {
        panic!("a stream")
    };
    let items: Vec<_> = items.collect().now_or_never().unwrap();
    assert_eq!(
        items,
        [
            Ok(json!(1)),
            Ok(json!(2)),
            Err(FunctionError::failed("too far"))
        ]
    );
    assert!(error(&functions, call(json!([0]))).is_public());
    let wrong = error(&functions, call(json!(["x"])));
    assert_eq!(wrong.kind(), FunctionErrorKind::Arguments);
}

#[test]
fn a_stream_parameter_outside_of_a_stream_is_an_error() {
    let functions = Functions::new().register("T", "f", |_: StreamHandle| async {
        Ok::<_, Infallible>(())
    });
    assert!(
        error(&functions, call(json!([])))
            .message()
            .starts_with("T.f takes a stream handle")
    );
    let (handle, mut events) = stream_channel(1);
    let outcome = answer(&functions, call(json!([])).with_stream(handle));
    assert!(matches!(outcome, Ok(Outcome::Unit)));
    assert_eq!(events.next().now_or_never(), Some(StreamEvent::Complete));
}

#[test]
fn a_registry_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Functions>();
    shared::<Arc<dyn Function>>();
    shared::<StreamHandle>();
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_sent_a_typed_function_answers_or_reports_the_arguments(
        args in prop::collection::vec(any_json(), 0..4),
        appended: bool,
    ) {
        let functions = Functions::new().register("T", "f", |a: String, b: Option<u8>| async move {
            Ok::<_, Infallible>((a, b))
        });
        let mut call = call(Value::Array(args.clone()));
        call.append_info = appended;
        match answer(&functions, call) {
            Ok(Outcome::Value(value)) => prop_assert_eq!(value, Value::Array(args)),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(error) => prop_assert_eq!(error.kind(), FunctionErrorKind::Arguments),
        }
    }

    #[test]
    fn a_function_over_json_gets_and_gives_every_value_unchanged(value in any_json()) {
        let functions = Functions::new()
            .register("T", "echo", |value: Value| async move { Ok::<_, Infallible>(value) });
        prop_assert_eq!(self::value(&functions, call(json!([value.clone()]))), value);
    }
}

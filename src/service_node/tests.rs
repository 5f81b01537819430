use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::*;
use crate::{
    arguments::Limits,
    clock::ManualClock,
    function::{FunctionError, Functions, RequestInfo, StreamHandle},
    model::{FunConfig, Mfa, Nodes, Request},
    node::client::{
        FailureKind, Invocation, NodeCallError, NodeStream, RemoteFailure, StreamChunk,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// Sets its flag when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct World {
    core: NodeCore,
    clock: ManualClock,
    dropped: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
}

/// A node with a function for each way in which a call can end.
fn world() -> World {
    let clock = ManualClock::new();
    let (dropped, sent): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
    let flag = Arc::clone(&dropped);
    let hangs = move || {
        let guard = Dropped(Arc::clone(&flag));
        async move {
            let _guard = guard;
            std::future::pending::<Result<(), FunctionError>>().await
        }
    };
    let count = Arc::clone(&sent);
    let floods = move |stream: StreamHandle| {
        let count = Arc::clone(&count);
        async move {
            while stream.send_result("chunk").await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, FunctionError>(())
        }
    };
    let functions = Functions::new()
        .register("T", "add", |a: i64, b: i64| async move {
            Ok::<_, FunctionError>(a + b)
        })
        .register_blocking("T", "thread", || -> Result<String, FunctionError> {
            Ok(format!("{:?}", std::thread::current().id()))
        })
        .register("T", "who", |info: RequestInfo| async move {
            Ok::<_, FunctionError>(info)
        })
        .register_raw("T", "raw", |call| async move {
            Ok(Value::Array(call.into_args()))
        })
        .register("T", "fails", || async {
            Err::<(), _>(FunctionError::failed("boom"))
        })
        .register("T", "public", || async {
            Err::<(), _>(FunctionError::public("no such user"))
        })
        .register("T", "panics", || async {
            if true {
                panic!("kaboom");
            }
            Ok::<_, FunctionError>(())
        })
        .register("T", "hangs", hangs)
        .register("T", "yes", |_: Value| async {
            Ok::<_, FunctionError>(true)
        })
        .register("T", "is_user", |request: Value, user: String| async move {
            Ok::<_, FunctionError>(request["user_id"] == user.as_str())
        })
        .register("T", "one", |_: Value| async { Ok::<_, FunctionError>(1) })
        .register("T", "fail_with", |_: Value| async {
            Err::<bool, _>(FunctionError::failed("boom"))
        })
        .register("T", "floods", floods)
        .register("T", "three", |stream: StreamHandle| async move {
            stream.send_result(1).await?;
            stream.send_result(2).await?;
            stream.send_last_result(3).await?;
            Ok::<_, FunctionError>(())
        })
        .register("T", "answers_late", |stream: StreamHandle| async move {
            stream.send_result("sent").await?;
            tokio::task::yield_now().await;
            Ok::<_, FunctionError>("answered")
        })
        .register("T", "breaks_off", |stream: StreamHandle| async move {
            stream.send_result(1).await?;
            Err::<(), _>(FunctionError::public("sold out"))
        })
        .register_raw("T", "vanishes", |_| async { Ok(json!(1)) })
        .register("T", "just_returns", |stream: StreamHandle| async move {
            stream.send_result(1).await?;
            Ok::<_, FunctionError>(())
        })
        .register_stream("T", "range", |to: u32| async move {
            let numbers = (0..to).map(Ok::<_, FunctionError>);
            Ok::<_, FunctionError>(stream::iter(numbers))
        })
        .register("T", "empty", |stream: StreamHandle| async move {
            stream.complete().await?;
            Ok::<_, FunctionError>(())
        });
    let core = NodeCore::new(Arc::new(functions), Handle::current());
    World {
        core: core
            .with_clock(Arc::new(clock.clone()))
            .with_stream_buffer(2, 1_000_000),
        clock,
        dropped,
        sent,
    }
}

fn call(function: &str, args: Vec<Value>) -> Invocation {
    let request = Request::new("r-1", "svc", "op").with_user_id("ann");
    Invocation::new("T", function, args, &request)
}

fn failed(kind: FailureKind, message: &str) -> NodeCallError {
    NodeCallError::Failed(RemoteFailure::new(kind, message))
}

async fn rest(stream: NodeStream) -> Vec<Result<StreamChunk, NodeCallError>> {
    stream.collect().await
}

fn chunk(value: impl Into<Value>) -> Result<StreamChunk, NodeCallError> {
    Ok(StreamChunk::Result(value.into()))
}

#[tokio::test]
async fn a_function_gets_its_arguments_and_who_asks() {
    let core = world().core;
    let sum = core
        .invoke(call("add", vec![json!(1), json!(2)]), None)
        .await;
    assert_eq!(sum, Ok(json!(3)));
    let info = json!({"request_id": "r-1", "user_id": "ann", "device_id": null});
    assert_eq!(
        core.invoke(call("who", vec![]), None).await,
        Ok(info.clone())
    );
    let raw = call("raw", vec![json!(7)]).with_appended_info();
    assert_eq!(core.invoke(raw, None).await, Ok(json!([7, info])));
}

#[tokio::test]
async fn each_way_to_fail_has_its_kind() {
    let core = world().core;
    let cases = [
        ("fails", FailureKind::Failed, "boom"),
        ("public", FailureKind::Public, "no such user"),
        ("panics", FailureKind::Panicked, "kaboom"),
        ("nowhere", FailureKind::NotFound, "T.nowhere"),
    ];
    for (function, kind, message) in cases {
        let expected = failed(kind, message);
        let called = core.invoke(call(function, vec![]), None).await;
        assert_eq!(called, Err(expected.clone()));
        let opened = core.invoke_stream(call(function, vec![]), None).await;
        assert_eq!(opened.err(), Some(expected));
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_named() {
    let names: Arc<[String]> = ["left".to_owned(), "right".to_owned()].into();
    let wrong = call("add", vec![json!(1), json!("2")]).with_arg_names(names);
    match world().core.invoke(wrong, None).await {
        Err(NodeCallError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::InvalidArgument);
            assert!(failure.message.contains("right"), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_blocking_function_runs_on_another_thread() {
    let answer = world().core.invoke(call("thread", vec![]), None).await;
    let here = format!("{:?}", std::thread::current().id());
    assert_ne!(answer.unwrap(), here);
}

#[tokio::test]
async fn a_stream_is_no_answer_of_a_single_call() {
    let answer = world()
        .core
        .invoke(call("range", vec![json!(3)]), None)
        .await;
    assert!(
        matches!(answer, Err(NodeCallError::Failed(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn when_the_time_has_passed_the_function_is_dropped() {
    let World {
        core,
        clock,
        dropped,
        ..
    } = world();
    let mut running = Box::pin(core.invoke(call("hangs", vec![]), Some(SECOND)));
    assert!(running.as_mut().now_or_never().is_none());
    clock.advance(SECOND - Duration::from_millis(1));
    assert!(running.as_mut().now_or_never().is_none());
    assert!(!dropped.load(Ordering::SeqCst));
    clock.advance(Duration::from_millis(1));
    let expected = NodeCallError::TimedOut { after: SECOND };
    assert_eq!(running.now_or_never(), Some(Err(expected)));
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_caller_that_gives_up_drops_the_function() {
    let World { core, dropped, .. } = world();
    let mut running = Box::pin(core.invoke(call("hangs", vec![]), None));
    assert!(running.as_mut().now_or_never().is_none());
    drop(running);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn only_a_clear_yes_permits() {
    let core = world().core;
    let request = Request::new("r-1", "svc", "op").with_user_id("ann");
    let ask = async |name: &str, args: &[Value]| {
        let callback = Mfa::new("T", name).with_args(args.iter().cloned());
        core.check_permission(&callback, &request, Some(SECOND))
            .await
    };
    assert_eq!(ask("yes", &[]).await, Ok(true));
    assert_eq!(ask("is_user", &[json!("ann")]).await, Ok(true));
    assert_eq!(ask("is_user", &[json!("bob")]).await, Ok(false));
    for no in ["one", "fail_with", "panics", "nowhere", "add"] {
        assert_eq!(ask(no, &[]).await, Ok(false), "{no}");
    }
}

#[tokio::test]
async fn a_stream_brings_chunks_in_order_and_the_last_one_ends_it() {
    let core = world().core;
    let stream = core
        .invoke_stream(call("three", vec![]), None)
        .await
        .unwrap();
    let last = Ok(StreamChunk::Last(json!(3)));
    assert_eq!(rest(stream).await, [chunk(1), chunk(2), last]);
    let stream = core
        .invoke_stream(call("range", vec![json!(2)]), None)
        .await;
    assert_eq!(rest(stream.unwrap()).await, [chunk(0), chunk(1)]);
    let stream = core.invoke_stream(call("empty", vec![]), None).await;
    assert_eq!(rest(stream.unwrap()).await, []);
}

#[tokio::test]
async fn an_answer_that_comes_late_follows_what_was_sent_before() {
    let core = world().core;
    let stream = core.invoke_stream(call("answers_late", vec![]), None).await;
    let items = rest(stream.unwrap()).await;
    let last = Ok(StreamChunk::Last(json!("answered")));
    assert_eq!(items, [chunk("sent"), last]);
}

#[tokio::test]
async fn a_failure_after_the_first_chunk_is_the_last_item() {
    let core = world().core;
    let stream = core.invoke_stream(call("breaks_off", vec![]), None).await;
    let items = rest(stream.unwrap()).await;
    let failure = Err(failed(FailureKind::Public, "sold out"));
    assert_eq!(items, [chunk(1), failure]);
    let stream = core.invoke_stream(call("vanishes", vec![]), None).await;
    let items = rest(stream.unwrap()).await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0], chunk(1));
    assert!(
        matches!(items[1], Err(NodeCallError::Failed(_))),
        "{items:?}"
    );
}

#[tokio::test]
async fn a_function_that_returns_without_completing_completes() {
    let core = world().core;
    let stream = core.invoke_stream(call("just_returns", vec![]), None).await;
    assert_eq!(rest(stream.unwrap()).await, [chunk(1)]);
}

#[tokio::test]
async fn a_producer_waits_for_its_reader_and_stops_when_it_is_gone() {
    let World { core, sent, .. } = world();
    let mut stream = core
        .invoke_stream(call("floods", vec![]), None)
        .await
        .unwrap();
    for _ in 0..10 {
        assert_eq!(stream.next().await, Some(chunk("chunk")));
    }
    // What was read, what may wait, and nothing more however often the node's threads had their turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let unread = sent.load(Ordering::SeqCst) - 10;
    assert!(unread <= 3, "{unread} chunks wait");
    drop(stream);
    assert_eq!(sent.load(Ordering::SeqCst) - 10, unread);
}

#[tokio::test]
async fn a_dropped_stream_makes_the_next_send_of_a_spawned_producer_fail() {
    let (told, tell) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let spawns = move |stream: StreamHandle| {
        let told = told.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            while stream.send_result(1).await.is_ok() {}
            let _ = told.send(());
        });
        async { Ok::<_, FunctionError>(()) }
    };
    let functions = Functions::new().register("T", "spawns", spawns);
    let core = NodeCore::new(Arc::new(functions), Handle::current());
    let mut stream = core
        .invoke_stream(call("spawns", vec![]), None)
        .await
        .unwrap();
    assert_eq!(stream.next().await, Some(chunk(1)));
    drop(stream);
    tell.await.expect("the producer to notice");
}

#[tokio::test]
async fn the_time_left_bounds_a_stream_as_a_whole() {
    let World { core, clock, .. } = world();
    let mut stream = core
        .invoke_stream(call("floods", vec![]), Some(SECOND))
        .await
        .unwrap();
    assert_eq!(stream.next().await, Some(chunk("chunk")));
    let hanging = core.invoke_stream(call("hangs", vec![]), Some(SECOND));
    let mut hanging = Box::pin(hanging);
    assert!(hanging.as_mut().now_or_never().is_none());
    clock.advance(SECOND);
    let expected = NodeCallError::TimedOut { after: SECOND };
    assert_eq!(hanging.await.err(), Some(expected));
}

fn offered() -> Vec<FunConfig> {
    let config = |service: &str, name: &str| {
        let config = FunConfig::builder(service, name).call("Users", name);
        config.local().build().unwrap()
    };
    vec![
        config("users", "get"),
        config("users", "list"),
        config("shop", "price"),
    ]
}

#[tokio::test]
async fn configs_are_pulled_through_built_in_functions() {
    let offer = Arc::new(Offer::new(offered()));
    let functions = Arc::new(offer.register(Functions::new()));
    let core = NodeCore::new(functions, Handle::current());
    let pulled = offer.service_config("users", Nodes::list(["mem://a"]));
    let configs = core.get_config(&pulled.configs(), Some(SECOND)).await;
    assert_eq!(configs, Ok(serde_json::to_value(&offered()[..2]).unwrap()));
    let check = pulled.version_check().unwrap();
    let version = core.config_version(&check, Some(SECOND)).await;
    assert_eq!(version, Ok(offer.version("users").into()));
    let all = Mfa::new(Offer::MODULE, Offer::CONFIGS);
    let all = core.get_config(&all, Some(SECOND)).await.unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    let wrong = Mfa::new(Offer::MODULE, Offer::CONFIGS).with_args([json!(7)]);
    let answer = core.get_config(&wrong, Some(SECOND)).await;
    assert!(
        matches!(answer, Err(NodeCallError::Failed(_))),
        "{answer:?}"
    );
}

#[test]
fn the_version_changes_with_the_configs_alone() {
    let offer = Offer::new(offered());
    let mut reversed = offered();
    reversed.reverse();
    assert_eq!(
        Offer::new(reversed).version("users"),
        offer.version("users")
    );
    let mut changed = offered();
    changed[0].hook_timeout += 1;
    let changed = Offer::new(changed);
    assert_ne!(changed.version("users"), offer.version("users"));
    assert_eq!(changed.version("shop"), offer.version("shop"));
    assert_eq!(offer.clone().with_version("7").version("users"), "7");
}

#[test]
fn the_version_of_a_push_knows_its_nodes_but_not_their_order() {
    let offer = Offer::new(offered());
    let version = |nodes: &[&str]| {
        let push = offer.push_config("users", Nodes::list(nodes.iter().copied()), false);
        push.validate(&Limits::default()).unwrap();
        push.config_version
    };
    assert_eq!(version(&["a", "b"]), version(&["b", "a"]));
    assert_ne!(version(&["a", "b"]), version(&["a"]));
    let pulled = offer.push_config("users", Nodes::list(["a"]), true);
    assert_eq!(
        pulled.service_config(),
        Some(offer.service_config("users", Nodes::list(["a"])))
    );
}

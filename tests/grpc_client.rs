//! The gRPC client against nodes that answer, fail, hang, vanish and speak nonsense (specification, section 19).

#[path = "grpc_client/node.rs"]
mod node;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, join_all, select},
};
use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    grpc::GrpcClient,
    model::{ChooseNodeMode, FunConfig, Mfa, Request, Retry},
    node::{
        Address, NodeCallError, NodeClient,
        client::{FailureKind, Invocation, NodeStream, RemoteFailure, StreamChunk},
    },
    settings::GrpcSettings,
};
use node::{Node, Proxy, SECRET, Seen, address, http2, raw};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
};
use tonic::codegen::http::{HeaderMap, Response};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_core::span::Current;

/// Far more than anything takes, so that only a bug reaches it.
const LONG: Duration = Duration::from_secs(20);

fn settings() -> GrpcSettings {
    // A machine that is busy elsewhere is not to pass for a dead node.
    let mut settings = GrpcSettings::default()
        .with_cluster_secret(SECRET)
        .with_keepalive(Duration::from_millis(100), LONG);
    settings.trial_interval_ms = 50;
    settings
}

fn client_with(settings: &GrpcSettings) -> GrpcClient {
    GrpcClient::new(settings, Handle::current()).unwrap()
}

fn client() -> GrpcClient {
    client_with(&settings())
}

fn invocation(function: &str) -> Invocation {
    let request = Request::new("r-1", "Users", "get").with_user_id("u");
    Invocation::new("M", function, vec![json!("a"), json!(7)], &request)
}

async fn invoke(
    client: &GrpcClient,
    node: &Address,
    function: &str,
) -> Result<Value, NodeCallError> {
    let invocation = invocation(function);
    let answer = client.invoke(node, &invocation, Some(LONG));
    tokio::time::timeout(LONG, answer)
        .await
        .expect("it answers")
}

async fn open(
    client: &GrpcClient,
    node: &Address,
    function: &str,
) -> Result<NodeStream, NodeCallError> {
    let invocation = invocation(function);
    client.invoke_stream(node, &invocation, Some(LONG)).await
}

/// Times for what a machine may be too busy to begin at first.
fn doubling() -> impl Iterator<Item = Duration> {
    (0..7).map(|power| Duration::from_millis(300 << power))
}

/// Asks until the node answers.
async fn until_up(client: &GrpcClient, node: &Address) {
    let start = Instant::now();
    while let Err(error) = invoke(client, node, "echo").await {
        assert!(start.elapsed() < LONG, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port of this machine where nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_call_carries_its_arguments_secret_deadline_and_trace_and_answers_the_result() {
    let node = Node::start().await;
    let client = client();
    let invocation = invocation("echo")
        .with_arg_names(["name".to_owned()].into())
        .with_appended_info();
    let answer = client
        .invoke(&node.address(), &invocation, Some(LONG))
        .await;
    assert_eq!(answer, Ok(json!(["a", 7])));

    let request = node.seen.request.lock().unwrap().clone().unwrap();
    assert_eq!((&*request.module, &*request.request_id), ("M", "r-1"));
    assert_eq!(request.user_id.as_deref(), Some("u"));
    assert_eq!(request.arg_names, ["name"]);
    assert!(request.append_info);
    let headers = node.seen.headers.lock().unwrap().clone().unwrap();
    let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("authorization"), "Bearer s3cret");
    assert!(header("traceparent").starts_with("00-"));
    let timeout: u64 = header("grpc-timeout")
        .strip_suffix('u')
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20_000_000).contains(&timeout), "{timeout}");
    assert_eq!(client.is_up(&node.address()), Some(true));
}

#[test]
fn a_thread_without_a_runtime_calls_too() {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let node = threads.block_on(Node::start());
    let client = GrpcClient::new(&settings(), threads.handle().clone()).unwrap();
    let (invocation, address) = (invocation("echo"), node.address());
    let answers = (0..20).map(|_| client.invoke(&address, &invocation, Some(LONG)));
    for answer in block_on(join_all(answers)) {
        assert_eq!(answer.unwrap(), json!(["a", 7]));
    }
    let late = client.invoke(&address, &invocation, Some(Duration::ZERO));
    assert!(matches!(
        block_on(late),
        Err(NodeCallError::TimedOut { .. })
    ));
    let mut stream =
        block_on(client.invoke_stream(&address, &self::invocation("three"), None)).unwrap();
    assert_eq!(
        block_on(stream.next()),
        Some(Ok(StreamChunk::Result(json!(1))))
    );
}

/// Polls on this thread, with nothing but its waker.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park_timeout(LONG),
        }
    }
}

#[tokio::test]
async fn all_calls_of_a_node_share_one_connection() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let (client, address) = (client(), proxy.address());
    let calls = (0..100).map(|_| async {
        let client = client.clone();
        invoke(&client, &address, "echo").await.unwrap()
    });
    join_all(calls).await;
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_other_verbs_ask_what_they_say() {
    let node = Node::start().await;
    let (client, node) = (client(), node.address());
    let request = Request::new("r", "s", "t").with_user_id("u");
    let may = |function| Mfa::new("Perms", function);
    let ask = async |mfa: Mfa| client.check_permission(&node, &mfa, &request, LONG).await;
    assert_eq!(ask(may("may")).await, Ok(true));
    assert_eq!(ask(may("may_not")).await, Ok(false));
    let configs = Mfa::new("C", "configs").with_args([json!("x")]);
    assert_eq!(
        client.get_config(&node, &configs, LONG).await,
        Ok(json!(["x"]))
    );
    assert_eq!(
        client.config_version(&node, &configs, LONG).await,
        Ok(json!("v1"))
    );
    assert_eq!(
        client.function_exists(&node, "M", "echo", LONG).await,
        Ok(true)
    );
    assert_eq!(
        client.function_exists(&node, "M", "none", LONG).await,
        Ok(false)
    );
}

#[tokio::test]
async fn failures_and_refusals_are_told_apart() {
    let node = Node::start().await;
    let (client, node) = (client(), node.address());
    let error = async |function: &str| invoke(&client, &node, function).await.unwrap_err();
    let public = RemoteFailure::new(FailureKind::Public, "no such user");
    assert_eq!(error("public").await, NodeCallError::Failed(public));
    assert!(matches!(error("internal").await, NodeCallError::Failed(_)));
    assert!(matches!(
        error("stopping").await,
        NodeCallError::Unreachable { .. }
    ));
    assert!(matches!(
        error("no_json").await,
        NodeCallError::Malformed { .. }
    ));
    assert!(matches!(
        error("empty").await,
        NodeCallError::Malformed { .. }
    ));
    // The connection outlives a handler's panic, which ends its own call.
    assert!(!error("panic").await.was_not_sent());
    let refused = error("what").await;
    assert!(
        matches!(&refused, NodeCallError::Refused { code, .. } if code == "invalid_argument"),
        "{refused:?}"
    );
    // A node that does not know the service of pushes.
    let verified = client.verify(&node, "s", "1", LONG).await;
    assert!(
        matches!(&verified, Err(NodeCallError::Refused { code, .. }) if code == "unimplemented"),
        "{verified:?}"
    );
    assert_eq!(client.is_up(&node), Some(true));
}

#[tokio::test]
async fn a_node_with_another_secret_was_not_begun_and_counts_as_down() {
    let node = Node::start().await;
    let client = client_with(&settings().with_cluster_secret("other"));
    let address = node.address();
    for _ in 0..20 {
        let error = invoke(&client, &address, "echo").await.unwrap_err();
        assert!(error.was_not_sent(), "{error:?}");
        assert!(error.to_string().contains("grpc.cluster_secret"), "{error}");
        assert_eq!(client.is_up(&address), Some(false));
    }
    // It was asked by one call, and since then only by trials.
    assert!(node.seen.headers.lock().unwrap().is_none());
    let none = GrpcClient::new(&GrpcSettings::default(), Handle::current());
    let error = none.unwrap_err().to_string();
    assert_eq!(error, "grpc.cluster_secret is needed");
}

#[tokio::test]
async fn a_node_that_takes_the_secret_at_last_is_up_again() {
    // It refuses the first calls, whatever they ask.
    let refusals = Arc::new(std::sync::atomic::AtomicUsize::new(4));
    let at = http2(move |mut answer| {
        let refusals = Arc::clone(&refusals);
        async move {
            let left = refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
            match left {
                Ok(_) => {
                    let refusal = head(200, &[GRPC, ("grpc-status", "16")]);
                    answer.send_response(refusal, true).unwrap();
                }
                Err(_) => answered(answer),
            }
        }
    });
    let (client, address) = (client(), address(at.await));
    let error = invoke(&client, &address, "echo").await.unwrap_err();
    assert!(error.was_not_sent(), "{error:?}");
    // It answers what is asked of it in trials first, and no call is refused any more.
    until_up(&client, &address).await;
    assert_eq!(client.is_up(&address), Some(true));
}

#[tokio::test]
async fn where_all_nodes_are_dead_a_call_has_them_tried_at_once() {
    let at = nowhere().await;
    let mut settings = settings();
    settings.trial_interval_ms = 20;
    let (client, address) = (client_with(&settings), address(at));
    assert!(
        client.revive(&[&address]).is_none(),
        "nothing is known of it"
    );
    assert!(invoke(&client, &address, "echo").await.is_err());
    // The pauses between trials grow to seconds.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        if let Some(revival) = client.revive(&[&address]) {
            assert_eq!(revival.await, None);
        }
        assert!(
            client.revive(&[&address]).is_none(),
            "it was tried just now"
        );
    }
    let node = Node::start_at(at).await;
    tokio::time::sleep(Duration::from_millis(25)).await;
    let other = Address::new("http://127.0.0.1:1").unwrap();
    assert!(
        client.revive(&[&address, &other]).is_none(),
        "nothing is known of the other"
    );
    if let Some(revival) = client.revive(&[&address]) {
        assert_eq!(revival.await, Some(&address));
    }
    assert_eq!(
        invoke(&client, &node.address(), "echo").await,
        Ok(json!(["a", 7]))
    );
}

#[tokio::test]
async fn who_waits_for_a_connection_hears_of_each_new_one() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let (client, address) = (client(), proxy.address());
    let mut seen = 0;
    for _ in 0..3 {
        let connected = client
            .connected(&address, seen)
            .expect("it keeps connections");
        let number = tokio::time::timeout(LONG, connected)
            .await
            .expect("in time");
        assert!(number > seen);
        seen = number;
        invoke(&client, &address, "echo").await.unwrap();
        let next = client
            .connected(&address, seen)
            .expect("it keeps connections");
        assert!(next.now_or_never().is_none());
        proxy.cut();
    }
    let name = Address::new("dns://nodes:1").unwrap();
    assert!(client.connected(&name, 0).is_none());
}

#[tokio::test]
async fn calls_that_are_cancelled_while_their_node_is_held_up_cost_no_call_beside_them() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let patient = settings().with_keepalive(LONG, LONG);
    let (client, address) = (client_with(&patient), proxy.address());
    let mut stream = open(&client, &address, "silent").await.unwrap();
    assert_eq!(stream.next().await, Some(result(json!(1))));
    proxy.freeze();
    for _ in 0..3_000 {
        let invocation = invocation("pending");
        let call = client.invoke(&address, &invocation, None);
        assert!(call.now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    proxy.thaw();
    assert_eq!(invoke(&client, &address, "echo").await, Ok(json!(["a", 7])));
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1);
    assert!(stream.next().now_or_never().is_none(), "it goes on");
    // None is forgotten: each that the node has begun is cancelled there.
    let cancelled = async {
        let mut dropped = node.seen.dropped.subscribe();
        while *dropped.borrow_and_update() < *node.seen.begun.borrow() - 1 {
            dropped.changed().await.unwrap();
        }
    };
    tokio::time::timeout(LONG, cancelled)
        .await
        .expect("in time");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_in_either_direction() {
    let node = Node::start().await;
    let client = client_with(&settings().with_max_message_bytes(50_000));
    let is_too_large =
        |error| matches!(error, NodeCallError::Refused { code, .. } if code == "message_too_large");
    let error = invoke(&client, &node.address(), "large").await.unwrap_err();
    assert!(is_too_large(error));
    let request = Request::new("r", "s", "t");
    let large = Invocation::new("M", "echo", vec![json!("x".repeat(60_000))], &request);
    *node.seen.request.lock().unwrap() = None;
    let error = client.invoke(&node.address(), &large, Some(LONG)).await;
    assert!(is_too_large(error.unwrap_err()));
    assert!(node.seen.request.lock().unwrap().is_none(), "it was sent");
    // The connection serves on.
    assert!(invoke(&client, &node.address(), "echo").await.is_ok());
}

#[tokio::test]
async fn a_node_that_nobody_serves_is_unreachable_and_comes_back_by_itself() {
    let at = nowhere().await;
    let client = client();
    for _ in 0..3 {
        let error = invoke(&client, &address(at), "echo").await.unwrap_err();
        assert!(error.was_not_sent(), "{error:?}");
        assert_eq!(client.is_up(&address(at)), Some(false));
    }
    let node = Node::start_at(at).await;
    until_up(&client, &node.address()).await;
    assert_eq!(client.is_up(&node.address()), Some(true));
}

#[tokio::test]
async fn an_address_that_is_none_is_unreachable_and_says_why() {
    let client = client();
    for text in [
        "users:9000",
        "https://users:9000",
        "ftp://users",
        "dns://users",
    ] {
        let error = invoke(&client, &Address::new(text).unwrap(), "echo").await;
        let error = error.unwrap_err();
        assert!(error.was_not_sent(), "{error:?}");
        assert!(
            error.to_string().contains("no address of a node"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_end_of_a_connection_during_a_call_is_no_unreachable_node() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let (client, address) = (client(), proxy.address());
    let call = async { invoke(&client, &address, "pending").await };
    let kill = async {
        Seen::until(&node.seen.begun, 1).await;
        proxy.kill().await
    };
    let (answer, _) = tokio::join!(call, kill);
    let error = answer.unwrap_err();
    assert!(
        matches!(error, NodeCallError::Disconnected { .. }),
        "{error:?}"
    );
    let error = invoke(&client, &address, "echo").await.unwrap_err();
    assert!(error.was_not_sent(), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_ended_is_made_again_before_the_next_call() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let (client, address) = (client(), proxy.address());
    let mut stream = open(&client, &address, "silent").await.unwrap();
    // One that ends right after it was made counts as a failure.
    let made = Instant::now();
    while made.elapsed() < Duration::from_millis(60) {
        invoke(&client, &address, "echo").await.unwrap();
    }
    proxy.cut();
    while !matches!(stream.next().await, Some(Err(_)) | None) {}
    assert_eq!(invoke(&client, &address, "echo").await, Ok(json!(["a", 7])));
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_frozen_node_is_noticed_and_not_asked_until_it_is_back() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    // What is frozen never answers, so a short patience does no harm to what follows.
    let impatient = Duration::from_millis(300);
    let mut settings = settings().with_keepalive(Duration::from_millis(100), impatient);
    settings.connect_timeout_ms = 200;
    let (client, address) = (client_with(&settings), proxy.address());
    let start = Instant::now();
    let call = async { invoke(&client, &address, "pending").await };
    let freeze = async {
        Seen::until(&node.seen.begun, 1).await;
        proxy.freeze();
    };
    let (answer, ()) = tokio::join!(call, freeze);
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, NodeCallError::Disconnected { reason } if reason.contains("no sign of life")),
        "{error:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    // It still takes connections, as a stopped process does.
    for _ in 0..5 {
        let error = invoke(&client, &address, "echo").await.unwrap_err();
        assert!(error.was_not_sent(), "{error:?}");
    }
    assert_eq!(client.is_up(&address), Some(false));
    proxy.thaw();
    until_up(&client, &address).await;
}

#[tokio::test]
async fn a_busy_connection_is_no_dead_one() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    let mut flood = open(&client, &address, "flood").await.unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        flood.next().await.unwrap().unwrap();
    }
    assert_eq!(client.is_up(&address), Some(true));
}

#[tokio::test]
async fn a_call_over_its_time_is_timed_out_and_cancelled_on_the_node() {
    let node = Node::start().await;
    let client = client();
    until_up(&client, &node.address()).await;
    let pending = invocation("pending");
    // On a busy machine a short time is over before the call has begun; then it gets twice as much.
    for after in doubling() {
        let answer = client.invoke(&node.address(), &pending, Some(after)).await;
        assert_eq!(answer, Err(NodeCallError::TimedOut { after }));
        if *node.seen.begun.borrow() > 0 {
            break;
        }
    }
    Seen::until(&node.seen.dropped, 1).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_on_the_node() {
    let node = Node::start().await;
    let client = client();
    let (pending, address) = (invocation("pending"), node.address());
    let mut call = client.invoke(&address, &pending, None);
    let begun = Seen::until(&node.seen.begun, 1);
    select(&mut call, Box::pin(begun)).await;
    drop(call);
    Seen::until(&node.seen.dropped, 1).await;
    assert!(invoke(&client, &address, "echo").await.is_ok());
}

async fn all(stream: NodeStream) -> Vec<Result<StreamChunk, NodeCallError>> {
    tokio::time::timeout(LONG, stream.collect())
        .await
        .expect("it ends")
}

fn result(value: Value) -> Result<StreamChunk, NodeCallError> {
    Ok(StreamChunk::Result(value))
}

#[tokio::test]
async fn a_stream_yields_its_chunks_in_order_and_ends() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    let three = open(&client, &address, "three").await.unwrap();
    let last = Ok(StreamChunk::Last(json!(3)));
    assert_eq!(all(three).await, [result(json!(1)), result(json!(2)), last]);
    let no_last = open(&client, &address, "no_last").await.unwrap();
    assert_eq!(all(no_last).await, [result(json!(1))]);
}

#[tokio::test]
async fn a_stream_that_does_not_begin_is_an_error_of_its_opening() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    let error = async |function| open(&client, &address, function).await.err().unwrap();
    let public = RemoteFailure::new(FailureKind::Public, "enough");
    assert_eq!(error("fails_at_once").await, NodeCallError::Failed(public));
    assert!(matches!(
        error("not_accepted").await,
        NodeCallError::Malformed { .. }
    ));
    assert!(matches!(
        error("nothing").await,
        NodeCallError::Malformed { .. }
    ));
    assert!(matches!(error("what").await, NodeCallError::Refused { .. }));
}

#[tokio::test]
async fn a_stream_that_fails_yields_one_error_and_ends() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    for (function, chunks) in [
        ("fails_later", 1),
        ("status", 1),
        ("unavailable", 1),
        ("no_json", 1),
        ("accepted_twice", 0),
    ] {
        let items = all(open(&client, &address, function).await.unwrap()).await;
        assert_eq!(items.len(), chunks + 1, "{function}: {items:?}");
        assert!(
            items[..chunks].iter().all(Result::is_ok),
            "{function}: {items:?}"
        );
        let error = items[chunks].as_ref().unwrap_err();
        // What has begun must not be taken for what never was.
        assert!(!error.was_not_sent(), "{function}: {error:?}");
    }
}

#[tokio::test]
async fn a_stream_whose_node_dies_ends_with_one_error() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.at).await;
    let (client, address) = (client(), proxy.address());
    let mut stream = open(&client, &address, "silent").await.unwrap();
    assert_eq!(stream.next().await, Some(result(json!(1))));
    proxy.kill().await;
    let rest = all(stream).await;
    assert!(
        matches!(&rest[..], [Err(NodeCallError::Disconnected { .. })]),
        "{rest:?}"
    );
}

#[tokio::test]
async fn a_stream_over_its_time_is_timed_out_and_cancelled_on_the_node() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    until_up(&client, &address).await;
    for function in ["silent", "flood"] {
        let invocation = invocation(function);
        for after in doubling() {
            let timed_out = NodeCallError::TimedOut { after };
            match client
                .invoke_stream(&address, &invocation, Some(after))
                .await
            {
                Ok(stream) => {
                    let items = all(stream).await;
                    assert_eq!(items.last(), Some(&Err(timed_out)));
                    assert_eq!(items.iter().filter(|item| item.is_err()).count(), 1);
                    break;
                }
                Err(error) => assert_eq!(error, timed_out),
            }
        }
    }
    Seen::until(&node.seen.dropped, 2).await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_its_node_back_and_no_call_beside_it() {
    let node = Node::start().await;
    let (client, address) = (client(), node.address());
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut flood = open(&client, &address, "flood").await.unwrap();
        flood.next().await.unwrap().unwrap();
        streams.push(flood);
    }
    // The nodes send until their windows are full; then the count stands still.
    let mut sent = 0;
    loop {
        for _ in 0..20 {
            invoke(&client, &address, "echo").await.unwrap();
        }
        let now = node.seen.sent.load(Ordering::SeqCst);
        if now == sent {
            break;
        }
        sent = now;
    }
    let a_stream = sent / streams.len();
    assert!(a_stream < 2_000, "{a_stream} chunks of 1 kB are on the way");
    // Who reads again gets more.
    for _ in 0..2_000 {
        streams[0].next().await.unwrap().unwrap();
    }
    drop(streams);
    Seen::until(&node.seen.dropped, 40).await;
}

#[tokio::test]
async fn what_is_no_http2_is_unreachable() {
    let http1 = raw(|mut connection| async move {
        let _ = connection
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await;
        std::future::pending::<()>().await;
    });
    let noise = raw(|mut connection| async move {
        let noise: Vec<u8> = (0..4_096_u32).map(|byte| (byte * 31 % 251) as u8).collect();
        let _ = connection.write_all(&noise).await;
        std::future::pending::<()>().await;
    });
    let closing = raw(|connection| async move { drop(connection) });
    let silent = raw(|connection| async move {
        let _connection = connection;
        std::future::pending::<()>().await;
    });
    let mut settings = settings();
    settings.connect_timeout_ms = 200;
    let client = client_with(&settings);
    for at in [http1.await, noise.await, closing.await, silent.await] {
        let error = invoke(&client, &address(at), "echo").await.unwrap_err();
        assert!(error.was_not_sent(), "{error:?}");
        assert_eq!(client.is_up(&address(at)), Some(false));
    }
}

fn head(status: u16, headers: &[(&'static str, &'static str)]) -> Response<()> {
    let mut head = Response::builder().status(status);
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    head.body(()).unwrap()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn http2_that_is_no_grpc_is_malformed() {
    type Answer = fn(node::H2Answer);
    let answers: [(&str, Answer); 9] = [
        ("a page", |mut answer| {
            let page = head(200, &[("content-type", "text/html")]);
            let mut body = answer.send_response(page, false).unwrap();
            body.send_data(Bytes::from_static(b"<html>"), true).unwrap();
        }),
        ("an HTTP error", |mut answer| {
            answer.send_response(head(503, &[]), true).unwrap();
        }),
        ("no status", |mut answer| {
            let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
            body.send_trailers(HeaderMap::new()).unwrap();
        }),
        ("a status that is none", |mut answer| {
            let head = head(200, &[GRPC, ("grpc-status", "many")]);
            answer.send_response(head, true).unwrap();
        }),
        ("details that are no base64", |mut answer| {
            let details = ("grpc-status-details-bin", "%%%");
            let head = head(200, &[GRPC, ("grpc-status", "2"), details]);
            answer.send_response(head, true).unwrap();
        }),
        ("details that are no base64, later", |mut answer| {
            let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
            let trailers = head(
                200,
                &[("grpc-status", "13"), ("grpc-status-details-bin", "%")],
            );
            body.send_trailers(trailers.into_parts().0.headers).unwrap();
        }),
        ("no message", |mut answer| {
            let head = head(200, &[GRPC, ("grpc-status", "0")]);
            answer.send_response(head, true).unwrap();
        }),
        ("no protobuf", |mut answer| {
            let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
            let message = Bytes::from_static(b"\0\0\0\0\x03\xff\xff\xff");
            body.send_data(message, true).unwrap();
        }),
        ("a message longer than anything", |mut answer| {
            let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
            body.send_data(Bytes::from_static(b"\0\xff\xff\xff\xffxx"), true)
                .unwrap();
        }),
    ];
    let client = client();
    for (name, answer) in answers {
        let at = http2(move |respond| async move { answer(respond) }).await;
        let error = invoke(&client, &address(at), "echo").await.unwrap_err();
        let fits = match &error {
            NodeCallError::Malformed { .. } => true,
            NodeCallError::Failed(_) => name.contains("details"),
            NodeCallError::Refused { code, .. } => {
                name.contains("longer") && code == "message_too_large"
            }
            _ => false,
        };
        assert!(fits, "{name}: {error:?}");
        assert_eq!(client.is_up(&address(at)), Some(true), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_have_run() {
    let resets = http2(|mut answer| async move { answer.send_reset(h2::Reason::CANCEL) }).await;
    // Who has begun to answer has begun the call, whatever follows.
    let stops_late = http2(|mut answer| async move {
        let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
        let status = head(200, &[("grpc-status", "14")]).into_parts().0.headers;
        body.send_trailers(status).unwrap();
    })
    .await;
    let breaks_off = http2(|mut answer| async move {
        let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0"), false)
            .unwrap();
        body.send_reset(h2::Reason::NO_ERROR);
    })
    .await;
    let ends = http2(|mut answer| async move {
        let mut body = answer.send_response(head(200, &[GRPC]), false).unwrap();
        body.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let client = client();
    for at in [resets, stops_late, breaks_off, ends] {
        let error = invoke(&client, &address(at), "echo").await.unwrap_err();
        assert!(
            matches!(error, NodeCallError::Disconnected { .. }),
            "{error:?}"
        );
    }
}

/// Answers a call with 1.
fn answered(mut respond: node::H2Answer) {
    let mut body = respond.send_response(head(200, &[GRPC]), false).unwrap();
    // `InvokeReply { value: "1" }`, with its length before it.
    body.send_data(Bytes::from_static(b"\0\0\0\0\x03\x0a\x011"), false)
        .unwrap();
    let status = head(200, &[("grpc-status", "0")]).into_parts().0.headers;
    body.send_trailers(status).unwrap();
}

/// Answers each call with this status alone.
async fn status(status: &'static str) -> SocketAddr {
    http2(move |mut answer| async move {
        let head = head(200, &[GRPC, ("grpc-status", status)]);
        answer.send_response(head, true).unwrap();
    })
    .await
}

/// Says that it leaves, and has begun nothing, when it hears of a call.
async fn leaving() -> SocketAddr {
    raw(|mut connection| async move {
        let mut preface = [0; 24];
        connection.read_exact(&mut preface).await.unwrap();
        connection
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut head = [0; 9];
        while connection.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            connection.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                // GOAWAY with the last stream 0.
                let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                connection.write_all(&goaway).await.unwrap();
            }
        }
    })
    .await
}

/// Nodes that certainly do not begin a call, each in another way.
async fn never_begun() -> [(&'static str, SocketAddr); 5] {
    let refuses = |mut answer: node::H2Answer| async move {
        answer.send_reset(h2::Reason::REFUSED_STREAM);
    };
    [
        ("a refused connection", nowhere().await),
        ("REFUSED_STREAM", http2(refuses).await),
        ("above the last stream of a GOAWAY", leaving().await),
        ("UNAUTHENTICATED", status("16").await),
        ("stopping", status("14").await),
    ]
}

#[tokio::test]
async fn what_was_certainly_not_begun_is_unreachable_for_every_verb() {
    let client = client();
    let (request, mfa) = (Request::new("r", "s", "t"), Mfa::new("M", "f"));
    for (name, at) in never_begun().await {
        let at = address(at);
        let errors = [
            invoke(&client, &at, "echo").await.err(),
            open(&client, &at, "three").await.err(),
            (client.check_permission(&at, &mfa, &request, LONG).await).err(),
            client.get_config(&at, &mfa, LONG).await.err(),
            client.verify(&at, "s", "1", LONG).await.err(),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{name}: it answered"));
            assert!(error.was_not_sent(), "{name}: {error:?}");
        }
    }
}

#[test]
fn what_was_certainly_not_begun_goes_to_the_next_node_in_every_response_mode() {
    let threads = tokio::runtime::Runtime::new().unwrap();
    let good = threads.block_on(Node::start());
    for (name, at) in threads.block_on(never_begun()) {
        let config = |request_type: &str, function| {
            FunConfig::builder("Users", request_type)
                .call("M", function)
                .nodes([address(at), good.address()].map(|node| node.to_string()))
                .choose_node_mode(ChooseNodeMode::RoundRobin)
        };
        let configs = [
            config("sync", "echo"),
            config("async", "echo").asynchronous(),
            config("stream", "three").stream(),
            config("guarded", "echo").permission_callback(("Perms", "may")),
            config("retried", "echo").retry(Retry::AllNodes(1)),
        ];
        let mut grpc = Settings::default();
        grpc.grpc = settings();
        let api = GenApi::builder()
            .settings(grpc)
            .configs(configs.map(|config| config.build().unwrap()))
            .start_blocking()
            .unwrap();
        // Twice in turn, so that both nodes are the first once.
        for mode in ["sync", "async", "stream", "guarded", "retried"].repeat(2) {
            let request = Request::new("r", "Users", mode).with_user_id("u");
            let responses = api.block_on(async { api.execute(request).await.collect().await });
            let last = responses.last().unwrap();
            assert!(last.success, "{mode}, {name}: {responses:?}");
        }
        let view = api.cluster_view();
        let up = |at: SocketAddr| {
            let node = address(at).to_string();
            let line = view.nodes.iter().find(|line| line.node == node);
            line.unwrap().up
        };
        assert_eq!(up(good.at), Some(true));
        if ["a refused connection", "UNAUTHENTICATED"].contains(&name) {
            assert_eq!(up(at), Some(false), "{name}: {view}");
        }
        api.block_on(api.stop());
    }
}

#[tokio::test]
async fn a_node_that_says_goodbye_gets_a_new_connection_and_no_call_fails() {
    // Says goodbye after each answer, while the connection stays open for a call that goes on.
    let at = raw(move |connection| async move {
        let mut connection = h2::server::handshake(connection).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((_, respond))) = connection.accept().await {
            if kept.is_empty() {
                kept.push(respond);
                continue;
            }
            answered(respond);
            connection.graceful_shutdown();
        }
        std::future::pending::<()>().await;
    })
    .await;
    let client = client();
    for _ in 0..5 {
        let (invocation, address) = (invocation("echo"), address(at));
        let mut first = client.invoke(&address, &invocation, None);
        assert!(first.as_mut().now_or_never().is_none());
        let second = async { invoke(&client, &address, "echo").await };
        let second = select(first, Box::pin(second)).await;
        match second {
            Either::Right((answer, _)) => assert_eq!(answer, Ok(json!(1))),
            Either::Left((answer, _)) => panic!("the first call is never answered: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_name_stands_for_the_nodes_behind_it() {
    let node = Node::start().await;
    let client = client();
    let name = Address::new(format!("dns://localhost:{}", node.at.port())).unwrap();
    let nodes = client.expand(&name).expect("a group").await.unwrap();
    assert!(nodes.contains(&node.address()), "{nodes:?}");
    assert!(client.expand(&node.address()).is_none());
    // Some machines know two addresses of their own; one of them is served.
    until_up(&client, &name).await;

    let nobody = Address::new("dns://nobody.invalid:1").unwrap();
    let error = client.expand(&nobody).expect("a group").await.unwrap_err();
    assert!(error.was_not_sent(), "{error:?}");
    let error = invoke(&client, &nobody, "echo").await.unwrap_err();
    assert!(error.was_not_sent(), "{error:?}");
}

#[tokio::test]
async fn a_client_that_is_dropped_closes_its_connections_after_the_last_stream() {
    let node = Node::start().await;
    let client = client();
    let mut stream = open(&client, &node.address(), "flood").await.unwrap();
    drop(client);
    for _ in 0..1_000 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    Seen::until(&node.seen.dropped, 1).await;
}

/// Hears of one span: its field `trace_id`.
#[derive(Clone, Default)]
struct TraceId(Arc<Mutex<(Option<&'static Metadata<'static>>, String)>>);

impl Visit for TraceId {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "trace_id" {
            self.0.lock().unwrap().1 = format!("{value:?}");
        }
    }
}

impl Subscriber for TraceId {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name() == "gen_api.request"
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0.lock().unwrap().0 = Some(span.metadata());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn current_span(&self) -> Current {
        let request = self.0.lock().unwrap().0;
        request.map_or_else(Current::none, |metadata| {
            Current::new(span::Id::from_u64(1), metadata)
        })
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn an_engine_with_the_secret_of_the_cluster_calls_its_nodes_over_grpc() {
    let threads = tokio::runtime::Runtime::new().unwrap();
    let node = threads.block_on(Node::start());
    let echo = FunConfig::builder("Users", "echo")
        .call("M", "echo")
        .nodes([format!("dns://localhost:{}", node.at.port())])
        .arg("name", ArgType::String);
    let mut grpc = Settings::default();
    grpc.grpc = settings();
    let api = GenApi::builder()
        .settings(grpc)
        .config(echo.build().unwrap())
        .start_blocking()
        .unwrap();
    let request = Request::new("r", "Users", "echo").with_arg("name", "Ann");
    let trace_id = TraceId::default();
    let reply =
        tracing::subscriber::with_default(trace_id.clone(), || api.block_on(api.execute(request)));
    assert_eq!(reply.response.unwrap().result, json!(["Ann"]));
    api.block_on(api.stop());

    // What both sides write into their logs.
    let headers = node.seen.headers.lock().unwrap().clone().unwrap();
    let traceparent = headers.get("traceparent").unwrap().to_str().unwrap();
    let trace_id = trace_id.0.lock().unwrap().1.clone();
    assert!(
        traceparent.starts_with(&format!("00-{trace_id}-")),
        "{traceparent}, {trace_id}"
    );
    assert_eq!(trace_id.len(), 32);

    let mut unusable = Settings::default();
    unusable.grpc = settings().with_cluster_secret("two words");
    let error = GenApi::builder().settings(unusable).start_blocking();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("grpc.cluster_secret"), "{error}");
}

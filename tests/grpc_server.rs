//! The gRPC door, asked by a client that was generated from `proto/node.proto` and knows nothing of this crate.
#![cfg(feature = "grpc")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use gen_api::{
    GenApi, ServiceNode, ServiceNodeBuilder, Settings, StartServiceNodeError,
    arguments::ArgType,
    clock::ManualClock,
    function::{FunctionError, Functions, StreamHandle},
    grpc::{
        TraceContext, TraceParent,
        proto::{
            Failure, FailureKind, FunctionCall, FunctionName, InvokeRequest, PermissionRequest,
            PushRequest, StreamItem, VerifyRequest, gateway_client::GatewayClient, invoke_reply,
            node_client::NodeClient, push_reply, stream_item, verify_reply,
        },
    },
    model::{FunConfig, Nodes, PushConfig, Request as ApiRequest, ResponseType},
    service_node::Offer,
    settings::GrpcSettings,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};
use tonic::{
    Code, Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const SECRET: &str = "s3cret";

fn settings() -> GrpcSettings {
    let any_port = "127.0.0.1:0".parse().expect("an address");
    GrpcSettings::default()
        .with_listen(any_port)
        .with_cluster_secret(SECRET)
}

/// Shows the secret, unless it has none.
#[derive(Clone)]
struct Shows(Option<AsciiMetadataValue>);

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Client = NodeClient<InterceptedService<Channel, Shows>>;

async fn channel(url: String) -> Channel {
    let endpoint = Endpoint::from_shared(url).expect("an endpoint");
    endpoint.connect().await.expect("a connection")
}

fn shows(secret: Option<&str>) -> Shows {
    Shows(secret.map(|secret| format!("Bearer {secret}").parse().expect("a header")))
}

async fn client(node: &ServiceNode) -> Client {
    let channel = channel(format!("http://{}", node.address())).await;
    NodeClient::with_interceptor(channel, shows(Some(SECRET))).max_decoding_message_size(usize::MAX)
}

/// What the functions of the node tell the test.
#[derive(Default)]
struct Told {
    running: Notify,
    dropped: Notify,
    refused: Notify,
    blocked: Notify,
    release: Notify,
    sent: AtomicUsize,
}

struct OnDrop(Arc<Told>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

const CHUNKS: usize = 1_000;

fn functions(told: &Arc<Told>) -> Functions {
    let [hanging, held, flooding] = [(); 3].map(|()| Arc::clone(told));
    Functions::new()
        .register("T", "add", |a: i64, b: i64| async move {
            Ok::<_, FunctionError>(a + b)
        })
        .register("T", "fails", || async {
            Err::<(), _>(FunctionError::failed("boom"))
        })
        .register("T", "public", || async {
            Err::<(), _>(FunctionError::public("sold out"))
        })
        .register("T", "panics", || async {
            if true {
                panic!("kaboom");
            }
            Ok::<_, FunctionError>(())
        })
        .register("T", "large", |bytes: usize| async move {
            Ok::<_, FunctionError>("x".repeat(bytes))
        })
        .register("T", "is_ann", |request: Value| async move {
            Ok::<_, FunctionError>(request["user_id"].as_str() == Some("ann"))
        })
        .register("T", "hangs", move || {
            let told = Arc::clone(&hanging);
            async move {
                let guard = OnDrop(Arc::clone(&told));
                told.running.notify_one();
                std::future::pending::<()>().await;
                drop(guard);
                Ok::<_, FunctionError>(())
            }
        })
        .register("T", "held", move || {
            let told = Arc::clone(&held);
            async move {
                told.running.notify_one();
                told.release.notified().await;
                Ok::<_, FunctionError>("released")
            }
        })
        .register("T", "three", |stream: StreamHandle| async move {
            stream.send_result(1).await?;
            stream.send_result(2).await?;
            stream.send_last_result(3).await?;
            Ok::<_, FunctionError>(())
        })
        .register("T", "floods", move |stream: StreamHandle| {
            let told = Arc::clone(&flooding);
            async move {
                for number in 0..CHUNKS {
                    let chunk = json!([number, "x".repeat(20_000)]);
                    let mut send = Box::pin(stream.send_result(chunk));
                    let sent = match send.as_mut().now_or_never() {
                        Some(sent) => sent,
                        None => {
                            told.blocked.notify_one();
                            send.await
                        }
                    };
                    if sent.is_err() {
                        told.refused.notify_one();
                        return Ok::<_, FunctionError>(());
                    }
                    told.sent.fetch_add(1, Ordering::SeqCst);
                }
                stream.complete().await?;
                Ok(())
            }
        })
        .register("T", "spawns", {
            let told = Arc::clone(told);
            move |stream: StreamHandle| {
                let told = Arc::clone(&told);
                tokio::spawn(async move {
                    let _ = stream.send_result("first").await;
                    stream.closed().await;
                    if stream.send_result("more").await.is_err() {
                        told.refused.notify_one();
                    }
                });
                async { Ok::<_, FunctionError>(()) }
            }
        })
}

async fn node_with(grpc: GrpcSettings) -> (ServiceNode, Arc<Told>) {
    let told = Arc::default();
    let config = FunConfig::builder("demo", "add").call("T", "add").local();
    let node = ServiceNode::builder()
        .functions(functions(&told))
        .config(config.build().expect("a config"))
        .grpc(grpc);
    (node.start().await.expect("a node"), told)
}

async fn node() -> (ServiceNode, Arc<Told>) {
    node_with(settings()).await
}

fn call(function: &str, args: &Value) -> InvokeRequest {
    InvokeRequest {
        module: "T".to_owned(),
        function: function.to_owned(),
        args: args.to_string().into(),
        request_id: "r-1".to_owned(),
        ..InvokeRequest::default()
    }
}

async fn invoke(
    client: &mut Client,
    request: impl tonic::IntoRequest<InvokeRequest>,
) -> Result<invoke_reply::Outcome, Status> {
    let reply = client.invoke(request).await?;
    Ok(reply.into_inner().outcome.expect("an outcome"))
}

fn value(value: &Value) -> invoke_reply::Outcome {
    invoke_reply::Outcome::Value(value.to_string().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_nothing_is_answered() {
    let (node, _) = node().await;
    let channel = channel(format!("http://{}", node.address())).await;
    for secret in [None, Some("wrong"), Some("s3cre"), Some("s3cret2")] {
        let mut client = NodeClient::with_interceptor(channel.clone(), shows(secret));
        let code = |status: Status| status.code();
        let request = call("add", &json!([1, 2]));
        let refused = Err(Code::Unauthenticated);
        assert_eq!(
            client
                .invoke(request.clone())
                .await
                .map(|_| ())
                .map_err(code),
            refused
        );
        let streamed = client.invoke_stream(request).await;
        assert_eq!(streamed.map(|_| ()).map_err(code), refused);
        let mut health = HealthClient::with_interceptor(channel.clone(), shows(secret));
        let checked = health.check(HealthCheckRequest::default()).await;
        assert_eq!(checked.map(|_| ()).map_err(code), refused);
        // A stranger does not even learn what is offered.
        let mut gateway = GatewayClient::with_interceptor(channel.clone(), shows(secret));
        let verified = gateway.verify(VerifyRequest::default()).await;
        assert_eq!(verified.map(|_| ()).map_err(code), refused);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_in_its_value_or_in_a_failure_of_its_kind() {
    let (node, _) = node().await;
    let mut client = client(&node).await;
    let sum = invoke(&mut client, call("add", &json!([1, 2]))).await;
    assert_eq!(sum.expect("a sum"), value(&json!(3)));
    for (function, kind, message) in [
        ("fails", FailureKind::Failed, "boom"),
        ("public", FailureKind::Public, "sold out"),
        ("panics", FailureKind::Panicked, "kaboom"),
        ("nowhere", FailureKind::NotFound, "T.nowhere"),
    ] {
        let outcome = invoke(&mut client, call(function, &json!([]))).await;
        let (kind, message) = (kind.into(), message.to_owned());
        let failure = invoke_reply::Outcome::Failure(Failure { kind, message });
        assert_eq!(outcome.expect("an outcome"), failure);
    }
    let mut named = call("add", &json!([1, "two"]));
    named.arg_names = vec!["left".to_owned(), "right".to_owned()];
    match invoke(&mut client, named).await.expect("an outcome") {
        invoke_reply::Outcome::Failure(failure) => {
            assert_eq!(failure.kind(), FailureKind::InvalidArgument);
            assert!(failure.message.contains("right"), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_another_shape_are_an_invalid_argument() {
    let (node, _) = node().await;
    let mut client = client(&node).await;
    for args in ["", "{}", "[1", "[1]x", "\u{0}"] {
        let mut request = call("add", &json!(null));
        request.args = args.to_owned().into();
        let status = invoke(&mut client, request).await.expect_err("a refusal");
        assert_eq!(status.code(), Code::InvalidArgument, "{args:?}");
        assert!(
            status.message().starts_with("args: "),
            "{}",
            status.message()
        );
    }
    let deep = "[".repeat(100_000);
    let mut request = call("add", &json!(null));
    request.args = deep.into();
    let status = invoke(&mut client, request).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument);
    let question = PermissionRequest::default();
    let status = client
        .check_permission(question)
        .await
        .expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_left_ends_the_function() {
    let (node, told) = node().await;
    let mut client = client(&node).await;
    // On a busy machine a short time is over before the function begins; then it gets twice as much.
    for left in (5..).map(|power| 1_u32 << power) {
        let mut request = Request::new(call("hangs", &json!([])));
        // As a raw header: a timeout that the client itself would not watch.
        let left = format!("{left}m").parse().expect("a header");
        request.metadata_mut().insert("grpc-timeout", left);
        let status = invoke(&mut client, request).await.expect_err("no answer");
        let has_begun = told.running.notified().now_or_never().is_some();
        // tonic watches the header too, and on a busy machine may be the first to see the end.
        if status.code() == Code::Cancelled {
            continue;
        }
        assert_eq!(status.code(), Code::DeadlineExceeded);
        if has_begun {
            break;
        }
    }
    told.dropped.notified().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_drops_the_function() {
    let (node, told) = node().await;
    let mut unary = client(&node).await;
    let mut streamed = unary.clone();
    let calling = tokio::spawn(async move { invoke(&mut unary, call("hangs", &json!([]))).await });
    told.running.notified().await;
    calling.abort();
    told.dropped.notified().await;

    let calling =
        tokio::spawn(async move { streamed.invoke_stream(call("hangs", &json!([]))).await });
    told.running.notified().await;
    // The headers are there at once; nothing else will come.
    drop(calling.await.expect("a call").expect("headers"));
    told.dropped.notified().await;
    node.stop().await;
}

#[tokio::test]
async fn calls_that_are_cancelled_while_a_node_is_held_up_cost_no_call_beside_them() {
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let blocks = move || {
        let (begun, released) = (begun.clone(), Arc::clone(&released));
        async move {
            begun.send(()).map_err(|error| error.to_string())?;
            let released = released.lock().expect("the end of the wait");
            released.recv().map_err(|error| error.to_string())
        }
    };
    let mut one_thread = Settings::default().with_threads(1);
    one_thread.grpc = settings();
    let node = ServiceNode::builder()
        .settings(one_thread)
        .functions(Functions::new().register("T", "blocks", blocks));
    let node = node.start().await.expect("it starts");
    let mut caller = client(&node).await;
    let blocked = tokio::spawn(async move { caller.invoke(call("blocks", &json!([]))).await });
    has_begun.recv().await.expect("the thread is held up");

    // A gateway that calls and gives up, again and again. Nothing of it is read yet.
    let (near, mut far) = tokio::io::duplex(16 << 20);
    let mut gateway = h2::client::Builder::new();
    gateway.initial_max_send_streams(100_000);
    let (sender, connection) = gateway.handshake::<_, Bytes>(near).await.expect("a start");
    tokio::spawn(connection);
    let question = || {
        tonic::codegen::http::Request::post("http://node/grpc.health.v1.Health/Check")
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {SECRET}"))
            .body(())
            .expect("a request")
    };
    let mut sender = sender.ready().await.expect("room");
    for _ in 0..6_000 {
        let sent = sender.send_request(question(), false).expect("room");
        tokio::task::yield_now().await;
        drop(sent);
        tokio::task::yield_now().await;
        sender = sender.ready().await.expect("room");
    }
    let mut node_side = tokio::net::TcpStream::connect(node.address())
        .await
        .expect("a connection");
    let mut burst = Vec::new();
    while let Some(read) = far.read_buf(&mut burst).now_or_never() {
        read.expect("bytes");
    }
    node_side
        .write_all(&burst)
        .await
        .expect("the system takes it");
    release.send(()).expect("it waits");
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut node_side).await });

    let (answer, mut body) = sender.send_request(question(), false).expect("room");
    body.send_data(Bytes::from_static(&[0; 5]), true)
        .expect("room");
    let answer = answer.await.expect("the connection serves on");
    assert_eq!(answer.status(), 200);
    assert!(blocked.await.expect("no panic").is_ok());
    node.stop().await;
}

async fn items(client: &mut Client, function: &str) -> Vec<Result<stream_item::Item, Code>> {
    let stream = client.invoke_stream(call(function, &json!([]))).await;
    let stream = stream.expect("a stream").into_inner();
    let items = stream.map(|item| match item {
        Ok(StreamItem { item }) => Ok(item.expect("an item")),
        Err(status) => Err(status.code()),
    });
    items.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_its_acceptance_or_with_its_failure() {
    let (node, _) = node().await;
    let mut client = client(&node).await;
    let accepted = stream_item::Item::Accepted(gen_api::grpc::proto::Accepted {});
    let expected = [
        Ok(accepted),
        Ok(stream_item::Item::Chunk("1".into())),
        Ok(stream_item::Item::Chunk("2".into())),
        Ok(stream_item::Item::Last("3".into())),
    ];
    assert_eq!(items(&mut client, "three").await, expected);
    for function in ["fails", "nowhere", "panics"] {
        let items = items(&mut client, function).await;
        let failed = matches!(&items[..], [Ok(stream_item::Item::Failure(_))]);
        assert!(failed, "{function}: {items:?}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_waits_for_a_slow_reader_and_loses_nothing() {
    let (node, told) = node().await;
    let mut client = client(&node).await;
    let stream = client.invoke_stream(call("floods", &json!([]))).await;
    let mut stream = stream.expect("a stream").into_inner();
    told.blocked.notified().await;
    let sent = told.sent.load(Ordering::SeqCst);
    assert!(sent < 200, "{sent} chunks are on their way unread");
    let mut numbers = Vec::new();
    while let Some(item) = stream.message().await.expect("an item") {
        if let Some(stream_item::Item::Chunk(json)) = item.item {
            let chunk: Value = serde_json::from_slice(&json).expect("json");
            numbers.push(chunk[0].as_u64());
        }
    }
    let expected: Vec<_> = (0..CHUNKS as u64).map(Some).collect();
    assert_eq!(numbers, expected);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_makes_the_next_send_fail() {
    let (node, told) = node().await;
    let mut client = client(&node).await;
    let stream = client.invoke_stream(call("spawns", &json!([]))).await;
    let mut stream = stream.expect("a stream").into_inner();
    stream.message().await.expect("accepted");
    stream.message().await.expect("a chunk");
    drop(stream);
    told.refused.notified().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_questions_are_answered_too() {
    let (node, _) = node().await;
    let mut client = client(&node).await;
    let permission = |user: &str| PermissionRequest {
        callback: Some(FunctionCall {
            module: "T".to_owned(),
            function: "is_ann".to_owned(),
            args: "[]".into(),
        }),
        request: json!({
            "request_id": "r", "service": "demo", "request_type": "add", "user_id": user,
        })
        .to_string()
        .into(),
    };
    for (user, allowed) in [("ann", true), ("bob", false)] {
        let reply = client.check_permission(permission(user)).await;
        assert_eq!(reply.expect("a decision").into_inner().allowed, allowed);
    }
    let function = |name: &str| FunctionCall {
        module: Offer::MODULE.to_owned(),
        function: name.to_owned(),
        args: r#"["demo"]"#.into(),
    };
    let configs = client.get_config(function(Offer::CONFIGS)).await;
    match configs.expect("configs").into_inner().outcome {
        Some(invoke_reply::Outcome::Value(json)) => {
            let configs: Vec<FunConfig> = serde_json::from_slice(&json).expect("configs");
            assert_eq!(configs, node.offer().configs("demo"));
        }
        other => panic!("{other:?}"),
    }
    let version = client.config_version(function(Offer::CONFIG_VERSION)).await;
    let version = version.expect("a version").into_inner().outcome;
    assert_eq!(version, Some(value(&json!(node.offer().version("demo")))));
    for (function, exists) in [("add", true), ("nowhere", false)] {
        let (module, function) = ("T".to_owned(), function.to_owned());
        let reply = client
            .function_exists(FunctionName { module, function })
            .await;
        assert_eq!(reply.expect("an answer").into_inner().exists, exists);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_in_both_directions() {
    let (node, _) = node_with(settings().with_max_message_bytes(10_000)).await;
    let mut client = client(&node).await;
    let large = call("add", &json!(["x".repeat(20_000)]));
    let status = invoke(&mut client, large).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let status = invoke(&mut client, call("large", &json!([20_000]))).await;
    assert_eq!(
        status.expect_err("a refusal").code(),
        Code::ResourceExhausted
    );
    let fits = invoke(&mut client, call("large", &json!([9_000]))).await;
    assert!(fits.is_ok(), "{fits:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_service_and_those_who_watch_hear_of_a_stop() {
    let (node, _) = node().await;
    let channel = channel(format!("http://{}", node.address())).await;
    let mut health = HealthClient::with_interceptor(channel, shows(Some(SECRET)));
    let of = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;
    for service in ["", "gen_api.v1.Node"] {
        let answer = health.check(of(service)).await.expect("an answer");
        assert_eq!(answer.into_inner().status, SERVING, "{service}");
    }
    let unknown = health.check(of("gen_api.v1.Gateway")).await;
    assert_eq!(unknown.expect_err("a status").code(), Code::NotFound);
    let watched = health.watch(of("gen_api.v1.Node")).await.expect("a watch");
    let mut watched = watched.into_inner();
    let first = watched.message().await.expect("a status").expect("one");
    assert_eq!(first.status, SERVING);
    node.stop().await;
    let last = watched.message().await.expect("a status").expect("one");
    assert_eq!(last.status, NOT_SERVING);
    assert!(watched.message().await.expect("an end").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_calls_end_and_takes_no_new_ones() {
    let (node, told) = node_with(settings().with_stop_timeout(Duration::from_secs(60))).await;
    let client = client(&node).await;
    let running = {
        let mut client = client.clone();
        tokio::spawn(async move { invoke(&mut client, call("held", &json!([]))).await })
    };
    told.running.notified().await;
    let stopping = {
        let node = node.clone();
        tokio::spawn(async move { node.stop().await })
    };
    // Answered until the stop arrives, and from then on refused, once the client knows of it.
    let status = async |mut client: Client| {
        let answer = invoke(&mut client, call("add", &json!([1, 2]))).await;
        answer.err().map(|status| status.code())
    };
    while status(client.clone()).await != Some(Code::Unavailable) {}
    assert!(!stopping.is_finished());
    told.release.notify_one();
    let answer = running.await.expect("a call").expect("an answer");
    assert_eq!(answer, value(&json!("released")));
    stopping.await.expect("a stop");
    assert!(
        tokio::net::TcpStream::connect(node.address())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_do_not_end_in_time_are_cut_by_a_stop() {
    let (node, told) = node_with(settings().with_stop_timeout(Duration::from_millis(1))).await;
    let mut client = client(&node).await;
    let calling = tokio::spawn(async move { invoke(&mut client, call("hangs", &json!([]))).await });
    told.running.notified().await;
    node.stop().await;
    told.dropped.notified().await;
    assert!(calling.await.expect("a call").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_caller_goes_on() {
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);
    impl TraceContext for Seen {
        fn inject(&self, _: &mut dyn FnMut(&str, &str)) {}

        fn extract<'h>(
            &self,
            get: &dyn Fn(&str) -> Option<&'h str>,
            _: &tracing::Span,
        ) -> Option<TraceParent> {
            let parent = get("traceparent")?;
            self.0.lock().expect("seen").push(parent.to_owned());
            parent.parse().ok()
        }
    }
    let seen = Seen::default();
    let config = FunConfig::builder("demo", "add").call("T", "add").local();
    let node = ServiceNode::builder()
        .functions(functions(&Arc::default()))
        .config(config.build().expect("a config"))
        .grpc(settings())
        .trace_context(seen.clone());
    let node = node.start().await.expect("a node");
    let mut client = client(&node).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for streamed in [false, true] {
        let mut request = Request::new(call("add", &json!([1, 2])));
        request
            .metadata_mut()
            .insert("traceparent", parent.parse().expect("a header"));
        if streamed {
            client.invoke_stream(request).await.expect("an answer");
        } else {
            invoke(&mut client, request).await.expect("an answer");
        }
    }
    assert_eq!(*seen.0.lock().expect("seen"), [parent, parent]);
    node.stop().await;
}

fn push_of(version: &str) -> PushConfig {
    let config = FunConfig::builder("demo", "add").call("T", "add").local();
    let config = config.build().expect("a config");
    PushConfig::new(
        "demo",
        Nodes::list(["http://127.0.0.1:1"]),
        version,
        [config],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_takes_pushes_and_nothing_else() {
    let mut all = Settings::default();
    all.grpc = settings();
    all.security.push_token = Some("token".into());
    let api = GenApi::builder()
        .settings(all)
        .start()
        .await
        .expect("a gateway");
    let address = api.grpc_address().expect("an address");
    let channel = channel(format!("http://{address}")).await;
    let mut gateway = GatewayClient::with_interceptor(channel.clone(), shows(Some(SECRET)));
    let mut push = async |config: &Value, force: bool| {
        let request = PushRequest {
            config: config.to_string().into(),
            force,
            replace: false,
        };
        let reply = gateway.push(request).await;
        reply.map(|reply| reply.into_inner().outcome.expect("an outcome"))
    };
    let config = serde_json::to_value(push_of("1").with_token("token")).expect("json");
    let accepted = push(&config, false).await.expect("an outcome");
    assert!(
        matches!(accepted, push_reply::Outcome::Accepted(_)),
        "{accepted:?}"
    );
    match push(&config, false).await.expect("an outcome") {
        push_reply::Outcome::Skipped(skipped) => assert_eq!(skipped.reason, "version_matches"),
        other => panic!("{other:?}"),
    }
    let forced = push(&config, true).await.expect("an outcome");
    assert!(
        matches!(forced, push_reply::Outcome::Accepted(_)),
        "{forced:?}"
    );
    let stranger = serde_json::to_value(push_of("2").with_token("wrong")).expect("json");
    for (config, code) in [
        (stranger, "invalid_push_token"),
        (
            json!({"service": "demo", "push_token": "token"}),
            "validation_failed",
        ),
    ] {
        match push(&config, false).await.expect("an outcome") {
            push_reply::Outcome::Refused(refused) => {
                assert_eq!(refused.code, code);
                assert!(!refused.reason.contains("token\""), "{}", refused.reason);
            }
            other => panic!("{other:?}"),
        }
    }
    let verify = |version: &str| VerifyRequest {
        service: "demo".to_owned(),
        config_version: version.to_owned(),
    };
    let matched = gateway
        .verify(verify("1"))
        .await
        .expect("an answer")
        .into_inner();
    assert!(matches!(
        matched.outcome,
        Some(verify_reply::Outcome::Matched(_))
    ));
    let mismatch = gateway
        .verify(verify("2"))
        .await
        .expect("an answer")
        .into_inner();
    assert_eq!(
        mismatch.outcome,
        Some(verify_reply::Outcome::Mismatch("1".to_owned()))
    );
    assert!(api.config_db().get_fast("demo", "add").is_ok());

    let mut node = NodeClient::with_interceptor(channel, shows(Some(SECRET)));
    let invoked = node.invoke(call("add", &json!([1, 2]))).await;
    assert_eq!(invoked.expect_err("a status").code(), Code::Unimplemented);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_the_push_token_is_slowed_down_also_with_many_guesses_at_once() {
    let clock = ManualClock::new();
    let mut all = Settings::default();
    all.grpc = settings();
    all.security.push_token = Some("token".into());
    let api = GenApi::builder()
        .settings(all)
        .clock(Arc::new(clock.clone()));
    let api = api.start().await.expect("a gateway");
    let address = api.grpc_address().expect("an address");
    let channel = channel(format!("http://{address}")).await;
    let gateway = GatewayClient::with_interceptor(channel, shows(Some(SECRET)));
    let push = async |token: &str| {
        let config = serde_json::to_vec(&push_of("1").with_token(token)).expect("json");
        let request = PushRequest {
            config: config.into(),
            ..PushRequest::default()
        };
        let reply = gateway.clone().push(request).await;
        let outcome = reply.map(|reply| reply.into_inner().outcome.expect("an outcome"));
        outcome.map_err(|status| status.code())
    };
    let guesses = futures_util::future::join_all((0..200).map(|_| push("guess"))).await;
    let judged = guesses.iter().filter(|guess| guess.is_ok()).count();
    // As many as may be wrong in a row, and one for each thread that was past the question already.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    assert!((20..20 + 2 * threads).contains(&judged), "{judged}");
    // The right one is not looked at either, so that no guess stands out.
    assert_eq!(push("token").await, Err(Code::Unavailable));
    clock.advance(Duration::from_secs(60));
    let accepted = push("token").await;
    assert!(
        matches!(accepted, Ok(push_reply::Outcome::Accepted(_))),
        "{accepted:?}"
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_pushes_itself_is_called_by_its_gateway() {
    let mut gateway = Settings::default();
    gateway.grpc = settings();
    let api = GenApi::builder()
        .settings(gateway)
        .start()
        .await
        .expect("a gateway");
    let url = format!("http://{}", api.grpc_address().expect("an address"));
    let add = FunConfig::builder("demo", "add").call("T", "add").local();
    let add = add.arg("a", ArgType::Num).arg("b", ArgType::Num);
    let three = FunConfig::builder("demo", "three")
        .call("T", "three")
        .local();
    let three = three.response_type(ResponseType::Stream);
    let node = ServiceNode::builder()
        .functions(functions(&Arc::default()))
        .configs([
            add.build().expect("a config"),
            three.build().expect("a config"),
        ])
        .grpc(settings())
        .push_to([url]);
    let node = node.start().await.expect("a node");
    node.pusher().wait_until_accepted("demo").await;
    let request = ApiRequest::new("r-1", "demo", "add")
        .with_arg("a", 1)
        .with_arg("b", 2);
    let response = api.execute(request).await.response.expect("a response");
    assert_eq!(response.result, json!(3), "{response:?}");
    let reply = api.execute(ApiRequest::new("r-2", "demo", "three")).await;
    let chunks: Vec<_> = reply.later.expect("chunks").collect().await;
    let results: Vec<_> = chunks.iter().map(|chunk| chunk.result.clone()).collect();
    assert_eq!(results, [json!(1), json!(2), json!(3)]);
    node.stop().await;
    api.stop().await;
}

#[tokio::test]
async fn a_node_that_cannot_work_does_not_start() {
    let start = async |change: fn(ServiceNodeBuilder) -> ServiceNodeBuilder| {
        let config = FunConfig::builder("demo", "add").call("T", "add").local();
        let node = ServiceNode::builder()
            .functions(functions(&Arc::default()))
            .config(config.build().expect("a config"))
            .grpc(settings());
        let started = change(node).start().await;
        started.err().map(|error| error.to_string())
    };
    let error = start(|node| node.grpc(GrpcSettings::default())).await;
    assert!(error.is_some_and(|error| error.starts_with("grpc.listen")));
    let everywhere = |node: ServiceNodeBuilder| {
        let all = "0.0.0.0:0".parse().expect("an address");
        node.grpc(settings().with_listen(all))
            .push_to(["http://127.0.0.1:1"])
    };
    let error = start(everywhere).await;
    assert!(error.is_some_and(|error| error.contains("advertise")));
    let error = start(|node| node.functions(Functions::new())).await;
    assert!(error.is_some_and(|error| error.contains("T.add")));
    let error = start(|node| node.push_to([" "])).await;
    assert!(error.is_some());
    let (other, _) = node().await;
    let taken = settings().with_listen(other.address());
    let node = ServiceNode::builder().grpc(taken).start().await;
    assert!(
        matches!(node, Err(StartServiceNodeError::Grpc(_))),
        "{node:?}"
    );
    other.stop().await;
}

//! The engine end to end: modes, doors, bad input, hosts, and what happens while actors die.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use futures_util::{StreamExt, future::join_all, stream};
use gen_api::{
    Execute, GenApi, Settings, StartApiError,
    arguments::ArgType,
    clock::ManualClock,
    config::LookupError,
    function::{FunctionError, Functions, RequestInfo, State, StreamHandle},
    model::{FunConfig, FunConfigBuilder, Request, Response},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

fn config(request_type: &str, function: &str) -> FunConfigBuilder {
    FunConfig::builder("svc", request_type)
        .call("T", function)
        .local()
}

fn request(id: &str, request_type: &str) -> Request {
    Request::new(id, "svc", request_type)
}

async fn echo(value: String) -> Result<String, Infallible> {
    Ok(value)
}

async fn start(
    functions: Functions,
    configs: impl IntoIterator<Item = FunConfigBuilder>,
) -> GenApi {
    let configs = configs
        .into_iter()
        .map(|config| config.build().expect("a valid config"));
    let settings = Settings::default().with_threads(2);
    let builder = GenApi::builder()
        .functions(functions)
        .configs(configs)
        .settings(settings);
    builder.start().await.expect("the engine starts")
}

async fn start_echo() -> GenApi {
    let functions = Functions::new().register("T", "echo", echo);
    start(
        functions,
        [config("echo", "echo").arg("value", ArgType::String)],
    )
    .await
}

#[tokio::test]
async fn a_sync_request_is_answered_with_its_result() {
    let api = start_echo().await;
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
    assert!(reply.later.is_none());
    api.stop().await;
}

#[tokio::test]
async fn a_json_request_is_answered_like_any_other() {
    let api = start_echo().await;
    let json = br#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":"hi"}}"#;
    assert_eq!(
        api.execute_json(json).await.response,
        Some(Response::sync("r", "hi"))
    );
    api.stop().await;
}

#[tokio::test]
async fn an_async_request_is_acknowledged_and_answered_later() {
    let functions = Functions::new().register("T", "echo", echo);
    let configs = [config("echo", "echo")
        .arg("value", ArgType::String)
        .asynchronous()];
    let api = start(functions, configs).await;
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(
        reply.collect().await,
        [Response::async_ack("r"), Response::sync("r", "hi")]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_request_without_response_is_still_called() {
    let (sender, mut called) = mpsc::unbounded_channel();
    let note = move |value: String| {
        let sent = sender.send(value);
        async move { sent.map_err(|_| "nobody listens") }
    };
    let functions = Functions::new().register("T", "note", note);
    let api = start(
        functions,
        [config("note", "note")
            .arg("value", ArgType::String)
            .no_response()],
    )
    .await;
    let reply = api
        .execute(request("r", "note").with_arg("value", "hi"))
        .await;
    assert!(reply.collect().await.is_empty());
    assert_eq!(called.recv().await.as_deref(), Some("hi"));
    let refused = api.execute(request("r", "note")).await.collect().await;
    assert_eq!(
        refused.len(),
        1,
        "what is refused before the call is answered in every mode"
    );
    api.stop().await;
}

#[tokio::test]
async fn predefined_arguments_come_first_then_those_of_the_request_then_what_the_engine_adds() {
    async fn show(
        first: String,
        second: u32,
        State(state): State<&'static str>,
        info: RequestInfo,
    ) -> Result<Value, Infallible> {
        Ok(json!([
            first,
            second,
            state,
            info.user_id,
            info.device_id,
            info.request_id
        ]))
    }
    let functions = Functions::new().state("shared").register("T", "show", show);
    let mut config = config("show", "show")
        .arg("second", ArgType::Num)
        .build()
        .expect("valid");
    config.mfa.args = vec![json!("predefined")];
    let api = GenApi::builder()
        .functions(functions)
        .config(config)
        .start()
        .await
        .expect("it starts");
    let request = request("r", "show")
        .with_arg("second", 2)
        .with_user_id("u")
        .with_device_id("d");
    let response = api.execute(request).await.response.expect("a response");
    assert_eq!(
        response.result,
        json!(["predefined", 2, "shared", "u", "d", "r"])
    );
    api.stop().await;
}

#[tokio::test]
async fn every_kind_of_bad_input_is_a_clear_error_response() {
    async fn fails() -> Result<(), &'static str> {
        Err("the password of the database is hunter2")
    }
    async fn panics() -> Result<(), Infallible> {
        panic!("hunter2");
    }
    async fn public() -> Result<(), FunctionError> {
        Err(FunctionError::public("no such user"))
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "fails", fails)
        .register("T", "panics", panics)
        .register("T", "public", public);
    let api = start(
        functions,
        [
            config("echo", "echo").arg("value", ArgType::String),
            config("off", "echo")
                .arg("value", ArgType::String)
                .disabled(),
            config("wrong_arity", "echo"),
            config("fails", "fails"),
            config("panics", "panics"),
            config("public", "public"),
            config("missing", "nope"),
        ],
    )
    .await;
    let internal = "Internal Server Error";
    let cases = [
        ("{", "Invalid request: payload cannot be read"),
        ("[]", "Invalid request: payload must be an object, not"),
        (
            r#"{"request_id":"r"}"#,
            "Invalid request: Missing required fields: request_type, service",
        ),
        (
            r#"{"request_id":1,"service":"svc","request_type":"echo"}"#,
            "Invalid request: Invalid fields: request_id",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"nope"}"#,
            "unsupported function: nope version latest",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","version":"9.9.9"}"#,
            "unsupported function: echo version 9.9.9",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"off"}"#,
            "disabled function: off version latest",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo"}"#,
            "invalid argument \"value\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":1}}"#,
            "invalid argument \"value\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"echo","args":{"value":"x","more":1}}"#,
            "invalid argument \"more\": ",
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"wrong_arity"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"fails"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"panics"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"missing"}"#,
            internal,
        ),
        (
            r#"{"request_id":"r","service":"svc","request_type":"public"}"#,
            "no such user",
        ),
    ];
    for (payload, expected) in cases {
        let response = api
            .execute_json(payload.as_bytes())
            .await
            .response
            .expect("a response");
        let error = response.error.as_deref().unwrap_or_default();
        assert!(
            !response.success && error.starts_with(expected),
            "{payload}: {error}"
        );
        assert!(!error.contains("hunter2"), "{payload} leaks: {error}");
        assert_eq!(response.result, Value::Null, "{payload}");
    }
    let big = format!(r#"{{"request_id":"r","x":"{}"}}"#, "x".repeat(1_000_000));
    let response = api
        .execute_json(big.as_bytes())
        .await
        .response
        .expect("a response");
    let error = response.error.unwrap_or_default();
    assert!(
        error.contains("larger than the limit of 1000000 bytes"),
        "{error}"
    );
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_dropped_and_answered_with_an_error() {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let functions = {
        let dropped = Arc::clone(&dropped);
        Functions::new().register("T", "hang", move || {
            let held = SetOnDrop(Arc::clone(&dropped));
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok::<(), Infallible>(())
            }
        })
    };
    let clock = ManualClock::new();
    let config = config("hang", "hang").timeout(Duration::from_millis(100));
    let api = GenApi::builder()
        .functions(functions)
        .config(config.build().expect("valid"))
        .clock(Arc::new(clock.clone()))
        .start()
        .await
        .expect("it starts");
    let call = tokio::spawn({
        let api = api.clone();
        async move { api.execute(request("r", "hang")).await }
    });
    while !call.is_finished() {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    let response = call.await.expect("no panic").response.expect("a response");
    assert_eq!(response, Response::error("r", "Internal Server Error"));
    assert!(dropped.load(Ordering::SeqCst));
    api.stop().await;
}

async fn count_to(n: u32, stream: StreamHandle) -> Result<(), FunctionError> {
    for i in 1..=n {
        stream.send_result(i).await?;
    }
    stream.complete().await?;
    Ok(())
}

async fn countdown(
    n: u32,
) -> Result<impl stream::Stream<Item = Result<u32, Infallible>>, Infallible> {
    Ok(stream::iter((1..=n).rev().map(Ok)))
}

async fn start_streams() -> GenApi {
    async fn vanish(_stream: StreamHandle) -> Result<(), Infallible> {
        Ok(())
    }
    async fn idle(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "count_to", count_to)
        .register_stream("T", "countdown", countdown)
        .register("T", "vanish", vanish)
        .register("T", "idle", idle);
    start(
        functions,
        [
            config("count_to", "count_to")
                .arg("n", ArgType::Num)
                .stream(),
            config("countdown", "countdown")
                .arg("n", ArgType::Num)
                .stream(),
            config("vanish", "vanish").stream(),
            config("idle", "idle").stream(),
        ],
    )
    .await
}

#[tokio::test]
async fn a_stream_is_acknowledged_then_chunks_come_in_order_then_one_end() {
    let api = start_streams().await;
    let responses = api
        .execute(request("r", "count_to").with_arg("n", 100))
        .await
        .collect()
        .await;
    assert_eq!(responses[0], Response::stream_chunk("r", "init"));
    let chunks = &responses[1..=100];
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(*chunk, Response::stream_chunk("r", index + 1));
    }
    assert_eq!(responses[101..], [Response::stream_end("r")]);
    assert_eq!(api.open_streams(), 0);
    api.stop().await;
}

#[tokio::test]
async fn the_functions_answer_is_the_first_chunk_and_a_late_one_follows_what_was_sent_before() {
    async fn early(stream: StreamHandle) -> Result<&'static str, FunctionError> {
        tokio::spawn(async move {
            stream.send_result("from the task").await?;
            stream.complete().await
        });
        Ok("answer")
    }
    async fn late(stream: StreamHandle) -> Result<&'static str, FunctionError> {
        stream.send_result("one").await?;
        tokio::task::yield_now().await;
        stream.send_result("two").await?;
        Ok("answer")
    }
    let functions = Functions::new()
        .register("T", "early", early)
        .register("T", "late", late);
    let configs = ["early", "late"].map(|name| config(name, name).stream());
    let api = start(functions, configs).await;
    let results = async |name| {
        let responses = api.execute(request("r", name)).await.collect().await;
        responses
            .into_iter()
            .map(|response| response.result)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        results("early").await,
        [
            json!("init"),
            json!("answer"),
            json!("from the task"),
            json!(null)
        ]
    );
    assert_eq!(
        results("late").await,
        [
            json!("init"),
            json!("one"),
            json!("two"),
            json!("answer"),
            json!(null)
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_rust_stream_is_a_stream_of_chunks() {
    let api = start_streams().await;
    let responses = api
        .execute(request("r", "countdown").with_arg("n", 2))
        .await
        .collect()
        .await;
    assert_eq!(
        responses,
        [
            Response::stream_chunk("r", "init"),
            Response::stream_chunk("r", 2),
            Response::stream_chunk("r", 1),
            Response::stream_end("r"),
        ]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_producer_that_vanishes_ends_its_stream_with_an_error() {
    let api = start_streams().await;
    let responses = api.execute(request("r", "vanish")).await.collect().await;
    assert_eq!(
        responses[1..],
        [Response::error("r", "Internal Server Error")]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_stream_stopped_from_outside_is_completed_and_forgotten() {
    let api = start_streams().await;
    let reply = api.execute(request("r", "idle")).await;
    assert_eq!(api.open_streams(), 1);
    api.stop_stream("r").expect("it is open");
    assert_eq!(reply.collect().await[1..], [Response::stream_end("r")]);
    assert_eq!(
        api.stop_stream("r").map_err(|error| error.to_string()),
        Err("no open stream has the request id `r`".to_owned())
    );
    api.stop().await;
}

#[tokio::test]
async fn what_was_sent_before_a_stop_arrives_before_the_end_and_nothing_after() {
    let (sender, mut handles) = mpsc::unbounded_channel();
    let hand_out = move |stream: StreamHandle| {
        let sent = sender.send(stream);
        async move { sent.map_err(|_| "nobody takes the handle") }
    };
    let functions = Functions::new().register("T", "hand_out", hand_out);
    let api = start(functions, [config("hand_out", "hand_out").stream()]).await;
    for _ in 0..100 {
        let reply = api.execute(request("r", "hand_out")).await;
        let stream = handles.recv().await.expect("the handle");
        for number in 0..3 {
            stream.send_result(number).await.expect("it is open");
        }
        api.stop_stream("r").expect("it is open");
        assert!(stream.send_result(3).await.is_err());
        let mut expected: Vec<_> = (0..3).map(|n| Response::stream_chunk("r", n)).collect();
        expected.push(Response::stream_end("r"));
        assert_eq!(reply.collect().await[1..], expected);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_because_its_stream_was_stopped_leaves_the_completion() {
    async fn until_refused(stream: StreamHandle) -> Result<(), FunctionError> {
        loop {
            stream.send_result(1).await?;
        }
    }
    let functions = Functions::new().register("T", "endless", until_refused);
    let api = start(functions, [config("endless", "endless").stream()]).await;
    for _ in 0..100 {
        let reply = api.execute(request("r", "endless")).await;
        api.stop_stream("r").expect("it is open");
        let responses = reply.collect().await;
        assert_eq!(responses.last(), Some(&Response::stream_end("r")));
    }
    api.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_ends_the_stream() {
    let ended = Arc::new(Notify::new());
    let functions = {
        let ended = Arc::clone(&ended);
        Functions::new().register("T", "idle", move |stream: StreamHandle| {
            let ended = Arc::clone(&ended);
            async move {
                stream.closed().await;
                ended.notify_one();
                std::future::pending::<()>().await;
                Ok::<(), Infallible>(())
            }
        })
    };
    let api = start(functions, [config("idle", "idle").stream()]).await;
    let reply = api.execute(request("r", "idle")).await;
    drop(reply);
    while api.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    api.stop().await;
}

/// Collects what it is sent.
struct Collector(mpsc::UnboundedSender<Response>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<Response> for Collector {
    type Result = ();

    fn handle(&mut self, response: Response, _: &mut Context<Self>) {
        let _ = self.0.send(response);
    }
}

#[actix::test]
async fn a_recipient_gets_every_response_in_order() {
    let api = start_streams().await;
    let (sender, mut responses) = mpsc::unbounded_channel();
    let collector = Collector(sender).start();
    let message = Execute::new(request("r", "count_to").with_arg("n", 3))
        .deliver_to(collector.clone().recipient());
    let reply = api
        .executor(0)
        .call(message)
        .await
        .expect("the executor takes it");
    assert!(reply.response.is_none() && reply.later.is_none());
    let mut got = Vec::new();
    while got
        .last()
        .is_none_or(|response: &Response| response.has_more)
    {
        got.push(responses.recv().await.expect("it comes"));
    }
    assert_eq!(
        got,
        [
            Response::stream_chunk("r", "init"),
            Response::stream_chunk("r", 1),
            Response::stream_chunk("r", 2),
            Response::stream_chunk("r", 3),
            Response::stream_end("r"),
        ]
    );
    api.execute_to(request("r", "nope"), collector.recipient())
        .await;
    assert!(responses.recv().await.expect("it comes").is_error());
    api.stop().await;
}

#[tokio::test]
async fn a_look_for_a_config_agrees_with_what_a_request_meets() {
    let echo_config = |request_type| config(request_type, "echo").arg("value", ArgType::String);
    let api = start(
        Functions::new().register("T", "echo", echo),
        [
            echo_config("echo").version("1.0.0"),
            echo_config("echo").version("2.0.0").disabled(),
            echo_config("off").disabled(),
        ],
    )
    .await;
    let asked = [
        ("echo", None, Ok(())),
        ("echo", Some("0.0.0"), Ok(())),
        ("echo", Some("1.0.0"), Ok(())),
        ("echo", Some("2.0.0"), Err(LookupError::Disabled)),
        ("echo", Some("3.0.0"), Err(LookupError::NotFound)),
        ("off", None, Err(LookupError::Disabled)),
        ("unknown", None, Err(LookupError::NotFound)),
    ];
    for (request_type, version, expected) in asked {
        let found = api.config_db().answers("svc", request_type, version);
        assert_eq!(found, expected, "{request_type} {version:?}");
        let mut request = request("r", request_type).with_arg("value", "hi");
        request.version = version.map(str::to_owned);
        let response = api.execute(request).await.response.expect("it is sync");
        assert_eq!(
            response.success,
            found.is_ok(),
            "{request_type} {version:?}"
        );
    }
    api.stop().await;
}

#[tokio::test]
async fn configs_change_while_requests_run() {
    let functions = Functions::new().register("T", "echo", echo);
    let api = start(functions, []).await;
    let call = || api.execute(request("r", "echo").with_arg("value", "hi"));
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.is_error())
    );
    let config = config("echo", "echo")
        .arg("value", ArgType::String)
        .version("1.0.0");
    api.config_db()
        .add(config.build().expect("valid"))
        .await
        .expect("stored");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.success)
    );
    api.config_db()
        .disable("svc", "echo", Some("1.0.0"))
        .await
        .expect("known");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.is_error())
    );
    api.config_db().actor().kill().await;
    api.config_db()
        .enable("svc", "echo", Some("1.0.0"))
        .await
        .expect("the kill lost nothing");
    assert!(
        call()
            .await
            .response
            .is_some_and(|response| response.success)
    );
    api.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let twice = Functions::new()
        .register("T", "echo", echo)
        .register("T", "echo", echo);
    let error = GenApi::builder()
        .functions(twice)
        .start()
        .await
        .expect_err("registered twice");
    assert!(matches!(error, StartApiError::Functions(_)), "{error}");
    let mut config = config("echo", "echo").build().expect("valid");
    config.service = String::new();
    let error = GenApi::builder()
        .config(config)
        .start()
        .await
        .expect_err("an invalid config");
    assert!(error.to_string().contains("service"), "{error}");
    let error = GenApi::builder()
        .settings(Settings::default().with_max_payload_bytes(0))
        .start()
        .await
        .expect_err("settings without sense");
    let text = error.to_string();
    assert!(text.contains("requests.max_payload_bytes"), "{text}");
}

#[actix::test]
async fn it_embeds_under_actix() {
    serves(&start_echo().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_embeds_under_tokio_with_many_threads() {
    let api = start_echo().await;
    let call = |_| {
        let api = api.clone();
        tokio::spawn(async move { serves(&api).await })
    };
    for served in join_all((0..8).map(call)).await {
        served.expect("it serves on every thread");
    }
}

#[test]
fn it_embeds_in_a_plain_main() {
    async fn sleeps() -> Result<(), Infallible> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "sleeps", sleeps);
    let configs = [
        config("echo", "echo").arg("value", ArgType::String),
        config("sleeps", "sleeps"),
    ];
    let api = GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("valid")))
        .start_blocking()
        .expect("it starts");
    api.block_on(serves(&api));
    // Functions may use tokio's timers although this executor knows nothing of tokio.
    let reply = futures_executor(api.execute(request("r", "sleeps")));
    assert_eq!(reply.response, Some(Response::sync("r", Value::Null)));
    api.block_on(api.stop());
}

/// An executor that is no tokio runtime: a stream's first item, polled by a thread that parks.
fn futures_executor<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

async fn serves(api: &GenApi) {
    let reply = api
        .execute(request("r", "echo").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
    let reply = api
        .executor(1)
        .call(Execute::new(request("r", "echo").with_arg("value", "hi")));
    assert_eq!(
        reply.await.expect("an executor serves").response,
        Some(Response::sync("r", "hi"))
    );
}

/// Every request of every mode ends in exactly one terminal response while executors, streams and the config database are
/// killed again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_terminal_response_a_request_while_actors_are_being_killed() {
    const ROUNDS: usize = 40;
    const BATCH: usize = 25;
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "count_to", count_to);
    let api = start(
        functions,
        [
            config("sync", "echo").arg("value", ArgType::String),
            config("async", "echo")
                .arg("value", ArgType::String)
                .asynchronous(),
            config("stream", "count_to").arg("n", ArgType::Num).stream(),
        ],
    )
    .await;
    let serving = Arc::new(AtomicBool::new(true));
    let killer = tokio::spawn({
        let (api, serving) = (api.clone(), Arc::clone(&serving));
        async move {
            let mut kills = 0;
            while serving.load(Ordering::SeqCst) {
                let executor = api.executor(kills);
                let old = executor.wait_until_running(0).await;
                executor.kill().await;
                executor.wait_until_running(old).await;
                if kills % 3 == 0 {
                    api.config_db().actor().kill().await;
                }
                kills += 1;
                tokio::task::yield_now().await;
            }
            kills
        }
    });
    let one = |number: usize| {
        let api = api.clone();
        async move {
            let id = format!("r-{number}");
            let request = match number % 3 {
                0 => request(&id, "sync").with_arg("value", "x"),
                1 => request(&id, "async").with_arg("value", "x"),
                _ => request(&id, "stream").with_arg("n", 3),
            };
            let responses = if number.is_multiple_of(2) {
                api.execute(request).await.collect().await
            } else {
                match api.executor(number).call(Execute::new(request)).await {
                    Ok(reply) => reply.collect().await,
                    // The executor died with the message in its mailbox: the caller knows that nothing follows.
                    Err(_) => return,
                }
            };
            let terminal = responses.iter().filter(|response| {
                let acknowledgement = response.is_async && response.result.is_null();
                !response.has_more && (!acknowledgement || number % 3 == 2)
            });
            assert_eq!(terminal.count(), 1, "{responses:?}");
            assert!(
                responses
                    .iter()
                    .all(|response| response.request_id.as_deref() == Some(&*id))
            );
        }
    };
    for round in 0..ROUNDS {
        join_all((0..BATCH).map(|number| one(round * BATCH + number))).await;
    }
    serving.store(false, Ordering::SeqCst);
    let kills = killer.await.expect("the killer lives");
    assert!(kills > 0);
    serves_sync(&api).await;
    api.stop().await;
}

async fn serves_sync(api: &GenApi) {
    let reply = api
        .execute(request("r", "sync").with_arg("value", "hi"))
        .await;
    assert_eq!(reply.response, Some(Response::sync("r", "hi")));
}

#[tokio::test]
async fn a_stream_whose_actor_is_killed_ends_with_an_error() {
    async fn one_and_idle(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.send_result(1).await?;
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new().register("T", "idle", one_and_idle);
    let api = start(functions, [config("idle", "idle").stream()]).await;
    let mut later = api
        .execute(request("r", "idle"))
        .await
        .later
        .expect("chunks");
    assert_eq!(later.next().await, Some(Response::stream_chunk("r", 1)));
    api.streams_supervisor().kill().await;
    assert_eq!(
        later.next().await,
        Some(Response::error("r", "Internal Server Error"))
    );
    assert_eq!(later.next().await, None);
    api.streams_supervisor().wait_until_running(1).await;
    let mut later = api
        .execute(request("r", "idle"))
        .await
        .later
        .expect("chunks");
    assert_eq!(later.next().await, Some(Response::stream_chunk("r", 1)));
    api.stop().await;
}

#[tokio::test]
async fn later_responses_are_a_stream() {
    let api = start_streams().await;
    let reply = api
        .execute(request("r", "countdown").with_arg("n", 2))
        .await;
    let chunks: Vec<_> = reply
        .later
        .expect("chunks")
        .map(|chunk| chunk.result)
        .collect()
        .await;
    assert_eq!(chunks, [json!(2), json!(1), Value::Null]);
    api.stop().await;
}

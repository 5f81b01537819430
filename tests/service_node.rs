//! An engine and service nodes together, over the transport that stays in the process.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use gen_api::{
    GenApi, Settings,
    clock::{Clock, SystemClock},
    function::{FunctionError, Functions, StreamHandle},
    model::{
        FunConfig, Nodes, PushConfig, PushOptions, PushOutcome, Request, ResponseType, SkipReason,
        Verification,
    },
    node::{Address, NodeClient},
    service_node::{InMemoryTransport, NodeCore, Offer},
    settings::ReceiverSettings,
};
use serde_json::json;
use tokio::runtime::Handle;

const A: &str = "mem://a";
const B: &str = "mem://b";
const GATEWAY: &str = "mem://gateway";
const LIMIT: Duration = Duration::from_secs(60);

fn address(text: &str) -> Address {
    Address::new(text).expect("an address")
}

fn transport() -> InMemoryTransport {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(Handle::current()));
    InMemoryTransport::new(clock)
}

fn offer() -> Arc<Offer> {
    let config = |name: &str| FunConfig::builder("demo", name).call("Demo", name).local();
    let name = config("name").build().expect("a config");
    let count = config("count").response_type(ResponseType::Stream);
    let vip = config("vip").permission_callback(("Demo", "is_ann"));
    Arc::new(Offer::new([
        name,
        count.build().expect("a config"),
        vip.call("Demo", "name").build().expect("a config"),
    ]))
}

/// A service node whose function answers its name.
fn node(name: &'static str) -> NodeCore {
    let functions = Functions::new()
        .register("Demo", "name", move || async move {
            Ok::<_, FunctionError>(name)
        })
        .register("Demo", "is_ann", |request: serde_json::Value| async move {
            Ok::<_, FunctionError>(request["user_id"].as_str() == Some("ann"))
        })
        .register("Demo", "count", |stream: StreamHandle| async move {
            for number in 1..3 {
                stream.send_result(number).await?;
            }
            stream.send_last_result(3).await?;
            Ok::<_, FunctionError>(())
        });
    NodeCore::new(Arc::new(offer().register(functions)), Handle::current())
}

async fn gateway(transport: &InMemoryTransport) -> GenApi {
    let api = GenApi::builder().node_client(transport.clone()).start();
    let api = api.await.expect("a gateway");
    transport.serve_gateway(address(GATEWAY), api.receiver().clone());
    api
}

async fn ask(api: &GenApi, request_type: &str, user: &str) -> serde_json::Value {
    let request = Request::new("r-1", "demo", request_type).with_user_id(user);
    let response = api.execute(request).await.response.expect("a response");
    serde_json::to_value(response).expect("json")
}

#[tokio::test]
async fn a_pushed_service_is_called_streamed_and_asked_for_permission() {
    let transport = transport();
    transport.serve_node(address(A), node("a"));
    let api = gateway(&transport).await;
    let push = offer().push_config("demo", Nodes::list([A]), false);
    let gateway = address(GATEWAY);
    let pushed = transport.push(&gateway, &push, PushOptions::default(), LIMIT);
    assert_eq!(pushed.await, Ok(PushOutcome::Accepted));
    let again = transport.push(&gateway, &push, PushOptions::default(), LIMIT);
    let skipped = PushOutcome::Skipped(SkipReason::VersionMatches);
    assert_eq!(again.await, Ok(skipped));
    let verified = transport.verify(&gateway, "demo", &push.config_version, LIMIT);
    assert_eq!(verified.await, Ok(Verification::Matched));

    assert_eq!(ask(&api, "name", "bob").await["result"], "a");
    assert_eq!(ask(&api, "vip", "ann").await["result"], "a");
    assert_eq!(ask(&api, "vip", "bob").await["error"], "Permission denied");

    let request = Request::new("r-2", "demo", "count");
    let reply = api.execute(request).await;
    let chunks: Vec<_> = reply.later.expect("chunks").collect().await;
    let results: Vec<_> = chunks.iter().map(|chunk| chunk.result.clone()).collect();
    assert_eq!(results, [json!(1), json!(2), json!(3)]);
    assert!(chunks.iter().all(|chunk| chunk.success));
    api.stop().await;
}

#[tokio::test]
async fn a_pulled_service_is_called_on_whichever_node_is_left() {
    let transport = transport();
    transport.serve_node(address(A), node("a"));
    transport.serve_node(address(B), node("b"));
    let api = gateway(&transport).await;
    let pulled = offer().service_config("demo", Nodes::list([A, B]));
    api.puller().add([pulled]).expect("a service");
    api.puller().pull().await.expect("a puller");
    transport.remove(&address(A));
    for _ in 0..20 {
        assert_eq!(ask(&api, "name", "bob").await["result"], "b");
    }
    transport.remove(&address(B));
    assert_eq!(ask(&api, "name", "bob").await["success"], false);
    api.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_a_node_dies_ends_with_one_error() {
    let transport = transport();
    let functions = Functions::new()
        .register("Demo", "hang", || async {
            std::future::pending::<Result<(), FunctionError>>().await
        })
        .register("Demo", "drip", |stream: StreamHandle| async move {
            stream.send_result(1).await?;
            std::future::pending::<Result<(), FunctionError>>().await
        });
    let core = NodeCore::new(Arc::new(functions), Handle::current());
    transport.serve_node(address(A), core);
    let config = |name: &str| {
        FunConfig::builder("demo", name)
            .call("Demo", name)
            .nodes([A])
    };
    let api = GenApi::builder()
        .node_client(transport.clone())
        .config(config("hang").build().expect("a config"))
        .config(
            config("drip")
                .response_type(ResponseType::Stream)
                .build()
                .expect("a config"),
        );
    let api = api.start().await.expect("a gateway");

    let reply = api.execute(Request::new("r-1", "demo", "drip")).await;
    let mut chunks = reply.later.expect("chunks");
    assert_eq!(
        chunks.next().await.map(|chunk| chunk.result),
        Some(json!(1))
    );
    let hanging = tokio::spawn({
        let api = api.clone();
        async move { ask(&api, "hang", "ann").await }
    });
    tokio::task::yield_now().await;
    transport.remove(&address(A));
    let rest: Vec<_> = chunks.collect().await;
    assert_eq!(rest.len(), 1);
    assert!(!rest[0].success && !rest[0].has_more, "{rest:?}");
    assert_eq!(hanging.await.expect("an answer")["success"], false);
    api.stop().await;
}

#[tokio::test]
async fn a_node_that_offers_nothing_of_a_kind_refuses_it() {
    let transport = transport();
    transport.serve_node(address(A), node("a"));
    let verified = transport.verify(&address(A), "demo", "1", LIMIT).await;
    assert!(verified.is_err_and(|error| error.was_answered()));
    let exists = async |function: &str| {
        let asked = address(A);
        let answer = transport.function_exists(&asked, "Demo", function, LIMIT);
        answer.await
    };
    assert_eq!(exists("name").await, Ok(true));
    assert_eq!(exists("nowhere").await, Ok(false));
}

/// A directory that is gone with its test.
struct StateDirectory(std::path::PathBuf);

impl StateDirectory {
    fn new(name: &str) -> Self {
        let name = format!("gen_api-state-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    async fn gateway(&self, transport: &InMemoryTransport) -> GenApi {
        let mut settings = Settings::default().with_threads(1);
        settings.receiver = ReceiverSettings::default().with_state_directory(&self.0);
        let api = GenApi::builder()
            .settings(settings)
            .node_client(transport.clone());
        let api = api.start().await.expect("a gateway");
        transport.serve_gateway(address(GATEWAY), api.receiver().clone());
        api
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_gateway_that_kept_its_state_serves_from_its_start_on() {
    let transport = transport();
    transport.serve_node(address(A), node("a"));
    let state = StateDirectory::new("kept");
    let api = state.gateway(&transport).await;
    let push = offer().push_config("demo", Nodes::list([A]), false);
    let pushed = api.receiver().push(push.clone(), PushOptions::default());
    assert_eq!(pushed.await, Ok(PushOutcome::Accepted));
    api.stop().await;

    let api = state.gateway(&transport).await;
    assert_eq!(ask(&api, "name", "bob").await["result"], "a");
    let again = api.receiver().push(push, PushOptions::default());
    assert_eq!(
        again.await,
        Ok(PushOutcome::Skipped(SkipReason::VersionMatches))
    );
    api.receiver()
        .delete_pushed("demo")
        .await
        .expect("a receiver");
    assert_eq!(ask(&api, "name", "bob").await["result"], "a");
    api.stop().await;

    let api = state.gateway(&transport).await;
    assert_eq!(ask(&api, "name", "bob").await["success"], false);
    api.stop().await;
}

#[tokio::test]
async fn pushes_at_the_same_moment_are_kept_in_their_order() {
    let transport = transport();
    let state = StateDirectory::new("order");
    let api = state.gateway(&transport).await;
    let pushes = (0..20).map(|version: u32| {
        let config = offer().configs("demo")[..1].to_vec();
        let push = PushConfig::new("demo", Nodes::list([A]), version.to_string(), config);
        api.receiver().push(push, PushOptions::default())
    });
    let outcomes = futures_util::future::join_all(pushes).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Ok(PushOutcome::Accepted)),
        "{outcomes:?}"
    );
    let last = api.receiver().pushed_services();
    api.stop().await;
    let api = state.gateway(&transport).await;
    assert_eq!(api.receiver().pushed_services(), last);
    api.stop().await;
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_is_an_error_at_the_start() {
    let state = StateDirectory::new("file");
    std::fs::write(&state.0, "a file").expect("a file");
    let mut settings = Settings::default();
    settings.receiver = ReceiverSettings::default().with_state_directory(&state.0);
    let error = GenApi::builder().settings(settings).start().await.err();
    let error = error.expect("an error").to_string();
    assert!(error.starts_with("receiver.state_directory: "), "{error}");
    std::fs::remove_file(&state.0).expect("the file");
}

#[tokio::test]
async fn two_engines_do_not_share_a_state_directory() {
    let transport = transport();
    let state = StateDirectory::new("shared");
    let first = state.gateway(&transport).await;
    let second = async || {
        let mut settings = Settings::default().with_threads(1);
        settings.receiver = ReceiverSettings::default().with_state_directory(&state.0);
        GenApi::builder().settings(settings).start().await
    };
    let error = second().await.expect_err("an error").to_string();
    let expected = format!(
        "receiver.state_directory: {} cannot be used: another engine uses it; each needs a directory of its own",
        state.0.display()
    );
    assert_eq!(error, expected);
    first.stop().await;
    second().await.expect("it is free again").stop().await;
}

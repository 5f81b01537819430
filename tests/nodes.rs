//! Calls on other nodes, over a transport that the test scripts: who is asked, in which order, and what comes back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{
    future::{Either, select},
    stream,
};
use gen_api::{
    GenApi, Reply,
    clock::{Clock, ManualClock},
    model::{
        ChooseNodeMode, FunConfig, FunConfigBuilder, Mfa, Nodes, PushConfig, PushOptions,
        PushOutcome, Request, Response, Retry, ServiceConfig, Verification,
    },
    node::{
        Address, NodeCallError, NodeClient,
        client::{Invocation, NodeFuture, NodeRevival, NodeStream, RemoteFailure, StreamChunk},
    },
};
use serde_json::{Value, json};

type Answers = Vec<Result<Value, NodeCallError>>;

/// What each node answers, by its address, one answer a call; a node without answers is down.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<HashMap<String, Answers>>>,
    asked: Arc<Mutex<Vec<String>>>,
    permission: bool,
    /// Nodes that cannot be asked for permissions.
    absent: Vec<&'static str>,
    /// The node that is back once all are tried again.
    back: Option<&'static str>,
    /// How long each call takes, and how long each was given.
    slow: Option<(ManualClock, Duration)>,
    given: Arc<Mutex<Vec<Option<Duration>>>>,
    /// The nodes behind [`GROUP`]; none where that cannot be resolved.
    group: Arc<Mutex<Vec<&'static str>>>,
}

impl Script {
    fn answers(self, node: &str, answers: Answers) -> Self {
        self.answers
            .lock()
            .expect("script")
            .insert(node.into(), answers);
        self
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("script"))
    }

    fn next(&self, node: &Address) -> Result<Value, NodeCallError> {
        let node = node.to_string();
        self.asked.lock().expect("script").push(node.clone());
        let mut answers = self.answers.lock().expect("script");
        match answers.get_mut(&node) {
            Some(answers) if !answers.is_empty() => answers.remove(0),
            _ => Err(down()),
        }
    }
}

fn down() -> NodeCallError {
    NodeCallError::Unreachable {
        reason: "down".into(),
    }
}

fn failed() -> NodeCallError {
    NodeCallError::Failed(RemoteFailure::failed("boom"))
}

fn ready<'a, T: Send + 'a>(answer: Result<T, NodeCallError>) -> NodeFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl NodeClient for Script {
    fn invoke<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Invocation,
        timeout: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        self.given.lock().expect("script").push(timeout);
        let answer = self.next(node);
        match &self.slow {
            None => ready(answer),
            Some((clock, time)) => {
                let slept = clock.sleep(*time);
                Box::pin(async move {
                    slept.await;
                    answer
                })
            }
        }
    }

    fn revive<'a>(&'a self, nodes: &[&'a Address]) -> Option<NodeRevival<'a>> {
        let back = self.back?;
        let node = nodes.iter().copied().find(|node| node.as_str() == back);
        Some(Box::pin(std::future::ready(node)))
    }

    fn invoke_stream<'a>(
        &'a self,
        node: &'a Address,
        invocation: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        let args = invocation.args.clone();
        ready(self.next(node).map(|last| {
            let chunks = args.into_iter().map(StreamChunk::Result);
            let chunks = chunks.chain([StreamChunk::Last(last)]).map(Ok);
            Box::pin(stream::iter(chunks.collect::<Vec<_>>())) as NodeStream
        }))
    }

    fn check_permission<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: &'a Request,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        self.asked
            .lock()
            .expect("script")
            .push(format!("permission {node}"));
        let absent = self.absent.contains(&node.as_str());
        ready(if absent {
            Err(down())
        } else {
            Ok(self.permission)
        })
    }

    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        self.asked
            .lock()
            .expect("script")
            .push(format!("config {node}"));
        ready(Err(down()))
    }

    fn config_version<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        ready(Err(down()))
    }

    fn function_exists<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        ready(Err(down()))
    }

    fn push<'a>(
        &'a self,
        _: &'a Address,
        _: &'a PushConfig,
        _: PushOptions,
        _: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        ready(Err(down()))
    }

    fn verify<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        ready(Err(down()))
    }

    fn expand<'a>(&'a self, address: &'a Address) -> Option<NodeFuture<'a, Arc<[Address]>>> {
        let nodes = self.group.lock().expect("script");
        let addresses = nodes.iter().map(|node| Address::new(node).expect("a node"));
        let answer = if nodes.is_empty() {
            Err(down())
        } else {
            Ok(addresses.collect())
        };
        (address.as_str() == GROUP).then(|| ready(answer))
    }
}

const A: &str = "http://a:1";
const B: &str = "http://b:1";
const C: &str = "http://c:1";
/// An address that names a group of nodes.
const GROUP: &str = "dns://group:1";

/// A config on both nodes, A preferred.
fn config() -> FunConfigBuilder {
    FunConfig::builder("svc", "op")
        .call("T", "op")
        .nodes([A, B])
        .choose_node_mode(ChooseNodeMode::RoundRobin)
}

async fn execute(script: &Script, config: FunConfigBuilder) -> Reply {
    let config = config.build().expect("a valid config");
    let builder = GenApi::builder().config(config).node_client(script.clone());
    let api = builder.start().await.expect("the engine starts");
    let reply = api
        .execute(Request::new("r", "svc", "op").with_user_id("u"))
        .await;
    // The engine lives as long as what it answers.
    let responses = reply.collect().await;
    api.stop().await;
    let mut reply = Reply::default();
    reply.response = responses.into_iter().next_back();
    reply
}

#[tokio::test]
async fn the_preferred_node_is_asked_alone_when_it_answers() {
    let script = Script::default().answers(A, vec![Ok(json!("from a"))]);
    let reply = execute(&script, config()).await;
    assert_eq!(reply.response, Some(Response::sync("r", "from a")));
    assert_eq!(script.asked(), [A]);
}

#[tokio::test]
async fn an_unreachable_node_falls_back_to_the_next_once_each() {
    let script = Script::default().answers(B, vec![Ok(json!("from b"))]);
    let reply = execute(&script, config()).await;
    assert_eq!(reply.response, Some(Response::sync("r", "from b")));
    assert_eq!(script.asked(), [A, B]);

    let script = Script::default();
    let reply = execute(&script, config()).await;
    assert_eq!(
        reply.response,
        Some(Response::error("r", "Internal Server Error"))
    );
    assert_eq!(script.asked(), [A, B]);
}

#[tokio::test]
async fn a_node_that_answered_with_an_error_is_not_asked_elsewhere() {
    let script = Script::default()
        .answers(A, vec![Err(failed())])
        .answers(B, vec![Ok(json!(1))]);
    let reply = execute(&script, config()).await;
    assert_eq!(
        reply.response,
        Some(Response::error("r", "Internal Server Error"))
    );
    assert_eq!(script.asked(), [A]);
}

#[tokio::test]
async fn a_retry_on_the_same_node_asks_no_other() {
    let script = Script::default()
        .answers(A, vec![Err(down()), Ok(json!("at last"))])
        .answers(B, vec![Ok(json!("not asked"))]);
    let reply = execute(&script, config().retry(Retry::SameNode(1))).await;
    assert_eq!(reply.response, Some(Response::sync("r", "at last")));
    assert_eq!(script.asked(), [A, A]);
}

#[tokio::test]
async fn a_retry_over_all_nodes_chooses_anew_and_goes_on_until_one_answers() {
    let script = Script::default().answers(B, vec![Err(failed()), Ok(json!("second try"))]);
    let reply = execute(&script, config().retry(Retry::AllNodes(1))).await;
    assert_eq!(reply.response, Some(Response::sync("r", "second try")));
    // Round robin prefers the other node at the second choice.
    assert_eq!(script.asked(), [A, B, B]);
}

#[tokio::test]
async fn a_permission_callback_is_asked_on_the_node_that_would_run_the_call() {
    let script = Script::default().answers(A, vec![Ok(json!(1))]);
    let reply = execute(&script, config().permission_callback(("Perms", "may"))).await;
    assert_eq!(
        reply.response,
        Some(Response::error("r", "Permission denied"))
    );
    assert_eq!(script.asked(), [format!("permission {A}")]);

    let script = Script {
        permission: true,
        ..script
    };
    let reply = execute(&script, config().permission_callback(("Perms", "may"))).await;
    assert_eq!(reply.response, Some(Response::sync("r", 1)));
    assert_eq!(script.asked(), [format!("permission {A}"), A.to_owned()]);
}

#[tokio::test]
async fn a_permission_callback_passes_a_dead_node_over_and_the_call_follows_its_judge() {
    let script = Script {
        permission: true,
        absent: vec![A],
        ..Script::default()
    };
    let script = script
        .answers(A, vec![Ok(json!("not asked"))])
        .answers(B, vec![Ok(json!("from b"))]);
    let guarded = || config().permission_callback(("Perms", "may"));
    let reply = execute(&script, guarded()).await;
    assert_eq!(reply.response, Some(Response::sync("r", "from b")));
    let [on_a, on_b] = [A, B].map(|node| format!("permission {node}"));
    assert_eq!(script.asked(), [&*on_a, &*on_b, B]);

    // Where the call may be made on the first node alone, that one judges or nobody does.
    let reply = execute(&script, guarded().retry(Retry::SameNode(1))).await;
    let denied = Response::error("r", "Permission denied");
    assert_eq!(reply.response, Some(denied));
    assert_eq!(script.asked(), [on_a]);
}

#[tokio::test]
async fn where_all_nodes_are_dead_the_one_that_is_back_is_asked_at_once() {
    let script = Script {
        permission: true,
        back: Some(B),
        ..Script::default()
    };
    let script = script.answers(B, vec![Err(down()), Ok(json!("back"))]);
    for config in [config(), config().asynchronous(), config().stream()] {
        let script = Script {
            answers: Arc::new(Mutex::new(script.answers.lock().expect("script").clone())),
            ..script.clone()
        };
        let reply = execute(&script, config).await;
        let result = reply.response.map(|response| response.result);
        assert_eq!(result, Some(json!("back")));
        assert_eq!(script.asked(), [A, B, B]);
    }
}

/// Executes a request while time passes as fast as the call waits for it; how long it took by the clock.
async fn timed(script: Script, config: FunConfigBuilder) -> (Response, Duration) {
    let (clock, _) = script.slow.clone().expect("a clock");
    let config = config.build().expect("a valid config");
    let builder = GenApi::builder().config(config).node_client(script);
    let api = builder.clock(Arc::new(clock.clone())).start().await;
    let api = api.expect("the engine starts");
    let before = clock.now();
    let passing = async {
        loop {
            clock.advance(Duration::from_millis(10));
            tokio::task::yield_now().await;
        }
    };
    let asked = Box::pin(api.execute(Request::new("r", "svc", "op")));
    let reply = match select(asked, Box::pin(passing)).await {
        Either::Left((reply, _)) => reply,
        Either::Right((never, _)) => never,
    };
    let took = clock.now() - before;
    api.stop().await;
    (reply.response.expect("an answer"), took)
}

/// Twelve nodes that cannot be reached, which shows after a second each.
fn twelve_silent_nodes() -> (Script, FunConfigBuilder) {
    let script = Script {
        slow: Some((ManualClock::new(), Duration::from_secs(1))),
        ..Script::default()
    };
    let nodes = (1..=12).map(|node| format!("http://silent:{node}"));
    (
        script,
        config().nodes(nodes).timeout(Duration::from_secs(2)),
    )
}

#[tokio::test]
async fn the_timeout_bounds_a_call_with_all_nodes_that_it_falls_back_to() {
    let (script, config) = twelve_silent_nodes();
    let (response, took) = timed(script.clone(), config).await;
    assert!(!response.success);
    assert!(took < Duration::from_millis(2_100), "{took:?}");
    // The second had what the first had left.
    let given = script.given.lock().expect("script").clone();
    assert_eq!(given.len(), 2);
    assert_eq!(given[0], Some(Duration::from_secs(2)));
    assert!(given[1] <= Some(Duration::from_secs(1)), "{given:?}");
}

#[tokio::test]
async fn with_retries_the_whole_is_bounded_by_as_many_timeouts_pauses_apart() {
    for retry in [Retry::AllNodes(2), Retry::SameNode(2)] {
        let (script, config) = twelve_silent_nodes();
        let (response, took) = timed(script.clone(), config.retry(retry)).await;
        let exhausted = Response::error("r", "all retry attempts exhausted");
        assert_eq!(response, exhausted);
        // Three calls of two seconds, and pauses of 150 and 300 ms at most.
        assert!(took < Duration::from_millis(6_600), "{retry:?}: {took:?}");
        let most = script.given.lock().expect("script").iter().max().copied();
        assert_eq!(most, Some(Some(Duration::from_secs(2))));
    }
}

#[tokio::test]
async fn a_node_that_hangs_leaves_time_for_the_others_where_all_nodes_are_tried() {
    let script = Script {
        slow: Some((ManualClock::new(), Duration::from_millis(1_500))),
        ..Script::default()
    };
    let script = script.answers(B, vec![Ok(json!("from b"))]);
    let config = config().timeout(Duration::from_secs(2));
    let (response, _) = timed(script, config.retry(Retry::AllNodes(1))).await;
    assert_eq!(response, Response::sync("r", "from b"));
}

#[tokio::test]
async fn a_stream_of_a_node_is_handed_on_to_its_last_chunk() {
    let script = Script::default().answers(A, vec![Ok(json!("end"))]);
    let reply = execute(&script, config().stream()).await;
    assert_eq!(
        reply.response,
        Some(Response::last_stream_chunk("r", "end"))
    );
    assert_eq!(script.asked(), [A]);
}

#[tokio::test]
async fn an_engine_sweeps_the_sticky_nodes_whose_hour_is_over() {
    let clock = ManualClock::new();
    let builder = GenApi::builder().clock(Arc::new(clock.clone()));
    let api = builder.start().await.expect("it starts");
    let sticky = ChooseNodeMode::Sticky("user_id".to_owned());
    let config = config().choose_node_mode(sticky).build().expect("valid");
    let request = Request::new("r", "svc", "far").with_user_id("ann");
    let picked = api.node_selector().pick(&request, &config).await;
    assert!(picked.is_ok());
    assert_eq!(api.node_selector().sticky_entries(), 1);
    clock.advance(Duration::from_secs(60 * 60));
    while api.node_selector().sticky_entries() > 0 {
        tokio::task::yield_now().await;
    }
    api.stop().await;
}

#[tokio::test]
async fn the_nodes_behind_a_group_are_chosen_as_if_they_were_listed() {
    let script = Script::default();
    let group = |nodes: &[&'static str]| *script.group.lock().expect("script") = nodes.to_vec();
    group(&[A, B]);
    let config = config().nodes([GROUP, C]).build().expect("a valid config");
    let engine = GenApi::builder().config(config).node_client(script.clone());
    let api = engine.start().await.expect("the engine starts");
    let asked = async || {
        let _ = api.execute(Request::new("r", "svc", "op")).await;
        script.asked()
    };
    assert_eq!(asked().await, [A, B, C]);
    assert_eq!(asked().await, [B, C, A]);
    // The group is asked for at each selection.
    group(&[B]);
    assert_eq!(asked().await, [B, C]);
    // One that cannot be resolved is left out.
    group(&[]);
    assert_eq!(asked().await, [C]);
    group(&[A]);
    assert_eq!(asked().await, [A, C]);
    api.stop().await;
}

#[tokio::test]
async fn a_pull_asks_the_nodes_behind_a_group() {
    let script = Script::default();
    *script.group.lock().expect("script") = vec![A, B];
    let engine = GenApi::builder().node_client(script.clone());
    let api = engine.start().await.expect("the engine starts");
    let service = ServiceConfig::new("svc", Nodes::list([GROUP, C]), Mfa::new("C", "list"));
    api.puller().add([service]).expect("a valid service");
    api.puller().pull().await.expect("the puller runs");
    let asked = [A, B, C].map(|node| format!("config {node}"));
    assert_eq!(script.asked(), asked);
    api.stop().await;
}

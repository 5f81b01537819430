use std::{collections::BTreeMap, future::ready, time::Duration};

use actix_otp::{Strategy, SupervisorRef, SupervisorSpec};
use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    model::{Mfa, Nodes, Request, SkipReason},
    node::client::{Invocation, NodeFuture, NodeStream},
};

/// Gateways that hold what they accept, unless they are down or refuse.
#[derive(Clone, Default)]
struct Gateways {
    state: Arc<Mutex<State>>,
    /// How many connections were made to each.
    connections: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<(Address, String), String>,
    down: Vec<Address>,
    refusing: Vec<Address>,
    silent: Vec<Address>,
    /// The version that they hold and do not go back from.
    newer: Option<String>,
    calls: Vec<(Address, &'static str)>,
}

impl Gateways {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
    }

    /// The call, once it is known whether its gateway can be asked.
    fn call<'a, T: Send + 'a>(
        &self,
        gateway: &Address,
        what: &'static str,
        answer: impl FnOnce(&mut State) -> T,
    ) -> NodeFuture<'a, T> {
        let mut state = self.state.lock();
        state.calls.push((gateway.clone(), what));
        if state.silent.contains(gateway) {
            return Box::pin(std::future::pending());
        }
        if state.down.contains(gateway) {
            let reason = "down".to_owned();
            return Box::pin(ready(Err(NodeCallError::Unreachable { reason })));
        }
        if what == "push" && state.refusing.contains(gateway) {
            let (code, reason) = ("invalid_push_token".to_owned(), "wrong".to_owned());
            return Box::pin(ready(Err(NodeCallError::Refused { code, reason })));
        }
        if let ("push", Some(newer)) = (what, &state.newer) {
            let code = crate::config::receiver::OLDER_VERSION.to_owned();
            let newer = newer.clone();
            let reason = format!("older than {newer}");
            return Box::pin(ready(Err(NodeCallError::Refused { code, reason })));
        }
        Box::pin(ready(Ok(answer(&mut state))))
    }
}

impl NodeClient for Gateways {
    fn invoke<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        unreachable!("a pusher calls no functions")
    }

    fn invoke_stream<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        unreachable!("a pusher opens no streams")
    }

    fn check_permission<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: &'a Request,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        unreachable!("a pusher checks no permissions")
    }

    fn get_config<'a>(&'a self, _: &'a Address, _: &'a Mfa, _: Duration) -> NodeFuture<'a, Value> {
        unreachable!("a pusher pulls nothing")
    }

    fn config_version<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        unreachable!("a pusher pulls nothing")
    }

    fn function_exists<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        unreachable!("a pusher asks for no functions")
    }

    fn push<'a>(
        &'a self,
        gateway: &'a Address,
        config: &'a PushConfig,
        options: PushOptions,
        _: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        self.call(gateway, "push", |state| {
            let key = (gateway.clone(), config.service.clone());
            let before = state.held.insert(key, config.config_version.clone());
            if before.as_ref() == Some(&config.config_version) && !options.force {
                return PushOutcome::Skipped(SkipReason::VersionMatches);
            }
            PushOutcome::Accepted
        })
    }

    fn connected<'a>(&'a self, _: &'a Address, above: u64) -> Option<BoxFuture<'a, u64>> {
        let mut connections = self.connections.subscribe();
        Some(Box::pin(async move {
            let connected = connections.wait_for(|number| *number > above).await;
            *connected.expect("the gateways are there")
        }))
    }

    fn verify<'a>(
        &'a self,
        gateway: &'a Address,
        service: &'a str,
        version: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        self.call(gateway, "verify", |state| {
            match state.held.get(&(gateway.clone(), service.to_owned())) {
                None => Verification::NotFound,
                Some(held) if held == version => Verification::Matched,
                Some(held) => Verification::Mismatch(held.clone()),
            }
        })
    }
}

const TIMEOUT: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(30);

struct World {
    gateways: Gateways,
    clock: ManualClock,
    pusher: PusherRef,
    tree: SupervisorRef,
}

impl World {
    async fn start() -> Self {
        let (gateways, clock) = (Gateways::default(), ManualClock::new());
        let (child, pusher) = Pusher::child(
            Arc::new(gateways.clone()),
            PusherSettings::default(),
            Arc::new(clock.clone()),
        );
        let tree = SupervisorSpec::new(Strategy::OneForOne).child(child);
        let tree = tree.start("node").await.unwrap();
        Self {
            gateways,
            clock,
            pusher,
            tree,
        }
    }

    async fn push(&self, gateways: &[&str]) {
        let gateways = gateways.iter().map(|text| address(text));
        let pushed = self
            .pusher
            .push_on_startup(gateways, config("1"), PushOptions::default());
        pushed.await.unwrap();
    }

    /// Waits until as many pauses run as there are gateways: everything that can happen at this time has.
    async fn settled(&self, sleepers: usize) {
        while self.clock.sleepers() != sleepers {
            tokio::task::yield_now().await;
        }
    }

    fn calls(&self) -> Vec<(String, &'static str)> {
        let calls = std::mem::take(&mut self.gateways.state.lock().calls);
        let calls = calls.into_iter();
        calls
            .map(|(gateway, what)| (gateway.to_string(), what))
            .collect()
    }

    fn states(&self) -> Vec<PushState> {
        let targets = self.pusher.status().targets.into_iter();
        targets.map(|target| target.state).collect()
    }
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn config(version: &str) -> PushConfig {
    let get = FunConfig::builder("users", "get").call("Users", "get");
    let get = get.local().build().unwrap();
    PushConfig::new("users", Nodes::list(["n1"]), version, [get])
}

#[actix::test]
async fn one_push_answers_what_the_gateway_answered() {
    let world = World::start().await;
    let (a, b) = (address("a"), address("b"));
    world.gateways.change(|state| state.down.push(address("b")));
    let options = PushOptions::default();
    let pushed = world.pusher.push(&a, &config("1"), options).await;
    assert_eq!(pushed, Ok(PushOutcome::Accepted));
    let message = PushTo {
        gateway: a.clone(),
        config: Box::new(config("1")),
        options,
    };
    let again = world.pusher.actor().call(message).await.unwrap();
    assert_eq!(again, Ok(PushOutcome::Skipped(SkipReason::VersionMatches)));
    let down = world.pusher.push(&b, &config("1"), options).await;
    assert!(down.is_err_and(|error| error.was_not_sent()));
    let verified = world.pusher.verify(&a, "users", "2").await;
    assert_eq!(verified, Ok(Verification::Mismatch("1".to_owned())));
    assert_eq!(world.pusher.status(), PusherStatus::default());
}

#[actix::test]
async fn a_gateway_that_does_not_answer_is_given_up_after_the_timeout() {
    let world = World::start().await;
    world
        .gateways
        .change(|state| state.silent.push(address("a")));
    let pusher = world.pusher.clone();
    let pushed = actix::spawn(async move {
        let options = PushOptions::default();
        pusher.push(&address("a"), &config("1"), options).await
    });
    world.settled(1).await;
    world.clock.advance(TIMEOUT);
    assert_eq!(
        pushed.await.unwrap(),
        Err(NodeCallError::TimedOut { after: TIMEOUT })
    );
}

#[actix::test]
async fn each_gateway_is_tried_for_itself_until_it_accepts() {
    let world = World::start().await;
    world.gateways.change(|state| {
        state.down.push(address("b"));
        state.refusing.push(address("c"));
    });
    world.push(&["a", "b", "c"]).await;
    world.settled(3).await;
    assert_eq!(
        world.states(),
        [PushState::Accepted, PushState::Trying, PushState::Trying]
    );
    let status = world.pusher.status();
    assert_eq!(status.targets[0].last_error, None);
    let error = status.targets[2].last_error.clone().unwrap();
    assert!(error.contains("invalid_push_token"), "{error}");
    assert!(status.to_string().contains("trying"), "{status}");
    world.gateways.change(|state| {
        state.down.clear();
        state.refusing.clear();
    });
    // The longest pause after a first failure.
    world.clock.advance(Duration::from_millis(750));
    world.pusher.wait_until_accepted("users").await;
    assert_eq!(world.states(), vec![PushState::Accepted; 3]);
}

#[actix::test]
async fn pauses_between_failures_grow_and_stay_within_bounds() {
    let world = World::start().await;
    world.gateways.change(|state| state.down.push(address("a")));
    world.push(&["a"]).await;
    for failures in 1..12_u32 {
        world.settled(1).await;
        assert_eq!(world.pusher.status().targets[0].pushes, u64::from(failures));
        let wait = PusherSettings::default().backoff().wait(failures);
        world
            .clock
            .advance((wait / 2).saturating_sub(Duration::from_millis(1)));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let pushes = world.pusher.status().targets[0].pushes;
        assert_eq!(pushes, u64::from(failures), "too early after {failures}");
        world.clock.advance(wait + Duration::from_millis(1));
        while world.pusher.status().targets[0].pushes == pushes {
            tokio::task::yield_now().await;
        }
    }
}

#[actix::test]
async fn a_gateway_that_lost_the_configs_gets_them_again() {
    let world = World::start().await;
    world.push(&["a"]).await;
    world.settled(1).await;
    world.clock.advance(INTERVAL);
    while world.gateways.state.lock().calls.len() < 2 {
        tokio::task::yield_now().await;
    }
    world.settled(1).await;
    let call = |what| ("a".to_owned(), what);
    assert_eq!(world.calls(), [call("push"), call("verify")]);
    world.gateways.change(|state| state.held.clear());
    world.clock.advance(INTERVAL);
    while world.gateways.state.lock().calls.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.calls(), [call("verify"), call("push")]);
    assert_eq!(world.gateways.state.lock().held.len(), 1);
}

#[actix::test]
async fn a_gateway_is_asked_as_soon_as_it_is_connected_again() {
    let world = World::start().await;
    world.push(&["a"]).await;
    world.settled(1).await;
    let call = |what| ("a".to_owned(), what);
    assert_eq!(world.calls(), [call("push")]);
    let connected = async |calls| {
        world
            .gateways
            .connections
            .send_modify(|number| *number += 1);
        while world.gateways.state.lock().calls.len() < calls {
            tokio::task::yield_now().await;
        }
        world.settled(1).await;
        world.calls()
    };
    assert_eq!(connected(1).await, [call("verify")]);
    world.gateways.change(|state| state.held.clear());
    assert_eq!(connected(2).await, [call("verify"), call("push")]);
    // Also where it was away when it was asked.
    world.gateways.change(|state| {
        state.held.clear();
        state.down.push(address("a"));
    });
    assert_eq!(connected(1).await, [call("verify")]);
    world.gateways.change(|state| state.down.clear());
    assert_eq!(connected(2).await, [call("verify"), call("push")]);
    assert_eq!(world.clock.now(), Duration::ZERO, "nothing waited");
}

#[actix::test]
async fn a_gateway_that_keeps_a_newer_version_is_not_pushed_to_again() {
    let world = World::start().await;
    world.gateways.change(|state| {
        let held = (address("a"), "users".to_owned());
        state.held.insert(held, "2".to_owned());
        state.newer = Some("2".to_owned());
    });
    world.push(&["a"]).await;
    world.pusher.wait_until_accepted("users").await;
    assert_eq!(world.states(), [PushState::Superseded("2".to_owned())]);
    world.settled(1).await;
    world.calls();
    world.clock.advance(INTERVAL);
    while world.gateways.state.lock().calls.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.calls(), [("a".to_owned(), "verify")]);
}

#[actix::test]
async fn a_version_that_was_pushed_later_is_left_alone() {
    let world = World::start().await;
    world.push(&["a"]).await;
    world.settled(1).await;
    let options = PushOptions::default();
    world
        .pusher
        .push(&address("a"), &config("2"), options)
        .await
        .unwrap();
    world.calls();
    for _ in 0..3 {
        world.clock.advance(INTERVAL);
        while world.gateways.state.lock().calls.is_empty() {
            tokio::task::yield_now().await;
        }
        world.settled(1).await;
        assert_eq!(world.calls(), [("a".to_owned(), "verify")]);
    }
    assert_eq!(world.states(), [PushState::Superseded("2".to_owned())]);
}

#[actix::test]
async fn a_pusher_that_was_killed_goes_on_where_it_was() {
    let world = World::start().await;
    world.gateways.change(|state| state.down.push(address("a")));
    world.push(&["a"]).await;
    world.settled(1).await;
    let before = world.pusher.actor().incarnation().unwrap();
    world.gateways.change(|state| state.down.clear());
    world.pusher.actor().kill().await;
    world.pusher.actor().wait_until_running(before).await;
    world.pusher.wait_until_accepted("users").await;
    assert_eq!(world.states(), [PushState::Accepted]);
}

#[actix::test]
async fn what_is_stopped_is_pushed_no_more() {
    let world = World::start().await;
    world.gateways.change(|state| state.down.push(address("a")));
    world.push(&["a"]).await;
    world.settled(1).await;
    world.pusher.stop_pushing("users").await.unwrap();
    world.pusher.wait_until_accepted("users").await;
    world.settled(0).await;
    world.calls();
    world.clock.advance(INTERVAL);
    assert_eq!(world.pusher.status(), PusherStatus::default());
    assert_eq!(world.calls(), []);
    world.tree.shutdown().await;
}

#[test]
fn the_configs_of_a_pulled_service_come_with_the_way_to_pull_it() {
    let service = ServiceConfig::new("users", Nodes::list(["n1"]), Mfa::new("Configs", "all"));
    let push = Pusher::from_service_config(service.clone(), "7", config("7").fun_configs);
    assert_eq!(push.service_config(), Some(service));
    assert_eq!(push.config_version, "7");
}

use actix::Addr;
use actix_otp::{Strategy, SupervisorSpec};
use futures_util::FutureExt;
use serde_json::json;

use super::*;
use crate::{
    clock::ManualClock,
    config::{Allowlist, FailedFilter, LookupError, tests::World},
    model::{FunConfig, Mfa, Nodes},
};

fn function(request_type: &str, version: &str) -> FunConfig {
    let config = FunConfig::builder("users", request_type).call("Users", request_type);
    config.version(version).local().build().unwrap()
}

fn service() -> ServiceConfig {
    let nodes = Nodes::list(["n1", "n2"]);
    ServiceConfig::new("users", nodes, Mfa::new("Configs", "all"))
        .with_version_check(Mfa::new("Configs", "version"))
}

/// A node that tells this version and these functions.
fn offers(version: impl Into<Value>, functions: &[FunConfig]) -> Value {
    json!({"version": {"returns": version.into()}, "config": {"returns": functions}})
}

/// A world whose puller knows one service.
fn world(service: ServiceConfig) -> World {
    let world = World::default();
    world.pulls.add(vec![service]).unwrap();
    world
}

async fn pull(world: &World) -> PullResult {
    world.pulls.round(false).await.results["users"].clone()
}

fn pulled(stored: usize, refused: usize, pruned: usize) -> PullResult {
    PullResult::Pulled {
        stored,
        refused,
        pruned,
    }
}

fn found(world: &World, request_type: &str, version: &str) -> Result<FunConfig, LookupError> {
    let route = world.table.exact("users", request_type, Some(version))?;
    Ok(route.config.clone())
}

#[tokio::test]
async fn local_means_the_nodes_of_the_service() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    assert_eq!(pull(&world).await, pulled(1, 0, 0));
    let config = found(&world, "get", "1.0.0").unwrap();
    assert_eq!(config.nodes, Nodes::list(["n1", "n2"]));
}

#[tokio::test]
async fn each_function_is_asked_for_once_and_only_where_it_may_be_stored() {
    let world = World::new(
        serde_json::from_value::<Allowlist>(json!(["Users"])).unwrap(),
        None,
        PullerSettings::default(),
    );
    world.pulls.add(vec![service()]).unwrap();
    let forbidden = FunConfig::builder("users", "evil")
        .call("Evil", "f")
        .local();
    let functions = [
        function("get", "1.0.0"),
        function("get", "2.0.0"),
        function("put", "1.0.0"),
        forbidden.build().unwrap(),
    ];
    world.script.set_json("n1", offers("v1", &functions));
    assert_eq!(pull(&world).await, pulled(3, 1, 0));
    let mut checks = world.script.take_checks();
    checks.sort_unstable();
    assert_eq!(checks, [("Users", "get"), ("Users", "put")].map(own));
}

/// Lets a round go on for as long as it can, and answers whether it waits then.
fn waits(round: &mut (impl Future<Output = PullReport> + Unpin)) -> bool {
    round.now_or_never().is_none()
}

fn own((module, function): (&str, &str)) -> (String, String) {
    (module.to_owned(), function.to_owned())
}

#[tokio::test]
async fn a_function_that_the_node_does_not_have_is_refused_and_the_version_remembered() {
    let world = world(service());
    let mut node = offers("v1", &[function("get", "1.0.0")]);
    node["modules"] = json!({"Users": false});
    world.script.set_json("n1", node);
    assert_eq!(pull(&world).await, pulled(0, 1, 0));
    let notes = world.failed.list(&FailedFilter::default());
    assert_eq!(notes[0].node.as_ref().unwrap().as_str(), "n1");
    assert_eq!(notes[0].reasons, ["the node has no function Users.get"]);
    assert_eq!(pull(&world).await, PullResult::Skipped);
}

#[tokio::test]
async fn odd_items_of_a_list_are_refused_one_by_one() {
    let world = world(service());
    let mut node = offers("v1", &[function("get", "1.0.0")]);
    let items = node["config"]["returns"].as_array_mut().unwrap();
    items.extend([
        json!(5),
        json!(null),
        json!([]),
        json!({"request_type": "odd"}),
        json!({}),
    ]);
    world.script.set_json("n1", node);
    assert_eq!(pull(&world).await, pulled(1, 5, 0));
    let odd = FailedFilter::default().of_service("users").with_limit(2);
    let odd = world.failed.list(&odd).remove(1);
    assert_eq!(odd.request_type.as_deref(), Some("odd"));
    assert!(
        odd.reasons.iter().any(|reason| reason.starts_with("mfa: ")),
        "{odd:?}"
    );
}

#[tokio::test]
async fn a_service_name_is_corrected_also_where_the_list_names_none() {
    let world = world(service());
    let mut node = offers("v1", &[function("get", "1.0.0"), function("put", "1.0.0")]);
    node["config"]["returns"][0]["service"] = json!(5);
    let put = node["config"]["returns"][1].as_object_mut().unwrap();
    put.remove("service");
    world.script.set_json("n1", node);
    assert_eq!(pull(&world).await, pulled(2, 0, 0));
}

#[tokio::test]
async fn pruning_removes_what_is_no_longer_listed_and_nothing_that_is_listed_and_refused() {
    let world = world(service().with_prune());
    let old = [
        function("get", "1.0.0"),
        function("put", "1.0.0"),
        function("put", "2.0.0"),
    ];
    world.script.set_json("n1", offers("v1", &old));
    assert_eq!(pull(&world).await, pulled(3, 0, 0));
    let mut node = offers("v2", &[function("get", "1.0.0"), function("put", "2.0.0")]);
    node["config"]["returns"][0]["timeout"] = json!(1);
    world.script.set_json("n1", node);
    assert_eq!(pull(&world).await, pulled(1, 1, 1));
    assert!(found(&world, "get", "1.0.0").is_ok());
    assert_eq!(found(&world, "put", "1.0.0"), Err(LookupError::NotFound));
    assert!(found(&world, "put", "2.0.0").is_ok());
}

#[tokio::test]
async fn without_pruning_what_is_no_longer_listed_stays() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    pull(&world).await;
    world
        .script
        .set_json("n1", offers("v2", &[function("put", "1.0.0")]));
    assert_eq!(pull(&world).await, pulled(1, 0, 0));
    assert!(found(&world, "get", "1.0.0").is_ok());
    assert_eq!(
        world.pulls.status().services["users"].apis,
        Some(vec!["put".to_owned()])
    );
}

#[tokio::test]
async fn what_an_operator_switched_off_stays_off_until_it_is_switched_on() {
    let world = world(service());
    let switch = |enabled| {
        world
            .table
            .switch("users", "get", Some("1.0.0"), enabled)
            .unwrap();
    };
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    pull(&world).await;
    switch(false);
    for version in ["v2", "v3"] {
        world
            .script
            .set_json("n1", offers(version, &[function("get", "1.0.0")]));
        assert_eq!(pull(&world).await, pulled(1, 0, 0));
        assert_eq!(found(&world, "get", "1.0.0"), Err(LookupError::Disabled));
    }
    switch(true);
    world
        .script
        .set_json("n1", offers("v4", &[function("get", "1.0.0")]));
    pull(&world).await;
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[tokio::test]
async fn what_the_service_itself_switches_off_it_can_switch_on() {
    let world = world(service());
    let mut off = function("get", "1.0.0");
    off.disabled = true;
    world.script.set_json("n1", offers("v1", &[off]));
    pull(&world).await;
    assert_eq!(found(&world, "get", "1.0.0"), Err(LookupError::Disabled));
    world
        .script
        .set_json("n1", offers("v2", &[function("get", "1.0.0")]));
    pull(&world).await;
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[tokio::test]
async fn a_version_that_is_null_tells_nothing() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers(json!(null), &[function("get", "1.0.0")]));
    for _ in 0..2 {
        assert_eq!(pull(&world).await, pulled(1, 0, 0));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_leads_to_the_next_node() {
    let world = world(service());
    world
        .script
        .set_json("n1", json!({"config": {"returns": {"get": 1}}}));
    world
        .script
        .set_json("n2", offers("v1", &[function("get", "1.0.0")]));
    assert_eq!(pull(&world).await, pulled(1, 0, 0));
}

#[tokio::test]
async fn a_failure_names_what_every_node_said() {
    let world = world(service());
    world
        .script
        .set_json("n1", json!({"config": {"returns": 5}}));
    let PullResult::Failed { reason } = pull(&world).await else {
        panic!("it should have failed");
    };
    let expected = "n1: Configs.all answered no list; n2: node is unreachable: nobody listens";
    assert_eq!(reason, expected);
}

#[tokio::test]
async fn a_silent_node_is_left_after_the_timeout() {
    let world = world(service());
    world
        .script
        .set_json("n2", offers("v1", &[function("get", "1.0.0")]));
    world.script.hold("n1");
    let mut round = Box::pin(world.pulls.round(false));
    // The version check and the list, five seconds each.
    for _ in 0..2 {
        assert!(waits(&mut round));
        world.clock.advance(Duration::from_millis(4_999));
        assert!(waits(&mut round));
        world.clock.advance(Duration::from_millis(1));
    }
    let report = round.await;
    assert_eq!(report.results["users"], pulled(1, 0, 0));
    assert_eq!(world.clock.sleepers(), 0);
}

#[tokio::test]
async fn services_are_pulled_at_once_and_each_is_stored_when_it_is_there() {
    let world = world(service());
    let shop = ServiceConfig::new("shop", Nodes::list(["n3"]), Mfa::new("Configs", "all"));
    world.pulls.add(vec![shop]).unwrap();
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    world
        .script
        .set_json("n3", offers("v1", &[function("get", "1.0.0")]));
    world.script.hold("n1");
    let mut round = Box::pin(world.pulls.round(false));
    assert!(waits(&mut round));
    assert!(world.table.exact("shop", "get", Some("1.0.0")).is_ok());
    world.script.release();
    assert_eq!(round.await.results.len(), 2);
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[tokio::test]
async fn what_is_fetched_for_a_service_that_was_deleted_meanwhile_is_not_stored() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    world.script.hold("n1");
    let mut round = Box::pin(world.pulls.round(false));
    assert!(waits(&mut round));
    world.pulls.delete(&["users".to_owned()]);
    world.pulls.add(vec![service()]).unwrap();
    world.script.release();
    assert_eq!(round.await.results["users"], PullResult::Outdated);
    assert_eq!(world.table.count(), 0);
}

#[tokio::test]
async fn rounds_take_turns() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    world.script.hold("n1");
    let mut first = Box::pin(world.pulls.round(false));
    let mut second = Box::pin(world.pulls.round(false));
    assert!(waits(&mut first) && waits(&mut second));
    assert_eq!(world.script.take_calls().len(), 1);
    world.script.release();
    assert_eq!(first.await.results["users"], pulled(1, 0, 0));
    assert_eq!(second.await.results["users"], PullResult::Skipped);
}

#[test]
fn a_service_with_faults_is_not_registered_but_for_its_nodes() {
    let world = World::default();
    let nameless = ServiceConfig::new("", Nodes::list(["n1"]), Mfa::new("Configs", ""));
    let invalid = world.pulls.add(vec![service(), nameless]).unwrap_err();
    assert_eq!(
        invalid.fields().collect::<Vec<_>>(),
        ["service", "function"]
    );
    assert!(world.pulls.status().services.is_empty());
    for nodes in [Nodes::Local, Nodes::list([""; 0])] {
        let homeless = ServiceConfig { nodes, ..service() };
        world.pulls.add(vec![homeless]).unwrap();
        let round = world.pulls.round(false).now_or_never().unwrap();
        let result = &round.results["users"];
        assert!(matches!(result, PullResult::Failed { .. }), "{result:?}");
        world.pulls.delete(&["users".to_owned()]);
    }
}

/// Lets the actor work until `done`; far more turns than it ever needs.
async fn until(done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never happened");
}

fn started(world: &World) -> Addr<Puller> {
    Puller::new(Arc::clone(&world.pulls)).start()
}

fn rounds(world: &World) -> u64 {
    world.pulls.status().rounds
}

/// The first round is over and the timer of the next one is armed.
async fn idle(world: &World, clock: &ManualClock, rounds_before: u64) {
    until(|| rounds(world) == rounds_before + 1 && clock.sleepers() == 1).await;
}

#[actix::test]
async fn rounds_come_at_the_start_and_after_each_pause() {
    let world = world(service());
    let _puller = started(&world);
    idle(&world, &world.clock, 0).await;
    // The first round failed, so the pause is twice the interval.
    world.clock.advance(Duration::from_millis(59_999));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rounds(&world), 1);
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    world.clock.advance(Duration::from_millis(1));
    idle(&world, &world.clock, 1).await;
    assert!(found(&world, "get", "1.0.0").is_ok());
    world.clock.advance(Duration::from_secs(30));
    idle(&world, &world.clock, 2).await;
}

#[actix::test]
async fn a_manual_pull_starts_no_second_timer_and_puts_off_the_next_round() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    let puller = started(&world);
    idle(&world, &world.clock, 0).await;
    world.clock.advance(Duration::from_secs(29));
    let report = puller.send(Pull).await.unwrap();
    assert_eq!(report.results["users"], PullResult::Skipped);
    let report = puller.send(ForcePull).await.unwrap();
    assert_eq!(report.results["users"], pulled(1, 0, 0));
    idle(&world, &world.clock, 2).await;
    world.clock.advance(Duration::from_secs(29));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rounds(&world), 3);
    world.clock.advance(Duration::from_secs(1));
    idle(&world, &world.clock, 3).await;
}

#[actix::test]
async fn services_are_added_and_deleted_by_messages_too() {
    let world = World::default();
    let puller = started(&world);
    puller
        .send(AddServices(vec![service()]))
        .await
        .unwrap()
        .unwrap();
    let status = puller.send(GetPullerStatus).await.unwrap();
    assert_eq!(status.services["users"].config, service());
    puller
        .send(DeleteServices(vec!["users".to_owned()]))
        .await
        .unwrap();
    assert!(world.pulls.status().services.is_empty());
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Puller {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[actix::test]
async fn the_death_of_the_actor_loses_nothing_and_brings_no_early_round() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    let (child, puller) = Puller::child(Arc::clone(&world.pulls));
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(child)
        .start("root")
        .await
        .unwrap();
    idle(&world, &world.clock, 0).await;
    let first = puller.actor().incarnation();
    assert!(puller.actor().call(Crash).await.is_err());
    let report = puller.pull().await.unwrap();
    assert_ne!(puller.actor().incarnation(), first);
    assert_eq!(report.results["users"], PullResult::Skipped);
    assert_eq!(rounds(&world), 2);
    assert_eq!(puller.get_service_version("users"), Some(json!("v1")));
    assert_eq!(puller.get_all_versions()["users"], Some(json!("v1")));
    assert_eq!(puller.get_api_list("users"), Some(vec!["get".to_owned()]));
    puller.delete(["users"]);
    assert!(puller.get_services().is_empty());
    assert!(puller.force_pull().await.unwrap().results.is_empty());
    puller.add([service()]).unwrap();
    assert_eq!(puller.status().services["users"].version, None);
    root.shutdown().await;
    // It does not wait for a restart that will not come.
    assert_eq!(puller.pull().await, Err(Unavailable));
}

#[tokio::test]
async fn a_round_that_is_dropped_leaves_the_way_free_for_the_next() {
    let world = world(service());
    world
        .script
        .set_json("n1", offers("v1", &[function("get", "1.0.0")]));
    world.script.hold("n1");
    let mut round = Box::pin(world.pulls.round(false));
    assert!(waits(&mut round));
    drop(round);
    world.script.release();
    assert_eq!(pull(&world).await, pulled(1, 0, 0));
}

#[tokio::test]
async fn the_allowlist_judges_every_function_that_a_pulled_list_names() {
    let allowlist = serde_json::from_value::<Allowlist>(json!(["Users"])).unwrap();
    let world = World::new(allowlist, None, PullerSettings::default());
    world.pulls.add(vec![service()]).unwrap();
    let wipe = || Some(Mfa::new("Disks", "wipe"));
    let [mut before, mut after, mut judged, mut resolved] =
        ["before", "after", "judged", "resolved"].map(|name| function(name, "1.0.0"));
    before.before_execute = wipe();
    after.after_execute = wipe();
    judged.permission_callback = wipe();
    resolved.nodes = Nodes::Resolver(Mfa::new("Disks", "wipe"));
    let list = [before, after, judged, resolved, function("get", "1.0.0")];
    world.script.set_json("n1", offers("v1", &list));
    assert_eq!(pull(&world).await, pulled(1, 4, 0));
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[tokio::test]
async fn what_the_gateway_configured_itself_is_neither_replaced_nor_removed_by_a_pull() {
    let world = world(service().with_prune());
    let own = function("own", "1.0.0");
    world.table.store(own.clone());
    world.table.store(function("unlisted", "1.0.0"));
    let list = [
        function("own", "1.0.0"),
        function("own", "2.0.0"),
        function("get", "1.0.0"),
    ];
    world.script.set_json("n1", offers("v1", &list));
    assert_eq!(pull(&world).await, pulled(1, 2, 0));
    assert_eq!(found(&world, "own", "1.0.0"), Ok(own));
    assert!(found(&world, "own", "2.0.0").is_err());
    assert!(found(&world, "unlisted", "1.0.0").is_ok());
}

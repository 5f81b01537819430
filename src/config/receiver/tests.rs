use std::time::Duration;

use actix_otp::{Strategy, SupervisorSpec};
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    config::{
        Allowlist, FailedConfig, FailedFilter, LookupError, puller::PullerSettings, tests::World,
    },
    model::{FunConfig, Mfa, Nodes, PushToken, ServiceConfig, SkipReason},
};

const SKIPPED: PushOutcome = PushOutcome::Skipped(SkipReason::VersionMatches);

fn function(request_type: &str, version: &str) -> FunConfig {
    let config = FunConfig::builder("users", request_type).call("Users", request_type);
    config.version(version).local().build().unwrap()
}

fn push_of<const N: usize>(version: &str, functions: [FunConfig; N]) -> PushConfig {
    PushConfig::new("users", Nodes::list(["n1"]), version, functions)
}

fn invalid(request_type: &str) -> FunConfig {
    let mut invalid = function(request_type, "1.0.0");
    invalid.hook_timeout = 0;
    invalid
}

fn plain() -> PushOptions {
    PushOptions::default()
}

fn with_token() -> World {
    let token = Some(PushToken::from("s3cret"));
    World::new(Allowlist::default(), token, PullerSettings::default())
}

fn found(world: &World, request_type: &str, version: &str) -> Result<FunConfig, LookupError> {
    let route = world.table.exact("users", request_type, Some(version))?;
    Ok(route.config.clone())
}

fn notes(world: &World) -> Vec<FailedConfig> {
    world.failed.list(&FailedFilter::default().oldest_first())
}

#[test]
fn local_means_the_nodes_of_the_push() {
    let world = World::default();
    let push = push_of("1", [function("get", "1.0.0")]);
    world.pushes.push(&push, plain()).unwrap();
    let config = found(&world, "get", "1.0.0").unwrap();
    assert_eq!(config.nodes, Nodes::list(["n1"]));
}

#[test]
fn a_push_adds_and_with_replace_it_also_removes() {
    let world = World::default();
    let push = |version: &str, function, options| {
        world
            .pushes
            .push(&push_of(version, [function]), options)
            .unwrap()
    };
    push("1", function("get", "1.0.0"), plain());
    push("2", function("get", "2.0.0"), plain());
    assert_eq!(world.table.count(), 2);
    let replace = plain().with_replace();
    // The same version is skipped, whatever else is asked for.
    assert_eq!(push("2", function("get", "2.0.0"), replace), SKIPPED);
    assert_eq!(world.table.count(), 2);
    push("3", function("get", "2.0.0"), replace);
    assert_eq!(world.table.count(), 1);
    assert!(found(&world, "get", "2.0.0").is_ok());
}

#[test]
fn a_replacing_push_keeps_what_it_lists_as_unversioned() {
    let world = World::default();
    let mut function = function("get", "1.0.0");
    function.version = Some("0.0.0".to_owned());
    for version in ["1", "2"] {
        let push = push_of(version, [function.clone()]);
        let outcome = world.pushes.push(&push, plain().with_replace());
        assert_eq!(outcome, Ok(PushOutcome::Accepted));
    }
    assert!(world.table.exact("users", "get", None).is_ok());
}

fn push_json(push: &PushConfig) -> Value {
    serde_json::to_value(push).unwrap()
}

#[test]
fn what_an_operator_switched_off_stays_off_also_when_forced() {
    let world = World::default();
    let push = push_of("1", [function("get", "1.0.0")]);
    world.pushes.push(&push, plain()).unwrap();
    world
        .table
        .switch("users", "get", Some("1.0.0"), false)
        .unwrap();
    world.pushes.push(&push, plain().with_force()).unwrap();
    assert_eq!(found(&world, "get", "1.0.0"), Err(LookupError::Disabled));
    world
        .table
        .switch("users", "get", Some("1.0.0"), true)
        .unwrap();
    world.pushes.push(&push, plain().with_force()).unwrap();
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[test]
fn the_faults_of_all_functions_are_reported_and_noted() {
    let world = World::default();
    let mut foreign = function("foreign", "1.0.0");
    foreign.service = "shop".to_owned();
    let push = push_of("1", [invalid("a"), function("good", "1.0.0"), foreign]);
    let PushError::Invalid(error) = world.pushes.push(&push, plain()).unwrap_err() else {
        panic!("it should be invalid");
    };
    assert_eq!(error.fields().collect::<Vec<_>>(), ["fun_configs"; 2]);
    let notes = notes(&world);
    let noted: Vec<_> = notes
        .iter()
        .filter_map(|note| note.request_type.as_deref())
        .collect();
    assert_eq!(noted, ["a", "foreign"]);
    assert!(notes[1].reasons[0].starts_with("service: "), "{notes:?}");
    assert_eq!(world.table.count(), 0);
}

#[test]
fn a_push_that_cannot_be_read_is_noted_function_by_function() {
    let world = World::default();
    let mut json = push_json(&push_of("1", [invalid("a"), function("b", "1.0.0")]));
    json["fun_configs"][1]["unknown"] = json!(1);
    let error = world.pushes.push_json(json, plain()).unwrap_err();
    assert_eq!(error.code(), "validation_failed");
    let noted: Vec<_> = notes(&world)
        .into_iter()
        .filter_map(|note| note.request_type)
        .collect();
    assert_eq!(noted, ["a", "b"]);
}

#[test]
fn a_push_whose_token_failed_leaves_no_note() {
    let world = with_token();
    let valid = push_of("1", [function("get", "1.0.0")]);
    let refused = |push: PushConfig| world.pushes.push(&push, plain()).unwrap_err().code();
    for token in ["", "wrong", "s3cre", "s3cret "] {
        assert_eq!(
            refused(valid.clone().with_token(token)),
            "invalid_push_token"
        );
        let push = push_of("1", [invalid("a")]).with_token(token);
        assert_eq!(refused(push.clone()), "validation_failed");
        let mut json = push_json(&push);
        json["unknown"] = json!(1);
        world.pushes.push_json(json, plain()).unwrap_err();
    }
    assert_eq!(notes(&world), []);
    let push = push_of("1", [invalid("a")]).with_token("s3cret");
    assert_eq!(refused(push.clone()), "validation_failed");
    let mut json = push_json(&push);
    json["unknown"] = json!(1);
    world.pushes.push_json(json, plain()).unwrap_err();
    assert_eq!(notes(&world).len(), 2);
    assert_eq!(world.table.count(), 0);
}

#[test]
fn a_stranger_learns_nothing_of_the_allowlist() {
    let allowlist: Allowlist = serde_json::from_value(json!(["Other"])).unwrap();
    let token = Some(PushToken::from("s3cret"));
    let world = World::new(allowlist, token, PullerSettings::default());
    let push = push_of("1", [function("get", "1.0.0")]);
    let error = world.pushes.push(&push, plain()).unwrap_err();
    assert_eq!(error, PushError::InvalidToken);
    let error = world
        .pushes
        .push(&push.with_token("s3cret"), plain())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "functions are not on the allowlist: Users.get"
    );
    assert_eq!(notes(&world).len(), 1);
}

#[test]
fn a_token_is_shown_nowhere() {
    let world = with_token();
    let push = push_of("1", [function("get", "1.0.0")]).with_token("s3cret");
    world.pushes.push(&push, plain()).unwrap();
    let json = PushJson {
        config: push_json(&push),
        options: plain(),
    };
    let push = Push {
        config: Box::new(push),
        options: plain(),
    };
    for text in [
        format!("{json:?}"),
        format!("{push:?}"),
        format!("{:?}", world.pushes),
        json!(world.pushes.services()).to_string(),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn deleting_a_service_ends_the_pulling_that_a_push_began_and_no_other() {
    let world = World::default();
    let configured = ServiceConfig::new("users", Nodes::list(["n1"]), Mfa::new("C", "all"));
    let pulled = || world.pulls.status().services.contains_key("users");
    world.pulls.add(vec![configured.clone()]).unwrap();
    world
        .pushes
        .push(&push_of("1", [function("get", "1.0.0")]), plain())
        .unwrap();
    world.pushes.delete("users");
    assert!(pulled());

    let functions = [function("get", "1.0.0")];
    let push = PushConfig::from_service_config(configured, "2", functions.clone());
    world.pushes.push(&push, plain()).unwrap();
    // A later push that says nothing of pulling ends it as little as it begins it.
    world
        .pushes
        .push(&push_of("3", functions), plain())
        .unwrap();
    assert!(world.pushes.services()["users"].is_pulled && pulled());
    world.pushes.delete("users");
    assert!(!pulled());
    assert!(found(&world, "get", "1.0.0").is_ok());
    assert_eq!(world.pushes.verify("users", "3"), Verification::NotFound);
}

#[test]
fn of_equal_pushes_at_the_same_moment_one_is_stored() {
    let world = World::default();
    let push = push_of("1", [function("get", "1.0.0")]);
    let outcomes: Vec<PushOutcome> = std::thread::scope(|scope| {
        let push = || world.pushes.push(&push, plain()).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(push)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let accepted = outcomes
        .iter()
        .filter(|outcome| **outcome == PushOutcome::Accepted);
    assert_eq!(accepted.count(), 1);
}

#[actix::test]
async fn every_verb_is_a_message_on_the_same_table() {
    let world = World::default();
    let receiver = Receiver::new(Arc::clone(&world.pushes)).start();
    let config = Box::new(push_of("1", [function("get", "1.0.0")]));
    let json = push_json(&config);
    let options = plain();
    let outcome = receiver.send(Push { config, options }).await.unwrap();
    assert_eq!(outcome, Ok(PushOutcome::Accepted));
    let config = json;
    let outcome = receiver.send(PushJson { config, options }).await.unwrap();
    assert_eq!(outcome, Ok(SKIPPED));
    let (service, config_version) = ("users".to_owned(), "2".to_owned());
    let asked = Verify {
        service,
        config_version,
    };
    let verified = receiver.send(asked).await.unwrap();
    assert_eq!(verified, Verification::Mismatch("1".to_owned()));
    receiver
        .send(DeletePushed("users".to_owned()))
        .await
        .unwrap();
    assert!(world.pushes.services().is_empty());
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Receiver {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[actix::test]
async fn pushed_services_survive_the_death_of_the_actor() {
    let world = World::default();
    let clock = Arc::new(world.clock.clone());
    let (child, receiver) = Receiver::child(Arc::clone(&world.pushes), clock);
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(child)
        .start("root")
        .await
        .unwrap();
    let push = push_of("1", [function("get", "1.0.0")]);
    assert_eq!(
        receiver.push(push.clone(), plain()).await,
        Ok(PushOutcome::Accepted)
    );
    assert!(receiver.actor().call(Crash).await.is_err());
    assert_eq!(receiver.verify("users", "1"), Verification::Matched);
    assert_eq!(
        receiver.push_json(push_json(&push), plain()).await,
        Ok(SKIPPED)
    );
    assert_eq!(receiver.pushed_services()["users"].functions, 1);
    receiver.delete_pushed("users").await.unwrap();
    assert_eq!(receiver.verify("users", "1"), Verification::NotFound);
    root.shutdown().await;
    // It waits for a restart that does not come.
    let mut pushed = Box::pin(receiver.push(push, plain()));
    assert_eq!(pushed.as_mut().now_or_never(), None);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(pushed.await.unwrap_err().code(), "unavailable");
}

proptest! {
    #[test]
    fn no_json_makes_a_push_panic_and_what_is_refused_stores_nothing(
        mut json in crate::any_json::near(&[
            "service", "nodes", "config_version", "fun_configs", "push_token", "module", "function",
        ]),
        function in crate::any_json::near(&["service", "request_type", "nodes", "mfa", "version"]),
        token: bool,
    ) {
        let world = if token { with_token() } else { World::default() };
        if let Some(fields) = json.as_object_mut() {
            fields.insert("fun_configs".to_owned(), json!([function]));
        }
        let outcome = world.pushes.push_json(json, plain().with_replace());
        prop_assert_eq!(outcome == Ok(PushOutcome::Accepted), world.table.count() > 0);
    }
}

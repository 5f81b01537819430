use actix_otp::{Strategy, SupervisorSpec};
use proptest::prelude::{Strategy as Strategy_, *};
use serde_json::json;

use super::*;
use crate::{
    config::{
        AddError, Allowlist, FailedConfig, FailedFilter, ForeignRules, LookupError,
        puller::PullerSettings, tests::World,
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
    world.pushes.push(push.clone(), plain()).unwrap();
    let config = found(&world, "get", "1.0.0").unwrap();
    assert_eq!(config.nodes, Nodes::list(["n1"]));
}

#[test]
fn a_push_of_an_older_version_is_refused_where_that_is_set_and_taken_where_it_is_forced() {
    let world = World::default();
    let push = |pushes: &Pushes, version: &str, options| {
        pushes.push(push_of(version, [function("get", "1.0.0")]), options)
    };
    // Without the setting any version is taken.
    for version in ["1.0.0", "2.0.0", "1.0.0"] {
        let taken = push(&world.pushes, version, plain());
        assert_eq!(taken, Ok(PushOutcome::Accepted));
    }
    let world = World::refusing_older();
    let push = |version: &str, options| push(&world.pushes, version, options);
    assert_eq!(push("1.9.0", plain()), Ok(PushOutcome::Accepted));
    assert_eq!(push("1.10.0", plain()), Ok(PushOutcome::Accepted));
    let error = push("1.9.0", plain()).unwrap_err();
    assert_eq!(error.code(), "older_version");
    let text = r#"the version "1.9.0" is older than "1.10.0", which the gateway holds"#;
    assert_eq!(error.to_string(), text);
    assert_eq!(
        world.pushes.verify("users", "1.10.0"),
        Verification::Matched
    );
    assert_eq!(
        push("1.9.0", plain().with_force()),
        Ok(PushOutcome::Accepted)
    );
    // What is no semantic version is older once it was replaced.
    assert_eq!(push("nightly-2", plain()), Ok(PushOutcome::Accepted));
    assert_eq!(push("nightly-1", plain()), Ok(PushOutcome::Accepted));
    assert_eq!(
        push("nightly-2", plain()).unwrap_err().code(),
        "older_version"
    );
}

#[test]
fn a_push_adds_and_with_replace_it_also_removes() {
    let world = World::default();
    let push = |version: &str, function, options| {
        world
            .pushes
            .push(push_of(version, [function]), options)
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
        let outcome = world.pushes.push(push.clone(), plain().with_replace());
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
    world.pushes.push(push.clone(), plain()).unwrap();
    world
        .table
        .switch("users", "get", Some("1.0.0"), false)
        .unwrap();
    world
        .pushes
        .push(push.clone(), plain().with_force())
        .unwrap();
    assert_eq!(found(&world, "get", "1.0.0"), Err(LookupError::Disabled));
    world
        .table
        .switch("users", "get", Some("1.0.0"), true)
        .unwrap();
    world
        .pushes
        .push(push.clone(), plain().with_force())
        .unwrap();
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[test]
fn the_faults_of_all_functions_are_reported_and_noted() {
    let world = World::default();
    let mut foreign = function("foreign", "1.0.0");
    foreign.service = "shop".to_owned();
    let push = push_of("1", [invalid("a"), function("good", "1.0.0"), foreign]);
    let PushError::Invalid(error) = world.pushes.push(push.clone(), plain()).unwrap_err() else {
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
    let refused = |push: PushConfig| world.pushes.push(push.clone(), plain()).unwrap_err().code();
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
    let error = world.pushes.push(push.clone(), plain()).unwrap_err();
    assert_eq!(error, PushError::InvalidToken);
    let error = world
        .pushes
        .push(push.with_token("s3cret"), plain())
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
    world.pushes.push(push.clone(), plain()).unwrap();
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
        .push(push_of("1", [function("get", "1.0.0")]), plain())
        .unwrap();
    world.pushes.delete("users");
    assert!(pulled());

    let functions = [function("get", "1.0.0")];
    let push = PushConfig::from_service_config(configured, "2", functions.clone());
    world.pushes.push(push.clone(), plain()).unwrap();
    // A later push that says nothing of pulling ends it as little as it begins it.
    world.pushes.push(push_of("3", functions), plain()).unwrap();
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
        let push = || world.pushes.push(push.clone(), plain()).unwrap();
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
    // It does not wait for a restart that will not come.
    let refused = receiver.push(push, plain()).await;
    assert_eq!(refused.unwrap_err().code(), "unavailable");
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

fn only_users() -> Allowlist {
    serde_json::from_value(json!(["Users"])).unwrap()
}

#[test]
fn the_allowlist_judges_every_function_that_a_push_names() {
    let world = World::new(only_users(), None, PullerSettings::default());
    let wipe = || Mfa::new("Disks", "wipe");
    let naming = |set: fn(&mut FunConfig, Mfa)| {
        let mut function = function("get", "1.0.0");
        set(&mut function, wipe());
        push_of("1", [function])
    };
    let mut resolved = push_of("1", [function("get", "1.0.0")]);
    resolved.nodes = Nodes::Resolver(wipe());
    for push in [
        naming(|function, wipe| function.mfa = wipe),
        naming(|function, wipe| function.before_execute = Some(wipe)),
        naming(|function, wipe| function.after_execute = Some(wipe)),
        naming(|function, wipe| function.permission_callback = Some(wipe)),
        naming(|function, wipe| function.nodes = Nodes::Resolver(wipe)),
        resolved,
    ] {
        let error = world.pushes.push(push.clone(), plain()).unwrap_err();
        assert_eq!(error.code(), "mfa_not_allowed", "{push:?}");
        assert!(error.to_string().contains("Disks.wipe"), "{error}");
    }
    assert_eq!(world.table.count(), 0);
    let allowed = naming(|function, _| function.before_execute = Some(Mfa::new("Users", "check")));
    assert_eq!(
        world.pushes.push(allowed, plain()),
        Ok(PushOutcome::Accepted)
    );
}

#[test]
fn what_the_gateway_configured_itself_is_neither_replaced_nor_removed_by_a_push() {
    let world = World::default();
    let own = function("own", "1.0.0");
    world.table.store(own.clone());
    // Another version would be the latest, and so take the place of the own one as well.
    for version in ["1.0.0", "2.0.0", "0.0.0"] {
        let mut other = own.clone();
        other.version = Some(version.to_owned());
        let taking_over = push_of("1", [other, function("get", "1.0.0")]);
        let error = world.pushes.push(taking_over, plain()).unwrap_err();
        assert_eq!(error, PushError::Local(vec!["own".to_owned()]));
        assert_eq!(error.code(), "local_config");
    }
    assert_eq!(world.table.count(), 1);
    let beside = push_of("1", [function("get", "1.0.0")]);
    let replacing = world.pushes.push(beside, plain().with_replace());
    assert_eq!(replacing, Ok(PushOutcome::Accepted));
    assert_eq!(found(&world, "own", "1.0.0"), Ok(own));
    assert!(found(&world, "get", "1.0.0").is_ok());
}

#[test]
fn a_setting_lets_a_push_replace_and_remove_what_the_gateway_configured_itself() {
    let world = World::with_foreign_rules(ForeignRules {
        may_replace_local: true,
        ..ForeignRules::default()
    });
    world.table.store(function("own", "1.0.0"));
    world.table.store(function("other", "1.0.0"));
    let push = push_of("1", [function("own", "1.0.0")]);
    world.pushes.push(push, plain().with_replace()).unwrap();
    assert_eq!(found(&world, "other", "1.0.0"), Err(LookupError::NotFound));
    let own = found(&world, "own", "1.0.0").unwrap();
    assert_eq!(own.nodes, Nodes::list(["n1"]));
}

#[test]
fn a_push_names_no_node_outside_of_the_networks_that_are_set() {
    let networks = ["https://10.0.0.0/8", "dns://nodes.internal"];
    let world = World::with_foreign_rules(ForeignRules {
        node_networks: Some(networks.map(|network| network.parse().unwrap()).to_vec()),
        ..ForeignRules::default()
    });
    let on = |push: &[&str], function_on: &[&str]| {
        let mut function = function("get", "1.0.0");
        if !function_on.is_empty() {
            function.nodes = Nodes::list(function_on.iter().copied());
        }
        let nodes = Nodes::list(push.iter().copied());
        let push = PushConfig::new("users", nodes, "1", [function]);
        world.pushes.push(push, plain().with_force())
    };
    let inside = "https://10.1.2.3:9000";
    let outside = "https://192.168.0.1:9000";
    let refused = |address: &str| Err(PushError::NodesNotAllowed(vec![address.to_owned()]));
    assert_eq!(on(&[inside, outside], &[]), refused(outside));
    assert_eq!(
        on(&["http://10.1.2.3:9000"], &[]),
        refused("http://10.1.2.3:9000")
    );
    assert_eq!(on(&[inside], &[outside]), refused(outside));
    assert_eq!(world.table.count(), 0);
    assert_eq!(on(&[inside], &[]), Ok(PushOutcome::Accepted));
    let named = "dns://nodes.internal:9000";
    assert_eq!(on(&[inside], &[named]), Ok(PushOutcome::Accepted));
    // What a push brought the puller is held to the same.
    let service = ServiceConfig::new("users", Nodes::list([inside]), Mfa::new("C", "all"));
    let mut elsewhere = function("get", "1.0.0");
    elsewhere.nodes = Nodes::list([outside]);
    let checked = world.table.check_foreign(&elsewhere, &service.nodes);
    assert_eq!(checked, Err(AddError::NodeNotAllowed(outside.to_owned())));
}

proptest! {
    /// A push that is read piece by piece is the one that is read as a whole, and so are its faults.
    #[test]
    fn a_push_is_read_from_its_text_as_from_its_json(json in any_push()) {
        let text = json.to_string();
        let read = PushConfig::read_slice(text.as_bytes()).unwrap();
        let whole = PushConfig::from_value(json);
        prop_assert_eq!(read.map_err(|unreadable| unreadable.invalid), whole);
    }
}

/// Something like a push, or not.
fn any_push() -> impl Strategy_<Value = Value> {
    let functions = prop_oneof![
        Just(json!("none")),
        Just(Value::Null),
        proptest::collection::vec(any_function(), 0..4).prop_map(Value::from),
    ];
    let fields = (functions, any::<[bool; 4]>()).prop_map(|(functions, [a, b, c, d])| {
        let mut push = push_json(&push_of("1", []));
        push["fun_configs"] = functions;
        if a {
            push["service"] = json!(7);
        }
        if b {
            push["unknown"] = json!([1]);
        }
        if c && let Some(fields) = push.as_object_mut() {
            fields.remove("fun_configs");
        }
        if d {
            push["nodes"] = json!([]);
        }
        push
    });
    prop_oneof![5 => fields, 1 => Just(json!([1])), 1 => Just(json!("push"))]
}

fn any_function() -> impl Strategy_<Value = Value> {
    let mut broken = json!(function("broken", "1.0.0"));
    broken["timeout"] = json!("soon");
    prop_oneof![
        Just(json!(function("get", "1.0.0"))),
        Just(json!(invalid("a"))),
        Just(broken),
        Just(json!(null)),
    ]
}

//! The vectors about pushing and pulling, over scripted nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    Allowlist, ConfigTable, FailedConfigs, FailedFilter, LookupError, PushError,
    puller::{PullReport, PullerSettings, Pulls},
    receiver::Pushes,
    scripted::Script,
};
use crate::{
    arguments::Limits,
    clock::{Clock, ManualClock},
    function::Functions,
    model::{Mfa, PushOptions, PushOutcome, PushToken, ServiceConfig},
    node::{NodeResolver, NodeSettings},
};

#[path = "../../tests/support/mod.rs"]
mod support;

use support::{Case, field, only_keys, run, same};

#[test]
fn pushes_and_pulls_conform() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    run(
        "push_pull.json",
        |_| true,
        |case| runtime.block_on(play(case)),
    );
}

/// A gateway's configs with all that refreshes them, over scripted nodes.
pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) script: Script,
    pub(super) table: Arc<ConfigTable>,
    pub(super) failed: FailedConfigs,
    pub(super) pulls: Arc<Pulls>,
    pub(super) pushes: Arc<Pushes>,
}

impl World {
    pub(super) fn new(
        allowlist: Allowlist,
        token: Option<PushToken>,
        settings: PullerSettings,
    ) -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let script = Script::default();
        let table = ConfigTable::new(Arc::new(Functions::new()), allowlist, Limits::default());
        let table = Arc::new(table);
        let failed = FailedConfigs::new(Arc::clone(&shared));
        let resolver = NodeResolver::new(resolvers, Arc::clone(&shared), NodeSettings::default());
        let pulls = Arc::new(Pulls::new(
            Arc::new(script.clone()),
            resolver,
            Arc::clone(&table),
            failed.clone(),
            shared,
            settings,
        ));
        let pushes = Pushes::new(
            Arc::clone(&table),
            failed.clone(),
            Arc::clone(&pulls),
            token,
        );
        Self {
            clock,
            script,
            table,
            failed,
            pulls,
            pushes: Arc::new(pushes),
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new(Allowlist::default(), None, PullerSettings::default())
    }
}

/// The resolvers that the page of the vectors describes.
async fn resolvers(resolver: Mfa) -> Result<Value, String> {
    match (resolver.module.as_str(), resolver.function.as_str()) {
        ("Resolvers", "fixed") => resolver.args.into_iter().next().ok_or("no value".into()),
        ("Resolvers", "raises") => panic!("kaboom"),
        _ => Err(format!("there is no function {resolver}")),
    }
}

async fn play(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["settings", "services", "remote"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["results"])?;
    let world = world(&case.given)?;
    let steps: Vec<Map<String, Value>> = field(&case.when, "steps")?;
    let expected: Vec<Value> = field(&case.expect, "results")?;
    same("number of results", &steps.len(), &expected.len())?;
    for (index, (given, expected)) in steps.iter().zip(&expected).enumerate() {
        let outcome = step(&world, given, expected).await;
        outcome.map_err(|reason| format!("step {index}: {reason}"))?;
    }
    Ok(())
}

fn world(given: &Map<String, Value>) -> Result<World, String> {
    let nothing = Map::new();
    let settings = match given.get("settings") {
        None => &nothing,
        Some(settings) => settings.as_object().ok_or("settings must be an object")?,
    };
    only_keys(
        settings,
        &["push_token", "mfa_allowlist", "pull_interval_ms"],
    )?;
    let allowlist = optional(settings, "mfa_allowlist")?.unwrap_or_default();
    let token: Option<String> = optional(settings, "push_token")?;
    let mut puller = PullerSettings::default();
    if let Some(interval) = optional(settings, "pull_interval_ms")? {
        puller.pull_interval_ms = interval;
    }
    let world = World::new(allowlist, token.map(PushToken::from), puller);
    let remote: Option<BTreeMap<String, Value>> = optional(given, "remote")?;
    for (node, remote) in remote.unwrap_or_default() {
        world.script.set_json(&node, remote);
    }
    let services: Option<Vec<ServiceConfig>> = optional(given, "services")?;
    let added = world.pulls.add(services.unwrap_or_default());
    added.map_err(|error| error.to_string())?;
    Ok(world)
}

fn optional<T: serde::de::DeserializeOwned>(
    part: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    match part.get(name) {
        None => Ok(None),
        Some(_) => field(part, name).map(Some),
    }
}

async fn step(world: &World, step: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let text = |name: &str| field::<String>(step, name);
    let got = match text("op")?.as_str() {
        "push" => return pushed(world, step, expected),
        "pull" => return pulled(world, &world.pulls.round(false).await, expected),
        "force_pull" => return pulled(world, &world.pulls.round(true).await, expected),
        "get" => return got_config(world, step, expected),
        "failed" => return failed(world, step, expected),
        "verify" => {
            let verified = world
                .pushes
                .verify(&text("service")?, &text("config_version")?);
            match json!(verified) {
                Value::String(word) if word == "not_found" => json!({"error": word}),
                verified => verified,
            }
        }
        "pushed" => {
            let services = world.pushes.services().into_iter();
            let versions = services.map(|(name, service)| (name, service.config_version));
            json!({"pushed": versions.collect::<BTreeMap<_, _>>()})
        }
        "delete_pushed" => {
            world.pushes.delete(&text("service")?);
            json!("ok")
        }
        "puller_services" => {
            let services = world.pulls.status().services;
            json!({"services": services.keys().collect::<Vec<_>>()})
        }
        "puller_state" => {
            let status = world.pulls.status().services;
            let service = status.get(&text("service")?);
            json!({
                "version": service.and_then(|service| service.version.clone()),
                "apis": service.and_then(|service| service.apis.clone()),
            })
        }
        "count" => json!({"count": world.table.count()}),
        "clear" => {
            world.table.clear();
            json!("ok")
        }
        "set_remote" => {
            world
                .script
                .set_json(&text("node")?, field(step, "remote")?);
            json!("ok")
        }
        "add_services" => {
            let added = world.pulls.add(field(step, "services")?);
            added.map_err(|error| error.to_string())?;
            json!("ok")
        }
        "delete_services" => {
            world.pulls.delete(&field::<Vec<String>>(step, "services")?);
            json!("ok")
        }
        "advance_ms" => {
            world
                .clock
                .advance(Duration::from_millis(field(step, "ms")?));
            json!("ok")
        }
        op => return Err(format!("unknown op {op:?}")),
    };
    let mut expected = expected.clone();
    if let Some(Value::Array(services)) = expected.get_mut("services") {
        services.sort_unstable_by_key(ToString::to_string);
    }
    subset(&got, &expected)
}

fn pushed(world: &World, step: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let options = PushOptions {
        force: field(step, "force")?,
        replace: optional(step, "replace")?.unwrap_or_default(),
    };
    let outcome = world.pushes.push_json(field(step, "push")?, options);
    let error = match outcome {
        Ok(outcome) => return subset(&json!(outcome), expected),
        Err(error) => error,
    };
    let expected = expected
        .as_object()
        .ok_or_else(|| format!("refused: {error}"))?;
    only_keys(expected, &["error", "fields", "rejected"])?;
    if expected.contains_key("rejected") {
        return same("rejected", &true, &field(expected, "rejected")?);
    }
    same(
        "error",
        &error.code().to_owned(),
        &field(expected, "error")?,
    )?;
    let fields: Option<Vec<String>> = optional(expected, "fields")?;
    let named: Vec<&str> = match &error {
        PushError::Invalid(invalid) => invalid.fields().collect(),
        _ => Vec::new(),
    };
    let missing = |field: &&String| !named.contains(&field.as_str());
    match fields.unwrap_or_default().iter().find(missing) {
        Some(field) => Err(format!("{field} is not among {named:?}")),
        None => Ok(()),
    }
}

fn pulled(world: &World, report: &PullReport, expected: &Value) -> Result<(), String> {
    let got = json!({
        "failures": report.failures,
        "next_pull_ms": report.next_pull.as_millis(),
        "calls": world.script.take_calls(),
    });
    subset(&got, expected)
}

fn got_config(world: &World, step: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let text = |name: &str| field::<String>(step, name);
    let version: Option<String> = field(step, "version")?;
    let (service, request_type) = (text("service")?, text("request_type")?);
    let found = world
        .table
        .exact(&service, &request_type, version.as_deref());
    let got = match found {
        Ok(route) => json!({"config": &route.config}),
        Err(LookupError::NotFound) => json!({"error": "not_found"}),
        Err(LookupError::Disabled) => json!({"error": "disabled"}),
    };
    subset(&got, expected)
}

fn failed(world: &World, step: &Map<String, Value>, expected: &Value) -> Result<(), String> {
    let filter: FailedFilter = field(step, "filter")?;
    subset(&json!({"failed": world.failed.list(&filter)}), expected)
}

/// Whether `got` holds all that is expected of it: objects may hold more, all else is the same.
fn subset(got: &Value, expected: &Value) -> Result<(), String> {
    let is = |got: &Value, expected: &Value| subset(got, expected).is_ok();
    let holds = match (got, expected) {
        // What was pushed is compared as a whole.
        (Value::Object(got), Value::Object(expected)) if expected.contains_key("pushed") => {
            got == expected
        }
        (Value::Object(got), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| got.get(key).is_some_and(|got| is(got, expected))),
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len() && got.iter().zip(expected).all(|(g, e)| is(g, e))
        }
        (got, expected) => got == expected,
    };
    if holds {
        Ok(())
    } else {
        Err(format!("expected {expected}, got {got}"))
    }
}

#[test]
fn the_comparison_of_vectors_can_fail() {
    assert!(subset(&json!({"a": [1, {"b": 2}], "c": 3}), &json!({"a": [1, {}]})).is_ok());
    for (got, expected) in [
        (json!({"a": 1}), json!({"a": 2})),
        (json!({"a": 1}), json!({"b": null})),
        (json!([1, 2]), json!([1])),
        (json!({"pushed": {"a": 1}}), json!({"pushed": {}})),
    ] {
        assert!(subset(&got, &expected).is_err(), "{got} {expected}");
    }
    assert_eq!(json!(PushOutcome::Accepted), "accepted");
}

//! The vectors of `push_pull.json`: the receiver and the puller of an engine, over nodes that answer what the case gives, on
//! a clock that the case moves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_api::{
    GenApi, Settings,
    clock::ManualClock,
    config::{Allowlist, FailedFilter, LookupError, PullReport, PushError},
    model::{PushOptions, PushToken, ServiceConfig, Verification},
};
use serde_json::{Map, Value, json};

#[cfg(feature = "grpc")]
use super::grpc::{self, Wire};
use super::{
    case::{Case, field, json, only_keys, optional},
    compare::{compare_value, unordered},
    engine::block_on,
    harness::Harness,
    remote::{Remote, Remotes},
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    judge_over(case, Way::Direct)
}

/// Judges the same over connections: nodes are pulled from servers of their own, and pushes come in by the engine's door.
#[cfg(feature = "grpc")]
pub(crate) fn judge_over_grpc(case: &Case) -> Result<(), String> {
    judge_over(case, Way::Grpc)
}

/// What lies between the engine and its nodes.
#[derive(Clone, Copy)]
enum Way {
    Direct,
    #[cfg(feature = "grpc")]
    Grpc,
}

fn judge_over(case: &Case, way: Way) -> Result<(), String> {
    only_keys(&case.given, &["settings", "services", "remote"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["results"])?;
    block_on(play(case, way))
}

async fn play(case: &Case, way: Way) -> Result<(), String> {
    let gateway = Gateway::start(&case.given, way).await?;
    let steps: Vec<Map<String, Value>> = field(&case.when, "steps")?;
    let expected: Vec<Value> = field(&case.expect, "results")?;
    if steps.len() != expected.len() {
        return Err("there must be as many results as steps".to_owned());
    }
    let mut results = Vec::new();
    for (given, expected) in steps.iter().zip(&expected) {
        results.push(gateway.step(given, expected).await?);
    }
    gateway.api.stop().await;
    // Registered services have no order.
    let expected: Vec<Value> = expected.into_iter().map(unordered).collect();
    compare_value("results", &expected.into(), &results.into())
}

/// An engine with the resolvers of the harness.
struct Gateway {
    api: GenApi,
    clock: ManualClock,
    remotes: Remotes,
    #[cfg(feature = "grpc")]
    wire: Option<Wire>,
}

impl Gateway {
    async fn start(given: &Map<String, Value>, way: Way) -> Result<Self, String> {
        let clock = ManualClock::new();
        let remotes = Remotes::default();
        for (node, remote) in optional::<BTreeMap<_, _>>(given, "remote")?.unwrap_or_default() {
            remotes.set(node, remote);
        }
        #[allow(unused_mut, reason = "it is changed with the feature `grpc`")]
        let mut settings = settings(&optional(given, "settings")?.unwrap_or_default())?;
        let builder = GenApi::builder()
            .clock(Arc::new(clock.clone()))
            .functions(Harness::default().functions());
        #[cfg(feature = "grpc")]
        let mut wire = None;
        let builder = match way {
            Way::Direct => builder.node_client(remotes.clone()),
            #[cfg(feature = "grpc")]
            Way::Grpc => {
                settings.grpc = grpc::settings();
                let carried = Wire::start(remotes.clone())?;
                wire = Some(carried.clone());
                builder.node_client(carried)
            }
        };
        let builder = builder.settings(settings);
        let api = builder.start().await.map_err(|error| error.to_string())?;
        // The first round belongs to the start, and no case counts it: it is over before a service is registered.
        let first = api.puller().pull().await;
        first.map_err(|error| error.to_string())?;
        let services: Option<Vec<ServiceConfig>> = optional(given, "services")?;
        let added = api.puller().add(services.unwrap_or_default());
        added.map_err(|error| error.to_string())?;
        Ok(Self {
            api,
            clock,
            remotes,
            #[cfg(feature = "grpc")]
            wire,
        })
    }

    /// Takes a step; what is expected of it only decides in which words an error is told.
    async fn step(&self, step: &Map<String, Value>, expected: &Value) -> Result<Value, String> {
        let op: String = field(step, "op")?;
        let known: &[&str] = match op.as_str() {
            "push" => &["op", "push", "force"],
            "verify" => &["op", "service", "config_version"],
            "delete_pushed" | "puller_state" => &["op", "service"],
            "get" => &["op", "service", "request_type", "version"],
            "set_remote" => &["op", "node", "remote"],
            "add_services" | "delete_services" => &["op", "services"],
            "failed" => &["op", "filter"],
            "advance_ms" => &["op", "ms"],
            "pushed" | "puller_services" | "count" | "clear" | "pull" | "force_pull" => &["op"],
            _ => return Err(format!("unknown op {op:?}")),
        };
        only_keys(step, known)?;
        let text = |name: &str| field::<String>(step, name);
        let (configs, puller) = (self.api.config_db(), self.api.puller());
        let receiver = self.api.receiver();
        Ok(match op.as_str() {
            "push" => return self.push(step, expected).await,
            "verify" => match self
                .verify(text("service")?, text("config_version")?)
                .await?
            {
                Verification::NotFound => json!({ "error": "not_found" }),
                verified => json(verified)?,
            },
            "pushed" => {
                let pushed = receiver.pushed_services().into_iter();
                let versions = pushed.map(|(name, service)| (name, service.config_version));
                json!({ "pushed": versions.collect::<BTreeMap<_, _>>() })
            }
            "delete_pushed" => done(receiver.delete_pushed(text("service")?).await)?,
            "pull" => self.pulled(puller.pull().await.map_err(|error| error.to_string())?),
            "force_pull" => self.pulled(
                puller
                    .force_pull()
                    .await
                    .map_err(|error| error.to_string())?,
            ),
            "puller_services" => {
                json!({ "services": puller.get_services().keys().collect::<Vec<_>>() })
            }
            "puller_state" => {
                let service = text("service")?;
                json!({
                    "version": puller.get_service_version(&service),
                    "apis": puller.get_api_list(&service),
                })
            }
            "add_services" => done(puller.add(field::<Vec<ServiceConfig>>(step, "services")?))?,
            "delete_services" => {
                puller.delete(field::<Vec<String>>(step, "services")?);
                "ok".into()
            }
            "set_remote" => {
                self.remotes
                    .set(text("node")?, field::<Remote>(step, "remote")?);
                "ok".into()
            }
            "get" => {
                let version: Option<String> = optional(step, "version")?;
                let (service, request_type) = (text("service")?, text("request_type")?);
                match configs.get(&service, &request_type, version.as_deref()) {
                    Ok(config) => json!({ "config": json(config)? }),
                    Err(LookupError::NotFound) => json!({ "error": "not_found" }),
                    Err(LookupError::Disabled) => json!({ "error": "disabled" }),
                    Err(other) => return Err(other.to_string()),
                }
            }
            "count" => json!({ "count": configs.count() }),
            "clear" => done(configs.clear().await)?,
            "failed" => {
                let filter: FailedFilter = field(step, "filter")?;
                json!({ "failed": self.api.failed_configs().list(&filter) })
            }
            _ => {
                self.clock
                    .advance(Duration::from_millis(field(step, "ms")?));
                "ok".into()
            }
        })
    }

    async fn verify(&self, service: String, version: String) -> Result<Verification, String> {
        #[cfg(feature = "grpc")]
        if let Some((wire, gateway)) = self.wire.as_ref().zip(self.api.grpc_address()) {
            return wire.verify(gateway, service, version).await;
        }
        Ok(self.api.receiver().verify(&service, &version))
    }

    async fn push(&self, step: &Map<String, Value>, expected: &Value) -> Result<Value, String> {
        let mut options = PushOptions::default();
        options.force = optional(step, "force")?.unwrap_or(false);
        #[cfg(feature = "grpc")]
        if let Some((wire, gateway)) = self.wire.as_ref().zip(self.api.grpc_address()) {
            let push: Value = field(step, "push")?;
            return wire.push(gateway, &push, options.force, expected).await;
        }
        let pushed = self
            .api
            .receiver()
            .push_json(field(step, "push")?, options)
            .await;
        let error = match pushed {
            Ok(outcome) => return json(outcome),
            Err(PushError::Unavailable(unavailable)) => return Err(unavailable.to_string()),
            Err(error) => error,
        };
        if expected.get("rejected").is_some() {
            return Ok(json!({ "rejected": true }));
        }
        // The expected fields must be at fault, and others may.
        let at_fault: Vec<&str> = match &error {
            PushError::Invalid(invalid) => invalid.fields().collect(),
            _ => Vec::new(),
        };
        let at_fault = json!(at_fault);
        let among = |field: &Value| at_fault.as_array().is_some_and(|all| all.contains(field));
        let fields = match expected.get("fields") {
            Some(Value::Array(expected)) if expected.iter().all(among) => json!(expected),
            _ => at_fault,
        };
        Ok(json!({ "error": error.code(), "fields": fields }))
    }

    fn pulled(&self, report: PullReport) -> Value {
        json!({
            "failures": report.failures,
            "next_pull_ms": report.next_pull.as_millis(),
            "calls": self.remotes.take_calls(),
        })
    }
}

fn done<E: std::fmt::Display>(result: Result<(), E>) -> Result<Value, String> {
    result
        .map(|()| "ok".into())
        .map_err(|error| error.to_string())
}

fn settings(given: &Map<String, Value>) -> Result<Settings, String> {
    only_keys(given, &["push_token", "mfa_allowlist", "pull_interval_ms"])?;
    let mut settings = Settings::default().with_threads(1);
    if let Some(interval) = optional(given, "pull_interval_ms")? {
        settings.puller.pull_interval_ms = interval;
    }
    let token: Option<String> = optional(given, "push_token")?;
    settings.security.push_token = token.map(PushToken::from);
    if let Some(allowlist) = optional::<Allowlist>(given, "mfa_allowlist")? {
        settings.security.function_allowlist = allowlist;
    }
    Ok(settings)
}

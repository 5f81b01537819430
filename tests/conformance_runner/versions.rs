//! The vectors of `versions.json`: the config database of an engine, and which version it finds.

use gen_api::{
    GenApi, Settings,
    config::{AddError, Allowlist, ConfigDbRef, LookupError, SwitchError},
    model::FunConfig,
};
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, json, only_keys, optional},
    compare::{compare_value, unordered},
    engine::block_on,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["settings"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["results"])?;
    block_on(play(case))
}

async fn play(case: &Case) -> Result<(), String> {
    let given = optional(&case.given, "settings")?.unwrap_or_default();
    only_keys(&given, &["mfa_allowlist"])?;
    let mut settings = Settings::default().with_threads(1);
    if let Some(allowlist) = optional::<Allowlist>(&given, "mfa_allowlist")? {
        settings = settings.with_function_allowlist(allowlist);
    }
    let api = GenApi::builder().settings(settings).start().await;
    let api = api.map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for given in field::<Vec<Map<String, Value>>>(&case.when, "steps")? {
        results.push(unordered(step(api.config_db(), &given).await?));
    }
    api.stop().await;
    let expected: Vec<Value> = field(&case.expect, "results")?;
    let expected: Vec<Value> = expected.into_iter().map(unordered).collect();
    compare_value("results", &expected.into(), &results.into())
}

async fn step(configs: &ConfigDbRef, step: &Map<String, Value>) -> Result<Value, String> {
    let op: String = field(step, "op")?;
    let known: &[&str] = match op.as_str() {
        "add" | "update" => &["op", "config"],
        "batch_add" => &["op", "configs"],
        "get" | "disable" | "enable" | "delete" => &["op", "service", "request_type", "version"],
        "get_latest" | "get_fast" => &["op", "service", "request_type"],
        "functions" => &["op", "services"],
        "clear" | "count" | "services" => &["op"],
        _ => return Err(format!("unknown op {op:?}")),
    };
    only_keys(step, known)?;
    let name = |name: &str| field::<String>(step, name);
    let version: Option<String> = optional(step, "version")?;
    let version = version.as_deref();
    Ok(match op.as_str() {
        "add" | "update" => {
            // What cannot be read as a config is as invalid as what can.
            let Ok(config) = FunConfig::from_value(field(step, "config")?) else {
                return Ok(error("invalid_config"));
            };
            stored(match op.as_str() {
                "add" => configs.add(config).await,
                _ => configs.update(config).await,
            })?
        }
        "batch_add" => {
            let given: Vec<Value> = field(step, "configs")?;
            let readable = given
                .into_iter()
                .map(FunConfig::from_value)
                .filter_map(Result::ok);
            let report = configs.batch_add(readable.collect()).await;
            let report = report.map_err(|error| error.to_string())?;
            if report.is_failure() {
                error("all_invalid")
            } else {
                json!({ "stored": report.stored })
            }
        }
        "get" => found(configs.get(&name("service")?, &name("request_type")?, version))?,
        "get_latest" => found(configs.get_latest(&name("service")?, &name("request_type")?))?,
        "get_fast" => found(configs.get_fast(&name("service")?, &name("request_type")?))?,
        "enable" => switched(
            configs
                .enable(&name("service")?, &name("request_type")?, version)
                .await,
        )?,
        "disable" => switched(
            configs
                .disable(&name("service")?, &name("request_type")?, version)
                .await,
        )?,
        "delete" => {
            let deleted = configs
                .delete(&name("service")?, &name("request_type")?, version)
                .await;
            deleted.map_err(|error| error.to_string())?;
            "ok".into()
        }
        "clear" => {
            configs.clear().await.map_err(|error| error.to_string())?;
            "ok".into()
        }
        "count" => json!({ "count": configs.count() }),
        "services" => json!({ "services": configs.get_all_services() }),
        _ => {
            let services: Option<Vec<String>> = optional(step, "services")?;
            json!({ "functions": match services {
                None => configs.get_all_functions(),
                Some(services) => {
                    let services: Vec<&str> = services.iter().map(String::as_str).collect();
                    configs.get_functions_of(&services)
                }
            }})
        }
    })
}

fn error(name: &str) -> Value {
    json!({ "error": name })
}

fn stored(result: Result<(), AddError>) -> Result<Value, String> {
    Ok(match result {
        Ok(()) => "ok".into(),
        Err(AddError::Invalid(_)) => error("invalid_config"),
        Err(AddError::NotAllowed(_)) => error("mfa_not_allowed"),
        Err(other) => return Err(other.to_string()),
    })
}

fn found(result: Result<FunConfig, LookupError>) -> Result<Value, String> {
    Ok(match result {
        Ok(config) => json!({ "config": json(config)? }),
        Err(LookupError::NotFound) => error("not_found"),
        Err(LookupError::Disabled) => error("disabled"),
        Err(other) => return Err(other.to_string()),
    })
}

fn switched(result: Result<(), SwitchError>) -> Result<Value, String> {
    Ok(match result {
        Ok(()) => "ok".into(),
        Err(SwitchError::NotFound) => error("not_found"),
        Err(other) => return Err(other.to_string()),
    })
}

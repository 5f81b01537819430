//! The vectors of `rate_limit.json`: the limiter by itself, on a clock that the case moves.

use std::{sync::Arc, time::Duration};

use gen_api::{
    clock::{Clock, ManualClock},
    rate_limiter::{
        InvalidLimit, LimitKey, RateLimitConfig, RateLimitError, RateLimitUpdate, RateLimiter,
        Scope,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, only_entry, only_keys, optional, read, request},
    compare::compare_value,
};

/// A key of a request in one scope, as the vectors name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    value: String,
    scope: Scope,
    key: LimitKey,
}

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["global_limits", "api_limits", "settings"])?;
    only_keys(&case.when, &["steps"])?;
    only_keys(&case.expect, &["results"])?;
    let clock = ManualClock::new();
    let mut config = case.given.clone();
    config.remove("settings");
    config.extend(optional::<Map<String, Value>>(&case.given, "settings")?.unwrap_or_default());
    let config: RateLimitConfig = read(&Value::Object(config))?;
    let limiter = RateLimiter::with_config(Arc::new(clock.clone()), config)
        .map_err(|error| error.to_string())?;

    let mut results = Vec::new();
    for mut given in field::<Vec<Map<String, Value>>>(&case.when, "steps")? {
        let time = Duration::from_millis(field(&given, "t")?);
        clock.advance(time.checked_sub(clock.now()).ok_or("time goes back")?);
        given.remove("t");
        let (verb, with) = only_entry(&given)?;
        results.push(step(&limiter, verb, with)?);
    }
    compare_value("results", &case.expect["results"], &results.into())
}

fn step(limiter: &RateLimiter, verb: &str, with: &Value) -> Result<Value, String> {
    Ok(match verb {
        "check" => checked(limiter.check(&request(with)?)),
        "check_key" => {
            let target: Target = read(with)?;
            checked(limiter.check_key(&target.value, &target.scope, &target.key))
        }
        "reset" => {
            let target: Target = read(with)?;
            limiter.reset(&target.value, &target.scope, &target.key);
            "ok".into()
        }
        "set_global" => changed(limiter.set_global_limits(read(with)?)),
        "add_global" => changed(limiter.add_global_limit(read(with)?)),
        "remove_global" => {
            limiter.remove_global_limit(&read(with)?);
            "ok".into()
        }
        "list_global" => json!({ "limits": limiter.global_limits() }),
        "update_config" => changed(limiter.update_config(read::<RateLimitUpdate>(with)?)),
        "clear" => {
            limiter.clear();
            "ok".into()
        }
        "cleanup" => {
            limiter.sweep();
            "ok".into()
        }
        "status" => {
            let target: Target = read(with)?;
            let limits = limiter.status(&target.value, &target.scope, &target.key);
            let status: Vec<Value> = limits
                .iter()
                .map(|limit| {
                    json!({
                        "max": limit.max_requests,
                        "current": limit.current_requests,
                        "remaining": limit.remaining,
                        "window_ms": limit.window_ms,
                    })
                })
                .collect();
            json!({ "status": status })
        }
        unknown => return Err(format!("unknown step {unknown}")),
    })
}

fn checked(answer: Result<(), RateLimitError>) -> Value {
    match answer {
        Ok(()) => "ok".into(),
        Err(RateLimitError::Limited(limited)) => json!({ "limited": {
            "retry_after_ms": limited.retry_after_ms,
            "current": limited.current_requests,
            "max": limited.max_requests,
            "scope": limited.scope,
        }}),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn changed(answer: Result<(), InvalidLimit>) -> Value {
    answer.map_or_else(|_| json!({ "error": "invalid_limit" }), |()| "ok".into())
}

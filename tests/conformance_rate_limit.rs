//! The vectors of `tests/conformance/rate_limit.json`, all of them, compared strictly.

use std::{fs, path::Path, sync::Arc, time::Duration};

use gen_api::{
    clock::{Clock, ManualClock},
    model::Request,
    rate_limiter::{
        InvalidLimit, LimitKey, RateLimitConfig, RateLimitError, RateLimitUpdate, RateLimiter,
        Scope,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

#[test]
fn every_rate_limit_vector_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/rate_limit.json");
    let text = fs::read_to_string(path).expect("the vectors are there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the vectors are JSON");
    assert!(!cases.is_empty());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let fault = run(case).err()?;
            Some(format!("{}: {fault}", case["id"]))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// A key of a request in one scope, as the vectors name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    value: String,
    scope: Scope,
    key: LimitKey,
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("{error} in {value}"))
}

fn run(case: &Value) -> Result<(), String> {
    let clock = ManualClock::new();
    let mut config = Map::new();
    for (name, value) in case["given"].as_object().ok_or("no given")? {
        if name == "settings" {
            config.extend(value.as_object().ok_or("settings are an object")?.clone());
        } else {
            config.insert(name.clone(), value.clone());
        }
    }
    let config: RateLimitConfig = read(&Value::Object(config))?;
    let limiter = RateLimiter::with_config(Arc::new(clock.clone()), config)
        .map_err(|error| error.to_string())?;

    let steps = case["when"]["steps"].as_array().ok_or("no steps")?;
    let results = case["expect"]["results"].as_array().ok_or("no results")?;
    if steps.len() != results.len() {
        return Err("as many results as steps are needed".to_owned());
    }
    for (index, (step, expected)) in steps.iter().zip(results).enumerate() {
        let time = step["t"].as_u64().ok_or("a step without a time")?;
        let pause = Duration::from_millis(time).checked_sub(clock.now());
        clock.advance(pause.ok_or("time goes back")?);
        let seen = take(&limiter, step)?;
        if !matches(expected, &seen) {
            return Err(format!("step {index}: expected {expected}, seen {seen}"));
        }
    }
    Ok(())
}

fn take(limiter: &RateLimiter, step: &Value) -> Result<Value, String> {
    let fields = step.as_object().ok_or("a step is an object")?;
    let mut verbs = fields.iter().filter(|(name, _)| *name != "t");
    let (Some((verb, with)), None) = (verbs.next(), verbs.next()) else {
        return Err(format!("a step has one verb: {step}"));
    };
    Ok(match verb.as_str() {
        "check" => {
            let mut request: Request = read(with)?;
            request.ip_address = with["ip_address"].as_str().map(str::to_owned);
            checked(limiter.check(&request))
        }
        "check_key" => {
            let target: Target = read(with)?;
            checked(limiter.check_key(&target.value, &target.scope, &target.key))
        }
        "reset" => {
            let target: Target = read(with)?;
            limiter.reset(&target.value, &target.scope, &target.key);
            json!("ok")
        }
        "set_global" => changed(limiter.set_global_limits(read(with)?)),
        "add_global" => changed(limiter.add_global_limit(read(with)?)),
        "remove_global" => {
            limiter.remove_global_limit(&read(with)?);
            json!("ok")
        }
        "list_global" => json!({ "limits": limiter.global_limits() }),
        "update_config" => changed(limiter.update_config(read::<RateLimitUpdate>(with)?)),
        "clear" => {
            limiter.clear();
            json!("ok")
        }
        "cleanup" => {
            limiter.sweep();
            json!("ok")
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
        Ok(()) => json!("ok"),
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
    answer.map_or_else(|_| json!({ "error": "invalid_limit" }), |()| json!("ok"))
}

/// Objects in what is expected are subsets, lists have the same length and order, a range stands for a number and a
/// pattern for a text; all else is equal.
fn matches(expected: &Value, seen: &Value) -> bool {
    match (expected, seen) {
        (Value::Object(expected), Value::Number(number)) => {
            let (Some([low, high]), Some(number), 1) = (
                expected
                    .get("between")
                    .and_then(Value::as_array)
                    .map(Vec::as_slice),
                number.as_f64(),
                expected.len(),
            ) else {
                return false;
            };
            low.as_f64().is_some_and(|low| low <= number)
                && high.as_f64().is_some_and(|high| number <= high)
        }
        (Value::Object(expected), Value::String(text)) => {
            !expected.is_empty()
                && expected
                    .iter()
                    .all(|(kind, part)| match (kind.as_str(), part.as_str()) {
                        ("prefix", Some(part)) => text.starts_with(part),
                        ("contains", Some(part)) => text.contains(part),
                        _ => false,
                    })
        }
        (Value::Object(expected), Value::Object(seen)) => expected
            .iter()
            .all(|(name, value)| seen.get(name).is_some_and(|seen| matches(value, seen))),
        (Value::Array(expected), Value::Array(seen)) => {
            expected.len() == seen.len()
                && expected
                    .iter()
                    .zip(seen)
                    .all(|(expected, seen)| matches(expected, seen))
        }
        _ => expected == seen,
    }
}

#[test]
fn the_comparison_is_strict() {
    assert!(matches(
        &json!({"a": {"between": [1, 3]}}),
        &json!({"a": 3, "b": 0})
    ));
    assert!(matches(
        &json!({"prefix": "ab", "contains": "c"}),
        &json!("abc")
    ));
    for (expected, seen) in [
        (json!({"a": {"between": [1, 3]}}), json!({"a": 4})),
        (json!({"a": 1}), json!({})),
        (json!([1]), json!([1, 2])),
        (json!({}), json!("ok")),
        (json!("ok"), json!({"limited": {}})),
        (json!({"prefix": "b"}), json!("abc")),
        (json!(null), json!(0)),
    ] {
        assert!(!matches(&expected, &seen), "{expected} against {seen}");
    }
}

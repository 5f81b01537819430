//! The vectors about data and its validity: requests and responses, configs, arguments, permission modes.

mod support;

use std::collections::BTreeMap;

use gen_api::{
    arguments::{self, ArgDeclaration, ArgOrders, CallArgs, Limits},
    model::{DEFAULT_MAX_PAYLOAD_BYTES, FunConfig, InvalidConfig, Request, Response},
    permission,
};
use jiff::{Timestamp, civil::DateTime};
use serde_json::{Map, Value};
use support::{Case, field, only_keys, run, same};

#[test]
fn requests_and_responses_conform() {
    run(
        "request_response.json",
        |_| true,
        |case| match field::<String>(&case.when, "op")?.as_str() {
            "decode" => decode(case),
            "default_max_payload_bytes" => {
                only_keys(&case.expect, &["bytes"])?;
                same(
                    "bytes",
                    &DEFAULT_MAX_PAYLOAD_BYTES,
                    &field(&case.expect, "bytes")?,
                )
            }
            _ => respond(case),
        },
    );
}

#[test]
fn function_configs_conform() {
    run("fun_config.json", |_| true, fun_config);
}

#[test]
fn arguments_conform() {
    run("arguments.json", |_| true, convert);
}

/// Cases with a callback need the registered functions and belong to the test of those.
#[test]
fn permission_modes_conform() {
    let by_mode = |case: &Case| case.given["config"]["permission_callback"].is_null();
    run("permission.json", by_mode, |case| {
        only_keys(&case.expect, &["allowed"])?;
        let config: FunConfig = field(&case.given, "config")?;
        let request: Request = field(&case.when, "request")?;
        let allowed = permission::check(&config.check_permission, &request, &config.arg_orders);
        same("allowed", &allowed, &field(&case.expect, "allowed")?)
    });
}

fn decode(case: &Case) -> Result<(), String> {
    let max_bytes = match case.given.get("settings") {
        Some(settings) => field(settings.as_object().ok_or("settings")?, "max_payload_bytes")?,
        None => DEFAULT_MAX_PAYLOAD_BYTES,
    };
    let payload = case.when["payload"].to_string();
    let decoded = Request::decode(payload.as_bytes(), max_bytes);
    only_keys(&case.expect, &["request", "error"])?;
    let Some(expected) = case.expect.get("error") else {
        let request = decoded.map_err(|error| format!("{}: {error}", error.code()))?;
        let request = serde_json::to_value(request).map_err(|error| error.to_string())?;
        return same("request", &request, &field(&case.expect, "request")?);
    };
    let error = decoded
        .err()
        .ok_or("decoded, although an error is expected")?;
    let expected = expected.as_object().ok_or("an error must be an object")?;
    only_keys(expected, &["code", "fields", "message"])?;
    same("code", &error.code().to_owned(), &field(expected, "code")?)?;
    if expected.contains_key("fields") {
        let fields: Vec<String> = error.fields().iter().map(ToString::to_string).collect();
        same("fields", &fields, &field(expected, "fields")?)?;
    }
    if expected.contains_key("message") {
        same("message", &error.to_string(), &field(expected, "message")?)?;
    }
    Ok(())
}

fn respond(case: &Case) -> Result<(), String> {
    let when = &case.when;
    let id: String = field(when, "request_id")?;
    let flag = |name: &str, default: bool| match when.get(name) {
        Some(_) => field(when, name),
        None => Ok(default),
    };
    let response = match field::<String>(when, "op")?.as_str() {
        "sync" => Response::sync(id, field::<Value>(when, "result")?),
        "async" => Response::async_ack(id),
        "stream" if flag("has_more", true)? => {
            Response::stream_chunk(id, field::<Value>(when, "result")?)
        }
        "stream" => Response::last_stream_chunk(id, field::<Value>(when, "result")?),
        "stream_end" => Response::stream_end(id),
        "error" if flag("can_retry", false)? => {
            Response::retryable_error(id, field::<String>(when, "error")?)
        }
        "error" => Response::error(id, field::<String>(when, "error")?),
        op => return Err(format!("unknown op {op:?}")),
    };
    let json = serde_json::to_value(&response).map_err(|error| error.to_string())?;
    match when.get("then").map(Value::as_str) {
        None => {
            only_keys(&case.expect, &["response"])?;
            same("response", &json, &field(&case.expect, "response")?)
        }
        Some(Some("is_error")) => {
            only_keys(&case.expect, &["is_error"])?;
            same(
                "is_error",
                &response.is_error(),
                &field(&case.expect, "is_error")?,
            )
        }
        Some(Some("encode")) => {
            only_keys(&case.expect, &["keys"])?;
            let mut keys: Vec<String> = json
                .as_object()
                .ok_or("no object")?
                .keys()
                .cloned()
                .collect();
            keys.sort_unstable();
            same("keys", &keys, &field(&case.expect, "keys")?)
        }
        Some(then) => Err(format!("unknown continuation {then:?}")),
    }
}

fn fun_config(case: &Case) -> Result<(), String> {
    let config = FunConfig::from_value(case.given["config"].clone());
    match field::<String>(&case.when, "op")?.as_str() {
        "validate" => {
            only_keys(&case.expect, &["valid", "fields"])?;
            let result = config.and_then(|config| config.validate(&Limits::default()));
            same("valid", &result.is_ok(), &field(&case.expect, "valid")?)?;
            let mut got: Vec<&str> = result
                .as_ref()
                .err()
                .map_or(vec![], |e| e.fields().collect());
            got.sort_unstable();
            got.dedup();
            let mut expected: Vec<String> = match result {
                Ok(()) => Vec::new(),
                Err(_) => field(&case.expect, "fields")?,
            };
            expected.sort_unstable();
            same(
                "fields",
                &got,
                &expected.iter().map(String::as_str).collect(),
            )
        }
        "normalize_retry" => {
            only_keys(&case.expect, &["retry"])?;
            let retry = readable(config)?.normalize_retry();
            let retry = serde_json::to_value(retry).map_err(|error| error.to_string())?;
            same("retry", &retry, &case.expect["retry"])
        }
        "effective_version" => {
            only_keys(&case.expect, &["version"])?;
            let config = readable(config)?;
            let expected: Option<String> = field(&case.expect, "version")?;
            same("version", &config.effective_version(), &expected.as_deref())
        }
        op => Err(format!("unknown op {op:?}")),
    }
}

fn readable(config: Result<FunConfig, InvalidConfig>) -> Result<FunConfig, String> {
    config.map_err(|error| error.to_string())
}

fn convert(case: &Case) -> Result<(), String> {
    only_keys(&case.expect, &["list", "map", "error"])?;
    let arg_types: BTreeMap<String, ArgDeclaration> =
        field::<Option<_>>(&case.given, "arg_types")?.unwrap_or_default();
    let arg_orders: ArgOrders = field(&case.given, "arg_orders")?;
    let limits = match case.given.contains_key("limits") {
        true => field(&case.given, "limits")?,
        false => Limits::default(),
    };
    let args: Map<String, Value> = field(&case.when, "args")?;
    let result = arguments::convert(args, &arg_types, &arg_orders, &limits);
    if let Some(expected) = case.expect.get("error") {
        let error = result
            .err()
            .ok_or("converted, although an error is expected")?;
        let expected = expected.as_object().ok_or("an error must be an object")?;
        only_keys(expected, &["kind", "arg"])?;
        same("kind", &error.kind.to_string(), &field(expected, "kind")?)?;
        return same("arg", &error.arg, &field(expected, "arg")?);
    }
    match result.map_err(|error| format!("{}: {error}", error.kind))? {
        CallArgs::List(list) => equal(&Value::Array(list), case.expect.get("list")),
        CallArgs::Map(map) => equal(&Value::Object(map), case.expect.get("map")),
        other => Err(format!("an unknown form: {other:?}")),
    }
}

/// Strict equality, but for points in time, which are compared as such.
fn equal(got: &Value, expected: Option<&Value>) -> Result<(), String> {
    let expected = expected.ok_or_else(|| format!("another form is expected, got {got}"))?;
    let differ = || Err(format!("expected {expected}, got {got}"));
    if let Some(instant) = expected.get("$datetime") {
        let read = |value: &Value| {
            value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok())
        };
        let in_utc = got.as_str().is_some_and(|text| text.ends_with('Z'));
        return match (read(got), read(instant)) {
            (Some(got), Some(instant)) if in_utc && got == instant => Ok(()),
            _ => differ(),
        };
    }
    if let Some(clock) = expected.get("$naive_datetime") {
        let read = |value: &Value| {
            value
                .as_str()
                .and_then(|text| text.parse::<DateTime>().ok())
        };
        return match (read(got), read(clock)) {
            (Some(got), Some(clock)) if got == clock => Ok(()),
            _ => differ(),
        };
    }
    match (got, expected) {
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => got
            .iter()
            .zip(expected)
            .try_for_each(|(got, expected)| equal(got, Some(expected))),
        (Value::Object(got), Value::Object(expected)) if got.len() == expected.len() => got
            .iter()
            .try_for_each(|(key, got)| equal(got, expected.get(key))),
        (got, expected) if got == expected => Ok(()),
        _ => differ(),
    }
}

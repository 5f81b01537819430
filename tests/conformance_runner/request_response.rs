//! The vectors of `request_response.json`: reading requests, building responses.

use gen_api::model::{DEFAULT_MAX_PAYLOAD_BYTES, Request, Response};
use serde_json::{Value, json};

use super::{
    case::{Case, field, json, only_keys, optional},
    compare::compare,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["settings"])?;
    match field::<String>(&case.when, "op")?.as_str() {
        "decode" => decode(case),
        "default_max_payload_bytes" => {
            only_keys(&case.when, &["op"])?;
            only_keys(&case.expect, &["bytes"])?;
            compare(&case.expect, &json!({ "bytes": DEFAULT_MAX_PAYLOAD_BYTES }))
        }
        _ => respond(case),
    }
}

fn decode(case: &Case) -> Result<(), String> {
    only_keys(&case.when, &["op", "payload"])?;
    only_keys(&case.expect, &["request", "error"])?;
    let settings = optional(&case.given, "settings")?.unwrap_or_default();
    only_keys(&settings, &["max_payload_bytes"])?;
    let max_bytes = optional(&settings, "max_payload_bytes")?.unwrap_or(DEFAULT_MAX_PAYLOAD_BYTES);
    let payload = field::<Value>(&case.when, "payload")?.to_string();
    let seen = match Request::decode(payload.as_bytes(), max_bytes) {
        Ok(request) => {
            let mut request = json(request)?;
            if let Some(fields) = request.as_object_mut() {
                fields.remove("ip_address");
            }
            json!({ "request": request })
        }
        Err(error) => json!({ "error": {
            "code": error.code(),
            "fields": error.fields(),
            "message": error.to_string(),
        }}),
    };
    compare(&case.expect, &seen)
}

fn respond(case: &Case) -> Result<(), String> {
    let when = &case.when;
    let op: String = field(when, "op")?;
    let known: &[&str] = match op.as_str() {
        "sync" => &["op", "request_id", "then", "result"],
        "stream" => &["op", "request_id", "then", "result", "has_more"],
        "error" => &["op", "request_id", "then", "error", "can_retry"],
        _ => &["op", "request_id", "then"],
    };
    only_keys(when, known)?;
    let result = || field::<Value>(when, "result");
    let id = "";
    let mut response = match op.as_str() {
        "sync" => Response::sync(id, result()?),
        "async" => Response::async_ack(id),
        "stream" if optional(when, "has_more")?.unwrap_or(true) => {
            Response::stream_chunk(id, result()?)
        }
        "stream" => Response::last_stream_chunk(id, result()?),
        "stream_end" => Response::stream_end(id),
        "error" if optional(when, "can_retry")?.unwrap_or(false) => {
            Response::retryable_error(id, "")
        }
        "error" => Response::error(id, ""),
        _ => return Err(format!("unknown op {op:?}")),
    };
    // Both may be null, which the constructors have no need for.
    response.request_id = field(when, "request_id")?;
    if response.is_error() {
        response.error = field(when, "error")?;
    }
    let built = json(&response)?;
    match optional::<String>(when, "then")?.as_deref() {
        None => {
            only_keys(&case.expect, &["response"])?;
            compare(&case.expect, &json!({ "response": built }))
        }
        Some("is_error") => {
            only_keys(&case.expect, &["is_error"])?;
            compare(&case.expect, &json!({ "is_error": response.is_error() }))
        }
        Some("encode") => {
            only_keys(&case.expect, &["keys"])?;
            let mut keys: Vec<&String> = built
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key)
                .collect();
            keys.sort_unstable();
            compare(&case.expect, &json!({ "keys": keys }))
        }
        Some(then) => Err(format!("unknown continuation {then:?}")),
    }
}

//! The only place that writes what clients read (SPEC section 3).
//!
//! Texts are short and carry no internals; with the setting `detail_error` the reason follows.

use crate::{
    call::local::CallError,
    model::{DecodeError, Response},
    rate_limiter::RateLimitError,
    request_error::RequestError,
};

const INTERNAL: &str = "Internal Server Error";
const UNAVAILABLE: &str = "Service temporarily unavailable";

/// The response to a request that failed.
pub(crate) fn failure(request_id: String, error: &RequestError, detail: bool) -> Response {
    match error {
        RequestError::Unsupported {
            request_type,
            version,
        } => {
            let version = version.as_deref().unwrap_or("latest");
            let text = format!("unsupported function: {request_type} version {version}");
            Response::error(request_id, text)
        }
        RequestError::Disabled {
            request_type,
            version,
        } => {
            let version = version.as_deref().unwrap_or("latest");
            Response::error(
                request_id,
                format!("disabled function: {request_type} version {version}"),
            )
        }
        RequestError::HookRejected(reason) => {
            Response::error(request_id, format!("hook rejected: {reason}"))
        }
        RequestError::PermissionDenied => Response::error(request_id, "Permission denied"),
        RequestError::RateLimit(RateLimitError::Limited(limited)) => {
            Response::retryable_error(request_id, limited.to_string())
        }
        RequestError::Argument(error) => Response::error(request_id, error.to_string()),
        RequestError::Call(CallError::Public(text)) => Response::error(request_id, text.as_str()),
        RequestError::RetriesExhausted { .. } => {
            Response::error(request_id, "all retry attempts exhausted")
        }
        RequestError::TimedOut(limit) => Response::error(
            request_id,
            format!("Request timed out after {}ms", limit.as_millis()),
        ),
        RequestError::Busy(_) | RequestError::RateLimit(_) => {
            Response::retryable_error(request_id, UNAVAILABLE)
        }
        RequestError::NoFunction { .. }
        | RequestError::Selection(_)
        | RequestError::Node(_)
        | RequestError::Call(_)
        | RequestError::ProducerVanished
        | RequestError::UnexpectedStream => Response::error(request_id, internal(error, detail)),
    }
}

/// The response to a payload that is no request.
pub(crate) fn undecodable(request_id: String, error: &DecodeError) -> Response {
    Response::error(request_id, format!("Invalid request: {error}"))
}

/// The request id of a payload that is no request, as far as it has one; else `unknown`.
pub(crate) fn request_id_of(payload: &[u8], error: &DecodeError) -> String {
    let unknown = || "unknown".to_owned();
    // What is too large is not worth reading.
    if matches!(error, DecodeError::TooLarge { .. }) {
        return unknown();
    }
    let payload = serde_json::from_slice::<serde_json::Value>(payload).unwrap_or_default();
    let request_id = payload
        .get("request_id")
        .and_then(serde_json::Value::as_str);
    request_id
        .filter(|id| !id.is_empty())
        .map_or_else(unknown, str::to_owned)
}

/// The response to a request of a connection whose user is not verified.
#[cfg(feature = "channel")]
pub(crate) fn unauthenticated(request_id: String) -> Response {
    Response::error(request_id, "Authentication required")
}

/// The response to a call whose task was killed or whose thread died.
pub(crate) fn lost(request_id: String) -> Response {
    Response::error(request_id, INTERNAL)
}

/// The response to a request that never began, because the actor that held it ended.
pub(crate) fn unavailable(request_id: String) -> Response {
    Response::retryable_error(request_id, UNAVAILABLE)
}

fn internal(reason: &dyn std::fmt::Display, detail: bool) -> String {
    if detail {
        format!("{INTERNAL}: {reason}")
    } else {
        INTERNAL.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(text: &str) -> RequestError {
        RequestError::Call(CallError::Failed(text.into()))
    }

    #[test]
    fn internals_are_told_only_where_detail_is_on() {
        let error = failing("table users is locked");
        assert_eq!(
            failure("r".into(), &error, false).error.as_deref(),
            Some(INTERNAL)
        );
        let detailed = failure("r".into(), &error, true)
            .error
            .expect("an error text");
        assert!(detailed.starts_with("Internal Server Error: "));
        assert!(detailed.contains("table users is locked"));
    }

    #[test]
    fn a_public_error_reaches_the_client_as_its_own_text_in_every_setting() {
        for detail in [false, true] {
            let error = RequestError::Call(CallError::Public("no such user".into()));
            assert_eq!(
                failure("r".into(), &error, detail).error.as_deref(),
                Some("no such user")
            );
        }
    }

    #[test]
    fn what_may_be_tried_again_says_so() {
        assert!(failure("r".into(), &RequestError::Busy("queue".into()), false).can_retry);
        assert!(!failure("r".into(), &failing("x"), false).can_retry);
    }
}

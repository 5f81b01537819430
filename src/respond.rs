//! The only place that writes what clients read (specification, section 3).
//!
//! Texts are short and carry no internals; with the setting `detail_error` the reason follows.

mod request_id;

pub(crate) use self::request_id::request_id_of;
use crate::{
    arguments::cut,
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
            let function = function(request_type, version.as_deref());
            Response::error(request_id, format!("unsupported function: {function}"))
        }
        RequestError::Disabled {
            request_type,
            version,
        } => {
            let function = function(request_type, version.as_deref());
            Response::error(request_id, format!("disabled function: {function}"))
        }
        RequestError::HookRejected(reason) => {
            Response::error(request_id, format!("hook rejected: {reason}"))
        }
        RequestError::PermissionDenied => Response::error(request_id, "Permission denied"),
        RequestError::RateLimit(RateLimitError::Limited(limited)) => {
            Response::retryable_error(request_id, limited.to_string())
        }
        RequestError::Argument(error) => Response::error(request_id, error.to_string()),
        RequestError::Call(CallError::Public(text) | CallError::InvalidArgument(text)) => {
            Response::error(request_id, text.as_str())
        }
        RequestError::RetriesExhausted { .. } => {
            Response::error(request_id, "all retry attempts exhausted")
        }
        RequestError::TimedOut(limit) => Response::error(
            request_id,
            format!("Request timed out after {}ms", limit.as_millis()),
        ),
        RequestError::TooDeep { most } => {
            Response::error(request_id, format!("Requests nest more than {most} deep"))
        }
        RequestError::Busy(_) | RequestError::Stopping | RequestError::RateLimit(_) => {
            Response::retryable_error(request_id, UNAVAILABLE)
        }
        RequestError::NoFunction { .. }
        | RequestError::Selection(_)
        | RequestError::Node(_)
        | RequestError::Call(_)
        | RequestError::ProducerVanished
        | RequestError::UnexpectedStream
        | RequestError::NotAStream(_) => Response::error(request_id, internal(error, detail)),
    }
}

/// The response to a payload that is no request.
pub(crate) fn undecodable(request_id: String, error: &DecodeError) -> Response {
    Response::error(request_id, format!("Invalid request: {error}"))
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

/// The names that a client asked for, cut as argument errors cut values: the client knows them, and may be a stranger.
fn function(request_type: &str, version: Option<&str>) -> String {
    let version = version.unwrap_or("latest");
    format!("{} version {}", cut(request_type), cut(version))
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
    fn the_names_of_a_function_that_is_not_there_are_cut() {
        let long = "ä".repeat(50_000);
        let error = RequestError::Unsupported {
            request_type: long.clone(),
            version: Some("1.0.0".into()),
        };
        let short = format!("{}…", "ä".repeat(40));
        let text = failure("r".into(), &error, false).error;
        let expected = format!("unsupported function: {short} version 1.0.0");
        assert_eq!(text, Some(expected));
        let error = RequestError::Disabled {
            request_type: "get\nuser".into(),
            version: Some(long),
        };
        let text = failure("r".into(), &error, false).error;
        let expected = format!("disabled function: get\\nuser version {short}");
        assert_eq!(text, Some(expected));
    }

    #[test]
    fn what_may_be_tried_again_says_so() {
        assert!(failure("r".into(), &RequestError::Busy("queue".into()), false).can_retry);
        assert!(!failure("r".into(), &failing("x"), false).can_retry);
    }
}

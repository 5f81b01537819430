//! What goes back to a client.
//!
//! ```
//! use gen_api::model::Response;
//! use serde_json::json;
//!
//! let response = Response::sync("r-1", 42);
//! assert_eq!(serde_json::to_value(&response)?, json!({
//!     "request_id": "r-1", "result": 42, "success": true, "error": null,
//!     "async": false, "has_more": false, "can_retry": false,
//! }));
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One answer to a request (specification, section 2). Its JSON always has all seven keys.
///
/// | made by | success | async | has_more | can_retry |
/// |---|---|---|---|---|
/// | [`sync`](Self::sync) | yes | no | no | no |
/// | [`async_ack`](Self::async_ack) | yes | yes | no | no |
/// | [`stream_chunk`](Self::stream_chunk) | yes | yes | yes | no |
/// | [`last_stream_chunk`](Self::last_stream_chunk), [`stream_end`](Self::stream_end) | yes | yes | no | no |
/// | [`error`](Self::error) | no | no | no | no |
/// | [`retryable_error`](Self::retryable_error) | no | no | no | yes |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use = "a response that nobody gets leaves its client waiting"]
#[non_exhaustive]
pub struct Response {
    /// The request that this answers; none where the request could not even be read.
    pub request_id: Option<String>,
    /// What the function answered; null in errors and acknowledgements.
    #[serde(default)]
    pub result: Value,
    /// Whether the request succeeded so far; false makes this an error.
    pub success: bool,
    /// What went wrong, for the client's eyes.
    pub error: Option<String>,
    /// Whether this belongs to a call that answers later: an acknowledgement or a piece of a stream.
    #[serde(rename = "async")]
    pub is_async: bool,
    /// Whether further responses to the same request follow.
    pub has_more: bool,
    /// Whether the client may try the same again.
    pub can_retry: bool,
}

impl Response {
    /// The result of a call, sent in one piece.
    pub fn sync(request_id: impl Into<String>, result: impl Into<Value>) -> Self {
        Self::success(request_id.into(), result.into())
    }

    /// "Accepted, the result follows": the immediate answer to an async call.
    pub fn async_ack(request_id: impl Into<String>) -> Self {
        Self {
            is_async: true,
            ..Self::success(request_id.into(), Value::Null)
        }
    }

    /// A piece of a stream that goes on.
    pub fn stream_chunk(request_id: impl Into<String>, result: impl Into<Value>) -> Self {
        Self {
            is_async: true,
            has_more: true,
            ..Self::success(request_id.into(), result.into())
        }
    }

    /// The last piece of a stream.
    pub fn last_stream_chunk(request_id: impl Into<String>, result: impl Into<Value>) -> Self {
        Self {
            is_async: true,
            ..Self::success(request_id.into(), result.into())
        }
    }

    /// The bare end of a stream, without a result.
    pub fn stream_end(request_id: impl Into<String>) -> Self {
        Self::last_stream_chunk(request_id, Value::Null)
    }

    /// A failure that trying again will not cure.
    pub fn error(request_id: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            success: false,
            error: Some(error.into()),
            ..Self::success(request_id.into(), Value::Null)
        }
    }

    /// A failure that may be gone at the next try.
    pub fn retryable_error(request_id: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            can_retry: true,
            ..Self::error(request_id, error)
        }
    }

    /// Whether this is an error: success is false.
    #[must_use]
    pub fn is_error(&self) -> bool {
        !self.success
    }

    fn success(request_id: String, result: Value) -> Self {
        Self {
            request_id: Some(request_id),
            result,
            success: true,
            error: None,
            is_async: false,
            has_more: false,
            can_retry: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_response_has_the_same_seven_keys_and_survives_its_wire_form() {
        let responses = [
            Response::sync("r", json!([1])),
            Response::async_ack("r"),
            Response::stream_chunk("r", 1),
            Response::last_stream_chunk("r", 2),
            Response::stream_end("r"),
            Response::error("r", "bad"),
            Response::retryable_error("r", "busy"),
        ];
        for response in responses {
            let json = serde_json::to_value(&response).unwrap();
            let mut keys: Vec<_> = json
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            keys.sort_unstable();
            assert_eq!(
                keys,
                [
                    "async",
                    "can_retry",
                    "error",
                    "has_more",
                    "request_id",
                    "result",
                    "success"
                ]
            );
            assert_eq!(serde_json::from_value::<Response>(json).unwrap(), response);
        }
    }

    #[test]
    fn only_a_failure_is_an_error() {
        assert!(Response::error("r", "bad").is_error());
        assert!(!Response::stream_end("r").is_error());
        assert!(Response::retryable_error("r", "busy").can_retry);
        assert!(!Response::error("r", "bad").can_retry);
    }
}

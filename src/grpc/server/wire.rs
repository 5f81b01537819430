//! Messages of `proto/node.proto` read and written, from the side that answers.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::{Status, metadata::MetadataMap};

use crate::{
    config::PushError,
    grpc::proto::{
        self, Accepted, Failure, FunctionCall, InvokeReply, InvokeRequest, Matched, NotFound,
        PermissionRequest, PushReply, Refused, Skipped, Stored, StreamItem, VerifyReply,
        invoke_reply, push_reply, stream_item, verify_reply,
    },
    model::{Mfa, PushOutcome, Request, SkipReason, Verification},
    node::{
        NodeCallError,
        client::{FailureKind, Invocation, RemoteFailure, StreamChunk},
    },
};

/// What a message is larger than the JSON in it, at most.
const ENVELOPE: usize = 32;

/// The JSON of a field.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8], field: &str) -> Result<T, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::invalid_argument(format!("{field}: {error}")))
}

/// The time left for a call, by its header `grpc-timeout`.
///
/// A little less than the header says: tonic watches it as well and would answer CANCELLED, where node.proto says
/// DEADLINE_EXCEEDED.
pub(super) fn time_left(headers: &MetadataMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let parsed = text.and_then(parse_timeout);
    let time = parsed.ok_or_else(|| Status::invalid_argument("grpc-timeout: no time"))?;
    Ok(Some(time - MARGIN.min(time / 10)))
}

const MARGIN: Duration = Duration::from_millis(3);

/// Up to 8 digits and a unit, as gRPC over HTTP/2 describes it.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

pub(super) fn invocation(request: InvokeRequest) -> Result<Invocation, Status> {
    let args = json(&request.args, "args")?;
    let mut invocation = Invocation::new(
        request.module,
        request.function,
        args,
        &Request::new(request.request_id, "", ""),
    );
    invocation.user_id = request.user_id;
    invocation.device_id = request.device_id;
    invocation.append_info = request.append_info;
    if !request.arg_names.is_empty() {
        invocation.arg_names = Some(request.arg_names.into());
    }
    Ok(invocation)
}

pub(super) fn function_call(call: FunctionCall) -> Result<Mfa, Status> {
    let args: Vec<Value> = json(&call.args, "args")?;
    Ok(Mfa::new(call.module, call.function).with_args(args))
}

pub(super) fn permission(asked: PermissionRequest) -> Result<(Mfa, Request), Status> {
    let callback = asked
        .callback
        .ok_or_else(|| Status::invalid_argument("callback: is missing"))?;
    let request: Value = json(&asked.request, "request")?;
    let request = Request::from_value(request)
        .map_err(|error| Status::invalid_argument(format!("request: {error}")))?;
    Ok((function_call(callback)?, request))
}

/// How a call ended. What is not the function's own doing is a status.
pub(super) fn invoke_reply(
    called: Result<Value, NodeCallError>,
    max_message_bytes: usize,
) -> Result<InvokeReply, Status> {
    let outcome = match called {
        Ok(value) => invoke_reply::Outcome::Value(written(&value, max_message_bytes)?),
        Err(NodeCallError::Failed(failure)) => invoke_reply::Outcome::Failure(failure_of(failure)),
        Err(error) => return Err(status(&error)),
    };
    Ok(InvokeReply {
        outcome: Some(outcome),
    })
}

pub(super) fn accepted() -> StreamItem {
    item(stream_item::Item::Accepted(Accepted {}))
}

pub(super) fn chunk_item(
    chunk: StreamChunk,
    max_message_bytes: usize,
) -> Result<StreamItem, Status> {
    Ok(item(match chunk {
        StreamChunk::Result(value) => stream_item::Item::Chunk(written(&value, max_message_bytes)?),
        StreamChunk::Last(value) => stream_item::Item::Last(written(&value, max_message_bytes)?),
    }))
}

pub(super) fn failed_item(error: NodeCallError) -> Result<StreamItem, Status> {
    match error {
        NodeCallError::Failed(failure) => Ok(item(stream_item::Item::Failure(failure_of(failure)))),
        error => Err(status(&error)),
    }
}

fn item(item: stream_item::Item) -> StreamItem {
    StreamItem { item: Some(item) }
}

/// JSON that fits into a message.
fn written(value: &Value, max_message_bytes: usize) -> Result<Bytes, Status> {
    let json = serde_json::to_vec(value).map_err(|error| Status::internal(error.to_string()))?;
    if json.len().saturating_add(ENVELOPE) > max_message_bytes {
        let size = json.len();
        return Err(Status::resource_exhausted(format!(
            "an answer of {size} bytes is over the limit of {max_message_bytes}"
        )));
    }
    Ok(json.into())
}

fn failure_of(failure: RemoteFailure) -> Failure {
    let kind = match failure.kind {
        FailureKind::Failed => proto::FailureKind::Failed,
        FailureKind::Public => proto::FailureKind::Public,
        FailureKind::Arguments => proto::FailureKind::Arguments,
        FailureKind::Panicked => proto::FailureKind::Panicked,
        FailureKind::NotFound => proto::FailureKind::NotFound,
        FailureKind::InvalidArgument => proto::FailureKind::InvalidArgument,
    };
    Failure {
        kind: kind.into(),
        message: failure.message,
    }
}

/// The status of a call that itself went wrong.
pub(super) fn status(error: &NodeCallError) -> Status {
    match error {
        NodeCallError::TimedOut { .. } => Status::deadline_exceeded("the time was up"),
        error => Status::internal(error.to_string()),
    }
}

pub(super) fn push_reply(outcome: Result<PushOutcome, PushError>) -> PushReply {
    let outcome = match outcome {
        Ok(PushOutcome::Accepted) => push_reply::Outcome::Accepted(Stored {}),
        Ok(PushOutcome::Skipped(reason)) => push_reply::Outcome::Skipped(Skipped {
            reason: match reason {
                SkipReason::VersionMatches => "version_matches".to_owned(),
            },
        }),
        Err(error) => push_reply::Outcome::Refused(Refused {
            code: error.code().to_owned(),
            reason: limited(&error),
        }),
    };
    PushReply {
        outcome: Some(outcome),
    }
}

/// What is told of an error: a push of very many faults is not answered with all of them.
fn limited(error: &PushError) -> String {
    const LONGEST: usize = 64 * 1024;
    let mut reason = error.to_string();
    if reason.len() > LONGEST {
        reason.truncate(reason.floor_char_boundary(LONGEST));
        reason.push('…');
    }
    reason
}

pub(super) fn verify_reply(verified: Verification) -> VerifyReply {
    let outcome = match verified {
        Verification::Matched => verify_reply::Outcome::Matched(Matched {}),
        Verification::Mismatch(version) => verify_reply::Outcome::Mismatch(version),
        Verification::NotFound => verify_reply::Outcome::NotFound(NotFound {}),
    };
    VerifyReply {
        outcome: Some(outcome),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(value: &'static str) -> Result<Option<Duration>, tonic::Code> {
        let mut headers = MetadataMap::new();
        headers.insert("grpc-timeout", value.parse().unwrap());
        time_left(&headers).map_err(|status| status.code())
    }

    #[test]
    fn the_time_left_is_a_little_less_than_the_header_says() {
        assert_eq!(left("5S"), Ok(Some(Duration::from_millis(4_997))));
        assert_eq!(left("10m"), Ok(Some(Duration::from_millis(9))));
        assert_eq!(left("99999999H").map(|left| left.is_some()), Ok(true));
        assert_eq!(left("0n"), Ok(Some(Duration::ZERO)));
        assert_eq!(time_left(&MetadataMap::new()).unwrap(), None);
    }

    #[test]
    fn a_header_that_is_no_time_is_refused() {
        for wrong in [
            "",
            "S",
            "5",
            "5s",
            "+5S",
            "-1S",
            "5 S",
            "123456789S",
            "1.5S",
        ] {
            assert_eq!(left(wrong), Err(tonic::Code::InvalidArgument), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_reading_panic(text in ".{0,12}") {
            let _ = parse_timeout(&text);
        }
    }
}

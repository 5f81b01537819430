//! The messages of `proto/node.proto` for what the engine says, and back.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::error::{malformed, refused};
use crate::{
    grpc::proto::{self, invoke_reply, push_reply, verify_reply},
    model::{Mfa, PushOutcome, SkipReason, Verification},
    node::{
        NodeCallError,
        client::{FailureKind, Invocation, RemoteFailure},
    },
};

/// The JSON form, made once.
pub(super) fn json(value: &impl Serialize) -> Result<Bytes, NodeCallError> {
    match serde_json::to_vec(value) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(refused("invalid_argument", error.to_string())),
    }
}

/// What JSON bytes of a node say.
pub(super) fn value(json: &[u8]) -> Result<Value, NodeCallError> {
    serde_json::from_slice(json).map_err(|error| malformed(format!("no JSON: {error}")))
}

pub(super) fn invoke_request(
    invocation: &Invocation,
) -> Result<proto::InvokeRequest, NodeCallError> {
    Ok(proto::InvokeRequest {
        module: invocation.module.clone(),
        function: invocation.function.clone(),
        args: json(&invocation.args)?,
        arg_names: invocation.arg_names.as_deref().unwrap_or_default().to_vec(),
        request_id: invocation.request_id.clone(),
        user_id: invocation.user_id.clone(),
        device_id: invocation.device_id.clone(),
        append_info: invocation.append_info,
    })
}

pub(super) fn function_call(function: &Mfa) -> Result<proto::FunctionCall, NodeCallError> {
    Ok(proto::FunctionCall {
        module: function.module.clone(),
        function: function.function.clone(),
        args: json(&function.args)?,
    })
}

pub(super) fn invoked(reply: proto::InvokeReply) -> Result<Value, NodeCallError> {
    match reply.outcome {
        Some(invoke_reply::Outcome::Value(json)) => value(&json),
        Some(invoke_reply::Outcome::Failure(failure)) => Err(failed(failure)),
        None => Err(malformed("its answer holds no outcome")),
    }
}

pub(super) fn failed(failure: proto::Failure) -> NodeCallError {
    let kind = match failure.kind() {
        proto::FailureKind::Public => FailureKind::Public,
        proto::FailureKind::Arguments => FailureKind::Arguments,
        proto::FailureKind::Panicked => FailureKind::Panicked,
        proto::FailureKind::NotFound => FailureKind::NotFound,
        proto::FailureKind::InvalidArgument => FailureKind::InvalidArgument,
        proto::FailureKind::Failed | proto::FailureKind::Unspecified => FailureKind::Failed,
    };
    NodeCallError::Failed(RemoteFailure::new(kind, failure.message))
}

pub(super) fn pushed(reply: proto::PushReply) -> Result<PushOutcome, NodeCallError> {
    match reply.outcome {
        Some(push_reply::Outcome::Accepted(_)) => Ok(PushOutcome::Accepted),
        Some(push_reply::Outcome::Skipped(skipped)) => match skipped.reason.as_str() {
            "version_matches" => Ok(PushOutcome::Skipped(SkipReason::VersionMatches)),
            reason => Err(malformed(format!(
                "it skipped a push for no known reason: {reason}"
            ))),
        },
        Some(push_reply::Outcome::Refused(proto::Refused { code, reason })) => {
            Err(NodeCallError::Refused { code, reason })
        }
        None => Err(malformed("its answer holds no outcome")),
    }
}

pub(super) fn verified(reply: proto::VerifyReply) -> Result<Verification, NodeCallError> {
    match reply.outcome {
        Some(verify_reply::Outcome::Matched(_)) => Ok(Verification::Matched),
        Some(verify_reply::Outcome::Mismatch(version)) => Ok(Verification::Mismatch(version)),
        Some(verify_reply::Outcome::NotFound(_)) => Ok(Verification::NotFound),
        None => Err(malformed("its answer holds no outcome")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Request;

    #[test]
    fn an_invocation_travels_whole() {
        let request = Request::new("r", "s", "t").with_user_id("u");
        let invocation = Invocation::new("M", "f", vec![json!(1), json!({"a": null})], &request)
            .with_arg_names(["a".to_owned()].into())
            .with_appended_info();
        let message = invoke_request(&invocation).unwrap();
        assert_eq!((&*message.module, &*message.function), ("M", "f"));
        assert_eq!(message.args, r#"[1,{"a":null}]"#);
        assert_eq!(message.arg_names, ["a"]);
        assert_eq!(message.request_id, "r");
        assert_eq!(message.user_id.as_deref(), Some("u"));
        assert_eq!(message.device_id, None);
        assert!(message.append_info);
    }

    #[test]
    fn each_kind_of_failure_is_told_and_an_unknown_one_has_failed() {
        for (kind, expected) in [
            (0, FailureKind::Failed),
            (1, FailureKind::Failed),
            (2, FailureKind::Public),
            (3, FailureKind::Arguments),
            (4, FailureKind::Panicked),
            (5, FailureKind::NotFound),
            (6, FailureKind::InvalidArgument),
            (77, FailureKind::Failed),
            (-1, FailureKind::Failed),
        ] {
            let failure = proto::Failure {
                kind,
                message: "m".to_owned(),
            };
            let expected = NodeCallError::Failed(RemoteFailure::new(expected, "m"));
            assert_eq!(failed(failure), expected);
        }
    }

    #[test]
    fn an_answer_without_content_or_with_bytes_that_are_no_json_is_malformed() {
        let is_malformed = |error| matches!(error, NodeCallError::Malformed { .. });
        assert!(is_malformed(
            invoked(proto::InvokeReply::default()).unwrap_err()
        ));
        assert!(is_malformed(
            pushed(proto::PushReply::default()).unwrap_err()
        ));
        assert!(is_malformed(
            verified(proto::VerifyReply::default()).unwrap_err()
        ));
        let deep = "[".repeat(100_000);
        for bytes in [&b""[..], b"{", b"\xff", b"1 2", deep.as_bytes()] {
            assert!(is_malformed(value(bytes).unwrap_err()));
        }
    }
}

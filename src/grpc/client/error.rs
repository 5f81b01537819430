//! How what a transport meets reads as a [`NodeCallError`]. The question behind all of it: may the function have run?

use std::{error::Error, io, net::SocketAddr, time::Duration};

use h2::Reason;
use tonic::{Code, Status, codegen::http::HeaderMap};

use super::{connection::DENIED, peer::Link};
use crate::{
    grpc::{TlsError, UnusableSecret},
    node::{NodeCallError, client::RemoteFailure},
};

/// Why a client or a door could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrpcSetupError {
    /// The settings hold no secret, and without one nobody answers or is answered.
    #[error("grpc.cluster_secret is needed")]
    NoSecret,
    /// No header can carry the secret.
    #[error(transparent)]
    Secret(#[from] UnusableSecret),
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody can be let in at this address.
    #[error("grpc.listen: cannot listen on {address}: {reason}")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        reason: io::Error,
    },
}

/// The code of a refusal because of a message over the size limit, on whichever side.
pub(super) const TOO_LARGE: &str = "message_too_large";

/// A [`NodeCallError`] on its way through tonic.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Ended(#[from] pub(super) NodeCallError);

pub(super) fn unreachable(reason: impl Into<String>) -> NodeCallError {
    NodeCallError::Unreachable {
        reason: reason.into(),
    }
}

pub(super) fn malformed(reason: impl Into<String>) -> NodeCallError {
    NodeCallError::Malformed {
        reason: reason.into(),
    }
}

pub(super) fn disconnected(reason: impl Into<String>) -> NodeCallError {
    NodeCallError::Disconnected {
        reason: reason.into(),
    }
}

pub(super) fn refused(code: &str, reason: impl Into<String>) -> NodeCallError {
    NodeCallError::Refused {
        code: code.to_owned(),
        reason: reason.into(),
    }
}

/// What broke a call that had been sent.
pub(super) fn broken(link: &Link, error: &h2::Error) -> NodeCallError {
    if error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) {
        // HTTP/2 promises that nothing was done about such a call.
        return unreachable("it took no further call on this connection");
    }
    if error.is_go_away() && error.is_remote() {
        // h2 says so of the calls above the last one that the node will answer, and of no others.
        return unreachable("it was leaving and had not begun the call");
    }
    if error.is_library() {
        return malformed(format!("it breaks HTTP/2: {error}"));
    }
    let reason = link.given_up().map(str::to_owned);
    disconnected(reason.unwrap_or_else(|| error.to_string()))
}

/// Whether an answer that consists of these headers alone says that the secret is wrong.
pub(super) fn is_denial(headers: &HeaderMap) -> bool {
    let status = headers.get(Status::GRPC_STATUS);
    status.is_some_and(|status| Code::from_bytes(status.as_bytes()) == Code::Unauthenticated)
}

/// What a node says with a status other than OK; `timeout` is the time that the call had.
pub(super) fn answered(status: &Status, timeout: Option<Duration>) -> NodeCallError {
    let said = status.message();
    match (status.code(), timeout) {
        (Code::Unavailable, _) => unreachable(said),
        (Code::Unauthenticated, _) => unreachable(DENIED),
        (Code::DeadlineExceeded, Some(after)) => NodeCallError::TimedOut { after },
        (Code::Cancelled, _) => disconnected(format!("it cancelled the call: {said}")),
        (Code::PermissionDenied, _) => refused("permission_denied", said),
        (Code::InvalidArgument, _) => refused("invalid_argument", said),
        (Code::Unimplemented, _) => refused("unimplemented", said),
        // Some servers say the latter of a message that is larger than they read.
        (Code::ResourceExhausted | Code::OutOfRange, _) => refused(TOO_LARGE, said),
        // What servers of other languages say where a handler raised.
        (code, _) => NodeCallError::Failed(RemoteFailure::failed(format!("{code:?}: {said}"))),
    }
}

/// What tonic reports: what this transport told it, else that the answer could not be read.
pub(super) fn of_status(status: &Status) -> NodeCallError {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(Ended(error)) = error.downcast_ref() {
            return error.clone();
        }
        source = error.source();
    }
    match status.code() {
        Code::ResourceExhausted | Code::OutOfRange => refused(TOO_LARGE, status.message()),
        _ => malformed(status.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_a_node_reads_as_what_it_means_for_the_call() {
        let timeout = Some(Duration::from_secs(1));
        let refusal = |code| match answered(&Status::new(code, "no"), timeout) {
            NodeCallError::Refused { code, reason } => {
                assert_eq!(reason, "no");
                code
            }
            other => panic!("{code:?}: {other:?}"),
        };
        assert_eq!(refusal(Code::PermissionDenied), "permission_denied");
        assert_eq!(refusal(Code::InvalidArgument), "invalid_argument");
        assert_eq!(refusal(Code::Unimplemented), "unimplemented");
        assert_eq!(refusal(Code::ResourceExhausted), "message_too_large");
        assert_eq!(refusal(Code::OutOfRange), "message_too_large");
    }

    #[test]
    fn only_a_node_that_has_not_begun_may_be_passed_over() {
        let timeout = Some(Duration::from_secs(1));
        for code in (0..17).map(Code::from_i32) {
            let error = answered(&Status::new(code, ""), timeout);
            let not_begun = matches!(code, Code::Unavailable | Code::Unauthenticated);
            assert_eq!(error.was_not_sent(), not_begun, "{code:?}");
        }
    }

    #[test]
    fn a_deadline_counts_only_where_the_call_had_one() {
        let status = Status::deadline_exceeded("late");
        let after = Duration::from_secs(1);
        let error = answered(&status, Some(after));
        assert_eq!(error, NodeCallError::TimedOut { after });
        assert!(matches!(answered(&status, None), NodeCallError::Failed(_)));
    }

    #[test]
    fn an_error_comes_through_tonic_as_it_was() {
        let error = disconnected("gone");
        let status = Status::from_error(Box::new(Ended(error.clone())));
        assert_eq!(of_status(&status), error);
        assert_eq!(of_status(&status.clone()), error);
    }

    #[test]
    fn what_tonic_cannot_read_is_malformed_and_what_it_will_not_read_too_large() {
        let unreadable = of_status(&Status::internal("failed to decode"));
        assert!(matches!(unreadable, NodeCallError::Malformed { .. }));
        let error = of_status(&Status::out_of_range("5 bytes"));
        assert!(matches!(error, NodeCallError::Refused { code, .. } if code == TOO_LARGE));
    }
}

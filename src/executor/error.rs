//! Why a request failed, one variant a stage; `respond` alone turns these into what a client reads.

use crate::{arguments::ArgumentError, call::local::CallError};

/// Why a request did not get its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No config answers the request.
    #[error("no config for the request type")]
    Unsupported {
        request_type: String,
        version: Option<String>,
    },
    /// The config that would answer is switched off.
    #[error("the config is disabled")]
    Disabled {
        request_type: String,
        version: Option<String>,
    },
    /// The caller's own mistake.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The config names a function that this process does not have.
    #[error("the function {module}.{function} is not registered")]
    NoFunction { module: String, function: String },
    /// The config's nodes are not this process, and it has no way to reach others.
    #[error("no transport reaches the nodes of this config")]
    NoTransport,
    /// The call itself failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The engine has no place for the call at the moment.
    #[error("too much work at the moment: {0}")]
    Busy(String),
    /// The producer of a stream went away without an end.
    #[error("the producer of the stream vanished")]
    ProducerVanished,
    /// A function that returns a stream was called in another response mode.
    #[error("the function returns a stream, but the config's response_type is not `stream`")]
    UnexpectedStream,
}

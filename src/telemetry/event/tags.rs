//! What events of several families tell: which request, and how something broke.

use std::fmt;

use crate::model::Request;

/// Which request an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestTags<'a> {
    /// The client's name for the request.
    pub request_id: &'a str,
    /// The service asked for, which need not exist.
    pub service: &'a str,
    /// The function asked for, which need not exist.
    pub request_type: &'a str,
    /// The version asked for, none for the latest; in events of a call the version that answers.
    pub version: Option<&'a str>,
}

impl<'a> RequestTags<'a> {
    /// The tags of this request.
    #[must_use]
    pub fn new(request: &'a Request) -> Self {
        Self {
            request_id: &request.request_id,
            service: &request.service,
            request_type: &request.request_type,
            version: request.version.as_deref(),
        }
    }
}

impl<'a> From<&'a Request> for RequestTags<'a> {
    fn from(request: &'a Request) -> Self {
        Self::new(request)
    }
}

/// In which way something broke, as opposed to an answer that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionKind {
    /// Code of the embedder panicked.
    Panic,
    /// It did not answer within its timeout.
    Timeout,
    /// No node could be reached, or none was there.
    Unreachable,
    /// The task that worked on it was killed.
    Lost,
    /// The engine could not make the call as the config describes it.
    Internal,
}

impl ExceptionKind {
    /// Its name in lower case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Internal => "internal",
        }
    }
}

/// Why something went wrong, for logs: it may tell internals, so it is not for clients. Written only when it is asked for.
#[derive(Clone, Copy)]
pub struct Reason<'a>(&'a dyn fmt::Display);

impl<'a> Reason<'a> {
    /// A reason from anything that can be written.
    #[must_use]
    pub fn new(reason: &'a dyn fmt::Display) -> Self {
        Self(reason)
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.to_string(), f)
    }
}

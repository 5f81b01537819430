//! What a request is answered with at once, and what follows.

use actix_otp::DynamicChild;

use crate::{
    model::Response, request_error::RequestError, response_sink::Responses, stream::StreamCall,
};

/// The answer to a request (specification, section 7).
///
/// | response mode | `response` | `later` |
/// |---|---|---|
/// | sync | the result or the error | none |
/// | async | the acknowledgement | the result or the error |
/// | stream | the acknowledgement | the chunks, the last one with `has_more` false |
/// | none | none | none |
/// | any, refused before the call | the error | none |
#[must_use = "it holds the response that somebody waits for"]
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Reply {
    /// The immediate response; `None` for the mode `none`, and where a recipient gets every response.
    pub response: Option<Response>,
    /// The responses that follow.
    pub later: Option<Responses>,
    /// The running stream, where one was started.
    pub(super) stream: Option<DynamicChild<StreamCall>>,
}

/// A request that was not accepted.
pub(super) struct Refused {
    pub(super) error: RequestError,
    /// What the client is told.
    pub(super) response: Response,
    /// Whether the recipient of the responses has got a terminal one already.
    pub(super) is_told: bool,
}

impl From<Box<Refused>> for Reply {
    fn from(refused: Box<Refused>) -> Self {
        if refused.is_told {
            Self::nothing()
        } else {
            Self::now(refused.response)
        }
    }
}

impl Reply {
    pub(crate) fn now(response: Response) -> Self {
        Self {
            response: Some(response),
            ..Self::default()
        }
    }

    pub(crate) fn with_later(response: Response, later: Responses) -> Self {
        Self {
            response: Some(response),
            later: Some(later),
            ..Self::default()
        }
    }

    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// All responses of the request in order, the immediate one first; waits for the terminal one.
    pub async fn collect(self) -> Vec<Response> {
        let mut all: Vec<_> = self.response.into_iter().collect();
        if let Some(mut later) = self.later {
            while let Some(response) = later.next().await {
                all.push(response);
            }
        }
        all
    }
}

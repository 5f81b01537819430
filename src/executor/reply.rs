//! What a request is answered with at once, and what follows.

use crate::{model::Response, response_sink::Responses};

/// The answer to a request (SPEC section 7).
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
}

impl Reply {
    pub(crate) fn now(response: Response) -> Self {
        Self {
            response: Some(response),
            later: None,
        }
    }

    pub(crate) fn with_later(response: Response, later: Responses) -> Self {
        Self {
            response: Some(response),
            later: Some(later),
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

//! The event that carries requests: from its payload to the response that is pushed and the reply that follows it.

use bytes::Bytes;

use super::Session;
use crate::{
    GenApi, Responses,
    connection::Connection,
    model::{DecodeError, Request, Response},
    respond,
    settings::ChannelSettings,
};

/// Answers requests on behalf of a session (docs/channels.md, "Requests on top").
///
/// An endpoint does this for the event [`request_event`](ChannelSettings::request_event). It is public for transports of
/// one's own.
#[derive(Clone, Debug)]
pub struct RequestEvent {
    api: GenApi,
    override_user_id: bool,
    require_verified_user_id: bool,
}

/// What a request gets: first the push, then the reply, then what follows.
#[must_use = "the client waits for it"]
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestAnswer {
    /// The response that is pushed; none in the mode `none`.
    pub push: Option<Response>,
    /// The reply: the request's type, or why there was no request, as a bare text.
    pub reply: Result<String, String>,
    /// The responses that are pushed later.
    pub later: Option<Responses>,
}

impl RequestEvent {
    /// With the rules of these settings about user ids.
    #[must_use]
    pub fn new(api: &GenApi, settings: &ChannelSettings) -> Self {
        Self {
            api: api.clone(),
            override_user_id: settings.override_user_id,
            require_verified_user_id: settings.require_verified_user_id,
        }
    }

    /// Whether the engine takes any, which it does not once it is told to stop.
    pub(super) fn are_taken(&self) -> bool {
        self.api.is_ready()
    }

    /// Answers a payload: decodes it, puts in what is known of the session, and executes it.
    ///
    /// Functions push to the connection, and the relay has it as a member's.
    pub async fn answer(
        &self,
        payload: &[u8],
        session: &Session,
        connection: Option<&Connection>,
    ) -> RequestAnswer {
        match self.request(payload, session) {
            Ok(request) => self.execute(request, connection).await,
            Err(answer) => *answer,
        }
    }

    pub(super) async fn execute(
        &self,
        mut request: Request,
        connection: Option<&Connection>,
    ) -> RequestAnswer {
        request.connection = connection.cloned();
        let request_type = request.request_type.clone();
        let reply = self.api.execute(request).await;
        RequestAnswer {
            push: reply.response,
            reply: Ok(request_type),
            later: reply.later,
        }
    }

    /// The answer to a payload that there is no room for at the moment.
    pub(super) fn busy(&self, payload: &[u8], session: &Session) -> RequestAnswer {
        match self.request(payload, session) {
            Err(answer) => *answer,
            Ok(request) => RequestAnswer {
                push: Some(respond::unavailable(request.request_id)),
                reply: Ok(request.request_type),
                later: None,
            },
        }
    }

    /// The answer to bytes, which are never a request.
    pub(super) fn binary(&self) -> RequestAnswer {
        let error = DecodeError::NotAnObject {
            found: "binary data",
        };
        self.undecodable(&[], &error)
    }

    /// The request in a payload, in the name of the session.
    pub(super) fn request(
        &self,
        payload: &[u8],
        session: &Session,
    ) -> Result<Request, Box<RequestAnswer>> {
        let decoded = self.api.decode(payload);
        if self.require_verified_user_id && session.user_id().is_none() {
            let push = respond::unauthenticated(match decoded {
                Ok(request) => request.request_id,
                Err(error) => respond::request_id_of(payload, &error),
            });
            return Err(Box::new(RequestAnswer {
                reply: Err(push.error.clone().unwrap_or_default()),
                push: Some(push),
                later: None,
            }));
        }
        let mut request = decoded.map_err(|error| Box::new(self.undecodable(payload, &error)))?;
        let claimed = request.user_id.take();
        request = request.with_identity(session.identity());
        if !self.override_user_id {
            request.user_id = claimed;
        }
        Ok(request)
    }

    fn undecodable(&self, payload: &[u8], error: &DecodeError) -> RequestAnswer {
        RequestAnswer {
            push: Some(self.api.undecodable(payload, error)),
            reply: Err(error.to_string()),
            later: None,
        }
    }
}

/// A client's payload, still in its frame's memory.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Json(Bytes),
    Binary(Bytes),
}

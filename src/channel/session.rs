//! Who a connection belongs to, as the connect callback has verified it.

use std::net::SocketAddr;

use actix_web::http::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::Params;
use crate::model::Identity;

/// What a client connects with, for the callback that verifies it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connect {
    /// The parameters, as the client's `params` option gives them.
    pub params: Params,
    /// The token, as the client's `authToken` option gives it (clients from 1.8).
    pub token: Option<String>,
    /// The headers of the HTTP request.
    pub headers: HeaderMap,
    /// Where the connection comes from: the client, or the last proxy before this server.
    pub peer_addr: Option<SocketAddr>,
}

impl Connect {
    /// A header that is a text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A connection's verified user, for as long as the connection lasts.
///
/// Requests take user id, roles and address from here, never from their payloads (specification, section 20).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    identity: Identity,
    assigns: Map<String, Value>,
    socket_id: Option<String>,
}

impl Session {
    /// A connection of nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A connection of this user; an empty id counts as none.
    #[must_use]
    pub fn user(user_id: impl Into<String>) -> Self {
        Identity::user(user_id).into()
    }

    /// The same with the roles of the user; empty ones are dropped.
    #[must_use]
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.identity = self.identity.with_roles(roles);
        self
    }

    /// The same with something for the callbacks of the channels.
    #[must_use]
    pub fn with_assign(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.assigns.insert(name.into(), value.into());
        self
    }

    /// The same under this name, by which [`push`](super::ChannelEndpointRef::push) and
    /// [`disconnect`](super::ChannelEndpointRef::disconnect) find it; several connections may share one, such as
    /// all of a user. The default is a name of its own.
    #[must_use]
    pub fn with_socket_id(mut self, socket_id: impl Into<String>) -> Self {
        self.socket_id = Some(socket_id.into());
        self
    }

    /// The same with this address for rate limits and functions, such as the one that a trusted proxy names. The default is
    /// the address of the peer.
    #[must_use]
    pub fn with_ip_address(mut self, ip_address: impl Into<String>) -> Self {
        self.identity = self.identity.with_ip_address(ip_address);
        self
    }

    /// Who the connection belongs to: the user, roles and address of all its requests.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The verified user; an empty id counts as none.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.identity.user_id()
    }

    /// The roles of the user.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        self.identity.roles()
    }

    /// What the connect callback has left for the callbacks of the channels.
    #[must_use]
    pub fn assigns(&self) -> &Map<String, Value> {
        &self.assigns
    }

    /// The name of the connection.
    #[must_use]
    pub fn socket_id(&self) -> &str {
        self.socket_id.as_deref().unwrap_or_default()
    }

    /// The address of the client.
    #[must_use]
    pub fn ip_address(&self) -> Option<&str> {
        self.identity.ip_address()
    }

    /// What the callback has left open is filled in from the connection.
    pub(crate) fn complete(mut self, peer_addr: Option<SocketAddr>) -> Self {
        self.socket_id
            .get_or_insert_with(|| uuid::Uuid::from_u128(rand::random()).to_string());
        match (self.identity.ip_address(), peer_addr) {
            (None, Some(peer)) => self.with_ip_address(peer.ip().to_string()),
            _ => self,
        }
    }
}

impl From<Identity> for Session {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            ..Self::default()
        }
    }
}

/// "No": why a client may not connect, or may not join. A client that may not connect gets HTTP 403 and no reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    response: Value,
}

impl Denied {
    /// With a reason, which the client finds in the reply as `{"reason": reason}`.
    #[must_use]
    pub fn reason(reason: impl Into<String>) -> Self {
        Self {
            response: json!({ "reason": reason.into() }),
        }
    }

    /// With a reply of any form.
    #[must_use]
    pub fn json(response: impl Into<Value>) -> Self {
        Self {
            response: response.into(),
        }
    }

    /// What the client gets.
    #[must_use]
    pub fn response(&self) -> &Value {
        &self.response
    }
}

impl From<&str> for Denied {
    fn from(reason: &str) -> Self {
        Self::reason(reason)
    }
}

impl From<String> for Denied {
    fn from(reason: String) -> Self {
        Self::reason(reason)
    }
}

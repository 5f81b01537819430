//! Who makes a request, as the host has verified it.

use super::Request;

/// Who makes a request: the user, their roles and their address, as whoever took the request in has verified them.
///
/// A payload from outside is only the client's word, so a door takes the caller from its own session, token or
/// connection and hands it on beside the payload: [`GenApi::execute_json`](crate::GenApi::execute_json) does that, and
/// [`Request::with_identity`] is the same for a request that is decoded already.
///
/// ```
/// use gen_api::model::{Identity, Request};
///
/// let ann = Identity::user("ann").with_roles(["member"]).with_ip_address("192.0.2.7");
/// let payload = br#"{"request_id":"r","service":"s","request_type":"t","user_id":"bob","user_roles":["admin"]}"#;
/// let request = Request::decode(payload, 1_000)?.with_identity(&ann);
/// assert_eq!(request.user_id.as_deref(), Some("ann"));
/// assert_eq!(request.roles(), ["member"]);
/// # Ok::<(), gen_api::model::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    user_id: Option<String>,
    roles: Vec<String>,
    ip_address: Option<String>,
}

impl Identity {
    /// Nobody in particular: whoever is not logged in.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// This user, whom the host has verified; an empty id counts as none.
    #[must_use]
    pub fn user(user_id: impl Into<String>) -> Self {
        Self {
            user_id: Some(user_id.into()).filter(|id| !id.is_empty()),
            ..Self::default()
        }
    }

    /// Sets the roles of the user; empty ones are dropped.
    #[must_use]
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        let roles = roles.into_iter().map(Into::into);
        self.roles = roles.filter(|role| !role.is_empty()).collect();
        self
    }

    /// Sets the address the request comes from, for rate limits by address and for functions.
    #[must_use]
    pub fn with_ip_address(mut self, ip_address: impl Into<String>) -> Self {
        self.ip_address = Some(ip_address.into());
        self
    }

    /// The verified user.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The roles of the user.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The address the request comes from.
    #[must_use]
    pub fn ip_address(&self) -> Option<&str> {
        self.ip_address.as_deref()
    }
}

impl Request {
    /// Puts in who makes the request, and drops what it said of that itself: user, roles and address.
    #[must_use]
    pub fn with_identity(mut self, identity: &Identity) -> Self {
        let known = identity.user_id.is_some() || !identity.roles.is_empty();
        self.user_id.clone_from(&identity.user_id);
        self.user_roles = known.then(|| identity.roles.clone());
        self.ip_address.clone_from(&identity.ip_address);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_says_of_its_caller_is_dropped_also_where_nobody_is_known() {
        let request = Request::new("r", "s", "t")
            .with_user_id("bob")
            .with_user_roles(["admin"])
            .with_ip_address("192.0.2.1");
        let request = request.with_identity(&Identity::anonymous());
        assert_eq!(request, Request::new("r", "s", "t"));
    }

    #[test]
    fn empty_names_of_users_and_roles_count_as_none() {
        let identity = Identity::user("").with_roles(["", "member"]);
        assert_eq!(identity.user_id(), None);
        assert_eq!(identity.roles(), ["member"]);
    }
}

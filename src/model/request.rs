//! What a client asks for, and how its bytes become a [`Request`].
//!
//! ```
//! use gen_api::model::{DEFAULT_MAX_PAYLOAD_BYTES, Request};
//!
//! let bytes = br#"{"request_id":"r-1","service":"UserService","request_type":"get_user","args":{"id":7}}"#;
//! let request = Request::decode(bytes, DEFAULT_MAX_PAYLOAD_BYTES)?;
//! assert_eq!(request.args["id"], 7);
//!
//! let error = Request::decode(br#"{"request_id":"r-1","service":""}"#, DEFAULT_MAX_PAYLOAD_BYTES).unwrap_err();
//! assert_eq!(error.to_string(), "Missing required fields: request_type, service");
//! # Ok::<(), gen_api::model::DecodeError>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::connection::Connection;

/// The largest payload in bytes that is decoded unless a setting says otherwise: one million (specification, section 2).
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1_000_000;

/// One call of a client: which function, with which arguments, on whose behalf (specification, section 2).
///
/// A request that came through [`decode`](Self::decode), [`from_value`](Self::from_value) or serde has the three
/// required texts. One built in code is as good as its builder; the engine finds no config for an empty name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WireRequest")]
#[non_exhaustive]
pub struct Request {
    /// The client's own name for this call; every response carries it. Required, not empty.
    pub request_id: String,
    /// Which function of the service is meant. Required, not empty.
    pub request_type: String,
    /// Which service is meant. Required, not empty.
    pub service: String,
    /// On whose behalf. From a payload it is the client's own word: a door writes it from the verified
    /// [`Identity`](super::Identity).
    pub user_id: Option<String>,
    /// From which device.
    pub device_id: Option<String>,
    /// The version of the function; none, `""` and `"0.0.0"` ask for the latest.
    pub version: Option<String>,
    /// The roles of the user, from the same source as the user, none of them empty; `None` where nothing is known of them, which is not the same as
    /// a user without roles to whoever reads the request, though both hold no role.
    pub user_roles: Option<Vec<String>>,
    /// The arguments by name.
    pub args: Map<String, Value>,
    /// The address the connection came from. Only a door sets it: it is neither read from a payload nor written.
    #[serde(skip)]
    pub ip_address: Option<String>,
    /// The connection it came over, where the door keeps one: functions push to it, relay groups have it as a member's
    /// channel. Only a door sets it: it is neither read from a payload nor written.
    #[serde(skip)]
    pub connection: Option<Connection>,
}

impl Request {
    /// A request without user, version or arguments.
    #[must_use]
    pub fn new(
        request_id: impl Into<String>,
        service: impl Into<String>,
        request_type: impl Into<String>,
    ) -> Self {
        Self {
            request_id: request_id.into(),
            request_type: request_type.into(),
            service: service.into(),
            user_id: None,
            device_id: None,
            version: None,
            user_roles: None,
            args: Map::new(),
            ip_address: None,
            connection: None,
        }
    }

    /// Reads a JSON payload: first its size, then its shape, then the required fields (specification, section 2).
    ///
    /// Unknown fields are ignored, null counts as absent, roles that are no texts are dropped. User and roles are those that
    /// the payload claims: [`with_identity`](Self::with_identity) puts in the verified ones.
    ///
    /// # Errors
    /// [`DecodeError`], which names the fields at fault.
    pub fn decode(payload: &[u8], max_bytes: usize) -> Result<Self, DecodeError> {
        if payload.len() > max_bytes {
            return Err(DecodeError::TooLarge {
                bytes: payload.len(),
                max_bytes,
            });
        }
        // Derived structs can also be read from a list, which is no form of a request.
        if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            let found = serde_json::from_slice::<Value>(payload)?;
            return Err(DecodeError::NotAnObject {
                found: kind(&found),
            });
        }
        serde_json::from_slice::<WireRequest>(payload)?.try_into()
    }

    /// Reads a request that is JSON already; who has bytes uses [`decode`](Self::decode), which also judges the size.
    ///
    /// # Errors
    /// [`DecodeError`], which names the fields at fault.
    pub fn from_value(payload: Value) -> Result<Self, DecodeError> {
        if !payload.is_object() {
            return Err(DecodeError::NotAnObject {
                found: kind(&payload),
            });
        }
        serde_json::from_value::<WireRequest>(payload)?.try_into()
    }

    /// Sets on whose behalf the request is made.
    #[must_use]
    pub fn with_user_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// Sets the roles of the user; empty names are dropped, as in a payload.
    #[must_use]
    pub fn with_user_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        let roles = roles.into_iter().map(Into::into);
        self.user_roles = Some(roles.filter(|role| !role.is_empty()).collect());
        self
    }

    /// Sets the device the request came from.
    #[must_use]
    pub fn with_device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = Some(device_id.into());
        self
    }

    /// Asks for one version of the function instead of the latest.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets one argument, replacing an earlier value.
    #[must_use]
    pub fn with_arg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.args.insert(name.into(), value.into());
        self
    }

    /// Sets all arguments at once, dropping earlier ones.
    #[must_use]
    pub fn with_args(mut self, args: Map<String, Value>) -> Self {
        self.args = args;
        self
    }

    /// Sets the address of the connection; for doors, which alone know it.
    #[must_use]
    pub fn with_ip_address(mut self, ip_address: impl Into<String>) -> Self {
        self.ip_address = Some(ip_address.into());
        self
    }

    /// Sets the connection the request came over; for doors that keep connections.
    #[must_use]
    pub fn with_connection(mut self, connection: Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The roles of the user; empty where none are known.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        self.user_roles.as_deref().unwrap_or_default()
    }
}

/// Why a payload is no [`Request`].
///
/// Its text may go back to the client: it holds names of fields and kinds of JSON, no values and no internals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload is larger than the limit; nothing of it was read.
    #[error("payload of {bytes} bytes is larger than the limit of {max_bytes} bytes")]
    TooLarge {
        /// The size of the payload.
        bytes: usize,
        /// The limit it was held against.
        max_bytes: usize,
    },
    /// The payload is no JSON, or names a field twice.
    #[error("payload cannot be read: {reason}")]
    Malformed {
        /// What the JSON reader found, and where.
        reason: String,
    },
    /// The payload is JSON, but no object.
    #[error("payload must be an object, not {found}")]
    NotAnObject {
        /// The kind of JSON that came instead.
        found: &'static str,
    },
    /// Fields hold the wrong kind of JSON.
    #[error("Invalid fields: {}", fields.join(", "))]
    WrongType {
        /// Every such field.
        fields: Vec<&'static str>,
    },
    /// Required fields are absent, null or empty.
    #[error("Missing required fields: {}", fields.join(", "))]
    MissingFields {
        /// Every such field.
        fields: Vec<&'static str>,
    },
}

impl DecodeError {
    /// The stable name of the failure: `missing_field` or `invalid_payload`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingFields { .. } => "missing_field",
            _ => "invalid_payload",
        }
    }

    /// The fields at fault; none where the payload as a whole is.
    #[must_use]
    pub fn fields(&self) -> &[&'static str] {
        match self {
            Self::WrongType { fields } | Self::MissingFields { fields } => fields,
            _ => &[],
        }
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed {
            reason: error.to_string(),
        }
    }
}

/// The payload before its fields are judged: any JSON in each, so that every fault can be reported at once.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct WireRequest {
    request_id: Value,
    request_type: Value,
    service: Value,
    user_id: Value,
    device_id: Value,
    version: Value,
    user_roles: Value,
    args: Value,
}

impl TryFrom<WireRequest> for Request {
    type Error = DecodeError;

    fn try_from(wire: WireRequest) -> Result<Self, DecodeError> {
        let mut wrong = Vec::new();
        // The order of these lines is the order in which faults are named.
        let request_type = text("request_type", wire.request_type, &mut wrong);
        let request_id = text("request_id", wire.request_id, &mut wrong);
        let service = text("service", wire.service, &mut wrong);
        let user_id = text("user_id", wire.user_id, &mut wrong);
        let device_id = text("device_id", wire.device_id, &mut wrong);
        let version = text("version", wire.version, &mut wrong);
        let args = match wire.args {
            Value::Object(args) => args,
            Value::Null => Map::new(),
            _ => {
                wrong.push("args");
                Map::new()
            }
        };
        if !wrong.is_empty() {
            return Err(DecodeError::WrongType { fields: wrong });
        }
        let required = |value: Option<String>| value.filter(|text| !text.is_empty());
        match (
            required(request_type),
            required(request_id),
            required(service),
        ) {
            (Some(request_type), Some(request_id), Some(service)) => Ok(Self {
                request_id,
                request_type,
                service,
                user_id,
                device_id,
                version,
                user_roles: roles(wire.user_roles),
                args,
                ip_address: None,
                connection: None,
            }),
            (request_type, request_id, service) => Err(DecodeError::MissingFields {
                fields: [
                    ("request_type", request_type),
                    ("request_id", request_id),
                    ("service", service),
                ]
                .into_iter()
                .filter(|(_, value)| value.is_none())
                .map(|(field, _)| field)
                .collect(),
            }),
        }
    }
}

fn text(field: &'static str, value: Value, wrong: &mut Vec<&'static str>) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null => None,
        _ => {
            wrong.push(field);
            None
        }
    }
}

/// Roles are the one lenient field: what is no list says nothing about the user, what is no text in it is dropped.
fn roles(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else {
        return None;
    };
    let texts = items.into_iter().filter_map(|item| match item {
        Value::String(role) if !role.is_empty() => Some(role),
        _ => None,
    });
    Some(texts.collect())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::{
        Response,
        connection::{Outlet, PushError},
    };

    fn decode(payload: &Value) -> Result<Request, DecodeError> {
        Request::decode(payload.to_string().as_bytes(), DEFAULT_MAX_PAYLOAD_BYTES)
    }

    #[test]
    fn the_size_is_judged_before_anything_is_read() {
        let error = Request::decode(b"no json at all", 5).unwrap_err();
        assert_eq!(
            error,
            DecodeError::TooLarge {
                bytes: 14,
                max_bytes: 5
            }
        );
        assert_eq!(error.code(), "invalid_payload");
    }

    #[test]
    fn a_payload_of_exactly_the_limit_is_read() {
        let payload = br#"{"request_id":"r","service":"s","request_type":"t"}"#;
        assert!(Request::decode(payload, payload.len()).is_ok());
        assert!(Request::decode(payload, payload.len() - 1).is_err());
    }

    #[test]
    fn what_is_no_object_is_no_request() {
        for payload in [
            json!(["a", "b", "c", null, null, null, null, {}]),
            json!(5),
            json!(null),
        ] {
            for result in [decode(&payload), Request::from_value(payload.clone())] {
                assert!(
                    matches!(result, Err(DecodeError::NotAnObject { .. })),
                    "{payload}: {result:?}"
                );
            }
        }
    }

    #[test]
    fn every_field_of_the_wrong_kind_is_named_before_missing_ones() {
        let error = decode(&json!({"request_type": 5, "user_id": [], "args": "x"})).unwrap_err();
        assert_eq!(error.fields(), ["request_type", "user_id", "args"]);
        assert_eq!(error.code(), "invalid_payload");
    }

    #[test]
    fn a_field_given_twice_is_refused_instead_of_one_value_winning() {
        let payload =
            br#"{"request_id":"r","service":"s","request_type":"t","user_id":"a","user_id":"b"}"#;
        let error = Request::decode(payload, DEFAULT_MAX_PAYLOAD_BYTES).unwrap_err();
        assert!(error.to_string().contains("user_id"), "{error}");
    }

    #[test]
    fn the_ip_address_is_never_read_from_a_payload_nor_written() {
        let request = decode(&json!({
            "request_id": "r", "service": "s", "request_type": "t", "ip_address": "10.0.0.1"
        }))
        .unwrap();
        assert_eq!(request.ip_address, None);
        let json = serde_json::to_value(request.with_ip_address("10.0.0.1")).unwrap();
        assert_eq!(json.get("ip_address"), None);
    }

    #[test]
    fn the_connection_is_never_read_from_a_payload_nor_written() {
        struct Nowhere;
        impl Outlet for Nowhere {
            fn push(&self, _: Response) -> Result<(), PushError> {
                Err(PushError::Gone)
            }
        }
        let request = decode(&json!({
            "request_id": "r", "service": "s", "request_type": "t", "connection": 1
        }))
        .unwrap();
        assert_eq!(request.connection, None);
        let connected = request.clone().with_connection(Connection::new(Nowhere));
        assert_ne!(connected, request);
        assert_eq!(connected, connected.clone());
        let json = serde_json::to_value(connected).unwrap();
        assert_eq!(json.get("connection"), None);
    }

    #[test]
    fn a_built_request_survives_its_wire_form() {
        let request = Request::new("r", "s", "t")
            .with_user_id("u")
            .with_user_roles(["admin", ""])
            .with_device_id("d")
            .with_version("1.0.0")
            .with_arg("n", 7);
        assert_eq!(request.roles(), ["admin"]);
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(Request::from_value(json.clone()), Ok(request.clone()));
        assert_eq!(serde_json::from_value::<Request>(json).unwrap(), request);
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::decode(&payload, DEFAULT_MAX_PAYLOAD_BYTES);
        }

        #[test]
        fn bytes_and_json_are_read_alike(payload in crate::any_json::near(&[
            "request_id", "request_type", "service", "user_id", "device_id", "version", "user_roles", "args",
        ])) {
            let from_bytes = decode(&payload);
            prop_assert_eq!(&from_bytes, &Request::from_value(payload.clone()));
            if let Ok(request) = from_bytes {
                prop_assert!(!request.request_id.is_empty());
                prop_assert!(!request.service.is_empty());
                prop_assert!(!request.request_type.is_empty());
                prop_assert!(request.roles().iter().all(|role| !role.is_empty()));
            }
        }
    }
}

//! What a limit is: what it counts by, where it holds, how much it admits.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::declared::{Declared, UNDECLARED};
use crate::{clock::LONGEST_MS, model::Request};

/// What requests are counted by: a field of the request, or one of its arguments (specification, section 6).
///
/// Its text form is the field's name; any other text is the name of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKey {
    /// `user_id` of the request.
    UserId,
    /// `device_id` of the request.
    DeviceId,
    /// `ip_address`, which only a door sets.
    IpAddress,
    /// The argument of this name; never one of the three names above.
    Argument(String),
}

impl LimitKey {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::UserId => "user_id",
            Self::DeviceId => "device_id",
            Self::IpAddress => "ip_address",
            Self::Argument(name) => name,
        }
    }

    /// The value that `request` is counted under where nothing is known of its arguments; `None` when it has none: the field or
    /// argument is absent or empty, or the argument is not a text.
    #[must_use]
    pub fn value_in<'request>(&self, request: &'request Request) -> Option<&'request str> {
        match self.value_among(request, &UNDECLARED)? {
            Cow::Borrowed(text) => Some(text),
            Cow::Owned(_) => None,
        }
    }

    /// The same with declared arguments, of which a number or a boolean counts as its JSON text: `7` and `"7"` are one value.
    pub(super) fn value_among<'request>(
        &self,
        request: &'request Request,
        declared: &Declared,
    ) -> Option<Cow<'request, str>> {
        let text = match self {
            Self::UserId => request.user_id.as_deref(),
            Self::DeviceId => request.device_id.as_deref(),
            Self::IpAddress => request.ip_address.as_deref(),
            Self::Argument(name) => match request.args.get(name)? {
                Value::String(text) => Some(text.as_str()),
                scalar @ (Value::Number(_) | Value::Bool(_)) if declared.contains_key(name) => {
                    return Some(Cow::Owned(scalar.to_string()));
                }
                _ => None,
            },
        };
        text.filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}

impl From<&str> for LimitKey {
    fn from(text: &str) -> Self {
        match text {
            "user_id" => Self::UserId,
            "device_id" => Self::DeviceId,
            "ip_address" => Self::IpAddress,
            argument => Self::Argument(argument.to_owned()),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for LimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
    }
}

/// Where a limit counts: across all APIs, or for one.
///
/// Its JSON form is `"global"` or `[service, request_type]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Across all APIs.
    Global,
    /// For the requests of one type to one service.
    Api {
        /// The service.
        service: String,
        /// The request type.
        request_type: String,
    },
}

impl Scope {
    /// The scope of one API.
    #[must_use]
    pub fn api(service: impl Into<String>, request_type: impl Into<String>) -> Self {
        Self::Api {
            service: service.into(),
            request_type: request_type.into(),
        }
    }

    /// The service and request type of an API's scope.
    pub(super) fn names(&self) -> Option<(&str, &str)> {
        match self {
            Self::Global => None,
            Self::Api {
                service,
                request_type,
            } => Some((service, request_type)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.pad("global"),
            Self::Api {
                service,
                request_type,
            } => f.pad(&format!("{service}/{request_type}")),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Global => serializer.serialize_str("global"),
            Self::Api {
                service,
                request_type,
            } => (service, request_type).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a scope is \"global\" or [service, request_type]"
        )]
        enum Form {
            Word(String),
            Api(String, String),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == "global" => Ok(Self::Global),
            Form::Word(word) => Err(de::Error::unknown_variant(&word, &["global"])),
            Form::Api(service, request_type) => Ok(Self::Api {
                service,
                request_type,
            }),
        }
    }
}

/// A limit across all APIs: of any `window_ms` milliseconds, at most `max_requests` requests with the same value of `key`
/// pass.
///
/// ```
/// use gen_api::rate_limiter::{LimitKey, RateLimit};
///
/// let limit: RateLimit = serde_json::from_str(
///     r#"{"key": "user_id", "max_requests": 100, "window_ms": 60000}"#,
/// )?;
/// assert_eq!(limit, RateLimit::new(LimitKey::UserId, 100, 60_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimit {
    /// What requests are counted by.
    pub key: LimitKey,
    /// How many pass within the window; at least 1.
    pub max_requests: u32,
    /// The length of the window in milliseconds; 1 to a year.
    pub window_ms: u64,
}

impl RateLimit {
    /// A limit; its numbers are judged when it is set.
    #[must_use]
    pub fn new(key: LimitKey, max_requests: u32, window_ms: u64) -> Self {
        Self {
            key,
            max_requests,
            window_ms,
        }
    }

    /// What is wrong with the limit that stands at `place` in a configuration.
    pub(super) fn faults(&self, place: &str) -> Vec<InvalidLimit> {
        faults_of(place, &self.key, self.max_requests, self.window_ms)
    }

    pub(super) fn validate(&self, place: &str) -> Result<(), InvalidLimit> {
        first_of(self.faults(place))
    }
}

/// A limit for one API: as [`RateLimit`], counting only the requests of one type to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiLimit {
    /// The service; not empty.
    pub service: String,
    /// The request type; not empty.
    pub request_type: String,
    /// What requests are counted by.
    pub key: LimitKey,
    /// How many pass within the window; at least 1.
    pub max_requests: u32,
    /// The length of the window in milliseconds; 1 to a year.
    pub window_ms: u64,
}

impl ApiLimit {
    /// `limit`, for one API only.
    #[must_use]
    pub fn new(
        service: impl Into<String>,
        request_type: impl Into<String>,
        limit: RateLimit,
    ) -> Self {
        Self {
            service: service.into(),
            request_type: request_type.into(),
            key: limit.key,
            max_requests: limit.max_requests,
            window_ms: limit.window_ms,
        }
    }

    /// What is wrong with the limit that stands at `place` in a configuration.
    pub(super) fn faults(&self, place: &str) -> Vec<InvalidLimit> {
        let names = [
            ("service", &self.service),
            ("request_type", &self.request_type),
        ];
        let empty = names.into_iter().filter(|(_, name)| name.is_empty());
        empty
            .map(|(field, _)| InvalidLimit::new(format!("{place}.{field}"), EMPTY))
            .chain(faults_of(
                place,
                &self.key,
                self.max_requests,
                self.window_ms,
            ))
            .collect()
    }
}

fn faults_of(place: &str, key: &LimitKey, max_requests: u32, window_ms: u64) -> Vec<InvalidLimit> {
    let mut faults = Vec::new();
    if key.as_str().is_empty() {
        faults.push(InvalidLimit::new(format!("{place}.key"), EMPTY));
    }
    if LimitKey::from(key.as_str()) != *key {
        let reason = format!("must be an argument, but `{key}` is a field of the request");
        faults.push(InvalidLimit::new(format!("{place}.key"), reason));
    }
    let max_field = format!("{place}.max_requests");
    faults.extend(range(&max_field, max_requests.into(), u32::MAX.into()));
    faults.extend(time(&format!("{place}.window_ms"), window_ms));
    faults
}

/// What is wrong with a time in milliseconds.
pub(super) fn time(field: &str, millis: u64) -> Option<InvalidLimit> {
    range(field, millis, LONGEST_MS)
}

fn range(field: &str, value: u64, most: u64) -> Option<InvalidLimit> {
    let reason = || format!("must be 1 to {most}, but is {value}");
    (!(1..=most).contains(&value)).then(|| InvalidLimit::new(field, reason()))
}

pub(super) fn first_of(faults: Vec<InvalidLimit>) -> Result<(), InvalidLimit> {
    faults.into_iter().next().map_or(Ok(()), Err)
}

const EMPTY: &str = "must not be empty";

/// Why limits were not taken; everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
#[non_exhaustive]
pub struct InvalidLimit {
    /// The place at fault, such as `global_limits[2].window_ms`.
    pub field: String,
    /// What it must be.
    pub reason: String,
}

impl InvalidLimit {
    pub(super) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_a_request_field_or_else_an_argument() {
        for (text, key) in [
            ("user_id", LimitKey::UserId),
            ("device_id", LimitKey::DeviceId),
            ("ip_address", LimitKey::IpAddress),
            ("room", LimitKey::Argument("room".to_owned())),
        ] {
            assert_eq!(
                serde_json::from_value::<LimitKey>(json!(text)).unwrap(),
                key
            );
            assert_eq!(serde_json::to_value(&key).unwrap(), json!(text));
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn a_scope_is_the_word_global_or_a_pair() {
        for (form, scope) in [
            (json!("global"), Scope::Global),
            (json!(["svc", "op"]), Scope::api("svc", "op")),
        ] {
            assert_eq!(
                serde_json::from_value::<Scope>(form.clone()).unwrap(),
                scope
            );
            assert_eq!(serde_json::to_value(&scope).unwrap(), form);
        }
        for wrong in [
            json!("Global"),
            json!(["svc"]),
            json!(["a", "b", "c"]),
            json!(7),
        ] {
            assert!(serde_json::from_value::<Scope>(wrong).is_err());
        }
    }

    #[test]
    fn a_limit_with_an_unknown_or_negative_or_missing_field_is_no_limit() {
        for wrong in [
            json!({"key": "user_id", "max_requests": 1, "window_ms": 1, "burst": 2}),
            json!({"key": "user_id", "max_requests": -1, "window_ms": 1}),
            json!({"key": "user_id", "max_requests": 1}),
            json!({"key": 5, "max_requests": 1, "window_ms": 1}),
        ] {
            assert!(serde_json::from_value::<RateLimit>(wrong).is_err());
        }
    }

    #[test]
    fn an_invalid_limit_is_reported_with_its_place_and_field() {
        let text = |key: LimitKey, max, window| {
            RateLimit::new(key, max, window)
                .validate("global_limits[1]")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            text(LimitKey::UserId, 0, 1),
            "global_limits[1].max_requests must be 1 to 4294967295, but is 0"
        );
        assert_eq!(
            text(LimitKey::UserId, 1, 0),
            "global_limits[1].window_ms must be 1 to 31536000000, but is 0"
        );
        assert_eq!(
            text(LimitKey::from(""), 1, 1),
            "global_limits[1].key must not be empty"
        );
        assert_eq!(
            text(LimitKey::Argument("user_id".to_owned()), 1, 1),
            "global_limits[1].key must be an argument, but `user_id` is a field of the request"
        );
        let limit = RateLimit::new(LimitKey::UserId, 1, 1);
        assert!(limit.validate("limit").is_ok());
        let unnamed = ApiLimit::new("", "", limit).faults("api_limits[0]");
        let texts: Vec<_> = unnamed.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "api_limits[0].service must not be empty",
                "api_limits[0].request_type must not be empty"
            ]
        );
    }
}

//! One case of a vector file, and how its parts are read: what is unknown is an error, never passed over.

use gen_api::model::Request;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// One case of a vector file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) about: String,
    pub(crate) given: Map<String, Value>,
    pub(crate) when: Map<String, Value>,
    pub(crate) expect: Map<String, Value>,
}

/// A field in the type it must have.
pub(crate) fn field<T: DeserializeOwned>(
    part: &Map<String, Value>,
    name: &str,
) -> Result<T, String> {
    let value = part.get(name);
    read(value.ok_or_else(|| format!("the case has no {name:?}"))?)
        .map_err(|error| format!("{name:?} has an unknown form: {error}"))
}

/// A field that may be absent; null counts as absent.
pub(crate) fn optional<T: DeserializeOwned>(
    part: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, String> {
    match part.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => field(part, name).map(Some),
    }
}

/// A value in the type it must have.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("{error} in {value}"))
}

/// Checks that a part of a case has no other keys, so that nothing it says is passed over in silence.
pub(crate) fn only_keys(part: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match part.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{key:?} is unknown here")),
        None => Ok(()),
    }
}

/// The one entry of an object.
pub(crate) fn only_entry(part: &Map<String, Value>) -> Result<(&str, &Value), String> {
    let mut entries = part.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(format!("exactly one key is known here: {part:?}")),
    }
}

/// Reads a request; the address, which no payload may set, is set here as a door would.
pub(crate) fn request(json: &Value) -> Result<Request, String> {
    let mut request = Request::from_value(json.clone()).map_err(|error| error.to_string())?;
    request.ip_address = match json.get("ip_address") {
        None => None,
        Some(address) => read(address)?,
    };
    Ok(request)
}

/// The JSON form of one of the engine's own types.
pub(crate) fn json(value: impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

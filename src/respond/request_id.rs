//! The request id of a payload that is no request, so that its error finds its way to whoever asked.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::model::DecodeError;

/// The request id of a payload that is no request, as far as it has one; else `unknown`.
///
/// Nothing else of the payload is kept, or has to make sense. Where the field is there twice, the last one counts.
pub(crate) fn request_id_of(payload: &[u8], error: &DecodeError) -> String {
    let found = match error {
        // What is too large is not worth reading.
        DecodeError::TooLarge { .. } => None,
        _ => serde_json::from_slice(payload).ok(),
    };
    match found {
        Some(RequestId(Some(id))) if !id.is_empty() => id,
        _ => "unknown".to_owned(),
    }
}

/// An object that is read for its request id alone.
struct RequestId(Option<String>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    RequestId,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    NoText(IgnoredAny),
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(payload: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = RequestId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RequestId, A::Error> {
                let mut found = None;
                while let Some(field) = fields.next_key()? {
                    match field {
                        Field::RequestId => {
                            found = match fields.next_value()? {
                                Id::Text(id) => Some(id),
                                Id::NoText(_) => None,
                            }
                        }
                        Field::Other => drop(fields.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(RequestId(found))
            }
        }

        payload.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn id_of(payload: &str) -> String {
        let error = DecodeError::MissingFields { fields: Vec::new() };
        request_id_of(payload.as_bytes(), &error)
    }

    #[test]
    fn an_id_is_found_wherever_it_stands_and_whatever_else_there_is() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for payload in [
            r#"{"request_id":"r"}"#.to_owned(),
            r#"{"a":[1,{"request_id":"x"}],"request_id":"r","b":null}"#.to_owned(),
            r#"{"request_id":7,"request_id":"r"}"#.to_owned(),
            r#"{"request_id":"r","number":1e999}"#.to_owned(),
            format!(r#"{{"args":{deep},"request_id":"r"}}"#),
        ] {
            assert_eq!(id_of(&payload), "r", "{payload}");
        }
    }

    #[test]
    fn without_an_id_it_is_unknown() {
        for payload in [
            "",
            "7",
            "null",
            r#"["r"]"#,
            r#""request_id""#,
            "{}",
            r#"{"request_id":""}"#,
            r#"{"request_id":7}"#,
            r#"{"request_id":["r"]}"#,
            r#"{"request_id":{"request_id":"r"}}"#,
            r#"{"request_id":"r","request_id":null}"#,
            r#"{"request_id":"r""#,
            r#"{"request_id":"r"} 7"#,
        ] {
            assert_eq!(id_of(payload), "unknown", "{payload}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let error = DecodeError::TooLarge {
            bytes: 18,
            max_bytes: 1,
        };
        assert_eq!(request_id_of(br#"{"request_id":"r"}"#, &error), "unknown");
    }

    proptest! {
        #[test]
        fn it_is_the_id_that_a_full_reader_finds(payload in crate::any_json::near(&["request_id", "args"])) {
            let expected = match payload.get("request_id") {
                Some(Value::String(id)) if !id.is_empty() => id.clone(),
                _ => "unknown".to_owned(),
            };
            prop_assert_eq!(id_of(&payload.to_string()), expected);
            prop_assert_eq!(id_of(&json!([payload]).to_string()), "unknown");
        }
    }
}

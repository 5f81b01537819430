//! The value by which a request is assigned to a node.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::Request;

/// The text of the argument of this name, else of the request field of this name; none where neither holds a value.
///
/// A null is no value. What is no text counts as its JSON, so that `7` and `"7"` are the same key.
pub(super) fn text<'r>(request: &'r Request, name: &str) -> Option<Cow<'r, str>> {
    match request.args.get(name) {
        None | Some(Value::Null) => field(request, name),
        Some(Value::String(text)) => Some(Cow::Borrowed(text)),
        Some(other) => Some(Cow::Owned(canonical(other))),
    }
}

fn field<'r>(request: &'r Request, name: &str) -> Option<Cow<'r, str>> {
    let text = match name {
        "request_id" => Some(&request.request_id),
        "request_type" => Some(&request.request_type),
        "service" => Some(&request.service),
        "user_id" => request.user_id.as_ref(),
        "device_id" => request.device_id.as_ref(),
        "version" => request.version.as_ref(),
        "ip_address" => request.ip_address.as_ref(),
        "user_roles" => {
            let roles = request.user_roles.as_deref()?;
            return Some(Cow::Owned(roles.join("\n")));
        }
        _ => None,
    };
    text.map(|text| Cow::Borrowed(text.as_str()))
}

/// The JSON of a value with the keys of its objects in order, whatever order the client chose.
fn canonical(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> Request {
        Request::new("r", "s", "t").with_user_id("ann")
    }

    #[test]
    fn an_argument_outranks_the_field_and_a_null_does_not() {
        let of = |request: &Request| text(request, "user_id").map(Cow::into_owned);
        assert_eq!(of(&request()).as_deref(), Some("ann"));
        assert_eq!(
            of(&request().with_arg("user_id", "bob")).as_deref(),
            Some("bob")
        );
        assert_eq!(
            of(&request().with_arg("user_id", json!(null))).as_deref(),
            Some("ann")
        );
        assert_eq!(of(&Request::new("r", "s", "t")), None);
    }

    #[test]
    fn every_field_of_a_request_can_be_the_key() {
        let request = request()
            .with_device_id("d")
            .with_version("1")
            .with_user_roles(["a", "b"])
            .with_ip_address("::1");
        for (field, expected) in [
            ("request_id", "r"),
            ("service", "s"),
            ("request_type", "t"),
            ("user_id", "ann"),
            ("device_id", "d"),
            ("version", "1"),
            ("ip_address", "::1"),
            ("user_roles", "a\nb"),
        ] {
            assert_eq!(text(&request, field).as_deref(), Some(expected), "{field}");
        }
        assert_eq!(text(&request, "args"), None);
    }

    #[test]
    fn equal_values_are_equal_keys() {
        let of = |value: Value| text(&request().with_arg("k", value), "k").map(Cow::into_owned);
        assert_eq!(of(json!(7)), of(json!("7")));
        assert_ne!(of(json!(7)), of(json!(8)));
        assert_eq!(of(json!(false)).as_deref(), Some("false"));
        let (left, right) = (
            r#"{"a":1,"b":[{"c":1,"d":2}]}"#,
            r#"{"b":[{"d":2,"c":1}],"a":1}"#,
        );
        assert_eq!(
            of(serde_json::from_str(left).unwrap()),
            of(serde_json::from_str(right).unwrap())
        );
    }
}

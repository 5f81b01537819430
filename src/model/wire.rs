//! JSON forms that serde's derives cannot express, such as `"hash"` beside `{"hash": key}`.

use serde_json::Value;

/// A type that is read from and written to JSON by hand.
pub(crate) trait WireForm: Sized {
    /// The forms there are, for the error that names what was expected.
    const EXPECTED: &'static str;

    fn read(json: Value) -> Option<Self>;

    fn write(&self) -> Value;
}

/// Gives a type serde's traits by its [`WireForm`].
macro_rules! serde_by_wire_form {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::model::wire::WireForm::write(self).serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::model::wire::WireForm;
                let json = serde_json::Value::deserialize(deserializer)?;
                <$type as WireForm>::read(json).ok_or_else(|| {
                    let expected = <$type as WireForm>::EXPECTED;
                    serde::de::Error::custom(format_args!("expected {expected}"))
                })
            }
        }
    )+};
}
pub(crate) use serde_by_wire_form;

/// The only entry of an object such as `{"sticky": "user_id"}`.
pub(super) fn only_entry(json: Value) -> Option<(String, Value)> {
    let Value::Object(entries) = json else {
        return None;
    };
    let mut entries = entries.into_iter();
    entries.next().filter(|_| entries.next().is_none())
}

/// A text.
pub(super) fn text(json: Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A list of texts and nothing else.
pub(super) fn texts(json: Value) -> Option<Vec<String>> {
    match json {
        Value::Array(items) => items.into_iter().map(text).collect(),
        _ => None,
    }
}

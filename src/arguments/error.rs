//! What is wrong with an argument, in words that may go back to the client.

use std::fmt;

use serde_json::Value;

/// The longest piece of a client's own text that an error repeats, in characters.
pub(super) const SHOWN_CHARS: usize = 40;

/// An argument that a function cannot take (specification, section 4).
///
/// Its text is `invalid argument "NAME": WHAT` and is meant for the client: what was expected and what came, both cut
/// to a short length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid argument \"{}\": {what}", cut(.arg))]
#[non_exhaustive]
pub struct ArgumentError {
    /// Which rule was broken.
    pub kind: ArgumentErrorKind,
    /// The name of the argument.
    pub arg: String,
    /// What was expected and what came.
    pub what: String,
}

/// The rule that an argument broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgumentErrorKind {
    /// Not sent, and there is no default.
    Missing,
    /// Sent as null, which its declaration does not allow.
    Nil,
    /// Sent, but not declared.
    Extra,
    /// The wrong kind of JSON, also of an inner item.
    Type,
    /// The right kind of JSON, but no uuid or no point in time.
    Format,
    /// Too few or too many bytes, or too many items, also of an inner item.
    Size,
    /// A number that is too small or too large.
    Range,
    /// A text that is none of those that may be sent.
    OneOf,
    /// A text that does not match its pattern.
    Pattern,
    /// A map lacks a required key.
    RequiredKey,
    /// A map has a key that is not accepted.
    RejectedKey,
    /// A list or map lies deeper than its type allows.
    Nested,
}

impl ArgumentErrorKind {
    /// The stable name of the kind, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Nil => "nil",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Format => "format",
            Self::Size => "size",
            Self::Range => "range",
            Self::OneOf => "one_of",
            Self::Pattern => "pattern",
            Self::RequiredKey => "required_key",
            Self::RejectedKey => "rejected_key",
            Self::Nested => "nested",
        }
    }
}

impl fmt::Display for ArgumentErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A broken rule, before it is known which argument broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ArgumentErrorKind,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(kind: ArgumentErrorKind, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { kind, what }
    }

    pub(super) fn of(self, arg: impl Into<String>) -> ArgumentError {
        ArgumentError {
            kind: self.kind,
            arg: arg.into(),
            what: self.what,
        }
    }
}

/// A value as an error shows it: texts and numbers themselves, cut short, of lists and maps only the size.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", cut(text)),
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Object(entries) => format!("a map of {} entries", entries.len()),
        scalar => cut(&scalar.to_string()),
    }
}

/// A choice of texts, of which the first few are shown: `"a", "b" or "c"`.
pub(super) fn one_of<'t>(texts: impl ExactSizeIterator<Item = &'t str>) -> String {
    const SHOWN: usize = 10;
    let count = texts.len();
    let mut shown = String::new();
    for (index, text) in texts.take(SHOWN).enumerate() {
        shown += match index {
            0 => "",
            _ if index + 1 == count => " or ",
            _ => ", ",
        };
        shown.push('"');
        shown += &cut(text);
        shown.push('"');
    }
    match count {
        0 => "nothing".to_owned(),
        _ if count > SHOWN => shown + ", …",
        _ => shown,
    }
}

/// A text without line breaks or other control characters, cut to [`SHOWN_CHARS`].
pub(crate) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut short = String::new();
    for char in chars.by_ref().take(SHOWN_CHARS) {
        if char.is_control() || matches!(char, '"' | '\\') {
            short.extend(char.escape_default());
        } else {
            short.push(char);
        }
    }
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_names_the_argument_and_cuts_what_the_client_sent() {
        let long = "ä".repeat(5_000);
        let error = Fault::new(
            ArgumentErrorKind::Type,
            format!("expected a number, got {}", shown(&json!(long))),
        )
        .of(long.clone());
        assert_eq!(error.arg, long);
        let text = error.to_string();
        assert!(text.starts_with("invalid argument \"ää"), "{text}");
        assert!(text.chars().count() < 150, "{text}");
    }

    #[test]
    fn lists_and_maps_are_shown_by_their_size_only() {
        assert_eq!(shown(&json!([1, [2]])), "a list of 2 items");
        assert_eq!(shown(&json!({"secret": 1})), "a map of 1 entries");
        assert_eq!(shown(&json!(1.5)), "1.5");
        assert_eq!(shown(&json!("a\n\"b\"")), r#""a\n\"b\"""#);
    }
}

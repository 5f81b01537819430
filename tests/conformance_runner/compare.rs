//! Comparing what was seen with what a case expects, by the rules of the format's page: objects are subsets except where a
//! whole value is meant, lists are exact, `prefix`, `contains` and `between` stand for what they match.

use serde_json::{Map, Value};

/// Under these keys a whole value is meant, not a part of it.
const WHOLE: [&str; 8] = [
    "result",
    "request",
    "response",
    "members",
    "calls",
    "hooks",
    "functions",
    "pushed",
];

/// Compares the parts that an expectation names; the error says where the first difference is.
pub(crate) fn compare(expected: &Map<String, Value>, seen: &Value) -> Result<(), String> {
    let expected = Value::Object(expected.clone());
    value("", &expected, seen, false)
}

/// Compares one value, called `name` in the error: exactly where the name is one that means a whole value.
pub(crate) fn compare_value(name: &str, expected: &Value, seen: &Value) -> Result<(), String> {
    value(name, expected, seen, WHOLE.contains(&name))
}

fn value(path: &str, expected: &Value, seen: &Value, whole: bool) -> Result<(), String> {
    match (expected, seen) {
        (Value::Object(pattern), Value::String(text)) if matches_text(pattern, text) => Ok(()),
        (Value::Object(range), Value::Number(number)) if contains(range, number) => Ok(()),
        (Value::Object(expected), Value::Object(seen)) => {
            if whole && let Some(further) = seen.keys().find(|key| !expected.contains_key(*key)) {
                return Err(format!("{path}: {further:?} is too much in {seen:?}"));
            }
            expected.iter().try_for_each(|(key, expected)| {
                let path = join(path, key);
                match seen.get(key) {
                    Some(seen) => {
                        let whole = whole || WHOLE.contains(&key.as_str());
                        value(&path, expected, seen, whole)
                    }
                    None => Err(format!("{path}: expected {expected}, but there is none")),
                }
            })
        }
        (Value::Array(items), Value::Array(seen_items)) if items.len() == seen_items.len() => items
            .iter()
            .zip(seen_items)
            .enumerate()
            .try_for_each(|(index, (expected, seen))| {
                value(&format!("{path}[{index}]"), expected, seen, whole)
            }),
        _ if expected == seen => Ok(()),
        _ => Err(format!("{path}: expected {expected}, got {seen}")),
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// Whether the object is a pattern for texts, and this text fits it.
fn matches_text(pattern: &Map<String, Value>, text: &str) -> bool {
    !pattern.is_empty()
        && pattern
            .iter()
            .all(|(kind, part)| match (kind.as_str(), part.as_str()) {
                ("prefix", Some(part)) => text.starts_with(part),
                ("contains", Some(part)) => text.contains(part),
                _ => false,
            })
}

/// Whether the object is a range of numbers, and this number lies in it.
fn contains(range: &Map<String, Value>, number: &serde_json::Number) -> bool {
    let bounds = range.get("between").and_then(Value::as_array);
    let (Some([low, high]), 1) = (bounds.map(Vec::as_slice), range.len()) else {
        return false;
    };
    match (low.as_f64(), number.as_f64(), high.as_f64()) {
        (Some(low), Some(number), Some(high)) => (low..=high).contains(&number),
        _ => false,
    }
}

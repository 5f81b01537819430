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

/// The result of a step whose lists of services and versions are sets: an order makes them comparable.
pub(crate) fn unordered(mut result: Value) -> Value {
    if let Some(services) = result.get_mut("services") {
        sort(services);
    }
    let functions = result.get_mut("functions").and_then(Value::as_object_mut);
    let types = functions
        .into_iter()
        .flat_map(|services| services.values_mut());
    for versions in types
        .filter_map(Value::as_object_mut)
        .flat_map(|types| types.values_mut())
    {
        sort(versions);
    }
    result
}

fn sort(set: &mut Value) {
    if let Some(items) = set.as_array_mut() {
        items.sort_by_key(Value::to_string);
        items.dedup();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expected: Value, seen: Value) -> bool {
        compare_value("", &expected, &seen).is_ok()
    }

    #[test]
    fn an_object_is_a_subset_but_where_a_whole_value_is_meant() {
        assert!(holds(json!({"a": 1}), json!({"a": 1, "b": 2})));
        assert!(!holds(json!({"a": 1}), json!({"b": 2})));
        for key in WHOLE {
            let seen = json!({ key: {"a": {"b": 1, "c": 2}} });
            assert!(holds(seen.clone(), seen.clone()));
            assert!(!holds(json!({ key: {} }), seen.clone()));
            assert!(!holds(json!({ key: {"a": {"b": 1}} }), seen));
            assert!(compare_value(key, &json!({}), &json!({"a": 1})).is_err());
        }
    }

    #[test]
    fn a_list_has_the_same_length_and_order() {
        assert!(holds(json!([1, {"a": 1}]), json!([1, {"a": 1, "b": 2}])));
        for seen in [
            json!([1]),
            json!([2, 1]),
            json!([1, 2, 3]),
            json!({"0": 1, "1": 2}),
        ] {
            assert!(!holds(json!([1, 2]), seen));
        }
    }

    #[test]
    fn a_pattern_stands_for_a_text_and_a_range_for_a_number() {
        assert!(holds(
            json!({"prefix": "ab", "contains": "c"}),
            json!("abc")
        ));
        assert!(holds(json!({"contains": "b"}), json!("abc")));
        assert!(!holds(json!({"prefix": "b"}), json!("abc")));
        assert!(!holds(
            json!({"prefix": "a", "contains": "x"}),
            json!("abc")
        ));
        assert!(!holds(json!({"prefix": "a", "suffix": "c"}), json!("abc")));
        assert!(!holds(json!({}), json!("abc")));
        for (number, inside) in [(1, true), (3, true), (0, false), (4, false)] {
            assert_eq!(holds(json!({"between": [1, 3]}), json!(number)), inside);
        }
        assert!(!holds(json!({"between": [1, 3]}), json!("2")));
        assert!(!holds(json!({"between": [1, 3], "a": 1}), json!(2)));
    }

    #[test]
    fn all_else_is_equal() {
        for (expected, seen) in [
            (json!(null), json!(0)),
            (json!(null), json!(false)),
            (json!(1), json!(1.0)),
            (json!(1), json!("1")),
            (json!("ok"), json!({"error": "ok"})),
            (json!({"error": "no"}), json!("ok")),
        ] {
            assert!(!holds(expected, seen));
        }
    }
}

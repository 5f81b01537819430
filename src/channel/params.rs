//! The parameters of a connect: form-encoded, with nested ones as `nested[a]=1` (docs/channels.md, "Connecting").
//!
//! ```
//! use gen_api::channel::Params;
//! use serde_json::json;
//!
//! let params = Params::parse("token=abc&user[name]=Ann+B&user[tags][]=x&user[tags][]=y");
//! assert_eq!(params.text("token"), Some("abc"));
//! assert_eq!(params.get("user"), Some(&json!({"name": "Ann B", "tags": ["x", "y"]})));
//! ```

use serde_json::{Map, Value};

/// The parameters that a client connects with; all values are texts, maps of them, and lists of them.
///
/// Where two parameters contradict each other the later one counts. What is nested deeper than 16 levels is left out, and
/// so is what comes after the 1 000th parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    values: Map<String, Value>,
}

const MAX_PARAMS: usize = 1_000;
const MAX_DEPTH: usize = 16;

impl Params {
    /// Reads a query string; what cannot be read is left out.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut params = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMS) {
            params.insert(&key, value.into_owned());
        }
        params
    }

    /// A parameter, whatever its form.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A parameter that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// All parameters.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.values
    }

    fn insert(&mut self, key: &str, value: String) {
        let (name, path) = split(key);
        if name.is_empty() || path.len() > MAX_DEPTH {
            return;
        }
        let mut place = self.values.entry(name).or_insert(Value::Null);
        for step in path {
            place = match step {
                "" => push_null(place),
                name => field(place, name),
            };
        }
        *place = Value::String(value);
    }
}

/// `a[b][c]` as `a` and its path; a key whose brackets do not match is a name as a whole.
fn split(key: &str) -> (&str, Vec<&str>) {
    let nested = key.split_once('[').and_then(|(name, rest)| {
        let path: Vec<_> = rest.strip_suffix(']')?.split("][").collect();
        let clean = path.iter().all(|step| !step.contains(['[', ']']));
        clean.then_some((name, path))
    });
    nested.unwrap_or((key, Vec::new()))
}

fn field<'a>(place: &'a mut Value, name: &str) -> &'a mut Value {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    match place {
        Value::Object(fields) => fields.entry(name).or_insert(Value::Null),
        other => other,
    }
}

fn push_null(place: &mut Value) -> &mut Value {
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    match place {
        Value::Array(items) => items.push_mut(Value::Null),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(query: &str) -> Value {
        Value::Object(Params::parse(query).values)
    }

    #[test]
    fn plain_nested_and_listed_parameters_are_read() {
        assert_eq!(parsed(""), json!({}));
        assert_eq!(
            parsed("a=1&b=x%20y&c"),
            json!({"a": "1", "b": "x y", "c": ""})
        );
        assert_eq!(
            parsed("nested[a]=1&nested[b][c]=2"),
            json!({"nested": {"a": "1", "b": {"c": "2"}}})
        );
        assert_eq!(parsed("n%5Ba%5D=1"), json!({"n": {"a": "1"}}));
        assert_eq!(
            parsed("l[]=1&l[]=2&m[][a]=1"),
            json!({"l": ["1", "2"], "m": [{"a": "1"}]})
        );
    }

    #[test]
    fn the_later_of_two_that_contradict_counts() {
        assert_eq!(parsed("a=1&a=2"), json!({"a": "2"}));
        assert_eq!(parsed("a=1&a[b]=2"), json!({"a": {"b": "2"}}));
        assert_eq!(parsed("a[b]=2&a[]=1"), json!({"a": ["1"]}));
    }

    #[test]
    fn brackets_that_do_not_match_belong_to_the_name() {
        assert_eq!(parsed("a[b=1&c]=2"), json!({"a[b": "1", "c]": "2"}));
        assert_eq!(parsed("a[b]c=1"), json!({"a[b]c": "1"}));
        assert_eq!(parsed("[a]=1"), json!({}));
    }

    #[test]
    fn depth_and_number_are_bounded() {
        assert_eq!(parsed(&format!("a{}=1", "[b]".repeat(17))), json!({}));
        assert_ne!(parsed(&format!("a{}=1", "[b]".repeat(16))), json!({}));
        let many: String = (0..2_000).map(|n| format!("p{n}=1&")).collect();
        assert_eq!(Params::parse(&many).values.len(), 1_000);
    }

    proptest! {
        #[test]
        fn no_query_makes_reading_panic(query in ".{0,80}|([a-b]?[\\[\\]=&%5BD]{0,3}){0,20}") {
            let _ = Params::parse(&query);
        }
    }
}

//! Arbitrary JSON for property tests: deep, odd, and close enough to a real payload to get past the first check.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value};

/// Any JSON of moderate size.
pub(crate) fn any() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        proptest::bool::ANY.prop_map(Value::Bool),
        proptest::num::i64::ANY.prop_map(Value::from),
        proptest::num::u64::ANY.prop_map(Value::from),
        // Eighths are exact in binary and in decimal, so that text and back gives the same number.
        proptest::num::i32::ANY.prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        ".{0,12}".prop_map(Value::String),
        select(vec![
            "",
            "a",
            "map",
            "local",
            "0.0.0",
            "1.2.3",
            "infinity",
            "2024-01-15T10:30:00+07:00"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Any JSON, and often an object that holds some of these fields.
pub(crate) fn near(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let value = prop_oneof![3 => any(), 2 => "[a-z]{0,3}".prop_map(Value::String)];
    let object = proptest::collection::vec((select(fields), value), 0..=2 * fields.len()).prop_map(
        |entries| {
            let entries = entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            Value::Object(entries.collect::<Map<_, _>>())
        },
    );
    prop_oneof![1 => any(), 6 => object]
}

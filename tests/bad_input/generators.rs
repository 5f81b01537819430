//! Random JSON, and requests and configs that are almost right.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Number, Value, json};

use crate::engine::{ALL_TYPES, FUNCTIONS, MARKER};

/// Any JSON, with the odd texts and numbers that break readers.
pub(crate) fn any_json() -> impl Strategy<Value = Value> + Clone {
    let text = prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        select(vec![
            "",
            "\0",
            "a\0b",
            "svc",
            "local",
            "map",
            "infinity",
            "0.0.0",
            "latest",
            "1.2.3",
            "\u{202e}",
            "999999999999999999999999999999999999999999999999999999999999999999999999999999",
            "9f1c3d52-3a51-4b0c-9b0e-0d6b1f0a7a11",
            "2024-01-15T10:30:00+07:00",
            "-009999-01-01T00:00:00+25:59",
            "2024-01-15 10:30:00",
            "99999999999-13-99T99:99:99Z",
        ])
        .prop_map(str::to_owned),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("a number of JSON", Number::from_f64),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((".{0,6}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// An object that is right but for up to three of its entries, which are replaced, removed or added.
pub(crate) fn spoiled(valid: Value) -> impl Strategy<Value = Value> {
    let Value::Object(valid) = valid else {
        panic!("an object is expected, not {valid}");
    };
    let names: Vec<String> = valid.keys().cloned().chain(["unknown".into()]).collect();
    let change = (select(names), proptest::option::weighted(0.8, any_json()));
    vec(change, 0..4).prop_map(move |changes| {
        let mut object = valid.clone();
        for (name, value) in changes {
            match value {
                Some(value) => object.insert(name, value),
                None => object.remove(&name),
            };
        }
        Value::Object(object)
    })
}

pub(crate) fn near_request() -> impl Strategy<Value = Value> {
    let mode = select(vec!["sync", "async", "stream"]);
    (select(FUNCTIONS.to_vec()), mode, any_json()).prop_flat_map(|(function, mode, value)| {
        spoiled(json!({
            "request_id": "r",
            "service": "svc",
            "request_type": format!("{function}_{mode}"),
            "user_id": "u",
            "user_roles": ["admin"],
            "args": {"value": value},
        }))
    })
}

pub(crate) fn near_config() -> impl Strategy<Value = Value> {
    let function = select(FUNCTIONS.to_vec());
    let mode = select(vec!["sync", "async", "stream", "none"]);
    (function, mode, 0..ALL_TYPES.len()).prop_flat_map(|(function, mode, arg)| {
        spoiled(json!({
            "service": "svc",
            "request_type": "fuzzed",
            "version": null,
            "nodes": "local",
            "choose_node_mode": "random",
            "timeout": 5_000,
            "mfa": [MARKER, function, []],
            "arg_types": {"value": {"type": ALL_TYPES[arg], "allow_nil": true, "default_value": null}},
            "arg_orders": ["value"],
            "response_type": mode,
            "check_permission": false,
            "permission_callback": null,
            "request_info": false,
            "disabled": false,
            "retry": null,
            "before_execute": null,
            "after_execute": null,
            "hook_timeout": 5_000,
        }))
    })
}

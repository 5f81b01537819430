//! Arguments of about the right shape for each type.

use std::cell::Cell;

use gen_api::arguments::ArgType;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::engine::{ALL_TYPES, ask, check, start, stop, type_name};
use crate::generators::any_json;

/// Whether a value may reach a function whose argument has this type, by the words of specification, section 4.
fn allows(arg: ArgType, value: &Value) -> bool {
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let uuid = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| uuid::Uuid::try_parse(text).is_ok())
    };
    let list = |each: &dyn Fn(&Value) -> bool| {
        value
            .as_array()
            .is_some_and(|items| items.len() <= 1_000 && items.iter().all(each))
    };
    match arg {
        ArgType::String => value.as_str().is_some_and(|text| text.len() <= 3_000),
        ArgType::Num => value.is_number(),
        ArgType::Boolean => value.is_boolean(),
        ArgType::Uuid => uuid(value),
        ArgType::Datetime => value.as_str().is_some_and(|text| text.ends_with('Z')),
        ArgType::NaiveDatetime => value.as_str().is_some_and(|text| !text.ends_with('Z')),
        ArgType::List => list(&scalar),
        ArgType::ListString => list(&Value::is_string),
        ArgType::ListNum => list(&Value::is_number),
        ArgType::ListUuid => list(&uuid),
        ArgType::ListMap => list(&Value::is_object),
        ArgType::Map => value.as_object().is_some_and(|entries| {
            let scalars = |value: &Value| {
                value
                    .as_array()
                    .is_some_and(|items| items.iter().all(scalar))
            };
            entries.len() <= 1_000
                && entries
                    .values()
                    .all(|value| scalar(value) || scalars(value))
        }),
        _ => !value.is_null(),
    }
}

/// A value of about the right shape for each type, so that many get through.
fn near_argument() -> impl Strategy<Value = Value> {
    let long = (2_990..3_010_usize, select(vec!["x", "é", "\0"]))
        .prop_map(|(bytes, text)| Value::from(text.repeat(bytes / text.len())));
    let many =
        (995..1_005_usize, any_json()).prop_map(|(items, value)| Value::from(vec![value; items]));
    let date = "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-9]{2})?";
    let uuid = "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}";
    prop_oneof![
        6 => any_json(),
        2 => date.prop_map(Value::from),
        2 => uuid.prop_map(Value::from),
        1 => vec(uuid.prop_map(Value::from), 0..4).prop_map(Value::from),
        1 => vec(any::<i64>(), 0..4).prop_map(Value::from),
        1 => long,
        1 => many,
    ]
}

#[test]
fn an_argument_reaches_its_function_as_its_type_allows_or_is_refused_by_its_name() {
    let api = start(None);
    let (taken, turned_away) = (Cell::new(0), Cell::new(0));
    check(
        2_600,
        (select(ALL_TYPES.to_vec()), near_argument()),
        |(arg, value)| {
            let payload = json!({
                "request_id": "r", "service": "svc", "request_type": type_name(arg), "args": {"value": value},
            });
            let responses = ask(&api, payload.to_string().as_bytes());
            match &responses[0].error {
                None => {
                    assert!(allows(arg, &responses[0].result), "{arg:?}: {value}");
                    taken.set(taken.get() + 1);
                }
                Some(error) => {
                    assert!(error.starts_with("invalid argument \"value\": "), "{error}");
                    assert!(error.chars().count() < 400, "{error}");
                    turned_away.set(turned_away.get() + 1);
                    let converted = matches!(arg, ArgType::Datetime | ArgType::NaiveDatetime);
                    assert!(
                        converted || !allows(arg, &value),
                        "{arg:?} refuses {value}: {error}"
                    );
                }
            }
        },
    );
    let (taken, turned_away) = (taken.get(), turned_away.get());
    assert!(
        taken > 200 && turned_away > 200,
        "{taken} taken, {turned_away} refused"
    );
    stop(&api);
}

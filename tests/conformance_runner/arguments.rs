//! The vectors of `arguments.json`: what a function receives of what was sent.

use std::collections::BTreeMap;

use gen_api::arguments::{self, ArgDeclaration, ArgOrders, CallArgs, Limits};
use jiff::{Timestamp, civil::DateTime};
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, only_entry, only_keys, optional},
    compare::compare,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["arg_types", "arg_orders", "limits"])?;
    only_keys(&case.when, &["args"])?;
    let arg_types: Option<BTreeMap<String, ArgDeclaration>> = optional(&case.given, "arg_types")?;
    let arg_orders: ArgOrders = field(&case.given, "arg_orders")?;
    let limits: Option<Limits> = optional(&case.given, "limits")?;
    // Null arguments are none, as in a payload.
    let args: Option<Map<String, Value>> = field(&case.when, "args")?;
    let result = arguments::convert(
        args.unwrap_or_default(),
        &arg_types.unwrap_or_default(),
        &arg_orders,
        &limits.unwrap_or_default(),
    );
    match (only_entry(&case.expect)?, result) {
        (("list", expected), Ok(CallArgs::List(list))) => same(expected, &Value::Array(list)),
        (("map", expected), Ok(CallArgs::Map(map))) => same(expected, &Value::Object(map)),
        (("error", Value::Object(expected)), Err(error)) => {
            only_keys(expected, &["kind", "arg"])?;
            let seen = json!({ "kind": error.kind.to_string(), "arg": error.arg });
            compare(expected, &seen)
        }
        ((form, expected), got) => Err(format!("expected {form} {expected}, got {got:?}")),
    }
}

/// Strict equality of whole values, but points in time are compared as such.
fn same(expected: &Value, got: &Value) -> Result<(), String> {
    let differ = || Err(format!("expected {expected}, got {got}"));
    let equal = if let Some(instant) = expected.get("$datetime") {
        let in_utc = got.as_str().is_some_and(|text| text.ends_with('Z'));
        in_utc && parsed::<Timestamp>(got).is_some_and(|got| Some(got) == parsed(instant))
    } else if let Some(wall_clock) = expected.get("$naive_datetime") {
        parsed::<DateTime>(got).is_some_and(|got| Some(got) == parsed(wall_clock))
    } else {
        match (expected, got) {
            (Value::Array(expected), Value::Array(got)) if got.len() == expected.len() => {
                let mut pairs = expected.iter().zip(got);
                return pairs.try_for_each(|(expected, got)| same(expected, got));
            }
            (Value::Object(expected), Value::Object(got)) if got.len() == expected.len() => {
                return got
                    .iter()
                    .try_for_each(|(key, got)| match expected.get(key) {
                        Some(expected) => same(expected, got),
                        None => differ(),
                    });
            }
            _ => expected == got,
        }
    };
    if equal { Ok(()) } else { differ() }
}

fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

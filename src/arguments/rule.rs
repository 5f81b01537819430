//! The check of one value against its declaration, with all limits settled beforehand.

use std::{collections::BTreeSet, fmt};

use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::{
    ArgDeclaration, ArgType, ArgumentErrorKind as Kind, Limits, datetime,
    error::{Fault, cut, shown},
    text_rule::TextRule,
};

/// A declaration made ready for use: every limit is a number, keys are in sets.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    String(Box<TextRule>),
    Number(Bounds),
    Boolean,
    Uuid,
    Datetime,
    NaiveDatetime,
    List { max_items: usize, item: Item },
    Map(Box<MapRule>),
    Any,
}

/// What a list may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    Scalar { max_bytes: usize },
    String { max_bytes: usize },
    Num,
    Uuid,
    Map,
}

/// Which numbers there may be.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    integer: bool,
    min: Option<Number>,
    max: Option<Number>,
}

#[derive(Clone, Debug)]
pub(super) struct MapRule {
    max_items: usize,
    required: BTreeSet<String>,
    accept: BTreeSet<String>,
    /// The limits of what lies inside have no options of their own.
    inner: Limits,
}

impl Rule {
    pub(super) fn new(declaration: &ArgDeclaration, limits: &Limits) -> Self {
        let list = |item| Self::List {
            max_items: declaration.max_items.unwrap_or(limits.list_max_items),
            item,
        };
        match declaration.arg_type {
            ArgType::String => Self::String(Box::new(TextRule::new(declaration, limits))),
            ArgType::Num | ArgType::Integer => Self::Number(Bounds::new(declaration)),
            ArgType::Boolean => Self::Boolean,
            ArgType::Uuid => Self::Uuid,
            ArgType::Datetime => Self::Datetime,
            ArgType::NaiveDatetime => Self::NaiveDatetime,
            ArgType::List => list(Item::Scalar {
                max_bytes: limits.string_max_bytes,
            }),
            ArgType::ListString => list(Item::String {
                max_bytes: declaration
                    .max_item_bytes
                    .unwrap_or(limits.string_max_bytes),
            }),
            ArgType::ListNum => list(Item::Num),
            ArgType::ListUuid => list(Item::Uuid),
            ArgType::ListMap => list(Item::Map),
            ArgType::Map => Self::Map(Box::new(MapRule {
                max_items: declaration.max_items.unwrap_or(limits.map_max_items),
                required: declaration.required.clone(),
                accept: declaration.accept.clone(),
                inner: *limits,
            })),
            ArgType::Any => Self::Any,
        }
    }

    /// Checks a value that is not null and brings it into the form in which it is handed on.
    pub(super) fn check(&self, value: &mut Value) -> Result<(), Fault> {
        match (self, value) {
            (Self::Any, _) | (Self::Boolean, Value::Bool(_)) => Ok(()),
            (Self::String(rule), Value::String(text)) => rule.check(text),
            (Self::Number(bounds), Value::Number(number)) => bounds.check(number),
            (Self::Uuid, Value::String(text)) => check_uuid(text),
            (Self::Datetime, Value::String(text)) => {
                convert(text, ArgType::Datetime, datetime::to_utc)
            }
            (Self::NaiveDatetime, Value::String(text)) => {
                convert(text, ArgType::NaiveDatetime, datetime::to_wall_clock)
            }
            (Self::List { max_items, item }, Value::Array(items)) => {
                check_list(items, *max_items, *item)
            }
            (Self::Map(rule), Value::Object(entries)) => rule.check(entries),
            (_, value) => Err(mismatch(self.expected(), value)),
        }
    }

    fn arg_type(&self) -> ArgType {
        match self {
            Self::String(_) => ArgType::String,
            Self::Number(bounds) => bounds.arg_type(),
            Self::Boolean => ArgType::Boolean,
            Self::Uuid => ArgType::Uuid,
            Self::Datetime => ArgType::Datetime,
            Self::NaiveDatetime => ArgType::NaiveDatetime,
            Self::List { item, .. } => match item {
                Item::Scalar { .. } => ArgType::List,
                Item::String { .. } => ArgType::ListString,
                Item::Num => ArgType::ListNum,
                Item::Uuid => ArgType::ListUuid,
                Item::Map => ArgType::ListMap,
            },
            Self::Map(_) => ArgType::Map,
            Self::Any => ArgType::Any,
        }
    }

    /// What a value should have been, for the texts of errors: `an integer from 0 to 255`.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Number(bounds) => bounds.to_string(),
            _ => self.arg_type().to_string(),
        }
    }
}

impl Bounds {
    fn new(declaration: &ArgDeclaration) -> Self {
        let number = |bound: &Option<Value>| match bound {
            Some(Value::Number(number)) => Some(number.clone()),
            _ => None,
        };
        Self {
            integer: declaration.arg_type == ArgType::Integer,
            min: number(&declaration.min),
            max: number(&declaration.max),
        }
    }

    fn arg_type(&self) -> ArgType {
        if self.integer {
            ArgType::Integer
        } else {
            ArgType::Num
        }
    }

    fn check(&self, number: &Number) -> Result<(), Fault> {
        let whole = !self.integer || number.is_u64() || number.is_i64();
        let too_small = self.min.as_ref().is_some_and(|min| is_less(number, min));
        let too_large = self.max.as_ref().is_some_and(|max| is_less(max, number));
        if whole && !too_small && !too_large {
            return Ok(());
        }
        let kind = if whole { Kind::Range } else { Kind::Type };
        let what = format!("expected {self}, got {}", cut(&number.to_string()));
        Err(Fault::new(kind, what))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arg_type = self.arg_type();
        match (&self.min, &self.max) {
            (None, None) => write!(f, "{arg_type}"),
            (Some(min), None) => write!(f, "{arg_type} of at least {min}"),
            (None, Some(max)) => write!(f, "{arg_type} of at most {max}"),
            (Some(min), Some(max)) => write!(f, "{arg_type} from {min} to {max}"),
        }
    }
}

/// Compares two numbers, integers exactly.
pub(super) fn is_less(a: &Number, b: &Number) -> bool {
    let integer = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}

impl Item {
    fn check(self, value: &Value) -> Result<(), Fault> {
        match (self, value) {
            (Self::Num, Value::Number(_)) | (Self::Map, Value::Object(_)) => Ok(()),
            (Self::String { max_bytes }, Value::String(text)) => check_bytes(text, max_bytes),
            (Self::Uuid, Value::String(text)) => check_uuid(text),
            (Self::Scalar { max_bytes }, value) => check_scalar(value, max_bytes),
            (Self::Num, _) => Err(mismatch(ArgType::Num, value)),
            (Self::Map, _) => Err(mismatch(ArgType::Map, value)),
            (Self::String { .. }, _) => Err(mismatch(ArgType::String, value)),
            (Self::Uuid, _) => Err(mismatch(ArgType::Uuid, value)),
        }
    }
}

impl MapRule {
    /// In the order of specification, section 4: entry count, required keys, accepted keys, content.
    fn check(&self, entries: &Map<String, Value>) -> Result<(), Fault> {
        if entries.len() > self.max_items {
            let what = format!(
                "expected at most {} entries, got {}",
                self.max_items,
                entries.len()
            );
            return Err(Fault::new(Kind::Size, what));
        }
        if let Some(missing) = self.required.iter().find(|key| !entries.contains_key(*key)) {
            let what = format!("the required key \"{}\" is missing", cut(missing));
            return Err(Fault::new(Kind::RequiredKey, what));
        }
        if !self.accept.is_empty()
            && let Some(rejected) = entries.keys().find(|key| !self.accept.contains(*key))
        {
            let what = format!("the key \"{}\" is not accepted", cut(rejected));
            return Err(Fault::new(Kind::RejectedKey, what));
        }
        entries.iter().try_for_each(|(key, value)| {
            self.check_inner(value).map_err(|fault| {
                Fault::new(fault.kind, format!("at \"{}\": {}", cut(key), fault.what))
            })
        })
    }

    fn check_inner(&self, value: &Value) -> Result<(), Fault> {
        let max_bytes = self.inner.string_max_bytes;
        match value {
            Value::Array(items) => {
                check_list(items, self.inner.list_max_items, Item::Scalar { max_bytes })
            }
            value => check_scalar(value, max_bytes),
        }
    }
}

fn check_list(items: &[Value], max_items: usize, item: Item) -> Result<(), Fault> {
    if items.len() > max_items {
        let what = format!("expected at most {max_items} items, got {}", items.len());
        return Err(Fault::new(Kind::Size, what));
    }
    items.iter().enumerate().try_for_each(|(index, value)| {
        item.check(value)
            .map_err(|fault| Fault::new(fault.kind, format!("item {index}: {}", fault.what)))
    })
}

fn check_scalar(value: &Value, max_bytes: usize) -> Result<(), Fault> {
    match value {
        Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => check_bytes(text, max_bytes),
        Value::Null => {
            let what = "expected a string, a number or a boolean, got null";
            Err(Fault::new(Kind::Type, what))
        }
        Value::Array(_) | Value::Object(_) => {
            let what = format!(
                "expected a string, a number or a boolean, got {}",
                shown(value)
            );
            Err(Fault::new(Kind::Nested, what))
        }
    }
}

pub(super) fn check_bytes(text: &str, max_bytes: usize) -> Result<(), Fault> {
    if text.len() <= max_bytes {
        return Ok(());
    }
    let what = format!("expected at most {max_bytes} bytes, got {}", text.len());
    Err(Fault::new(Kind::Size, what))
}

fn check_uuid(text: &str) -> Result<(), Fault> {
    match Uuid::try_parse(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(malformed(ArgType::Uuid, text)),
    }
}

fn convert(
    text: &mut String,
    arg_type: ArgType,
    read: impl Fn(&str) -> Option<String>,
) -> Result<(), Fault> {
    *text = read(text).ok_or_else(|| malformed(arg_type, text))?;
    Ok(())
}

fn mismatch(expected: impl fmt::Display, value: &Value) -> Fault {
    Fault::new(
        Kind::Type,
        format!("expected {expected}, got {}", shown(value)),
    )
}

fn malformed(expected: ArgType, text: &str) -> Fault {
    Fault::new(
        Kind::Format,
        format!("expected {expected}, got \"{}\"", cut(text)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use serde_json::json;

    use super::*;

    const TYPES: [ArgType; 14] = [
        ArgType::String,
        ArgType::Num,
        ArgType::Integer,
        ArgType::Boolean,
        ArgType::Uuid,
        ArgType::Datetime,
        ArgType::NaiveDatetime,
        ArgType::List,
        ArgType::ListString,
        ArgType::ListNum,
        ArgType::ListUuid,
        ArgType::ListMap,
        ArgType::Map,
        ArgType::Any,
    ];

    fn fault(declaration: &ArgDeclaration, mut value: Value) -> Fault {
        Rule::new(declaration, &Limits::default())
            .check(&mut value)
            .unwrap_err()
    }

    #[test]
    fn a_fault_inside_a_value_says_where_it_is() {
        let item = fault(&ArgType::ListNum.into(), json!([1, "2"]));
        assert_eq!(item.what, "item 1: expected a number, got \"2\"");
        let nested = fault(&ArgType::Map.into(), json!({"tags": ["a", ["b"]]}));
        assert_eq!(nested.kind, Kind::Nested);
        assert_eq!(
            nested.what,
            "at \"tags\": item 1: expected a string, a number or a boolean, got a list of 1 items"
        );
    }

    #[test]
    fn options_that_mean_nothing_to_the_type_restrict_nothing() {
        let declaration = ArgDeclaration::new(ArgType::ListMap)
            .max_bytes(0)
            .required(["a"]);
        let rule = Rule::new(&declaration, &Limits::default());
        assert_eq!(rule.check(&mut json!([{"b": [[1]]}])), Ok(()));
    }

    #[test]
    fn a_number_is_held_to_its_bounds_and_its_error_says_them() {
        let quantity = ArgDeclaration::of::<u64>();
        for (sent, got) in [
            (json!(-1), "-1"),
            (json!(1.5), "1.5"),
            (json!(-0.0), "-0.0"),
        ] {
            assert_eq!(
                fault(&quantity, sent).what,
                format!("expected an integer from 0 to 18446744073709551615, got {got}")
            );
        }
        assert_eq!(fault(&quantity, json!(-1)).kind, Kind::Range);
        let rule = Rule::new(&quantity, &Limits::default());
        for sent in [0, 1, u64::MAX] {
            assert_eq!(rule.check(&mut json!(sent)), Ok(()));
        }
        let share = ArgDeclaration::new(ArgType::Num).min(0).max(0.5);
        assert_eq!(
            fault(&share, json!(0.75)).what,
            "expected a number from 0 to 0.5, got 0.75"
        );
        let least = ArgDeclaration::new(ArgType::Integer).min(1);
        assert_eq!(
            fault(&least, json!("2")).what,
            "expected an integer of at least 1, got \"2\""
        );
        let most = ArgDeclaration::new(ArgType::Integer).max(i64::MAX - 1);
        assert_eq!(fault(&most, json!(i64::MAX)).kind, Kind::Range);
    }

    /// What specification, section 4 lets pass, said a second time and without regard to the reason of a refusal.
    fn allowed(arg_type: ArgType, value: &Value, limits: &Limits) -> bool {
        let text = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| text.len() <= limits.string_max_bytes)
        };
        let scalar = |value: &Value| value.is_number() || value.is_boolean() || text(value);
        let uuid = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| Uuid::parse_str(text).is_ok())
        };
        let list = |value: &Value, item: &dyn Fn(&Value) -> bool| {
            let items = value.as_array();
            items
                .is_some_and(|items| items.len() <= limits.list_max_items && items.iter().all(item))
        };
        match arg_type {
            ArgType::String => text(value),
            ArgType::Num => value.is_number(),
            ArgType::Integer => value.is_i64() || value.is_u64(),
            ArgType::Boolean => value.is_boolean(),
            ArgType::Uuid => uuid(value),
            ArgType::Datetime => value
                .as_str()
                .is_some_and(|text| datetime::to_utc(text).is_some()),
            ArgType::NaiveDatetime => value
                .as_str()
                .is_some_and(|text| datetime::to_wall_clock(text).is_some()),
            ArgType::List => list(value, &scalar),
            ArgType::ListString => list(value, &text),
            ArgType::ListNum => list(value, &Value::is_number),
            ArgType::ListUuid => list(value, &uuid),
            ArgType::ListMap => list(value, &Value::is_object),
            ArgType::Map => value.as_object().is_some_and(|map| {
                map.len() <= limits.map_max_items
                    && map
                        .values()
                        .all(|value| scalar(value) || list(value, &scalar))
            }),
            ArgType::Any => true,
        }
    }

    proptest! {
        #[test]
        fn exactly_what_the_type_allows_is_admitted(
            arg_type in select(TYPES.as_slice()),
            value in crate::any_json::any(),
            bytes in 0_usize..12,
            items in 0_usize..6,
        ) {
            let limits = Limits::default()
                .with_string_max_bytes(bytes)
                .with_list_max_items(items)
                .with_map_max_items(items);
            let mut checked = value.clone();
            let admitted = Rule::new(&arg_type.into(), &limits).check(&mut checked).is_ok();
            prop_assert_eq!(admitted, allowed(arg_type, &value, &limits));
            if admitted && !matches!(arg_type, ArgType::Datetime | ArgType::NaiveDatetime) {
                prop_assert_eq!(checked, value);
            }
        }

        #[test]
        fn what_was_converted_once_stays_as_it_is(text in "2024-0[1-9]-1[0-9]T0[0-9]:[0-5][0-9]:00[+-]0[0-9]:30") {
            for arg_type in [ArgType::Datetime, ArgType::NaiveDatetime] {
                let rule = Rule::new(&arg_type.into(), &Limits::default());
                let mut once = json!(text);
                prop_assert_eq!(rule.check(&mut once), Ok(()));
                let mut twice = once.clone();
                prop_assert_eq!(rule.check(&mut twice), Ok(()));
                prop_assert_eq!(once, twice);
            }
        }
    }
}

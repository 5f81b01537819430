//! What keeps a value from becoming a Rust type, in the words of argument errors.
//!
//! `serde_json` says `invalid value: integer -1, expected u64`, without the place. Here a value that was refused is read once
//! more, by a deserializer whose error keeps the place, and what was expected and came.

use std::fmt::{self, Display};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        Visitor, value::MapAccessDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Number, Value, map};

use super::{
    ArgumentError, ArgumentErrorKind as Kind,
    error::{Fault, SHOWN_CHARS, cut, shown},
};

/// The longest text of an error that is not ours, in characters.
const FOREIGN_CHARS: usize = 5 * SHOWN_CHARS;

/// Reads `value` as a `T`.
///
/// # Errors
/// Where in the value and why that cannot be.
pub(crate) fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Mismatch> {
    T::deserialize(value).map_err(|error| match T::deserialize(Explain(value)) {
        Err(mismatch) => mismatch,
        // What only serde_json's own types can read.
        Ok(_) => de::Error::custom(error),
    })
}

/// Why a value is no value of a type.
#[derive(Debug)]
pub(crate) struct Mismatch(Box<Place>);

#[derive(Debug)]
struct Place {
    /// From the inside to the outside.
    path: Vec<Step>,
    fault: Fault,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Item(usize),
}

impl Mismatch {
    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self(Box::new(Place {
            path: Vec::new(),
            fault: Fault::new(kind, what),
        }))
    }

    fn within(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    /// The error of the argument with this name.
    pub(crate) fn of(self, arg: &str) -> ArgumentError {
        let Place { path, mut fault } = *self.0;
        for step in path {
            fault.what = match step {
                Step::Key(key) => format!("at \"{}\": {}", cut(&key), fault.what),
                Step::Item(index) => format!("item {index}: {}", fault.what),
            };
        }
        fault.of(arg)
    }

    /// The error where the value is the map of all arguments: its outermost key is the name of one.
    pub(crate) fn of_map(mut self) -> ArgumentError {
        match self.0.path.pop() {
            Some(Step::Key(arg)) => self.of(&arg),
            // It concerns several arguments, or one that is not there.
            _ => self.of("args"),
        }
    }
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.fault.what)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: Display>(text: T) -> Self {
        let text = text.to_string();
        if text.starts_with("data did not match any variant") {
            return Self::new(Kind::Type, "expected another form");
        }
        Self::new(Kind::Format, foreign(&text))
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let what = format!("expected {}, got {}", name(expected), found(got));
        Self::new(Kind::Type, what)
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let kind = match got {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => Kind::Range,
            _ => Kind::Format,
        };
        let what = format!("expected {}, got {}", name(expected), found(got));
        Self::new(kind, what)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let what = format!("expected {}, got {length} items", name(expected));
        Self::new(Kind::Size, what)
    }

    fn unknown_variant(got: &str, expected: &'static [&'static str]) -> Self {
        let expected = super::error::one_of(expected.iter().copied());
        let what = format!("expected {expected}, got \"{}\"", cut(got));
        Self::new(Kind::OneOf, what)
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        let what = format!("the key \"{}\" is not accepted", cut(field));
        Self::new(Kind::RejectedKey, what)
    }

    fn missing_field(field: &'static str) -> Self {
        let what = format!("the required key \"{}\" is missing", cut(field));
        Self::new(Kind::RequiredKey, what)
    }
}

/// What serde expected, in words for clients: no names of Rust types.
fn name(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let integer = |least: i128, most: u128| format!("an integer from {least} to {most}");
    let signed = |bits: u32| integer(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let unsigned = |bits: u32| integer(0, (1 << bits) - 1);
    match text.as_str() {
        "i8" => signed(8),
        "i16" => signed(16),
        "i32" => signed(32),
        "i64" => signed(64),
        "isize" => signed(isize::BITS),
        "u8" => unsigned(8),
        "u16" => unsigned(16),
        "u32" => unsigned(32),
        "u64" => unsigned(64),
        "usize" => unsigned(usize::BITS),
        "i128" | "u128" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "unit" => "null".to_owned(),
        "a formatted UUID string" => "a uuid".to_owned(),
        "variant identifier" => "a string".to_owned(),
        text if text.starts_with("struct ") => "a map".to_owned(),
        text if text.starts_with("enum ") => "a string or a map of one entry".to_owned(),
        text if text.starts_with("tuple struct ") => "a list".to_owned(),
        text => foreign(text),
    }
}

fn found(got: Unexpected<'_>) -> String {
    match got {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => shown(&value.into()),
        Unexpected::Str(text) => format!("\"{}\"", cut(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => foreign(&other.to_string()),
    }
}

/// A text that was written elsewhere, on one line and cut.
fn foreign(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars
        .by_ref()
        .take(FOREIGN_CHARS)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// A value that was refused, to find out why.
struct Explain<'de>(&'de Value);

impl<'de> Deserializer<'de> for Explain<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                let mut rest = Items {
                    items: items.iter(),
                    index: 0,
                };
                let value = visitor.visit_seq(&mut rest)?;
                if rest.items.len() > 0 {
                    return Err(de::Error::invalid_length(items.len(), &"fewer items"));
                }
                Ok(value)
            }
            Value::Object(entries) => visitor.visit_map(Entries::new(entries)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Value::Object(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::new(entries)))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, Mismatch> {
    if let Some(value) = number.as_u64() {
        visitor.visit_u64(value)
    } else if let Some(value) = number.as_i64() {
        visitor.visit_i64(value)
    } else {
        visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let step = Step::Item(self.index);
        self.index += 1;
        let read = seed.deserialize(Explain(item)).map(Some);
        read.map_err(|mismatch| mismatch.within(step))
    }
}

struct Entries<'de> {
    entries: map::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> Entries<'de> {
    fn new(entries: &'de Map<String, Value>) -> Self {
        Self {
            entries: entries.iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some((key, value));
        seed.deserialize(Key(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let read = seed.deserialize(Explain(value));
        read.map_err(|mismatch| mismatch.within(Step::Key(key.to_owned())))
    }
}

/// The key of an entry, which may stand for a number.
struct Key<'de>(&'de str);

macro_rules! numeric_keys {
    ($($method:ident: $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    numeric_keys! {
        deserialize_i8: visit_i64
        deserialize_i16: visit_i64
        deserialize_i32: visit_i64
        deserialize_i64: visit_i64
        deserialize_u8: visit_u64
        deserialize_u16: visit_u64
        deserialize_u32: visit_u64
        deserialize_u64: visit_u64
        deserialize_f32: visit_f64
        deserialize_f64: visit_f64
        deserialize_bool: visit_bool
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[expect(dead_code, reason = "it is only read")]
        qty: u32,
        #[expect(dead_code, reason = "it is only read")]
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        DarkGreen,
    }

    #[track_caller]
    fn what<T: de::DeserializeOwned>(value: Value) -> String {
        match decode::<T>(&value) {
            Ok(_) => panic!("{value} was read"),
            Err(mismatch) => mismatch.of("x").what,
        }
    }

    #[test]
    fn an_integer_that_does_not_fit_is_told_the_range_of_its_type() {
        let u64s = "expected an integer from 0 to 18446744073709551615, got";
        assert_eq!(what::<u64>(json!(-1)), format!("{u64s} -1"));
        assert_eq!(what::<u64>(json!(1.5)), format!("{u64s} 1.5"));
        assert_eq!(what::<u64>(json!(1.0)), format!("{u64s} 1.0"));
        assert_eq!(what::<u64>(json!(-0.0)), format!("{u64s} -0.0"));
        let beyond: Value = serde_json::from_str("18446744073709551616").expect("a number");
        assert!(what::<u64>(beyond).starts_with(u64s));
        let i8s = "expected an integer from -128 to 127, got";
        assert_eq!(what::<i8>(json!(128)), format!("{i8s} 128"));
        assert_eq!(what::<Option<i8>>(json!("a")), format!("{i8s} \"a\""));
    }

    #[test]
    fn the_place_of_a_fault_is_told_from_the_outside_in() {
        assert_eq!(
            what::<Vec<u32>>(json!([1, -2])),
            "item 1: expected an integer from 0 to 4294967295, got -2"
        );
        assert_eq!(
            what::<Vec<Line>>(json!([{"qty": 1}, {}])),
            "item 1: the required key \"qty\" is missing"
        );
        assert_eq!(
            what::<HashMap<String, Vec<Line>>>(json!({"a": [{"qty": 1, "colour": "blue"}]})),
            "at \"a\": item 0: at \"colour\": expected \"red\" or \"dark_green\", got \"blue\""
        );
        assert_eq!(
            what::<Line>(json!({"qty": 1, "size": 2})),
            "the key \"size\" is not accepted"
        );
        assert_eq!(
            what::<(u8, u8)>(json!([1, 2, 3])),
            "expected fewer items, got 3 items"
        );
    }

    #[test]
    fn no_name_of_a_rust_type_and_no_long_text_is_told() {
        assert_eq!(what::<Line>(json!("a")), "expected a map, got \"a\"");
        assert_eq!(what::<bool>(json!([])), "expected a boolean, got a list");
        assert!(what::<Uuid>(json!("x".repeat(9_000))).chars().count() < 300);
        assert_eq!(what::<Uuid>(json!(7)), "expected a uuid, got 7");
        #[derive(Debug, Deserialize)]
        #[serde(untagged)]
        #[expect(dead_code, reason = "it is only read")]
        enum Secret {
            A(u8),
        }
        assert_eq!(what::<Secret>(json!("a")), "expected another form");
    }

    #[test]
    fn a_fault_in_the_map_of_all_arguments_names_the_argument() {
        let error = decode::<Line>(&json!({"qty": -1})).unwrap_err().of_map();
        assert_eq!(
            error.to_string(),
            "invalid argument \"qty\": expected an integer from 0 to 4294967295, got -1"
        );
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_and_what_it_refuses_is_explained(
            value in crate::any_json::near(&["qty", "colour", "1"]),
        ) {
            let same = |ok: bool, ours: Option<bool>| ours.is_none_or(|ours| ours == ok);
            macro_rules! agree {
                ($($type:ty),*) => {$({
                    let theirs = <$type>::deserialize(&value).is_ok();
                    let explained = <$type>::deserialize(Explain(&value)).is_ok();
                    prop_assert!(same(theirs, Some(explained)), "{}: {value}", stringify!($type));
                })*};
            }
            agree!(u8, i64, f64, String, char, Option<bool>, Vec<u16>, (u8, u8), Line, Colour);
            agree!(HashMap<u64, Value>, HashMap<String, Vec<Option<i32>>>, Uuid, Value);
        }
    }
}

//! Numbers that JSON cannot say: NaN and the infinities.
//!
//! `serde_json` writes them as null. A client would read "no value" where a computation went wrong, so they are errors.

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
        SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::{Error, Value};

/// The JSON form of a result.
///
/// # Errors
///
/// It has none: it holds NaN, an infinity, or a map with keys that are no texts.
pub(super) fn to_json<T: Serialize + ?Sized>(result: &T) -> Result<Value, Error> {
    let value = serde_json::to_value(result)?;
    // Only a null can be one of those numbers, and few results hold one.
    if holds_null(&value) {
        result.serialize(FiniteNumbers)?;
    }
    Ok(value)
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(entries) => entries.values().any(holds_null),
        _ => false,
    }
}

/// Goes through a value and fails at a number that is not finite; writes nothing.
struct FiniteNumbers;

type Checked = Result<(), Error>;

fn finite(number: f64) -> Checked {
    if number.is_finite() {
        Ok(())
    } else {
        Err(Error::custom(format_args!("{number} is no number in JSON")))
    }
}

macro_rules! finite_by_type {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Checked {
            Ok(())
        })*
    };
}

impl Serializer for FiniteNumbers {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    finite_by_type! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, number: f32) -> Checked {
        finite(number.into())
    }

    fn serialize_f64(self, number: f64) -> Checked {
        finite(number)
    }

    fn serialize_none(self) -> Checked {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Checked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Checked {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Error> {
        Ok(self)
    }
}

macro_rules! each_of {
    ($($compound:ident: $method:ident),* $(,)?) => {
        $(impl $compound for FiniteNumbers {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
                value.serialize(FiniteNumbers)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

each_of! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

macro_rules! each_named_of {
    ($($compound:ident),* $(,)?) => {
        $(impl $compound for FiniteNumbers {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Checked {
                value.serialize(FiniteNumbers)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

each_named_of! { SerializeStruct, SerializeStructVariant }

impl SerializeMap for FiniteNumbers {
    type Ok = ();
    type Error = Error;

    /// A key that is no finite number is an error of the JSON form itself.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Checked {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        value.serialize(FiniteNumbers)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(f64),
        Tuple(u8, f32),
        Struct { side: Option<f64> },
    }

    #[test]
    fn a_result_that_holds_nan_or_an_infinity_has_no_json_form() {
        let texts = [
            to_json(&f64::NAN),
            to_json(&vec![Some(1.0), None, Some(f64::INFINITY)]),
            to_json(&(1, "one", f32::NEG_INFINITY)),
            to_json(&BTreeMap::from([("a", [f64::NAN])])),
            to_json(&Shape::New(f64::NAN)),
            to_json(&Shape::Tuple(1, f32::NAN)),
            to_json(&Shape::Struct {
                side: Some(f64::NAN),
            }),
        ]
        .map(|result| result.map_err(|error| error.to_string()));
        let named = ["NaN", "inf", "-inf", "NaN", "NaN", "NaN", "NaN"];
        for (text, number) in texts.into_iter().zip(named) {
            assert_eq!(text, Err(format!("{number} is no number in JSON")));
        }
    }

    #[test]
    fn what_is_null_by_itself_stays_null() {
        let value = (
            (),
            None::<f64>,
            BTreeMap::from([("a", None::<u8>)]),
            [Shape::Unit, Shape::Struct { side: None }],
            i128::from(7_u8),
        );
        assert_eq!(
            to_json(&value).ok(),
            Some(json!([null, null, {"a": null}, ["Unit", {"Struct": {"side": null}}], 7]))
        );
    }
}

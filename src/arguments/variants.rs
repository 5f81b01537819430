//! Which texts an enum is read from.

use serde::{
    Deserializer,
    de::{DeserializeOwned, IntoDeserializer, Visitor, value},
    forward_to_deserialize_any,
};

/// The names of the variants by which serde reads a `T`; none where it is no enum, or one that takes any name.
pub(super) fn variants_of<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut found = None;
    // A name that no variant has: only an enum with `#[serde(other)]` takes it.
    let taken = T::deserialize(Probe(&mut found)).is_ok();
    found.filter(|_| !taken)
}

/// Gives no value: it notes what is asked for.
struct Probe<'p>(&'p mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(serde::de::Error::custom("no enum"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = Some(variants);
        visitor.visit_enum("\u{0}".into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn the_names_of_an_enum_are_those_that_serde_reads() {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Size {
            Small,
            #[serde(alias = "huge")]
            VeryLarge,
        }
        let names = variants_of::<Size>().expect("it is an enum");
        for name in ["small", "very-large", "huge"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert_eq!(variants_of::<Option<Size>>(), Some(names));
    }

    #[test]
    fn what_takes_any_text_has_no_names() {
        #[derive(Deserialize)]
        enum Known {
            One,
            #[serde(other)]
            Other,
        }
        assert_eq!(variants_of::<Known>(), None);
        assert_eq!(variants_of::<String>(), None);
        assert_eq!(variants_of::<u8>(), None);
        let _ = (Known::One, Known::Other);
    }
}

//! Which argument type a Rust type stands for.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{ArgDeclaration, ArgType};

/// A Rust type that stands for an argument type, so that a declaration can be derived from a function's signature.
///
/// | Rust | argument type |
/// |---|---|
/// | `String`, `char` | `string` |
/// | integers | `integer`, bounded as the type is |
/// | floats | `num` |
/// | `bool` | `boolean` |
/// | [`Uuid`] (with uuid's feature `serde`) | `uuid` |
/// | `Vec<T>` | a list: see [`ListItem`] |
/// | maps from `String` to scalars, or to lists of scalars | `map` |
/// | [`serde_json::Value`] | `any` |
/// | `Option<T>` | as `T`, and null is allowed |
///
/// Implement it for types of your own that `serde` reads from such JSON; [`declaration`](Self::declaration) says more of them
/// where there is more to say:
///
/// ```
/// use gen_api::arguments::{ArgDeclaration, ArgType, ArgumentType};
///
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Colour { Red, Green }
///
/// impl ArgumentType for Colour {
///     const TYPE: ArgType = ArgType::String;
///
///     fn declaration() -> ArgDeclaration {
///         ArgDeclaration::new(Self::TYPE).variants_of::<Self>()
///     }
/// }
///
/// let declared = ArgDeclaration::of::<Option<Colour>>();
/// assert_eq!(declared, ArgDeclaration::new(ArgType::String).one_of(["red", "green"]).allow_nil());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` stands for no argument type",
    label = "no argument type is known for this",
    note = "implement `gen_api::arguments::ArgumentType` for it, or say which type it is: `#[arg(type = map)]`",
    note = "a parameter that takes no argument of the request is marked with `#[arg(skip)]`"
)]
pub trait ArgumentType {
    /// The type that is declared.
    const TYPE: ArgType;

    /// All that is declared; of the type alone unless overridden.
    #[must_use]
    fn declaration() -> ArgDeclaration {
        ArgDeclaration::new(Self::TYPE)
    }
}

/// A Rust type of which a `Vec` stands for an argument type.
///
/// Strings make a `list_string`, numbers a `list_num`, [`Uuid`]s a `list_uuid`, maps from `String` to anything a
/// `list_map`; booleans, and [`serde_json::Value`]s that are scalars, a `list`. Lists of lists stand for none: take a
/// `serde_json::Value`.
#[diagnostic::on_unimplemented(
    message = "a list of `{Self}` stands for no argument type",
    label = "no argument type is known for a list of this",
    note = "implement `gen_api::arguments::ListItem` for it, or say which type the list is: `#[arg(type = list_map)]`"
)]
pub trait ListItem {
    /// The type that is declared for a list of these.
    const LIST_TYPE: ArgType;
}

/// What a map that is checked may hold: scalars, lists of scalars, or any of these.
#[diagnostic::on_unimplemented(
    message = "a map that holds `{Self}` stands for no argument type",
    label = "no value of a `map`",
    note = "a `map` holds scalars and lists of scalars; for any other JSON say `#[arg(type = any)]`"
)]
pub trait MapItem {}

macro_rules! argument_types {
    ($($type:ty => $arg_type:ident, $list_type:ident;)*) => {$(
        impl ArgumentType for $type {
            const TYPE: ArgType = ArgType::$arg_type;
        }

        impl ListItem for $type {
            const LIST_TYPE: ArgType = ArgType::$list_type;
        }
    )*};
}

argument_types! {
    String => String, ListString;
    char => String, ListString;
    bool => Boolean, List;
    Uuid => Uuid, ListUuid;
    Value => Any, List;
    f32 => Num, ListNum;
    f64 => Num, ListNum;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl ArgumentType for $type {
            const TYPE: ArgType = ArgType::Integer;

            fn declaration() -> ArgDeclaration {
                ArgDeclaration::new(Self::TYPE).min(<$type>::MIN).max(<$type>::MAX)
            }
        }

        impl ListItem for $type {
            const LIST_TYPE: ArgType = ArgType::ListNum;
        }
    )*};
}

integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! map_items {
    ($($type:ty),*) => {$(
        impl MapItem for $type {}
        impl MapItem for Vec<$type> {}
    )*};
}

map_items!(
    String, char, bool, Uuid, Value, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64
);

impl<T: ArgumentType> ArgumentType for Option<T> {
    const TYPE: ArgType = T::TYPE;

    fn declaration() -> ArgDeclaration {
        T::declaration().allow_nil()
    }
}

impl<T: ListItem> ArgumentType for Vec<T> {
    const TYPE: ArgType = T::LIST_TYPE;
}

impl<V: MapItem> ArgumentType for BTreeMap<String, V> {
    const TYPE: ArgType = ArgType::Map;
}

impl<V: MapItem, S> ArgumentType for HashMap<String, V, S> {
    const TYPE: ArgType = ArgType::Map;
}

impl ArgumentType for Map<String, Value> {
    const TYPE: ArgType = ArgType::Map;
}

impl<V> ListItem for BTreeMap<String, V> {
    const LIST_TYPE: ArgType = ArgType::ListMap;
}

impl<V, S> ListItem for HashMap<String, V, S> {
    const LIST_TYPE: ArgType = ArgType::ListMap;
}

impl ListItem for Map<String, Value> {
    const LIST_TYPE: ArgType = ArgType::ListMap;
}

/// What else a declaration of the type may say.
impl ArgType {
    /// Whether [`min`](super::ArgDeclaration::min) and [`max`](super::ArgDeclaration::max) mean something to this type.
    #[must_use]
    pub const fn has_bounds(self) -> bool {
        matches!(self, Self::Num | Self::Integer)
    }

    /// Whether [`max_bytes`](super::ArgDeclaration::max_bytes) means something to this type, and with it
    /// [`min_bytes`](super::ArgDeclaration::min_bytes), [`one_of`](super::ArgDeclaration::one_of) and
    /// [`pattern`](super::ArgDeclaration::pattern).
    #[must_use]
    pub const fn has_max_bytes(self) -> bool {
        matches!(self, Self::String)
    }

    /// Whether [`max_items`](super::ArgDeclaration::max_items) means something to this type.
    #[must_use]
    pub const fn has_max_items(self) -> bool {
        matches!(
            self,
            Self::List
                | Self::ListString
                | Self::ListNum
                | Self::ListUuid
                | Self::ListMap
                | Self::Map
        )
    }

    /// Whether [`max_item_bytes`](super::ArgDeclaration::max_item_bytes) means something to this type.
    #[must_use]
    pub const fn has_max_item_bytes(self) -> bool {
        matches!(self, Self::ListString)
    }

    /// Whether [`required`](super::ArgDeclaration::required) and [`accept`](super::ArgDeclaration::accept) mean something to this type.
    #[must_use]
    pub const fn has_keys(self) -> bool {
        matches!(self, Self::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of<T: ArgumentType>() -> (ArgType, bool) {
        let declared = ArgDeclaration::of::<T>();
        (declared.arg_type, declared.allow_nil)
    }

    #[test]
    fn each_rust_type_declares_its_argument_type() {
        assert_eq!(type_of::<String>(), (ArgType::String, false));
        assert_eq!(type_of::<u8>(), (ArgType::Integer, false));
        assert_eq!(type_of::<f64>(), (ArgType::Num, false));
        assert_eq!(type_of::<bool>(), (ArgType::Boolean, false));
        assert_eq!(type_of::<Uuid>(), (ArgType::Uuid, false));
        assert_eq!(type_of::<Value>(), (ArgType::Any, false));
        assert_eq!(type_of::<Vec<String>>(), (ArgType::ListString, false));
        assert_eq!(type_of::<Vec<i64>>(), (ArgType::ListNum, false));
        assert_eq!(type_of::<Vec<Uuid>>(), (ArgType::ListUuid, false));
        assert_eq!(type_of::<Vec<bool>>(), (ArgType::List, false));
        assert_eq!(type_of::<Vec<Value>>(), (ArgType::List, false));
        assert_eq!(type_of::<Vec<Map<String, Value>>>().0, ArgType::ListMap);
        assert_eq!(
            type_of::<Vec<BTreeMap<String, Vec<String>>>>().0,
            ArgType::ListMap
        );
        assert_eq!(type_of::<BTreeMap<String, u64>>(), (ArgType::Map, false));
        assert_eq!(type_of::<HashMap<String, Vec<String>>>().0, ArgType::Map);
        assert_eq!(type_of::<Map<String, Value>>(), (ArgType::Map, false));
    }

    #[test]
    fn an_integer_is_bounded_as_its_type_is() {
        let declared = ArgDeclaration::of::<Option<i8>>();
        let expected = ArgDeclaration::new(ArgType::Integer).min(-128).max(127);
        assert_eq!(declared, expected.allow_nil());
        let declared = ArgDeclaration::of::<u64>();
        assert_eq!(declared.max, Some(u64::MAX.into()));
    }

    #[test]
    fn an_option_declares_the_type_inside_and_allows_null() {
        assert_eq!(type_of::<Option<String>>(), (ArgType::String, true));
        assert_eq!(type_of::<Option<Vec<f32>>>(), (ArgType::ListNum, true));
        assert_eq!(type_of::<Option<Option<Uuid>>>(), (ArgType::Uuid, true));
    }
}

//! How a config declares an argument, and the JSON form of that.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer, value::StringDeserializer},
};
use serde_json::Value;

use super::{
    ArgumentType, Limits,
    error::cut,
    rule::{self, Rule},
    text_rule,
    variants::variants_of,
};

/// The types of arguments (specification, section 4); their JSON form is the name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArgType {
    /// A text; [`max_bytes`](ArgDeclaration::max_bytes), [`min_bytes`](ArgDeclaration::min_bytes),
    /// [`one_of`](ArgDeclaration::one_of) and [`pattern`](ArgDeclaration::pattern) restrict it.
    String,
    /// An integer or a float; [`min`](ArgDeclaration::min) and [`max`](ArgDeclaration::max) bound it.
    Num,
    /// A number written without fraction and exponent, from -2^63 to 2^64 - 1; [`min`](ArgDeclaration::min) and
    /// [`max`](ArgDeclaration::max) bound it.
    Integer,
    /// True or false.
    Boolean,
    /// The text form of a UUID, as [`uuid::Uuid::try_parse`] reads it; handed on as it was sent.
    Uuid,
    /// A text in RFC 3339 with an offset; handed on in UTC, ending in `Z`.
    Datetime,
    /// A text in ISO 8601 with a date and a time; an offset is discarded, the wall-clock time is handed on.
    NaiveDatetime,
    /// A list of strings, numbers and booleans.
    List,
    /// A list of strings; [`max_item_bytes`](ArgDeclaration::max_item_bytes) limits each.
    ListString,
    /// A list of numbers.
    ListNum,
    /// A list of UUIDs.
    ListUuid,
    /// A list of maps, which are not looked into.
    ListMap,
    /// A map of strings, numbers, booleans and lists of these.
    Map,
    /// Any JSON but null, within the size limit of the request.
    Any,
}

/// One declared argument: its type and its options.
///
/// Its JSON form is the type's name, or an object with `type` and the options; options that nobody knows, or that mean
/// nothing to the type, are ignored.
///
/// ```
/// use gen_api::arguments::{ArgDeclaration, ArgType};
/// use serde_json::json;
///
/// let short: ArgDeclaration = serde_json::from_value(json!("uuid"))?;
/// assert_eq!(short, ArgType::Uuid.into());
/// let long: ArgDeclaration = serde_json::from_value(json!({"type": "list_string", "max_items": 10}))?;
/// assert_eq!(long, ArgDeclaration::new(ArgType::ListString).max_items(10));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ArgDeclaration {
    /// What may be sent.
    pub arg_type: ArgType,
    /// Whether null may be sent; then an absent argument without default is null too. False by default.
    pub allow_nil: bool,
    /// What an absent argument becomes. A null here is no default.
    pub default_value: Option<Value>,
    /// The least value of a `num` or an `integer`, itself allowed; it must be a number.
    pub min: Option<Value>,
    /// The greatest value of a `num` or an `integer`, itself allowed; it must be a number.
    pub max: Option<Value>,
    /// The least bytes of a `string`; 0 by default.
    pub min_bytes: Option<usize>,
    /// The most bytes of a `string`; [`Limits::string_max_bytes`] by default.
    pub max_bytes: Option<usize>,
    /// The only texts that a `string` may be; empty restricts nothing.
    pub one_of: BTreeSet<String>,
    /// A regular expression that a `string` must match, in the syntax of the crate `regex`, at most 1 000 bytes long.
    ///
    /// It may match anywhere in the text, as in a JSON schema: `^[a-z]+$` is for the whole of it. It is compiled when the
    /// config is stored, and checked in time linear in the text.
    pub pattern: Option<String>,
    /// The most items of a list or entries of a map; by default [`Limits::list_max_items`] or
    /// [`Limits::map_max_items`].
    pub max_items: Option<usize>,
    /// The most bytes of each item of a `list_string`; [`Limits::string_max_bytes`] by default.
    pub max_item_bytes: Option<usize>,
    /// The keys that a `map` must have.
    pub required: BTreeSet<String>,
    /// The keys that a `map` may have; empty restricts nothing.
    pub accept: BTreeSet<String>,
}

impl ArgDeclaration {
    /// An argument that must be sent and must not be null, within the default limits.
    #[must_use]
    pub fn new(arg_type: ArgType) -> Self {
        Self {
            arg_type,
            allow_nil: false,
            default_value: None,
            min: None,
            max: None,
            min_bytes: None,
            max_bytes: None,
            one_of: BTreeSet::new(),
            pattern: None,
            max_items: None,
            max_item_bytes: None,
            required: BTreeSet::new(),
            accept: BTreeSet::new(),
        }
    }

    /// The argument that a parameter of type `T` takes, within the default limits.
    #[must_use]
    pub fn of<T: ArgumentType>() -> Self {
        T::declaration()
    }

    /// Lets null be sent, and nothing at all.
    #[must_use]
    pub fn allow_nil(mut self) -> Self {
        self.allow_nil = true;
        self
    }

    /// Sets what an absent argument becomes.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default_value = Some(value.into()).filter(|value| !value.is_null());
        self
    }

    /// Sets the least value of a `num` or an `integer`.
    #[must_use]
    pub fn min(mut self, least: impl Into<Value>) -> Self {
        self.min = Some(least.into());
        self
    }

    /// Sets the greatest value of a `num` or an `integer`.
    #[must_use]
    pub fn max(mut self, greatest: impl Into<Value>) -> Self {
        self.max = Some(greatest.into());
        self
    }

    /// Demands bytes of a `string`: 1 refuses an empty one.
    #[must_use]
    pub fn min_bytes(mut self, bytes: usize) -> Self {
        self.min_bytes = Some(bytes);
        self
    }

    /// Restricts a `string` to these texts.
    #[must_use]
    pub fn one_of<T: Into<String>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        self.one_of.extend(texts.into_iter().map(Into::into));
        self
    }

    /// Restricts a `string` to the names of the variants by which serde reads the enum `T`; restricts nothing where `T` is
    /// no enum, or takes any name.
    ///
    /// ```
    /// use gen_api::arguments::{ArgDeclaration, ArgType};
    ///
    /// #[derive(serde::Deserialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum Colour { Red, DarkGreen }
    ///
    /// let declared = ArgDeclaration::new(ArgType::String).variants_of::<Colour>();
    /// assert_eq!(declared, ArgDeclaration::new(ArgType::String).one_of(["red", "dark_green"]));
    /// ```
    #[must_use]
    pub fn variants_of<T: DeserializeOwned>(self) -> Self {
        let names = variants_of::<T>().unwrap_or_default();
        self.one_of(names.iter().copied())
    }

    /// Sets the regular expression that a `string` must match.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// Limits the bytes of a `string`.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Limits the items of a list or the entries of a map.
    #[must_use]
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = Some(items);
        self
    }

    /// Limits the bytes of each item of a `list_string`.
    #[must_use]
    pub fn max_item_bytes(mut self, bytes: usize) -> Self {
        self.max_item_bytes = Some(bytes);
        self
    }

    /// Demands keys of a `map`.
    #[must_use]
    pub fn required<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.required.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Restricts a `map` to these keys.
    #[must_use]
    pub fn accept<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.accept.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Whether the declaration agrees with itself: its options do not contradict each other, its pattern can be read, and
    /// its default is a value that could be sent.
    ///
    /// # Errors
    /// What is wrong with it, the first fault.
    pub fn validate(&self, limits: &Limits) -> Result<(), String> {
        if let Some(fault) = self.contradiction() {
            return Err(fault);
        }
        let Some(default) = &self.default_value else {
            return Ok(());
        };
        Rule::new(self, limits)
            .check(&mut default.clone())
            .map_err(|fault| format!("its default is invalid: {}", fault.what))
    }

    /// Options that no value could fulfil; those that mean nothing to the type are ignored.
    fn contradiction(&self) -> Option<String> {
        if self.arg_type.has_bounds() {
            let named = [("min", &self.min), ("max", &self.max)];
            let no_number = |bound: &Option<Value>| bound.as_ref().is_some_and(|v| !v.is_number());
            if let Some((name, _)) = named.into_iter().find(|(_, bound)| no_number(bound)) {
                return Some(format!("{name} must be a number"));
            }
            if let (Some(Value::Number(min)), Some(Value::Number(max))) = (&self.min, &self.max)
                && rule::is_less(max, min)
            {
                return Some(format!("min {min} is greater than max {max}"));
            }
        }
        if self.arg_type.has_max_bytes() {
            if let (Some(min), Some(max)) = (self.min_bytes, self.max_bytes)
                && min > max
            {
                return Some(format!("min_bytes {min} is greater than max_bytes {max}"));
            }
            if let Some(Err(fault)) = self.pattern.as_deref().map(text_rule::compile) {
                return Some(format!("its pattern cannot be used: {fault}"));
            }
        }
        if self.arg_type.has_keys()
            && !self.accept.is_empty()
            && let Some(key) = self.required.difference(&self.accept).next()
        {
            return Some(format!(
                "the key \"{}\" is required, but not accepted",
                cut(key)
            ));
        }
        None
    }
}

impl From<ArgType> for ArgDeclaration {
    fn from(arg_type: ArgType) -> Self {
        Self::new(arg_type)
    }
}

/// The object form. Every option may be null, which is the same as leaving it out.
#[derive(Serialize, Deserialize)]
struct LongForm {
    #[serde(rename = "type")]
    arg_type: ArgType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_nil: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_value: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    one_of: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_items: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_item_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    required: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accept: Option<BTreeSet<String>>,
}

impl<'de> Deserialize<'de> for ArgDeclaration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) => {
                let name: StringDeserializer<D::Error> = name.into_deserializer();
                ArgType::deserialize(name).map(Self::new)
            }
            object @ Value::Object(_) => {
                let long: LongForm = serde_json::from_value(object).map_err(D::Error::custom)?;
                Ok(Self {
                    arg_type: long.arg_type,
                    allow_nil: long.allow_nil.unwrap_or_default(),
                    default_value: long.default_value,
                    min: long.min,
                    max: long.max,
                    min_bytes: long.min_bytes,
                    max_bytes: long.max_bytes,
                    one_of: long.one_of.unwrap_or_default(),
                    pattern: long.pattern,
                    max_items: long.max_items,
                    max_item_bytes: long.max_item_bytes,
                    required: long.required.unwrap_or_default(),
                    accept: long.accept.unwrap_or_default(),
                })
            }
            _ => Err(D::Error::custom(
                "expected the name of a type or an object with `type`",
            )),
        }
    }
}

impl Serialize for ArgDeclaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::new(self.arg_type) {
            return self.arg_type.serialize(serializer);
        }
        let keys = |keys: &BTreeSet<String>| Some(keys.clone()).filter(|keys| !keys.is_empty());
        LongForm {
            arg_type: self.arg_type,
            allow_nil: self.allow_nil.then_some(true),
            default_value: self.default_value.clone(),
            min: self.min.clone(),
            max: self.max.clone(),
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            one_of: keys(&self.one_of),
            pattern: self.pattern.clone(),
            max_items: self.max_items,
            max_item_bytes: self.max_item_bytes,
            required: keys(&self.required),
            accept: keys(&self.accept),
        }
        .serialize(serializer)
    }
}

/// In which order, or in which form, the arguments reach the function.
///
/// | JSON form | one argument | several arguments |
/// |---|---|---|
/// | list of names | alone | one after another, in that order |
/// | `[]` or null | alone | as one map |
/// | `"map"` | as one map | as one map |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgOrders {
    /// The names in call order; empty where the order does not matter.
    Names(Vec<String>),
    /// One map, even of a single argument.
    Map,
    /// Null: for functions without declared arguments only.
    Null,
}

impl ArgOrders {
    /// The names in call order.
    #[must_use]
    pub fn names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Names(names.into_iter().map(Into::into).collect())
    }
}

impl Default for ArgOrders {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

impl Serialize for ArgOrders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Names(names) => names.serialize(serializer),
            Self::Map => serializer.serialize_str("map"),
            Self::Null => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for ArgOrders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value {
            Value::Null => Ok(Self::Null),
            Value::String(word) if word == "map" => Ok(Self::Map),
            Value::Array(_) => serde_json::from_value(value)
                .map(Self::Names)
                .map_err(|_| D::Error::custom("every name must be a string")),
            _ => Err(D::Error::custom("expected a list of names or \"map\"")),
        }
    }
}

impl fmt::Display for ArgType {
    /// What the type expects, for error texts: `a list of strings`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Num => "a number",
            Self::Integer => "an integer",
            Self::Boolean => "a boolean",
            Self::Uuid => "a uuid",
            Self::Datetime => "a datetime with an offset (RFC 3339)",
            Self::NaiveDatetime => "a date and time (ISO 8601)",
            Self::List => "a list",
            Self::ListString => "a list of strings",
            Self::ListNum => "a list of numbers",
            Self::ListUuid => "a list of uuids",
            Self::ListMap => "a list of maps",
            Self::Map => "a map",
            Self::Any => "any value",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Result<ArgDeclaration, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn both_forms_survive_the_way_through_json() {
        let declarations = [
            ArgDeclaration::new(ArgType::NaiveDatetime),
            ArgDeclaration::new(ArgType::String)
                .max_bytes(0)
                .allow_nil(),
            ArgDeclaration::new(ArgType::Map)
                .required(["b", "a"])
                .accept(["a", "b"])
                .default_value(json!({"a": 1, "b": 2})),
        ];
        for declaration in declarations {
            let json = serde_json::to_value(&declaration).unwrap();
            assert_eq!(read(json).unwrap(), declaration);
        }
    }

    #[test]
    fn a_null_option_and_an_unknown_option_are_as_if_left_out() {
        let json =
            json!({"type": "string", "max_bytes": null, "default_value": null, "colour": "red"});
        assert_eq!(read(json).unwrap(), ArgType::String.into());
        let built = ArgDeclaration::new(ArgType::String).default_value(Value::Null);
        assert_eq!(built, ArgType::String.into());
    }

    #[test]
    fn what_is_no_declaration_is_refused_with_a_reason() {
        for (json, reason) in [
            (json!("decimal"), "unknown variant `decimal`"),
            (json!({"max_bytes": 5}), "missing field `type`"),
            (json!({"type": "string", "max_bytes": -1}), "-1"),
            (json!({"type": "string", "allow_nil": "yes"}), "boolean"),
            (json!(["string"]), "name of a type"),
            (Value::Null, "name of a type"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_default_must_be_a_value_that_could_be_sent() {
        let limits = Limits::default();
        let valid = ArgDeclaration::new(ArgType::Num).default_value(18);
        assert_eq!(valid.validate(&limits), Ok(()));
        let error = ArgDeclaration::new(ArgType::Num)
            .default_value("many")
            .validate(&limits)
            .unwrap_err();
        assert_eq!(
            error,
            "its default is invalid: expected a number, got \"many\""
        );
        let long = ArgDeclaration::new(ArgType::String).default_value("abc");
        assert!(long.validate(&limits.with_string_max_bytes(2)).is_err());
    }

    proptest! {
        #[test]
        fn no_json_makes_reading_a_declaration_panic(json in crate::any_json::near(&[
            "type", "allow_nil", "default_value", "max_bytes", "max_items", "required", "accept",
        ])) {
            if let Ok(declaration) = read(json.clone()) {
                let _ = declaration.validate(&Limits::default());
            }
            let _ = serde_json::from_value::<ArgOrders>(json);
        }
    }
}

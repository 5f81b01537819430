//! A function by name.

use std::fmt;

use serde_json::{Value, json};

use crate::model::wire::{WireForm, serde_by_wire_form};

/// Which function to call: its module, its name, and the arguments that come first in each call.
///
/// The JSON form is `[module, function, [args]]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mfa {
    /// The module under which the function is registered. Not empty.
    pub module: String,
    /// The name under which the function is registered. Not empty.
    pub function: String,
    /// Values that are passed before all others.
    pub args: Vec<Value>,
}

impl Mfa {
    /// A function without predefined arguments.
    #[must_use]
    pub fn new(module: impl Into<String>, function: impl Into<String>) -> Self {
        Self {
            module: module.into(),
            function: function.into(),
            args: Vec::new(),
        }
    }

    /// Adds predefined arguments.
    #[must_use]
    pub fn with_args(mut self, args: impl IntoIterator<Item = Value>) -> Self {
        self.args.extend(args);
        self
    }

    /// Whether both names are there.
    pub(super) fn is_named(&self) -> bool {
        !self.module.is_empty() && !self.function.is_empty()
    }

    fn from_parts(parts: Vec<Value>, args_required: bool) -> Option<Self> {
        let mut parts = parts.into_iter();
        let (module, function) = (parts.next()?, parts.next()?);
        let args = match parts.next() {
            Some(Value::Array(args)) => args,
            None if !args_required => Vec::new(),
            _ => return None,
        };
        match (module, function, parts.next()) {
            (Value::String(module), Value::String(function), None) => Some(Self {
                module,
                function,
                args,
            }),
            _ => None,
        }
    }
}

impl<M: Into<String>, F: Into<String>> From<(M, F)> for Mfa {
    fn from((module, function): (M, F)) -> Self {
        Self::new(module, function)
    }
}

impl fmt::Display for Mfa {
    /// `Module.function`, without the arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.function)
    }
}

impl WireForm for Mfa {
    const EXPECTED: &'static str = "[module, function, [args]]";

    fn read(json: Value) -> Option<Self> {
        match json {
            Value::Array(parts) => Self::from_parts(parts, true),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        json!([self.module, self.function, self.args])
    }
}

/// The form of hooks and permission callbacks, where the arguments may be left out.
pub(super) struct Callback(pub(super) Mfa);

impl WireForm for Callback {
    const EXPECTED: &'static str = "[module, function] or [module, function, [args]]";

    fn read(json: Value) -> Option<Self> {
        match json {
            Value::Array(parts) => Mfa::from_parts(parts, false).map(Self),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        self.0.write()
    }
}

serde_by_wire_form!(Mfa, Callback);

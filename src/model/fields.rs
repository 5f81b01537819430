//! Reading a config field by field, so that a broken field does not hide the others.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::invalid_config::{Fault, InvalidConfig};

/// The fields of a config that have not been read yet, and the faults of those that have.
pub(super) struct Fields {
    unread: Map<String, Value>,
    faults: Vec<Fault>,
    /// The fields that hold a placeholder now.
    replaced: Vec<String>,
}

impl Fields {
    pub(super) fn of(config: Value) -> Result<Self, InvalidConfig> {
        match config {
            Value::Object(unread) => Ok(unread.into()),
            _ => Err(Self::no_object()),
        }
    }

    /// What is wrong with a config that has no fields.
    pub(super) fn no_object() -> InvalidConfig {
        InvalidConfig {
            faults: vec![Fault::new("config", "must be an object")],
        }
    }

    /// A field that must be there and not null. A broken one is noted and replaced by a placeholder.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str, placeholder: T) -> T {
        match self.take(name) {
            None | Some(Value::Null) => self.replace(name, "is required", placeholder),
            Some(value) => self.parse(name, value, placeholder),
        }
    }

    /// A field with a default. Null counts only where the type knows it.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str, default: T) -> T {
        match self.take(name) {
            None => default,
            Some(value) => self.parse(name, value, default),
        }
    }

    /// A field as it is, for those who read it piece by piece and report with [`fault`](Self::fault).
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.unread.remove(name)
    }

    pub(super) fn fault(&mut self, name: &str, reason: impl Into<String>) {
        self.faults.push(Fault::new(name, reason));
    }

    /// Ends the reading. Nobody asked for the fields that are left: they are unknown.
    ///
    /// Where anything could not be read, the faults that `judge` finds in the rest are reported too. What it says
    /// about a placeholder does not count.
    pub(super) fn finish(
        mut self,
        judge: impl FnOnce() -> Vec<Fault>,
    ) -> Result<(), InvalidConfig> {
        for name in self.unread.keys() {
            self.faults.push(Fault::new(name, "is not a known field"));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        let replaced = self.replaced;
        let judged = judge()
            .into_iter()
            .filter(|fault| !replaced.contains(&fault.field));
        self.faults.extend(judged);
        InvalidConfig::unless_empty(self.faults)
    }

    fn parse<T: DeserializeOwned>(&mut self, name: &str, value: Value, otherwise: T) -> T {
        match serde_json::from_value(value) {
            Ok(read) => read,
            Err(error) => self.replace(name, error.to_string(), otherwise),
        }
    }

    fn replace<T>(&mut self, name: &str, reason: impl Into<String>, placeholder: T) -> T {
        self.fault(name, reason);
        self.replaced.push(name.to_owned());
        placeholder
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(unread: Map<String, Value>) -> Self {
        Self {
            unread,
            faults: Vec::new(),
            replaced: Vec::new(),
        }
    }
}

//! Reading a config field by field, so that a broken field does not hide the others.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::invalid_config::{Fault, InvalidConfig};

/// The fields of a config that have not been read yet, and the faults of those that have.
pub(super) struct Fields {
    unread: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    pub(super) fn of(config: Value) -> Result<Self, InvalidConfig> {
        match config {
            Value::Object(unread) => Ok(Self {
                unread,
                faults: Vec::new(),
            }),
            _ => Err(InvalidConfig {
                faults: vec![Fault::new("config", "must be an object")],
            }),
        }
    }

    /// A field that must be there and not null. A broken one is noted and replaced by a placeholder.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str, placeholder: T) -> T {
        match self.take(name) {
            None | Some(Value::Null) => {
                self.fault(name, "is required");
                placeholder
            }
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

    /// A field as it is, for those who read it themselves and report with [`fault`](Self::fault).
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.unread.remove(name)
    }

    pub(super) fn fault(&mut self, name: &str, reason: impl Into<String>) {
        self.faults.push(Fault::new(name, reason));
    }

    /// Ends the reading. Nobody asked for the fields that are left: they are unknown.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        for name in self.unread.keys() {
            self.faults.push(Fault::new(name, "is not a known field"));
        }
        self.faults
    }

    fn parse<T: DeserializeOwned>(&mut self, name: &str, value: Value, otherwise: T) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| {
            self.fault(name, error.to_string());
            otherwise
        })
    }
}

/// Joins the faults of reading with those of judging what could be read.
///
/// A field that could not be read was judged by its placeholder, so that judgement does not count.
pub(super) fn join(mut unread: Vec<Fault>, judged: Vec<Fault>) -> Vec<Fault> {
    let new = judged
        .into_iter()
        .filter(|fault| unread.iter().all(|known| known.field != fault.field));
    let new: Vec<Fault> = new.collect();
    unread.extend(new);
    unread
}

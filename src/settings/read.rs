//! From a TOML tree to settings, with every fault found in one go.

use std::collections::HashMap;

use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

use super::{Settings, error::SettingFault};

/// What of `table` can be read, and a fault for each key that cannot.
///
/// Reading stops at the first fault. So what is at fault is set aside, and the rest is read again.
pub(super) fn readable_part(table: Table) -> (Table, Vec<SettingFault>) {
    let mut tree = Value::Table(table);
    let mut faults = Vec::new();
    let mut set_aside = SetAside::default();
    while let Err(error) = serde_path_to_error::deserialize::<_, Settings>(tree.clone()) {
        let key = set_aside.key(error.path());
        let fault = SettingFault::new(key, error.inner().message());
        if !is_set_aside(&fault, &faults) {
            faults.push(fault);
        }
        if !set_aside.take_out(&mut tree, error.path()) {
            return (Table::new(), faults);
        }
    }
    match tree {
        Value::Table(readable) => (readable, faults),
        _ => (Table::new(), faults),
    }
}

/// Whether the fault is only that a value is missing which was set aside.
fn is_set_aside(fault: &SettingFault, faults: &[SettingFault]) -> bool {
    let missing = fault.reason.strip_prefix("missing field `");
    let missing = missing.and_then(|rest| rest.strip_suffix('`'));
    missing.is_some_and(|name| {
        let key = format!("{}.{name}", fault.key);
        faults.iter().any(|known| known.key == key)
    })
}

/// How many items were taken from the front of each list, by the list's key: later faults count from there.
#[derive(Default)]
struct SetAside(HashMap<String, usize>);

impl SetAside {
    /// The key as the operator sees it, such as `rate_limiter.global_limits[2].key`.
    fn key(&self, path: &Path) -> String {
        let mut key = String::new();
        for segment in path {
            match segment {
                Segment::Seq { index } => {
                    let index = index + self.0.get(&key).unwrap_or(&0);
                    key.push_str(&format!("[{index}]"));
                }
                Segment::Map { key: name } | Segment::Enum { variant: name } => {
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(name);
                }
                Segment::Unknown => {}
            }
        }
        key
    }

    /// Removes what is at `path`; of a list also what stands before it, which is known to be readable. False when there
    /// is nothing to remove.
    fn take_out(&mut self, tree: &mut Value, path: &Path) -> bool {
        let mut key = String::new();
        let mut place = tree;
        let mut segments = path.iter().peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            match (segment, place) {
                (Segment::Map { key: name }, Value::Table(table)) => {
                    if is_last {
                        return table.remove(name).is_some();
                    }
                    let Some(next) = table.get_mut(name) else {
                        return false;
                    };
                    place = next;
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(name);
                }
                (Segment::Seq { index }, Value::Array(list)) if *index < list.len() => {
                    let taken = self.0.entry(key.clone()).or_default();
                    if is_last {
                        list.drain(..=*index);
                        *taken += index + 1;
                        return true;
                    }
                    key.push_str(&format!("[{}]", index + *taken));
                    let Some(next) = list.get_mut(*index) else {
                        return false;
                    };
                    place = next;
                }
                _ => return false,
            }
        }
        false
    }
}

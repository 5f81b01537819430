//! Running the vectors of `tests/conformance`; their format is on the page `README.md` there.

// Each test binary is compiled with all of this and uses the part it needs.
#![allow(dead_code)]

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// One case of a vector file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) about: String,
    pub(crate) given: Map<String, Value>,
    pub(crate) when: Map<String, Value>,
    pub(crate) expect: Map<String, Value>,
}

/// Runs every case of a file that `concerns` the test, and fails with the list of all cases that failed.
///
/// # Panics
/// When a case fails, the file cannot be read, or no case concerned the test.
pub(crate) fn run(
    file: &str,
    concerns: impl Fn(&Case) -> bool,
    judge: impl Fn(&Case) -> Result<(), String>,
) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance")
        .join(file);
    let text = fs::read_to_string(&path).expect("the vector file is there");
    let cases: Vec<Case> = serde_json::from_str(&text).expect("the vector file holds cases");
    let cases: Vec<&Case> = cases.iter().filter(|case| concerns(case)).collect();
    assert!(!cases.is_empty(), "{file} holds no case for this test");
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let reason = judge(case).err()?;
            Some(format!("{} ({}): {reason}", case.id, case.about))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases of {file} failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// A field of a case in the type it must have.
pub(crate) fn field<T: DeserializeOwned>(
    part: &Map<String, Value>,
    name: &str,
) -> Result<T, String> {
    let value = part
        .get(name)
        .ok_or_else(|| format!("the case has no {name:?}"))?;
    T::deserialize(value).map_err(|error| format!("{name:?} has an unknown form: {error}"))
}

/// Equality with a reason for when there is none.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: &T,
    expected: &T,
) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}

/// Checks that the case expects exactly these keys, so that no expectation is passed over in silence.
pub(crate) fn only_keys(expect: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match expect.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown expectation {key:?}")),
        None => Ok(()),
    }
}

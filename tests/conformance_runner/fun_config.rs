//! The vectors of `fun_config.json`: which configs are valid, and what their short forms mean.

use std::collections::BTreeSet;

use gen_api::{
    arguments::Limits,
    model::{FunConfig, InvalidConfig},
};
use serde_json::json;

use super::{
    case::{Case, field, json, only_keys, optional},
    compare::compare,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["config"])?;
    only_keys(&case.when, &["op"])?;
    let config = FunConfig::from_value(field(&case.given, "config")?);
    match field::<String>(&case.when, "op")?.as_str() {
        "validate" => validate(case, config),
        "normalize_retry" => {
            only_keys(&case.expect, &["retry"])?;
            let retry = json(readable(config)?.normalize_retry())?;
            compare(&case.expect, &json!({ "retry": retry }))
        }
        "effective_version" => {
            only_keys(&case.expect, &["version"])?;
            let config = readable(config)?;
            compare(
                &case.expect,
                &json!({ "version": config.effective_version() }),
            )
        }
        op => Err(format!("unknown op {op:?}")),
    }
}

/// A config that cannot be read is invalid as well.
fn validate(case: &Case, config: Result<FunConfig, InvalidConfig>) -> Result<(), String> {
    only_keys(&case.expect, &["valid", "fields"])?;
    let invalid = config
        .and_then(|config| config.validate(&Limits::default()))
        .err();
    let valid = invalid.is_none();
    let at_fault = |error: &InvalidConfig| error.fields().map(str::to_owned).collect();
    let seen: BTreeSet<String> = invalid.as_ref().map(at_fault).unwrap_or_default();
    let expected: Option<BTreeSet<String>> = optional(&case.expect, "fields")?;
    let other_fields = expected.as_ref().is_some_and(|expected| *expected != seen);
    if field::<bool>(&case.expect, "valid")? != valid || other_fields {
        return Err(format!(
            "expected {:?}, got faults of {seen:?}",
            case.expect
        ));
    }
    Ok(())
}

fn readable(config: Result<FunConfig, InvalidConfig>) -> Result<FunConfig, String> {
    config.map_err(|error| error.to_string())
}

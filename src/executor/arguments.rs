//! Stage 5: what the function receives: predefined arguments first, then those of the request (specification, section 4).

use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::{
    arguments::CallArgs,
    call::local::{CallError, contained::contain},
    config::Route,
    request_error::RequestError,
};

pub(super) fn convert(route: &Route, sent: Map<String, Value>) -> Result<Vec<Value>, RequestError> {
    let converted = match route.plan.convert(sent)? {
        CallArgs::List(list) => list,
        CallArgs::Map(map) => vec![Value::Object(map)],
    };
    let predefined = &route.config.mfa.args;
    if predefined.is_empty() {
        return Ok(converted);
    }
    let mut args = Vec::with_capacity(predefined.len() + converted.len());
    args.extend_from_slice(predefined);
    args.extend(converted);
    Ok(args)
}

/// Asks the function whether it can take them: what its types cannot read is the caller's mistake as well, and is told before
/// any acknowledgement.
pub(super) fn check(route: &Route, args: &[Value], runtime: &Handle) -> Result<(), RequestError> {
    let Some(function) = &route.function else {
        return Ok(());
    };
    let checked = contain(runtime, || function.check(args, route.arg_names.as_deref()));
    let checked = checked.map_err(CallError::Panicked)?;
    Ok(checked.map_err(CallError::from)?)
}

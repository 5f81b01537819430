//! Stage 5: what the function receives: predefined arguments first, then those of the request (SPEC section 4).

use serde_json::{Map, Value};

use crate::{arguments::CallArgs, config::Route, request_error::RequestError};

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

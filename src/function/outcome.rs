//! What a function answers.

use std::{any::Any, fmt};

use futures_core::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;

use super::{error::FunctionError, finite};

/// The answer of a function that did not fail.
#[non_exhaustive]
pub enum Outcome {
    /// Nothing, from a function that returns `()`: null to a client, no chunk in a stream (specification, section 7).
    Unit,
    /// One value, null included.
    Value(Value),
    /// Results one after another. Its end completes the stream; its first error fails it.
    Stream(BoxStream<'static, Result<Value, FunctionError>>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit => f.write_str("Unit"),
            Self::Value(value) => f.debug_tuple("Value").field(value).finish(),
            Self::Stream(_) => f.write_str("Stream(..)"),
        }
    }
}

/// The outcome of a typed function that returned `result`.
pub(super) fn of<T: Serialize + 'static>(result: T) -> Result<Outcome, FunctionError> {
    let unit: &dyn Any = &result;
    if unit.is::<()>() {
        return Ok(Outcome::Unit);
    }
    to_value(result).map(Outcome::Value)
}

/// Like [`serde_json::to_value`], but texts and JSON values are moved instead of copied.
pub(super) fn to_value<T: Serialize + 'static>(result: T) -> Result<Value, FunctionError> {
    let mut result = Some(result);
    let any: &mut dyn Any = &mut result;
    if let Some(text) = any.downcast_mut::<Option<String>>().and_then(Option::take) {
        return Ok(Value::String(text));
    }
    if let Some(value) = any.downcast_mut::<Option<Value>>().and_then(Option::take) {
        return Ok(value);
    }
    finite::to_json(&result).map_err(|error| no_json(&error))
}

/// The failure of a function whose result cannot be said in JSON, such as NaN, or a map with keys that are no texts.
pub(super) fn no_json(error: &serde_json::Error) -> FunctionError {
    FunctionError::failed(format_args!("the result has no JSON form: {error}"))
}

//! Functions: the embedder's Rust code, registered under a module and a name, called with JSON arguments.
//!
//! A function config names a function (`mfa`), the engine calls it. Arguments become typed parameters by `serde`,
//! results become JSON by `Serialize`; the request info, a stream to feed and shared state are further parameters.
//!
//! ```
//! use gen_api::function::{Call, FunctionError, Functions, Outcome, RequestInfo};
//! use serde_json::json;
//!
//! async fn greet(name: String, info: RequestInfo) -> Result<String, FunctionError> {
//!     let user = info.user_id.ok_or_else(|| FunctionError::public("please log in"))?;
//!     Ok(format!("Hello {name}, says {user}"))
//! }
//!
//! let functions = Functions::new()
//!     .register("UserService", "greet", greet)
//!     .register("Math", "add", |a: i64, b: i64| async move { Ok::<_, FunctionError>(a + b) })
//!     .register_blocking("Files", "size", |path: String| -> Result<u64, std::io::Error> {
//!         Ok(std::fs::metadata(path)?.len())
//!     });
//! functions.check()?;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let runtime = tokio::runtime::Handle::current();
//! let greet = functions.get("UserService", "greet").expect("a registered function");
//! let info = RequestInfo::new("r-1", Some("Bob".into()), None);
//! let outcome = greet.call(Call::new(vec![json!("Ann")], info, runtime)).await;
//! assert!(matches!(outcome, Ok(Outcome::Value(text)) if text == "Hello Ann, says Bob"));
//! # });
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod api_function;
mod blocking;
mod call;
mod error;
mod finite;
mod handler;
mod outcome;
mod parameter;
mod registry;
mod state;
mod stream_handle;
#[cfg(test)]
mod tests;

use futures_core::future::BoxFuture;
use serde_json::Value;

pub(crate) use self::blocking::WaitsForThread;
pub(crate) use self::stream_handle::{StreamCloser, stream_within};
pub use self::{
    api_function::ApiFunction,
    call::{Call, RequestInfo},
    error::{FunctionError, FunctionErrorKind},
    handler::{BlockingHandler, Handler, StreamItem, StreamingHandler},
    outcome::Outcome,
    parameter::{Arguments, Parameter},
    registry::{Functions, FunctionsError},
    state::{State, StateType},
    stream_handle::{
        StreamClosed, StreamEvent, StreamEvents, StreamHandle, StreamId, stream_channel,
    },
};

/// A function that the engine can call.
///
/// [`Functions`] makes one of each typed function. Implement it for what calls on something else, such as a script or a
/// foreign service, and add it with [`Functions::register_function`].
pub trait Function: Send + Sync {
    /// Begins a call. A panic here or in the future fails this call only.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Outcome, FunctionError>>;

    /// Whether the function looks at [`Call::info`]; where it is false, the caller may leave the info empty to save
    /// copies. True unless overridden.
    fn needs_info(&self) -> bool {
        true
    }

    /// How many arguments of a call the function takes; `None` where it takes any number, or does not say. Typed functions say it.
    fn arity(&self) -> Option<usize> {
        None
    }

    /// Whether the function can take these arguments, asked before a call that is acknowledged or waits for a place. `names`
    /// are those of [`Call::with_arg_names`]. Typed functions try to read them; true unless overridden.
    ///
    /// # Errors
    /// Which argument it cannot take ([`FunctionError::invalid_argument`]).
    fn check(&self, args: &[Value], names: Option<&[String]>) -> Result<(), FunctionError> {
        let _ = (args, names);
        Ok(())
    }
}

//! From the arguments of a call to the typed parameters of a function.

use std::{any::Any, slice, sync::Arc, vec};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    call::{ALL_IN_ONE, Call, RequestInfo, name_at},
    error::FunctionError,
    handler::Context,
    state::StateType,
    stream_handle::StreamHandle,
};
use crate::arguments::{Mismatch, decode};

/// What a typed function can take as a parameter.
///
/// - Every `Deserialize` type without borrowed data: it takes the next argument of the call. A struct takes the one map
///   of a config with `arg_orders: "map"`; an `Option` accepts null.
/// - [`RequestInfo`], [`StreamHandle`] and [`State<T>`](super::State), in any position: they take no argument.
///
/// An embedder can write more of the second sort, for types that are not `Deserialize`:
///
/// ```
/// use gen_api::function::{Arguments, FunctionError, Parameter, RequestInfo};
///
/// /// The verified user; a call without one fails.
/// struct CurrentUser(String);
///
/// impl Parameter for CurrentUser {
///     fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
///         let user = arguments.info().user_id.clone();
///         user.map(Self).ok_or_else(|| FunctionError::public("please log in"))
///     }
/// }
///
/// async fn greet(user: CurrentUser, greeting: String) -> Result<String, FunctionError> {
///     Ok(format!("{greeting}, {}", user.0))
/// }
/// # gen_api::function::Functions::new().register("Users", "greet", greet);
/// ```
pub trait Parameter: Sized + 'static {
    /// How many arguments of the call it takes: the function's arity is the sum over its parameters.
    const ARGUMENTS: usize = 0;

    /// Whether it reads [`Arguments::info`], which is filled in only for functions that do.
    const NEEDS_INFO: bool = true;

    /// The shared state it needs, so that a missing one is found before the first call.
    #[must_use]
    fn needs_state() -> Option<StateType> {
        None
    }

    /// Looks at the arguments that it would take, without taking them, before the call is acknowledged or waits for a place.
    /// Passes over them unless overridden.
    ///
    /// # Errors
    /// Which of them it cannot take.
    #[doc(hidden)]
    fn check(arguments: &mut Offered<'_>) -> Result<(), FunctionError> {
        arguments.skip(Self::ARGUMENTS);
        Ok(())
    }

    /// Takes the parameter out of the call.
    ///
    /// # Errors
    /// Why the function cannot be called like this.
    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError>;
}

impl<T: DeserializeOwned + 'static> Parameter for T {
    const ARGUMENTS: usize = 1;
    const NEEDS_INFO: bool = false;

    fn check(arguments: &mut Offered<'_>) -> Result<(), FunctionError> {
        arguments.check_next::<T>()
    }

    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
        arguments.next_value()
    }
}

impl Parameter for RequestInfo {
    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
        Ok(arguments.info.clone())
    }
}

impl Parameter for StreamHandle {
    const NEEDS_INFO: bool = false;

    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
        let function = arguments.function;
        arguments.stream.clone().ok_or_else(|| {
            FunctionError::failed(format_args!(
                "{function} takes a stream handle, so its config needs the response type \"stream\""
            ))
        })
    }
}

/// What is left of a call while the parameters of a typed function are taken out of it, one after another.
pub struct Arguments<'a> {
    function: &'a Context,
    values: vec::IntoIter<Value>,
    given: usize,
    info: RequestInfo,
    /// The request info is still to come, as the last argument.
    info_follows: bool,
    stream: Option<StreamHandle>,
    runtime: Handle,
    names: Option<Arc<[String]>>,
}

impl<'a> Arguments<'a> {
    /// Opens a call of a function that takes `arity` arguments.
    pub(super) fn open(
        function: &'a Context,
        arity: usize,
        mut call: Call,
    ) -> Result<Self, FunctionError> {
        let names = call.take_arg_names();
        let given = call.args.len();
        let arguments = Self {
            function,
            values: call.args.into_iter(),
            given,
            info: call.info,
            info_follows: call.append_info,
            stream: call.stream,
            runtime: call.runtime,
            names,
        };
        // An appended info fills a parameter that has no other argument, and is left out where there is none.
        let most = given + usize::from(call.append_info);
        if (given..=most).contains(&arity) {
            Ok(arguments)
        } else {
            Err(arguments.wrong_count(arity))
        }
    }

    /// Takes the next argument, as a value of type `T`.
    ///
    /// # Errors
    /// Of the kind [`InvalidArgument`](super::FunctionErrorKind::InvalidArgument) when the request's argument is no `T`; of the
    /// kind [`Arguments`](super::FunctionErrorKind::Arguments) when there is none left, or a predefined one is no `T`. The text
    /// says which one it is.
    pub fn next_value<T: DeserializeOwned + 'static>(&mut self) -> Result<T, FunctionError> {
        let index = self.given - self.values.len();
        match self.values.next() {
            Some(value) => from_value(value).map_err(|mismatch| {
                let name = name_at(self.names.as_deref(), self.given, index);
                wrong_value(self.function, index, name, mismatch)
            }),
            None if self.info_follows => {
                self.info_follows = false;
                from_value(self.info.clone().into_value())
                    .map_err(|mismatch| wrong_value(self.function, index, None, mismatch))
            }
            None => Err(FunctionError::arguments(format_args!(
                "{}: argument {} is missing",
                self.function,
                index + 1
            ))),
        }
    }

    /// Who asks.
    #[must_use]
    pub fn info(&self) -> &RequestInfo {
        &self.info
    }

    /// The stream to feed, in a call that opens one.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamHandle> {
        self.stream.as_ref()
    }

    /// The runtime for the function's timers, input and output, and blocking work.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The shared state of type `T`.
    ///
    /// # Errors
    /// When [`Functions::state`](super::Functions::state) was never given a `T`; the text names it.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<T, FunctionError> {
        self.function.states.get().ok_or_else(|| {
            FunctionError::failed(format_args!(
                "{} needs a shared state of type `{}`, which was not registered",
                self.function,
                StateType::of::<T>()
            ))
        })
    }

    #[cold]
    fn wrong_count(&self, arity: usize) -> FunctionError {
        let (function, given) = (self.function, self.given);
        let arguments = if arity == 1 { "argument" } else { "arguments" };
        let counts = format!("{function} takes {arity} {arguments}, the call has {given}");
        FunctionError::arguments(if given > arity {
            format!("{counts}: {} is too much", self.place(arity))
        } else {
            format!("{counts}: {} is missing", self.place(given))
        })
    }

    fn place(&self, index: usize) -> String {
        match name_at(self.names.as_deref(), self.given, index) {
            Some(name) if name != ALL_IN_ONE => format!("argument {} ({name:?})", index + 1),
            _ => format!("argument {}", index + 1),
        }
    }
}

/// The arguments of a call that is to come, looked at one after another.
pub struct Offered<'a> {
    function: &'a Context,
    values: slice::Iter<'a, Value>,
    given: usize,
    names: Option<&'a [String]>,
}

impl<'a> Offered<'a> {
    pub(super) fn new(
        function: &'a Context,
        args: &'a [Value],
        names: Option<&'a [String]>,
    ) -> Self {
        Self {
            function,
            values: args.iter(),
            given: args.len(),
            names,
        }
    }

    fn check_next<T: DeserializeOwned>(&mut self) -> Result<(), FunctionError> {
        let index = self.given - self.values.len();
        match self.values.next() {
            Some(value) => decode::<T>(value).map(drop).map_err(|mismatch| {
                let name = name_at(self.names, self.given, index);
                wrong_value(self.function, index, name, mismatch)
            }),
            // The request info, or a count that the call itself complains of.
            None => Ok(()),
        }
    }

    fn skip(&mut self, arguments: usize) {
        for _ in 0..arguments {
            self.values.next();
        }
    }
}

/// What the request sent is the caller's mistake, what has no name is the config's.
#[cold]
fn wrong_value(
    function: &Context,
    index: usize,
    name: Option<&str>,
    mismatch: Mismatch,
) -> FunctionError {
    match name {
        Some(ALL_IN_ONE) => FunctionError::of_argument(&mismatch.of_map()),
        Some(name) => FunctionError::of_argument(&mismatch.of(name)),
        None => {
            let what = mismatch.of("").what;
            FunctionError::arguments(format_args!("{function}: argument {}: {what}", index + 1))
        }
    }
}

/// Like [`serde_json::from_value`], but a function that takes any JSON or a text gets the value itself, not a copy.
fn from_value<T: DeserializeOwned + 'static>(value: Value) -> Result<T, Mismatch> {
    match value {
        Value::String(text) => same(text).or_else(|text| whole(Value::String(text))),
        value => whole(value),
    }
}

fn whole<T: DeserializeOwned + 'static>(value: Value) -> Result<T, Mismatch> {
    same(value).or_else(|value| decode(&value))
}

/// The value itself, where it is a `T`.
fn same<A: Default + 'static, T: 'static>(value: A) -> Result<T, A> {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    match any.downcast_mut::<Option<T>>().and_then(Option::take) {
        Some(value) => Ok(value),
        None => Err(value.unwrap_or_default()),
    }
}

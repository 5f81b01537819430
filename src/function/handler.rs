//! Typed functions: what may be registered, and how a call becomes a call of it.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use futures_core::{Stream, future::BoxFuture};
use futures_util::{FutureExt, StreamExt, TryFutureExt, future};
use serde::Serialize;
use serde_json::Value;

use super::{
    Function,
    blocking::BlockingTask,
    call::Call,
    error::FunctionError,
    outcome::{self, Outcome},
    parameter::{Arguments, Offered, Parameter},
    state::{StateType, States},
};

/// An async function or closure that can be [registered](super::Functions::register).
///
/// It takes up to eight [parameters](Parameter), and its future is `Send` and ends in a `Result<T, E>`: `T` is
/// `Serialize`, `E` turns into a [`FunctionError`], as everything with a `Display` does.
///
/// ```
/// use gen_api::function::{FunctionError, Functions};
///
/// async fn add(a: i64, b: i64) -> Result<i64, FunctionError> {
///     a.checked_add(b).ok_or_else(|| FunctionError::public("too large"))
/// }
/// Functions::new().register("Math", "add", add);
/// ```
///
/// The compiler refuses a borrowed parameter, since arguments belong to their call:
///
/// ```compile_fail
/// use gen_api::function::{FunctionError, Functions};
///
/// async fn length(text: &str) -> Result<usize, FunctionError> {
///     Ok(text.len())
/// }
/// Functions::new().register("Text", "length", length);
/// ```
///
/// a parameter that is neither `Deserialize` nor one of ours:
///
/// ```compile_fail,E0277
/// use gen_api::function::{FunctionError, Functions};
///
/// struct Text(String);
///
/// async fn length(text: Text) -> Result<usize, FunctionError> {
///     Ok(text.0.len())
/// }
/// Functions::new().register("Text", "length", length);
/// ```
///
/// and an answer that is no `Result`:
///
/// ```compile_fail,E0271
/// use gen_api::function::Functions;
///
/// async fn length(text: String) -> usize {
///     text.len()
/// }
/// Functions::new().register("Text", "length", length);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as an async API function",
    label = "no async API function",
    note = "it takes 0 to 8 parameters: owned `Deserialize` types, `RequestInfo`, `StreamHandle`, `State<T>`",
    note = "it is an `async fn`, or a closure with an `async move` block, that returns `Result<T, E>` with `T: Serialize` and `E: Display`, and its future is `Send`",
    note = "a function that is not async is registered with `register_blocking`"
)]
pub trait Handler<Marker>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_function(self, context: Context) -> Registered;
}

/// A plain function or closure that can be [registered as blocking](super::Functions::register_blocking).
///
/// It takes what a [`Handler`] takes and returns a `Result<T, E>` like one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as a blocking API function",
    label = "no blocking API function",
    note = "it is no `async fn`, takes 0 to 8 parameters (owned `Deserialize` types, `RequestInfo`, `StreamHandle`, `State<T>`) and returns `Result<T, E>` with `T: Serialize` and `E: Display`"
)]
pub trait BlockingHandler<Marker>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_function(self, context: Context) -> Registered;
}

/// An async function or closure that answers with a Rust `Stream` and can be
/// [registered as such](super::Functions::register_stream).
///
/// It takes what a [`Handler`] takes; its future ends in a `Result<S, E>`, where `S` is a `Send` stream of
/// `Result<T, E2>` with `T: Serialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as a streaming API function",
    label = "no streaming API function",
    note = "it is an `async fn` with 0 to 8 parameters (owned `Deserialize` types, `RequestInfo`, `State<T>`) that returns `Result<impl Stream<Item = Result<T, E>>, E2>` with `T: Serialize` and `E, E2: Display`"
)]
pub trait StreamingHandler<Marker>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_function(self, context: Context) -> Registered;
}

/// What a stream of results consists of: each item is a `Result<T, E>`, whose first error ends the stream.
#[diagnostic::on_unimplemented(
    message = "the items of a stream must be `Result<T, E>`, not `{Self}`",
    label = "this stream has other items",
    note = "wrap each item, as in `stream.map(Ok::<_, gen_api::function::FunctionError>)`; `T: Serialize` and `E: Display`"
)]
pub trait StreamItem: Send {
    #[doc(hidden)]
    fn into_value(self) -> Result<Value, FunctionError>;
}

impl<T, E> StreamItem for Result<T, E>
where
    T: Serialize + Send + 'static,
    E: Into<FunctionError> + Send + 'static,
{
    fn into_value(self) -> Result<Value, FunctionError> {
        outcome::to_value(self.map_err(Into::into)?)
    }
}

/// A function made of a handler, and the shared states without which it cannot be called.
pub struct Registered {
    pub(super) function: Arc<dyn Function>,
    pub(super) needs: Vec<StateType>,
}

/// What a typed function knows of its registry. It prints as the function's name, for error texts.
pub struct Context {
    pub(super) module: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) states: Arc<States>,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

impl<H, Params, Fut, T, E> Handler<Params> for H
where
    H: Callable<Params, Output = Fut>,
    Params: 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Serialize + 'static,
    E: Into<FunctionError> + 'static,
{
    fn into_function(self, context: Context) -> Registered {
        Typed::register(self, context, |typed, call| match typed.invoke(call) {
            Ok(future) => future
                .map(|result| outcome::of(result.map_err(Into::into)?))
                .boxed(),
            Err(error) => future::ready(Err(error)).boxed(),
        })
    }
}

impl<H, Params, T, E> BlockingHandler<Params> for H
where
    H: Callable<Params, Output = Result<T, E>>,
    Params: 'static,
    T: Serialize + 'static,
    E: Into<FunctionError> + 'static,
{
    fn into_function(self, context: Context) -> Registered {
        Typed::register(self, context, |typed, mut call| {
            let typed = Arc::clone(typed);
            let runtime = call.runtime.clone();
            let pool = call.take_blocking_pool();
            BlockingTask::new(runtime, pool, move || {
                outcome::of(typed.invoke(call)?.map_err(Into::into)?)
            })
            .boxed()
        })
    }
}

impl<H, Params, Fut, S, E> StreamingHandler<Params> for H
where
    H: Callable<Params, Output = Fut>,
    Params: 'static,
    Fut: Future<Output = Result<S, E>> + Send + 'static,
    S: Stream + Send + 'static,
    S::Item: StreamItem,
    E: Into<FunctionError> + 'static,
{
    fn into_function(self, context: Context) -> Registered {
        Typed::register(self, context, |typed, call| match typed.invoke(call) {
            Ok(future) => future
                .map(|result| {
                    let results = result.map_err(Into::into)?;
                    let values = results.map(StreamItem::into_value);
                    Ok(Outcome::Stream(values.boxed()))
                })
                .boxed(),
            Err(error) => future::ready(Err(error)).boxed(),
        })
    }
}

/// What runs a call of a typed function, in the way of its sort of handler.
type Run<H, Params> =
    fn(&Arc<Typed<H, Params>>, Call) -> BoxFuture<'static, Result<Outcome, FunctionError>>;

/// A handler with what its calls need.
struct Typed<H, Params> {
    handler: H,
    context: Context,
    params: PhantomData<fn(Params)>,
}

impl<H: Callable<Params>, Params: 'static> Typed<H, Params> {
    fn register(handler: H, context: Context, run: Run<H, Params>) -> Registered {
        let typed = Arc::new(Self {
            handler,
            context,
            params: PhantomData,
        });
        Registered {
            function: Arc::new(TypedFunction { typed, run }),
            needs: H::needs_states(),
        }
    }

    fn invoke(&self, call: Call) -> Result<H::Output, FunctionError> {
        let mut arguments = Arguments::open(&self.context, H::ARITY, call)?;
        self.handler.invoke(&mut arguments)
    }
}

struct TypedFunction<H, Params> {
    typed: Arc<Typed<H, Params>>,
    run: Run<H, Params>,
}

impl<H: Callable<Params>, Params: 'static> Function for TypedFunction<H, Params> {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Outcome, FunctionError>> {
        let Some(stream) = call.stream.clone() else {
            return (self.run)(&self.typed, call);
        };
        let answer = (self.run)(&self.typed, call);
        answer.map_ok(|outcome| stream.returned(outcome)).boxed()
    }

    fn needs_info(&self) -> bool {
        H::NEEDS_INFO
    }

    fn arity(&self) -> Option<usize> {
        Some(H::ARITY)
    }

    fn check(&self, args: &[Value], names: Option<&[String]>) -> Result<(), FunctionError> {
        H::check(&mut Offered::new(&self.typed.context, args, names))
    }
}

/// Anything with a call operator whose parameters can be taken from a call; `Params` is the tuple of their types.
pub trait Callable<Params>: Send + Sync + 'static {
    type Output;
    /// How many arguments of the call it takes.
    const ARITY: usize;
    const NEEDS_INFO: bool;

    fn needs_states() -> Vec<StateType>;

    fn check(arguments: &mut Offered<'_>) -> Result<(), FunctionError>;

    fn invoke(&self, arguments: &mut Arguments<'_>) -> Result<Self::Output, FunctionError>;
}

macro_rules! callable {
    ($($param:ident),*) => {
        impl<F, Out, $($param),*> Callable<($($param,)*)> for F
        where
            F: Fn($($param),*) -> Out + Send + Sync + 'static,
            $($param: Parameter,)*
        {
            type Output = Out;
            const ARITY: usize = 0 $(+ $param::ARGUMENTS)*;
            const NEEDS_INFO: bool = false $(|| $param::NEEDS_INFO)*;

            fn needs_states() -> Vec<StateType> {
                let needs: [Option<StateType>; _] = [$($param::needs_state()),*];
                needs.into_iter().flatten().collect()
            }

            fn check(_arguments: &mut Offered<'_>) -> Result<(), FunctionError> {
                $($param::check(_arguments)?;)*
                Ok(())
            }

            fn invoke(&self, _arguments: &mut Arguments<'_>) -> Result<Out, FunctionError> {
                Ok(self($($param::take(_arguments)?),*))
            }
        }
    };
}

callable!();
callable!(P1);
callable!(P1, P2);
callable!(P1, P2, P3);
callable!(P1, P2, P3, P4);
callable!(P1, P2, P3, P4, P5);
callable!(P1, P2, P3, P4, P5, P6);
callable!(P1, P2, P3, P4, P5, P6, P7);
callable!(P1, P2, P3, P4, P5, P6, P7, P8);

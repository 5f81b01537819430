//! The registry of functions.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    sync::Arc,
};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use serde_json::Value;
use thiserror::Error;

use super::{
    Function,
    call::Call,
    error::FunctionError,
    handler::{BlockingHandler, Context, Handler, Registered, StreamingHandler},
    outcome::Outcome,
    state::{StateType, States},
};

/// The functions that configs can name, by module and name: built once, then shared as `Arc<Functions>`.
///
/// See the [module's page](super) for an example.
#[derive(Default)]
pub struct Functions {
    modules: HashMap<Arc<str>, HashMap<Arc<str>, Registered>>,
    duplicates: Vec<(Arc<str>, Arc<str>)>,
    states: Arc<States>,
    /// Those of the registries that were merged into this one, whose functions look there.
    merged: Vec<Arc<States>>,
}

impl Functions {
    /// A registry without functions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an async function or closure; see [`Handler`] for what it may look like.
    ///
    /// Of two functions with the same module and name the first stays, and [`check`](Self::check) reports it.
    #[must_use]
    pub fn register<H, Marker>(
        self,
        module: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        handler: H,
    ) -> Self
    where
        H: Handler<Marker>,
    {
        self.add(module.into(), name.into(), |context| {
            handler.into_function(context)
        })
    }

    /// Adds a function that blocks its thread; each call runs on a thread of its own, of which there are as many as the
    /// [setting](crate::Settings::blocking_pool) `blocking_pool` allows; without a free one the client is told to try again.
    ///
    /// Its timeout ends the waiting and answers with an error, but cannot stop work that has begun. To send to a
    /// [`StreamHandle`](super::StreamHandle) from it, use `tokio::runtime::Handle::current().block_on(..)`.
    #[must_use]
    pub fn register_blocking<H, Marker>(
        self,
        module: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        handler: H,
    ) -> Self
    where
        H: BlockingHandler<Marker>,
    {
        self.add(module.into(), name.into(), |context| {
            handler.into_function(context)
        })
    }

    /// Adds an async function that answers with a Rust `Stream`; see [`StreamingHandler`].
    #[must_use]
    pub fn register_stream<H, Marker>(
        self,
        module: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        handler: H,
    ) -> Self
    where
        H: StreamingHandler<Marker>,
    {
        self.add(module.into(), name.into(), |context| {
            handler.into_function(context)
        })
    }

    /// Adds a function over JSON that takes any number of arguments.
    ///
    /// It gets the [`Call`] as it is; [`Call::into_args`] is the whole list, with the request info where the config
    /// asks for it. A null answer is a value like any other: in a stream it is a chunk.
    #[must_use]
    pub fn register_raw<F, Fut>(
        self,
        module: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        function: F,
    ) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, FunctionError>> + Send + 'static,
    {
        self.register_function(module, name, Raw(function))
    }

    /// Adds a function that implements [`Function`] itself.
    #[must_use]
    pub fn register_function(
        self,
        module: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        function: impl Function + 'static,
    ) -> Self {
        self.add(module.into(), name.into(), |_context| Registered {
            function: Arc::new(function),
            needs: Vec::new(),
        })
    }

    /// Provides the value that functions get as [`State<T>`](super::State), whether they are registered before or after.
    ///
    /// There is one value of a type: a second one replaces the first.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        for states in &self.merged {
            states.insert(value.clone());
        }
        self.states.insert(value);
        self
    }

    /// Adds the functions and shared states of another registry.
    ///
    /// Each function gets the states of both. Names that are in both are reported by [`check`](Self::check), and of two states
    /// of one type the other registry's stays.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.merged.push(other.states);
        self.merged.extend(other.merged);
        for states in &self.merged {
            self.states.extend(states);
        }
        for states in &self.merged {
            states.extend(&self.states);
        }
        self.duplicates.extend(other.duplicates);
        for (module, functions) in other.modules {
            let known = self.modules.entry(Arc::clone(&module)).or_default();
            for (name, function) in functions {
                match known.entry(name) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(function);
                    }
                    Entry::Occupied(taken) => {
                        let name = Arc::clone(taken.key());
                        self.duplicates.push((Arc::clone(&module), name));
                    }
                }
            }
        }
        self
    }

    /// The function of this module and name.
    #[must_use]
    pub fn get(&self, module: &str, name: &str) -> Option<&Arc<dyn Function>> {
        let registered = self.modules.get(module)?.get(name)?;
        Some(&registered.function)
    }

    /// Module and name of every function, in order.
    #[must_use]
    pub fn names(&self) -> Vec<(&str, &str)> {
        let mut names: Vec<_> = self
            .modules
            .iter()
            .flat_map(|(module, names)| names.keys().map(move |name| (&**module, &**name)))
            .collect();
        names.sort_unstable();
        names
    }

    /// Module and name of each function that was registered although they were taken.
    #[must_use]
    pub fn duplicates(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.duplicates
    }

    /// Looks for what would only show in a call: duplicates, and shared states that nobody provided.
    ///
    /// # Errors
    /// The first fault, duplicates before states, in the order of names.
    pub fn check(&self) -> Result<(), FunctionsError> {
        if let Some((module, function)) = self.duplicates.first() {
            return Err(FunctionsError::Duplicate {
                module: Arc::clone(module),
                function: Arc::clone(function),
            });
        }
        let missing = self.modules.iter().flat_map(|(module, names)| {
            names.iter().flat_map(move |(function, registered)| {
                let missing = registered
                    .needs
                    .iter()
                    .filter(|state| !self.states.contains(**state));
                missing.map(move |state| (module, function, *state))
            })
        });
        match missing.min_by_key(|(module, function, _)| (*module, *function)) {
            None => Ok(()),
            Some((module, function, state)) => Err(FunctionsError::MissingState {
                module: Arc::clone(module),
                function: Arc::clone(function),
                state,
            }),
        }
    }

    fn add(
        mut self,
        module: Arc<str>,
        name: Arc<str>,
        make: impl FnOnce(Context) -> Registered,
    ) -> Self {
        let names = self.modules.entry(Arc::clone(&module)).or_default();
        if names.contains_key(&name) {
            self.duplicates.push((module, name));
            return self;
        }
        let context = Context {
            module,
            name: Arc::clone(&name),
            states: Arc::clone(&self.states),
        };
        names.insert(name, make(context));
        self
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions")
            .field("names", &self.names())
            .field("duplicates", &self.duplicates)
            .finish_non_exhaustive()
    }
}

/// Why a registry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FunctionsError {
    /// A module has two functions of one name.
    #[error("the function {module}.{function} is registered twice")]
    Duplicate {
        /// The module.
        module: Arc<str>,
        /// The function's name.
        function: Arc<str>,
    },
    /// A function takes a [`State`](super::State) that [`Functions::state`] was never given.
    #[error(
        "the function {module}.{function} needs a shared state of type `{state}`: provide it with `Functions::state`"
    )]
    MissingState {
        /// The module.
        module: Arc<str>,
        /// The function's name.
        function: Arc<str>,
        /// The type that it asks for.
        state: StateType,
    },
}

struct Raw<F>(F);

impl<F, Fut> Function for Raw<F>
where
    F: Fn(Call) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Value, FunctionError>> + Send + 'static,
{
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Outcome, FunctionError>> {
        (self.0)(call)
            .map(|result| result.map(Outcome::Value))
            .boxed()
    }
}

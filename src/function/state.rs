//! What functions share: a database pool, a client, a cache.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::{
    error::FunctionError,
    parameter::{Arguments, Parameter},
};

/// A parameter that gives a function a clone of the shared value of type `T`.
///
/// The value comes from [`Functions::state`](super::Functions::state); it should be cheap to clone, such as an `Arc` or
/// a pool's handle. A function that asks for a state nobody provided is reported by
/// [`Functions::check`](super::Functions::check), and fails when it is called.
///
/// ```
/// use std::sync::Arc;
/// use gen_api::function::{FunctionError, Functions, State};
///
/// struct Database;
///
/// async fn get_user(id: u64, State(_database): State<Arc<Database>>) -> Result<u64, FunctionError> {
///     Ok(id)
/// }
///
/// let functions = Functions::new()
///     .register("UserService", "get_user", get_user)
///     .state(Arc::new(Database));
/// assert!(functions.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Parameter for State<T> {
    const NEEDS_INFO: bool = false;

    fn needs_state() -> Option<StateType> {
        Some(StateType::of::<T>())
    }

    fn take(arguments: &mut Arguments<'_>) -> Result<Self, FunctionError> {
        arguments.state().map(Self)
    }
}

/// The type of a shared state; prints as the type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateType {
    id: TypeId,
    name: &'static str,
}

impl StateType {
    /// The state of type `T`.
    #[must_use]
    pub fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: type_name::<T>(),
        }
    }
}

impl fmt::Display for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

type Map = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// The shared values by type. A registered function holds it from its registration on, values may come later; calls
/// read it without a lock.
#[derive(Default)]
pub(super) struct States(ArcSwap<Map>);

impl States {
    pub(super) fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        self.0.rcu(|states| {
            let mut states = Map::clone(states);
            states.insert(TypeId::of::<T>(), Arc::clone(&value));
            states
        });
    }

    /// Takes over what another one has.
    pub(super) fn extend(&self, other: &Self) {
        let other = other.0.load();
        self.0.rcu(|states| {
            let mut states = Map::clone(states);
            let others = other.iter().map(|(id, value)| (*id, Arc::clone(value)));
            states.extend(others);
            states
        });
    }

    pub(super) fn get<T: Clone + 'static>(&self) -> Option<T> {
        let states = self.0.load();
        let value = states.get(&TypeId::of::<T>())?;
        value.downcast_ref::<T>().cloned()
    }

    pub(super) fn contains(&self, state: StateType) -> bool {
        self.0.load().contains_key(&state.id)
    }
}

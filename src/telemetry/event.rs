//! The events: one enum a family, and [`Event`] around them.
//!
//! Events borrow what they tell of, so that making one allocates nothing; a handler copies what it wants to keep.

mod config;
mod executor;
mod hook;
mod rate_limiter;
mod relay;
mod stream;
mod supervisor;
mod tags;
mod worker_pool;

pub use self::{
    config::ConfigEvent,
    executor::{ExecutorEvent, Outcome},
    hook::{HookCall, HookEvent, HookPhase},
    rate_limiter::RateLimiterEvent,
    relay::{LeaveCause, RelayEvent},
    stream::{StreamEnd, StreamEvent},
    supervisor::SupervisorEvent,
    tags::{ExceptionKind, Reason, RequestTags},
    worker_pool::{Rejection, TaskOutcome, WorkerPoolEvent},
};

/// A group of events that one part of the engine emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Family {
    /// The way of a request: [`ExecutorEvent`].
    Executor,
    /// Rate limits: [`RateLimiterEvent`].
    RateLimiter,
    /// Hooks: [`HookEvent`].
    Hook,
    /// Worker pools and their circuits: [`WorkerPoolEvent`].
    WorkerPool,
    /// Changes of the configs, by hand, pull and push: [`ConfigEvent`].
    Config,
    /// Streams: [`StreamEvent`].
    Stream,
    /// The engine's actors: [`SupervisorEvent`].
    Supervisor,
    /// Relay groups: [`RelayEvent`].
    Relay,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 8] = [
        Self::Executor,
        Self::RateLimiter,
        Self::Hook,
        Self::WorkerPool,
        Self::Config,
        Self::Stream,
        Self::Supervisor,
        Self::Relay,
    ];

    /// The names of its events.
    #[must_use]
    pub fn event_names(self) -> &'static [&'static str] {
        match self {
            Self::Executor => executor::NAMES,
            Self::RateLimiter => rate_limiter::NAMES,
            Self::Hook => hook::NAMES,
            Self::WorkerPool => worker_pool::NAMES,
            Self::Config => config::NAMES,
            Self::Stream => stream::NAMES,
            Self::Supervisor => supervisor::NAMES,
            Self::Relay => relay::NAMES,
        }
    }
}

/// Something that happened in the engine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// On the way of a request.
    Executor(ExecutorEvent<'a>),
    /// At the rate limits.
    RateLimiter(RateLimiterEvent<'a>),
    /// Around a hook.
    Hook(HookEvent<'a>),
    /// In a worker pool.
    WorkerPool(WorkerPoolEvent<'a>),
    /// To the configs.
    Config(ConfigEvent<'a>),
    /// To a stream.
    Stream(StreamEvent<'a>),
    /// To an actor of the engine.
    Supervisor(SupervisorEvent<'a>),
    /// To a relay group.
    Relay(RelayEvent<'a>),
}

impl Event<'_> {
    /// Its name, such as `gen_api.request.stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Executor(event) => event.name(),
            Self::RateLimiter(event) => event.name(),
            Self::Hook(event) => event.name(),
            Self::WorkerPool(event) => event.name(),
            Self::Config(event) => event.name(),
            Self::Stream(event) => event.name(),
            Self::Supervisor(event) => event.name(),
            Self::Relay(event) => event.name(),
        }
    }

    /// The family it belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Executor(_) => Family::Executor,
            Self::RateLimiter(_) => Family::RateLimiter,
            Self::Hook(_) => Family::Hook,
            Self::WorkerPool(_) => Family::WorkerPool,
            Self::Config(_) => Family::Config,
            Self::Stream(_) => Family::Stream,
            Self::Supervisor(_) => Family::Supervisor,
            Self::Relay(_) => Family::Relay,
        }
    }
}

macro_rules! event_from_its_family {
    ($($family:ident($event:ident)),+ $(,)?) => {$(
        impl<'a> From<$event<'a>> for Event<'a> {
            fn from(event: $event<'a>) -> Self {
                Self::$family(event)
            }
        }
    )+};
}

event_from_its_family!(
    Executor(ExecutorEvent),
    RateLimiter(RateLimiterEvent),
    Hook(HookEvent),
    WorkerPool(WorkerPoolEvent),
    Config(ConfigEvent),
    Stream(StreamEvent),
    Supervisor(SupervisorEvent),
    Relay(RelayEvent),
);

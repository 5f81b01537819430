//! What happens in the engine, told to whoever wants to hear it: typed [`Event`]s for attached handlers, `tracing` spans,
//! and with the feature `metrics` counters and histograms (specification, section 16).
//!
//! ```
//! use gen_api::telemetry::{Event, ExecutorEvent, Filter, Telemetry};
//!
//! let telemetry = Telemetry::new();
//! telemetry.attach("slow requests", Filter::named("gen_api.request.stop"), |event| {
//!     if let Event::Executor(ExecutorEvent::RequestStop { request, duration, .. }) = event
//!         && duration.as_millis() > 500
//!     {
//!         eprintln!("{} took {duration:?}", request.request_type);
//!     }
//! })?;
//! assert!(telemetry.detach("slow requests"));
//! # Ok::<(), gen_api::telemetry::AlreadyAttached>(())
//! ```
//!
//! The engine's own is [`GenApi::telemetry`](crate::GenApi::telemetry). Handlers that shall hear of the start too are
//! attached to one that is given to [`GenApiBuilder::telemetry`](crate::GenApiBuilder::telemetry).
//!
//! # Handlers
//!
//! A handler is called on the thread on which something happens, so it must be quick and must not block; what takes time
//! belongs behind a channel. Handlers are called in the order in which they were attached. One that panics is detached,
//! and the panic is logged. A handler may attach and detach handlers, itself included. One that was detached hears nothing
//! more, except on threads that are calling it at that moment. A handler does not hear what it causes itself on its thread:
//! one that makes a request hears nothing of that.
//!
//! An event that nobody listens to costs one relaxed atomic load: it is not even made, and the clock is not read for it.
//! So a request that began before a handler was attached has no `stop` for that handler.
//!
//! # Events
//!
//! | name | event | when |
//! |---|---|---|
//! | `gen_api.request.start` | [`ExecutorEvent::RequestStart`] | a request comes in |
//! | `gen_api.request.stop` | [`ExecutorEvent::RequestStop`] | it is answered, accepted or refused |
//! | `gen_api.request.exception` | [`ExecutorEvent::RequestException`] | its way broke |
//! | `gen_api.request.cancelled` | [`ExecutorEvent::RequestCancelled`] | nobody waits for it any more |
//! | `gen_api.request.denied` | [`ExecutorEvent::PermissionDenied`] | the permission rule refuses it |
//! | `gen_api.request.retry` | [`ExecutorEvent::Retry`] | its call is made once more |
//! | `gen_api.request.retry_exhausted` | [`ExecutorEvent::RetryExhausted`] | the last retry failed |
//! | `gen_api.rate_limiter.check` | [`RateLimiterEvent::Check`] | a request or key is held against the limits |
//! | `gen_api.rate_limiter.exceeded` | [`RateLimiterEvent::Exceeded`] | a limit refuses |
//! | `gen_api.rate_limiter.reset` | [`RateLimiterEvent::Reset`] | a key's history is forgotten on request |
//! | `gen_api.rate_limiter.cleanup` | [`RateLimiterEvent::Cleanup`] | idle keys are swept away |
//! | `gen_api.hook.before.start`, `gen_api.hook.after.start` | [`HookEvent::Start`] | a hook begins |
//! | `gen_api.hook.before.stop`, `gen_api.hook.after.stop` | [`HookEvent::Stop`] | it has answered |
//! | `gen_api.hook.before.exception`, `gen_api.hook.after.exception` | [`HookEvent::Exception`] | it broke |
//! | `gen_api.hook.before.cancelled`, `gen_api.hook.after.cancelled` | [`HookEvent::Cancelled`] | it was given up with its request |
//! | `gen_api.worker_pool.task.start` | [`WorkerPoolEvent::TaskStart`] | a task gets its place |
//! | `gen_api.worker_pool.task.stop` | [`WorkerPoolEvent::TaskStop`] | it is done |
//! | `gen_api.worker_pool.task.exception` | [`WorkerPoolEvent::TaskException`] | it broke |
//! | `gen_api.worker_pool.task.rejected` | [`WorkerPoolEvent::TaskRejected`] | it was not taken |
//! | `gen_api.worker_pool.circuit.open` | [`WorkerPoolEvent::CircuitOpen`] | too many tasks in a row broke |
//! | `gen_api.worker_pool.circuit.half_open` | [`WorkerPoolEvent::CircuitHalfOpen`] | one is let through on trial |
//! | `gen_api.worker_pool.circuit.close` | [`WorkerPoolEvent::CircuitClose`] | the trial went well |
//! | `gen_api.config.pull.start` | [`ConfigEvent::PullStart`] | the pull of a service begins |
//! | `gen_api.config.pull.stop` | [`ConfigEvent::PullStop`] | it is over |
//! | `gen_api.config.push` | [`ConfigEvent::Push`] | a service node pushes its configs |
//! | `gen_api.config.add` | [`ConfigEvent::Add`] | a config is added or replaced |
//! | `gen_api.config.batch_add` | [`ConfigEvent::BatchAdd`] | several are, in one step |
//! | `gen_api.config.delete` | [`ConfigEvent::Delete`] | a config is forgotten |
//! | `gen_api.config.clear` | [`ConfigEvent::Clear`] | all are |
//! | `gen_api.config.enable` | [`ConfigEvent::Enable`] | a config is switched on |
//! | `gen_api.config.disable` | [`ConfigEvent::Disable`] | a config is switched off |
//! | `gen_api.stream.start` | [`StreamEvent::Start`] | a stream opens |
//! | `gen_api.stream.stop` | [`StreamEvent::Stop`] | it closes, in whichever way |
//! | `gen_api.supervisor.child.started` | [`SupervisorEvent::ChildStarted`] | an actor of the engine runs |
//! | `gen_api.supervisor.child.terminated` | [`SupervisorEvent::ChildTerminated`] | it ended |
//! | `gen_api.supervisor.child.restarted` | [`SupervisorEvent::ChildRestarted`] | it runs again |
//! | `gen_api.supervisor.gave_up` | [`SupervisorEvent::GaveUp`] | a supervisor had too many restarts |
//! | `gen_api.relay.group.created` | [`RelayEvent::Created`] | a relay group is created |
//! | `gen_api.relay.group.deleted` | [`RelayEvent::Deleted`] | it is deleted |
//! | `gen_api.relay.member.joined` | [`RelayEvent::Joined`] | a user joins it, or joins again |
//! | `gen_api.relay.member.left` | [`RelayEvent::Left`] | a member leaves, or his connection ended |
//! | `gen_api.relay.member.accepted` | [`RelayEvent::Accepted`] | a waiting member is accepted |
//! | `gen_api.relay.member.muted` | [`RelayEvent::Muted`] | a member is muted |
//! | `gen_api.relay.member.unmuted` | [`RelayEvent::Unmuted`] | the mute is lifted |
//! | `gen_api.relay.message.sent` | [`RelayEvent::Sent`] | a message went to a group |
//! | `gen_api.relay.cleanup` | [`RelayEvent::Cleanup`] | groups that stood empty are swept away |
//!
//! # Spans
//!
//! Each request runs in a `tracing` span `gen_api.request` of the level `INFO` and the target `gen_api::request`, with the
//! fields `service`, `request_type`, `version`, `request_id`, `response_mode` and `outcome`. The function's own events and
//! spans are inside it, also where the call goes on after the acknowledgement. Where no subscriber wants the span, nothing of
//! it is made; the filter directive `gen_api::request=off` switches it off.

mod event;
mod filter;
mod handlers;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use actix_otp::{Observer, SupervisionEvent};

use self::handlers::Handlers;
pub use self::{
    event::{
        ConfigEvent, Event, ExceptionKind, ExecutorEvent, Family, HookCall, HookEvent, HookPhase,
        LeaveCause, Outcome, RateLimiterEvent, Reason, Rejection, RelayEvent, RequestTags,
        StreamEnd, StreamEvent, SupervisorEvent, TaskOutcome, WorkerPoolEvent,
    },
    filter::Filter,
    handlers::{AlreadyAttached, HandlerInfo},
};

/// The handle on the handlers of one engine: cheap to clone, and usable from any thread. Clones share everything.
#[derive(Clone, Default)]
pub struct Telemetry {
    handlers: Arc<Handlers>,
}

impl Telemetry {
    /// One without handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Attaches a handler under an id that no other handler has; it hears what the filter lets through.
    ///
    /// # Errors
    ///
    /// [`AlreadyAttached`]: the handler with this id stays as it is.
    pub fn attach(
        &self,
        id: impl Into<Arc<str>>,
        filter: impl Into<Filter>,
        handler: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Result<(), AlreadyAttached> {
        let handler = Box::new(handler);
        self.handlers.attach(id.into(), filter.into(), handler)
    }

    /// Detaches a handler; false where none has this id.
    pub fn detach(&self, id: &str) -> bool {
        self.handlers.detach(id)
    }

    /// The attached handlers, in the order in which they are called.
    #[must_use]
    pub fn handlers(&self) -> Vec<HandlerInfo> {
        self.handlers.infos()
    }

    /// Whether some handler may hear events of this family: to be asked before work that only an event needs.
    #[inline]
    #[must_use]
    pub fn listens(&self, family: Family) -> bool {
        self.handlers.listen(family)
    }

    /// Delivers an event of this family to the handlers that want it; where none listens, the event is not made.
    ///
    /// The engine does this for its own events. It is public for parts that an embedder adds, such as supervisors of his
    /// own.
    #[inline]
    pub fn emit<'a, E: Into<Event<'a>>>(&self, family: Family, event: impl FnOnce() -> E) {
        if self.listens(family) {
            self.deliver(family, &event().into());
        }
    }

    #[cold]
    fn deliver(&self, family: Family, event: &Event<'_>) {
        debug_assert_eq!(event.family(), family, "an event of another family");
        debug_assert!(family.event_names().contains(&event.name()));
        self.handlers.deliver(event);
    }

    /// What a supervisor takes as its observer, so that its events are delivered here: see
    /// [`SupervisorSpec::observer`](actix_otp::SupervisorSpec::observer).
    #[must_use]
    pub fn observer(&self) -> impl Observer + use<> {
        let telemetry = self.clone();
        move |event: &SupervisionEvent| {
            if let Some(event) = SupervisorEvent::from_supervision(event) {
                telemetry.emit(Family::Supervisor, || event);
            }
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("handlers", &self.handlers())
            .finish()
    }
}

//! A supervisor for many short-lived children that are started on demand: [`DynamicSupervisor`].
//!
//! Most children are actors made once: such a child is temporary, has no name, and is forgotten when it ends. Its start
//! costs no message to the supervisor, so it is cheap from any thread. A child that is to be restarted comes with a
//! [`ChildSpec`](crate::ChildSpec). All children are stopped at once when the supervisor stops.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{DynamicSupervisorSpec, Strategy, SupervisorSpec};
//!
//! struct Session;
//! impl Actor for Session {
//!     type Context = Context<Self>;
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (spec, sessions) = DynamicSupervisorSpec::new().max_children(10_000).build("sessions");
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
//!
//!     let session = sessions.start_child(|| Session).await?;
//!     assert_eq!(sessions.count(), 1);
//!     session.stop().await;
//!     root.shutdown().await;
//!     Ok(())
//! }
//! ```

mod child;
mod core;
mod error;
mod handle;
mod messages;
mod nursery;
mod seats;
mod spec;

use std::{fmt, future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, ResponseActFuture, Running,
    WrapFuture,
};
use futures_util::future::join;

use self::core::{Core, CoreSettings};
pub use self::{
    child::DynamicChild,
    error::{StartDynamicError, TerminateDynamicError},
    handle::{DynamicHandle, DynamicSupervisorRef},
    spec::DynamicSupervisorSpec,
};
pub(crate) use self::{
    child::Place,
    handle::{Sealed, Target},
    nursery::{Nursery, Position},
};
use crate::{
    child_spec::Shutdown, driver::ExitContext, exit::ExitReason, intensity::Intensity,
    observer::Lineage, shutdown::StopRequest,
};

/// The supervisor of children that come and go. It is made from a [`DynamicSupervisorSpec`] and reached through a
/// [`DynamicSupervisorRef`].
///
/// It restarts its children one for one. Over its [`Intensity`] it stops them all and exits with
/// [`ExitReason::Shutdown`]; the supervisor above decides what that means. No child outlives it, killed or stopped; its
/// successor begins without children.
pub struct DynamicSupervisor {
    shared: Arc<Shared>,
    intensity: Intensity,
    lineage: Lineage,
    state: State,
    /// Made when a stop is asked for; the stop follows the operation under way.
    stop: Rc<StopRequest>,
}

enum State {
    /// Not started yet.
    New,
    /// At rest, ready for the next operation.
    Idle(Box<Core>),
    /// Lent to the operation under way.
    Lent,
    /// The children are stopped.
    Done,
}

/// What the supervisor and its handles share; it outlives the supervisor's incarnations.
struct Shared {
    nursery: Arc<Nursery>,
    shutdown: Shutdown,
    kill_timeout: Duration,
}

impl Shared {
    fn new(spec: &DynamicSupervisorSpec) -> Self {
        Self {
            nursery: Arc::new(Nursery::new(spec.max_children, spec.pool.clone())),
            shutdown: spec.shutdown,
            kill_timeout: spec.kill_timeout,
        }
    }
}

/// An operation on the core, boxed so that actor and message handlers can name it.
type Operation<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

impl DynamicSupervisor {
    fn new(spec: &DynamicSupervisorSpec, shared: Arc<Shared>, lineage: Lineage) -> Self {
        Self {
            shared,
            intensity: spec.intensity,
            lineage,
            state: State::New,
            stop: Rc::default(),
        }
    }

    fn core(&self) -> Option<&Core> {
        match &self.state {
            State::Idle(core) => Some(core),
            _ => None,
        }
    }

    /// Lends the core to an operation, which must be waited for: no message is handled meanwhile.
    ///
    /// `None` where there is nothing to lend, before the start and after the stop.
    fn lend<R: 'static>(
        &mut self,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
    ) -> ResponseActFuture<Self, Option<R>> {
        let lent = std::mem::replace(&mut self.state, State::Lent);
        let work = async move {
            match lent {
                State::Idle(mut core) => {
                    let result = operation(&mut core).await;
                    (State::Idle(core), Some(result))
                }
                other => (other, None),
            }
        };
        Box::pin(work.into_actor(self).map(|(state, result), this, ctx| {
            this.state = state;
            if this.stop.is_made() {
                this.stop_children_and_exit(ctx);
            }
            result
        }))
    }

    fn operate<R: 'static>(
        &mut self,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
        then: impl FnOnce(&mut Self, R, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.wait(self.lend(operation).map(|result, this, ctx| {
            if let Some(result) = result {
                then(this, result, ctx);
            }
        }));
    }

    /// The same for a message with an answer; `unavailable` is the answer when there is nothing to lend.
    fn answer<R: 'static>(
        &mut self,
        unavailable: R,
        operation: impl for<'a> FnOnce(&'a mut Core) -> Operation<'a, R> + 'static,
    ) -> AtomicResponse<Self, R> {
        AtomicResponse::new(Box::pin(
            self.lend(operation)
                .map(|result, _, _| result.unwrap_or(unavailable)),
        ))
    }

    /// The children come first, all at once. Without effect while that is under way.
    fn stop_children_and_exit(&mut self, ctx: &mut Context<Self>) {
        let mut core = match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(core) => core,
            other => {
                self.state = other;
                return;
            }
        };
        let shared = Arc::clone(&self.shared);
        let stop = async move {
            let unnamed = shared
                .nursery
                .stop_all(shared.shutdown, shared.kill_timeout);
            let (unnamed, named) = join(unnamed, core.stop_all()).await;
            unnamed + named
        };
        ctx.wait(stop.into_actor(self).map(|blocked, this, ctx| {
            if blocked > 0 {
                tracing::error!(blocked, "killed children still block their threads");
            }
            this.state = State::Done;
            ctx.exit(ExitReason::Shutdown);
        }));
    }
}

impl Actor for DynamicSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.shared.nursery.open(&self.lineage);
        self.state = State::Idle(Box::new(Core::new(CoreSettings {
            intensity: self.intensity,
            kill_timeout: self.shared.kill_timeout,
            seats: Arc::clone(&self.shared.nursery.seats),
            lineage: self.lineage.clone(),
            exits: ctx.address().recipient(),
            stop: Rc::clone(&self.stop),
        })));
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        match self.state {
            State::Done | State::New => return Running::Stop,
            State::Lent => self.stop.make(),
            State::Idle(_) => self.stop_children_and_exit(ctx),
        }
        Running::Continue
    }
}

impl Drop for DynamicSupervisor {
    fn drop(&mut self) {
        if !matches!(self.state, State::Done) {
            self.shared.nursery.abandon();
        }
    }
}

impl fmt::Debug for DynamicSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisor")
            .field("children", &self.shared.nursery.seats.taken())
            .finish_non_exhaustive()
    }
}

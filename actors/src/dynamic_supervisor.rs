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
mod named;
mod nursery;
mod seats;
mod spec;

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Context, Running};
use futures_util::future::join;

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
use self::{
    core::{Core, CoreSettings},
    named::Named,
};
use crate::{
    child_spec::Shutdown,
    driver::ExitContext,
    exit::ExitReason,
    inbox::Inbox,
    intensity::Intensity,
    launch::Origin,
    lending::{Lender, Lending},
    supervisor::{ChildCounts, SupervisionTree, trees},
    view::View,
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
    origin: Origin,
    inbox: Arc<Inbox<Self>>,
    lending: Lending<Core>,
}

/// What the supervisor and its handles share; it outlives the supervisor's incarnations.
struct Shared {
    /// The children without a spec.
    nursery: Arc<Nursery>,
    /// Those with one.
    named: Arc<Named>,
    shutdown: Shutdown,
    kill_timeout: Duration,
}

impl Shared {
    fn new(spec: &DynamicSupervisorSpec) -> Self {
        Self {
            nursery: Arc::new(Nursery::new(spec.max_children, spec.pool.clone())),
            named: Arc::default(),
            shutdown: spec.shutdown,
            kill_timeout: spec.kill_timeout,
        }
    }
}

impl View for Shared {
    /// Both kinds of children; those without a spec are workers and always active.
    fn counts(&self) -> ChildCounts {
        let mut counts = ChildCounts::of(self.named.snapshot().iter());
        let unnamed = self.nursery.len();
        counts.specs += unnamed;
        counts.active += unnamed;
        counts.workers += unnamed;
        counts
    }

    /// Those without a spec are counted, not listed.
    fn below(&self) -> (usize, Vec<SupervisionTree>) {
        let named = self.named.snapshot();
        (named.len() + self.nursery.len(), trees(named.iter()))
    }
}

impl DynamicSupervisor {
    fn new(
        spec: &DynamicSupervisorSpec,
        shared: Arc<Shared>,
        origin: Origin,
        inbox: Arc<Inbox<Self>>,
    ) -> Self {
        Self {
            shared,
            intensity: spec.intensity,
            origin,
            inbox,
            lending: Lending::default(),
        }
    }
}

impl Lender for DynamicSupervisor {
    type Core = Core;

    fn lending(&mut self) -> &mut Lending<Core> {
        &mut self.lending
    }

    fn inbox(&self) -> &Inbox<Self> {
        &self.inbox
    }

    /// The children all stop at once.
    fn stop_children_and_exit(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        self.operate(
            async move |core| {
                let unnamed = shared
                    .nursery
                    .stop_all(shared.shutdown, shared.kill_timeout);
                let (unnamed, named) = join(unnamed, core.stop_all()).await;
                unnamed + named
            },
            |this, blocked, ctx| {
                if blocked > 0 {
                    tracing::error!(blocked, "killed children still block their threads");
                }
                this.lending.close();
                ctx.exit(ExitReason::Shutdown);
            },
            ctx,
        );
    }
}

impl Actor for DynamicSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.shared.nursery.open(&self.origin.lineage);
        self.lending.open(Core::new(CoreSettings {
            intensity: self.intensity,
            kill_timeout: self.shared.kill_timeout,
            seats: Arc::clone(&self.shared.nursery.seats),
            origin: self.origin.clone(),
            named: Arc::clone(&self.shared.named),
            exits: Arc::clone(&self.inbox) as _,
            stop: self.lending.stop_request(),
        }));
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_after_children(ctx)
    }
}

impl Drop for DynamicSupervisor {
    fn drop(&mut self) {
        if !self.lending.is_closed() {
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

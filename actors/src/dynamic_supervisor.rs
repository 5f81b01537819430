//! A supervisor for many short-lived children that are started on demand: [`DynamicSupervisor`].
//!
//! A child is an actor made once; it is temporary, has no name, and is forgotten when it ends. The start costs no message
//! to the supervisor, so it is cheap from any thread. All children are stopped at once when the supervisor stops.
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
//!     let (sessions, handle) = DynamicSupervisorSpec::new().max_children(10_000).build("sessions");
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(sessions).start("root").await?;
//!
//!     let session = handle.start_child(|| Session).await?;
//!     assert_eq!(handle.count(), 1);
//!     session.stop().await;
//!     root.shutdown().await;
//!     Ok(())
//! }
//! ```

mod nursery;

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Running, WrapFuture};
use actix_rt::Arbiter;
use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use self::nursery::Nursery;
use crate::{
    child_ref::ChildRef,
    child_spec::{ChildKind, ChildSpec, Shutdown},
    control::{Control, Signal},
    driver::ExitContext,
    exit::ExitReason,
    launch::StartError,
    placement::ArbiterPool,
};

/// A recipe for a [`DynamicSupervisor`].
#[derive(Clone, Debug)]
#[must_use = "a spec does nothing until it is built and supervised"]
pub struct DynamicSupervisorSpec {
    max_children: usize,
    shutdown: Shutdown,
    kill_timeout: Duration,
    pool: Option<ArbiterPool>,
}

impl DynamicSupervisorSpec {
    /// Any number of children, on the supervisor's own arbiter, with 5 seconds to stop.
    pub fn new() -> Self {
        Self {
            max_children: usize::MAX,
            shutdown: Shutdown::Timeout(Duration::from_secs(5)),
            kill_timeout: Duration::from_secs(5),
            pool: None,
        }
    }

    /// How many children may live at a time; one more is refused with [`StartDynamicError::MaxChildren`].
    pub fn max_children(mut self, max_children: usize) -> Self {
        self.max_children = max_children;
        self
    }

    /// How the children are ended, all at once, when the supervisor stops.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// How long killed children may go on blocking their threads before they are given up; the default is 5 seconds.
    pub fn kill_timeout(mut self, kill_timeout: Duration) -> Self {
        self.kill_timeout = kill_timeout;
        self
    }

    /// Spreads the children over a pool, in turn.
    pub fn pool(mut self, pool: ArbiterPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// The child spec for the supervisor above, and the handle that starts children here.
    pub fn build(
        self,
        id: impl Into<Arc<str>>,
    ) -> (ChildSpec<DynamicSupervisor>, DynamicSupervisorRef) {
        let shared = Arc::new(Shared {
            nursery: Arc::new(Nursery::new(self.max_children, self.pool)),
            home: ArcSwapOption::empty(),
        });
        let (shutdown, kill_timeout) = (self.shutdown, self.kill_timeout);
        let of_actor = Arc::clone(&shared);
        let spec = ChildSpec::new(id, move || DynamicSupervisor {
            shared: Arc::clone(&of_actor),
            shutdown,
            kill_timeout,
            state: State::Serving,
        })
        .kind(ChildKind::Supervisor)
        .shutdown(Shutdown::Infinity);
        let handle = DynamicSupervisorRef {
            supervisor: spec.child_ref(),
            shared,
        };
        (spec, handle)
    }
}

impl Default for DynamicSupervisorSpec {
    fn default() -> Self {
        Self::new()
    }
}

/// What the supervisor and its handles share; it outlives the supervisor's incarnations.
struct Shared {
    nursery: Arc<Nursery>,
    /// The supervisor's arbiter.
    home: ArcSwapOption<actix_rt::ArbiterHandle>,
}

/// The supervisor of temporary children. It is made from a [`DynamicSupervisorSpec`], reached through a
/// [`DynamicSupervisorRef`], and does its work when it stops or dies: no child outlives it.
pub struct DynamicSupervisor {
    shared: Arc<Shared>,
    shutdown: Shutdown,
    kill_timeout: Duration,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Serving,
    Stopping,
    Empty,
}

impl Actor for DynamicSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.shared.home.store(Some(Arc::new(Arbiter::current())));
        self.shared.nursery.open();
    }

    /// The children come first, all at once.
    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        match self.state {
            State::Empty => return Running::Stop,
            State::Stopping => {}
            State::Serving => {
                self.state = State::Stopping;
                let nursery = Arc::clone(&self.shared.nursery);
                let (shutdown, kill_timeout) = (self.shutdown, self.kill_timeout);
                let stop = async move { nursery.stop_all(shutdown, kill_timeout).await };
                ctx.wait(stop.into_actor(self).map(|all_ended, this, ctx| {
                    if !all_ended {
                        tracing::error!("killed children still block their threads");
                    }
                    this.state = State::Empty;
                    ctx.exit(ExitReason::Shutdown);
                }));
            }
        }
        Running::Continue
    }
}

impl Drop for DynamicSupervisor {
    fn drop(&mut self) {
        if self.state != State::Empty {
            self.shared.nursery.abandon();
        }
    }
}

impl fmt::Debug for DynamicSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisor")
            .field("children", &self.shared.nursery.live())
            .finish_non_exhaustive()
    }
}

/// Starts children under a [`DynamicSupervisor`], from any thread; valid across restarts of the supervisor.
#[derive(Clone)]
pub struct DynamicSupervisorRef {
    supervisor: ChildRef<DynamicSupervisor>,
    shared: Arc<Shared>,
}

impl DynamicSupervisorRef {
    /// Starts a child and waits until its start is complete (OTP: `DynamicSupervisor.start_child`).
    ///
    /// The factory runs on the child's arbiter. The child stops by itself once it has nothing to do and nobody holds its
    /// address or its handle, as every actix actor does.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]: too many children, no supervisor, or a start that failed.
    pub async fn start_child<A, F>(&self, factory: F) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> A + Send + 'static,
    {
        let (sender, started) = oneshot::channel();
        let child = self.launch(factory, Some(sender))?;
        started.await.unwrap_or(Err(StartError::ArbiterStopped))?;
        Ok(child)
    }

    /// Like [`start_child`](Self::start_child) without waiting for the start: the address takes messages at once.
    ///
    /// A start that fails then shows as the child's exit.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]: too many children, or no supervisor.
    pub fn spawn_child<A, F>(&self, factory: F) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> A + Send + 'static,
    {
        self.launch(factory, None)
    }

    /// Like [`spawn_child`](Self::spawn_child), on the arbiter of the caller: the cheapest start there is.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]: too many children, or no supervisor.
    ///
    /// # Panics
    ///
    /// Outside of an actix arbiter or a tokio `LocalSet`.
    pub fn spawn_local<A>(&self, actor: A) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
    {
        self.shared.nursery.spawn_local(actor)
    }

    /// How many children live now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.nursery.live()
    }

    /// The handle on the supervisor itself.
    #[must_use]
    pub fn supervisor(&self) -> &ChildRef<DynamicSupervisor> {
        &self.supervisor
    }

    fn launch<A, F>(
        &self,
        factory: F,
        started: Option<oneshot::Sender<crate::launch::StartResult>>,
    ) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> A + Send + 'static,
    {
        let home = self.shared.home.load();
        let home = home.as_ref().ok_or(StartDynamicError::NoSupervisor)?;
        self.shared.nursery.spawn(home, factory, started)
    }
}

impl fmt::Debug for DynamicSupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisorRef")
            .field("id", &self.supervisor.id())
            .field("children", &self.count())
            .finish()
    }
}

/// A running temporary child.
pub struct DynamicChild<A: Actor> {
    addr: Addr<A>,
    control: Arc<Control>,
}

impl<A: Actor<Context = Context<A>>> DynamicChild<A> {
    fn new(addr: Addr<A>, control: Arc<Control>) -> Self {
        Self { addr, control }
    }

    /// Its address.
    #[must_use]
    pub fn addr(&self) -> &Addr<A> {
        &self.addr
    }

    /// Stops it with its hooks, reason [`ExitReason::Normal`], and waits for its end.
    pub async fn stop(&self) -> ExitReason {
        self.control.send(Signal::Stop);
        self.control.exited().await
    }

    /// Ends it without its hooks and waits for its end.
    pub async fn kill(&self) -> ExitReason {
        self.control.send(Signal::Kill);
        self.control.exited().await
    }

    /// Waits for its end, whatever ends it.
    pub async fn exited(&self) -> ExitReason {
        self.control.exited().await
    }
}

impl<A: Actor> Clone for DynamicChild<A> {
    fn clone(&self) -> Self {
        Self {
            addr: self.addr.clone(),
            control: Arc::clone(&self.control),
        }
    }
}

impl<A: Actor> fmt::Debug for DynamicChild<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamicChild").field(&self.control).finish()
    }
}

/// Why a [`DynamicSupervisorRef`] did not start a child.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartDynamicError {
    /// As many children live as are allowed (OTP: `max_children`).
    #[error("there are already {0} children, as many as are allowed")]
    MaxChildren(usize),
    /// The supervisor is not running.
    #[error("the supervisor is not running")]
    NoSupervisor,
    /// The child did not start.
    #[error("the child did not start: {0}")]
    Start(#[from] StartError),
}

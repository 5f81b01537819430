//! The handle on a dynamic supervisor, with its verbs.

use std::{fmt, sync::Arc};

use actix::{Actor, Context};
use tokio::sync::oneshot;

use super::{
    DynamicSupervisor, Shared,
    child::{DynamicChild, Newborn},
    error::{StartDynamicError, TerminateDynamicError},
    messages::{SpecInfo, StartSpec, TerminateSpec},
    nursery::{Nursery, Position},
};
use crate::{
    child_ref::ChildRef,
    child_spec::{ChildKind, ChildSpec, ChildSpecInfo, Restart},
    control::Control,
    exit::ExitReason,
    launch::{Init, StartError, StartResult, Started},
    shutdown::end_child,
    start_error::BadSpec,
    supervisor::{ChildCounts, ChildInfo, SupervisionTree, WhichChildren},
};

/// Starts and ends children under a [`DynamicSupervisor`], from any thread; valid across restarts of the supervisor.
#[derive(Clone)]
pub struct DynamicSupervisorRef {
    supervisor: ChildRef<DynamicSupervisor>,
    shared: Arc<Shared>,
}

impl DynamicSupervisorRef {
    pub(super) fn new(supervisor: ChildRef<DynamicSupervisor>, shared: Arc<Shared>) -> Self {
        Self { supervisor, shared }
    }

    /// Starts a temporary child and waits until its start is complete (OTP: `DynamicSupervisor.start_child`).
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
        self.launch_and_wait(|| Ok(Init::Run(factory()))).await
    }

    /// Like [`start_child`](Self::start_child), with a factory that may fail or decline with [`Init::Ignore`].
    ///
    /// # Errors
    ///
    /// As [`start_child`](Self::start_child); [`StartDynamicError::Ignored`] where the factory declined.
    pub async fn try_start_child<A, E, F>(
        &self,
        factory: F,
    ) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        E: fmt::Display,
        F: FnOnce() -> Result<Init<A>, E> + Send + 'static,
    {
        self.launch_and_wait(|| factory().map_err(ExitReason::error))
            .await
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
        self.launch(|| Ok(Init::Run(factory())), None)
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
        let (child, newborn) = Newborn::admit(&self.shared.nursery, None)?;
        newborn.run(actor);
        Ok(child)
    }

    /// Starts a child from its spec, and again after it ended, as its [`Restart`] says
    /// (OTP: `DynamicSupervisor.start_child`).
    ///
    /// Ids only serve to tell the children apart in logs and lists; they need not be unique. The child is forgotten when
    /// it ends and is not restarted; its handle then stays without an actor.
    ///
    /// Unlike a child without a spec it is started by the supervisor itself, one at a time: a start takes longer, and
    /// waits for those before it.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]; nothing is then kept of the child.
    pub async fn start_spec<A>(&self, spec: ChildSpec<A>) -> Result<ChildRef<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
    {
        let info = spec.info();
        if info.significant {
            return Err(BadSpec::SignificantWithoutAuto(Arc::clone(&info.id)).into());
        }
        let child = spec.child_ref();
        let start = StartSpec(spec.into_blueprint());
        match self.supervisor.call(start).await {
            Ok(started) => started.map(|()| child),
            Err(_) => Err(StartDynamicError::NoSupervisor),
        }
    }

    /// Ends a child for good, whatever its [`Restart`], and waits for its end
    /// (OTP: `DynamicSupervisor.terminate_child`).
    ///
    /// A child that waits for its next restart is just forgotten.
    ///
    /// # Errors
    ///
    /// [`TerminateDynamicError`]; `NotFound` also for a child that has ended already.
    pub async fn terminate_child(
        &self,
        child: &impl DynamicHandle,
    ) -> Result<(), TerminateDynamicError> {
        match child.target().0 {
            Child::Unnamed(position, control) => self.terminate_unnamed(position, control).await,
            Child::Spec(identity) => self
                .supervisor
                .call(TerminateSpec(identity))
                .await
                .unwrap_or(Err(TerminateDynamicError::NoSupervisor)),
        }
    }

    /// What is known of a child's spec; `None` for a stranger (OTP: `supervisor:get_childspec`).
    pub async fn get_child_spec(&self, child: &impl DynamicHandle) -> Option<ChildSpecInfo> {
        match child.target().0 {
            Child::Unnamed(position, control) => {
                let resident = self.shared.nursery.find(position, control)?;
                Some(ChildSpecInfo {
                    id: resident.actor.into(),
                    restart: Restart::Temporary,
                    shutdown: self.shared.shutdown,
                    kind: ChildKind::Worker,
                    significant: false,
                    backoff: None,
                    start_timeout: None,
                    actor: resident.actor,
                })
            }
            Child::Spec(identity) => self.supervisor.call(SpecInfo(identity)).await.ok()?,
        }
    }

    /// How many children there are now, those that wait for a restart included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.nursery.seats.taken()
    }

    /// The numbers of children by kind and state as they are now; all zero while the supervisor does not run.
    pub async fn count_children(&self) -> ChildCounts {
        self.supervisor.counts().unwrap_or_default()
    }

    /// All children: those with a spec in start order, then the others, each under the type name of its actor.
    ///
    /// Empty while the supervisor does not run.
    pub async fn which_children(&self) -> Vec<ChildInfo> {
        let children = self.supervisor.call(WhichChildren).await;
        children.unwrap_or_default()
    }

    /// The tree from here down as it stands now. Children without a spec are counted, not listed.
    pub async fn tree(&self) -> SupervisionTree {
        self.supervisor.subtree()
    }

    /// The handle on the supervisor itself.
    #[must_use]
    pub fn supervisor(&self) -> &ChildRef<DynamicSupervisor> {
        &self.supervisor
    }

    pub(crate) fn nursery(&self) -> &Arc<Nursery> {
        &self.shared.nursery
    }

    fn launch<A, F>(
        &self,
        factory: F,
        started: Option<oneshot::Sender<StartResult>>,
    ) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> Result<Init<A>, ExitReason> + Send + 'static,
    {
        let nursery = &self.shared.nursery;
        let (child, newborn) = Newborn::admit(nursery, started)?;
        newborn.dispatch(nursery, factory);
        Ok(child)
    }

    async fn launch_and_wait<A, F>(&self, factory: F) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> Result<Init<A>, ExitReason> + Send + 'static,
    {
        let (sender, started) = oneshot::channel();
        let child = self.launch(factory, Some(sender))?;
        match started.await.unwrap_or(Err(StartError::ArbiterStopped))? {
            Started::Running => Ok(child),
            Started::Ignored => Err(StartDynamicError::Ignored),
        }
    }

    /// Without a message to the supervisor: it would only do the same, and be busy meanwhile.
    async fn terminate_unnamed(
        &self,
        position: Position,
        control: &Arc<Control>,
    ) -> Result<(), TerminateDynamicError> {
        let nursery = &self.shared.nursery;
        if nursery.find(position, control).is_none() {
            return Err(if nursery.is_open() {
                TerminateDynamicError::NotFound
            } else {
                TerminateDynamicError::NoSupervisor
            });
        }
        // It goes on where the caller goes away: a child that refuses to stop must not live on.
        let (done, ended) = oneshot::channel();
        let (shutdown, kill_timeout) = (self.shared.shutdown, self.shared.kill_timeout);
        let control = Arc::clone(control);
        nursery.dispatch_home(move || {
            actix_rt::spawn(async move {
                let _ = done.send(end_child(&control, shutdown, kill_timeout).await);
            });
        });
        match ended.await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(TerminateDynamicError::Unresponsive),
            // The supervisor ended meanwhile, and killed its children.
            Err(_) => Err(TerminateDynamicError::NoSupervisor),
        }
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

/// A handle that [`DynamicSupervisorRef::terminate_child`] takes: a [`DynamicChild`], a [`ChildRef`] or a
/// [`TaskHandle`](crate::TaskHandle).
///
/// Sealed: no other type can be one.
pub trait DynamicHandle: Sealed {}

impl<A: Actor<Context = Context<A>>> DynamicHandle for DynamicChild<A> {}

impl<A: Actor<Context = Context<A>>> DynamicHandle for ChildRef<A> {}

/// What a handle points at.
#[derive(Debug)]
pub struct Target<'a>(Child<'a>);

impl<'a> Target<'a> {
    pub(crate) fn unnamed(position: Position, control: &'a Arc<Control>) -> Self {
        Self(Child::Unnamed(position, control))
    }
}

#[derive(Debug)]
enum Child<'a> {
    Unnamed(Position, &'a Arc<Control>),
    Spec(usize),
}

pub trait Sealed {
    fn target(&self) -> Target<'_>;
}

impl<A: Actor<Context = Context<A>>> Sealed for DynamicChild<A> {
    fn target(&self) -> Target<'_> {
        Target::unnamed(self.position, &self.control)
    }
}

impl<A: Actor<Context = Context<A>>> Sealed for ChildRef<A> {
    fn target(&self) -> Target<'_> {
        Target(Child::Spec(self.identity()))
    }
}

//! How a child is started, restarted and stopped: [`ChildSpec`].
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{ChildSpec, Restart};
//!
//! struct Cache;
//! impl Actor for Cache {
//!     type Context = Context<Self>;
//! }
//!
//! let spec = ChildSpec::new("cache", || Cache).restart(Restart::Transient);
//! let cache = spec.child_ref(); // valid before the first start, and across all restarts
//! assert!(!cache.is_running());
//! ```

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    backoff::Backoff,
    child_ref::ChildRef,
    control::Control,
    exit::ExitReason,
    launch::{Factory, Init, LaunchEnv, Launched, Launcher, Making},
    placement::Placement,
    shared_inbox::{SharedInbox, Station},
    slot::Slot,
    start_error::StartError,
    stats::ChildStats,
    supervisor::{ChildState, Children, SupervisionTree, Supervisor, SupervisorSpec},
    view::View,
    watch::Watching,
};
use actix::{Actor, Context};

/// When a child is started again after it ended.
///
/// | | `Normal`, `Shutdown`, `ShutdownWith` | every other [`ExitReason`] |
/// |---|---|---|
/// | `Permanent` | restarted | restarted |
/// | `Transient` | not restarted | restarted |
/// | `Temporary` | not restarted, forgotten | not restarted, forgotten |
///
/// From OTP's `supervisor`, "Restart types". A transient child that is not restarted stays known, not running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal exit only.
    Transient,
    /// Never; its spec is forgotten when it ends.
    Temporary,
}

impl Restart {
    /// Whether a child that ended by itself is started again.
    pub(crate) fn is_due_after(self, reason: &ExitReason) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => reason.is_abnormal(),
            Self::Temporary => false,
        }
    }
}

/// How a supervisor ends a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Without its hooks (OTP: `brutal_kill`).
    Kill,
    /// Stop it, and kill it when it has not ended after this time. The default for workers, with 5 seconds.
    Timeout(Duration),
    /// Stop it and wait for as long as it takes. The default for supervisors, whose children have limits of their own.
    Infinity,
}

/// Whether a child does work or supervises others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// An ordinary actor.
    Worker,
    /// A [`Supervisor`].
    Supervisor,
}

/// What a supervisor knows of a child, apart from the way to make it (OTP: `supervisor:get_childspec`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildSpecInfo {
    /// The id, unique among the children of one supervisor.
    pub id: Arc<str>,
    /// When it is started again.
    pub restart: Restart,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    pub kind: ChildKind,
    /// Whether its exit can end the supervisor, see [`AutoShutdown`](crate::AutoShutdown).
    pub significant: bool,
    /// How long it waits before a restart.
    pub backoff: Option<Backoff>,
    /// How long its start may take.
    pub start_timeout: Option<Duration>,
    /// The Rust type of the actor.
    pub actor: &'static str,
}

/// A recipe for a child: its id, how to make the actor, and the rules that its supervisor follows.
///
/// The actor is made by a factory on the arbiter that will run it, so it need not be `Send`; the factory runs again at
/// every restart.
#[must_use = "a spec does nothing until a supervisor gets it"]
pub struct ChildSpec<A: Actor> {
    launcher: Launcher<A>,
    info: ChildSpecInfo,
}

impl<A: Actor<Context = Context<A>>> ChildSpec<A> {
    /// A permanent worker, made by a factory that cannot fail. A panic in it is a failed start.
    pub fn new<F>(id: impl Into<Arc<str>>, factory: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
    {
        Self::worker(id.into(), Box::new(move |_| Ok(Init::Run(factory()))))
    }

    /// A permanent worker, made by a factory that may fail or decline with [`Init::Ignore`].
    ///
    /// The error becomes the reason of the failed start.
    pub fn try_new<F, E>(id: impl Into<Arc<str>>, factory: F) -> Self
    where
        F: Fn() -> Result<Init<A>, E> + Send + Sync + 'static,
        E: fmt::Display,
    {
        Self::worker(id.into(), Box::new(move |_| factory().map_err(failed)))
    }

    fn worker(id: Arc<str>, factory: Box<Factory<A>>) -> Self {
        let shutdown = Shutdown::Timeout(Duration::from_secs(5));
        Self::with_factory(id, factory, ChildKind::Worker, shutdown, None)
    }

    /// A supervisor: it is given as long as it needs to stop its own children.
    pub(crate) fn of_supervisor(
        id: Arc<str>,
        view: Arc<dyn View>,
        factory: Box<Factory<A>>,
    ) -> Self {
        let (kind, shutdown) = (ChildKind::Supervisor, Shutdown::Infinity);
        Self::with_factory(id, factory, kind, shutdown, Some(view))
    }

    fn with_factory(
        id: Arc<str>,
        factory: Box<Factory<A>>,
        kind: ChildKind,
        shutdown: Shutdown,
        view: Option<Arc<dyn View>>,
    ) -> Self {
        Self {
            launcher: Launcher {
                slot: Arc::new(Slot::new(Arc::clone(&id), view)),
                factory,
                placement: Placement::default(),
                mailbox_capacity: None,
                keeps_mailbox: false,
                watching: Watching::default(),
            },
            info: ChildSpecInfo {
                id,
                restart: Restart::default(),
                shutdown,
                kind,
                significant: false,
                backoff: None,
                start_timeout: None,
                actor: std::any::type_name::<A>(),
            },
        }
    }

    /// When it is started again; the default is [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.info.restart = restart;
        self
    }

    /// How it is ended; the default is a timeout of 5 seconds for workers, infinity for supervisors.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.info.shutdown = shutdown;
        self
    }

    /// How long it waits before it is started again; by default it is started at once, as in OTP.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.info.backoff = Some(backoff);
        self
    }

    /// How long its start may take; by default there is no limit, as in OTP's supervisors.
    ///
    /// A start that is not complete by then fails with [`StartError::TimedOut`], after what had begun was ended as
    /// [`Shutdown`] says. It cannot interrupt a factory that blocks its thread; where that is another one than the
    /// supervisor's, the start fails in time all the same.
    pub fn start_timeout(mut self, start_timeout: Duration) -> Self {
        self.info.start_timeout = Some(start_timeout);
        self
    }

    /// Whether its own exit can end its supervisor, as the supervisor's [`AutoShutdown`](crate::AutoShutdown) says.
    ///
    /// The default is false. Only transient and temporary children can be significant.
    pub fn significant(mut self, significant: bool) -> Self {
        self.info.significant = significant;
        self
    }

    /// Where it runs; the default is [`Placement::Local`].
    pub fn placement(mut self, placement: Placement) -> Self {
        self.launcher.placement = placement;
        self
    }

    /// How many messages may wait for it; zero, the default, stands for any number.
    ///
    /// The bound holds for what is sent through handles: [`cast`](ChildRef::cast) and [`try_call`](ChildRef::try_call) give the
    /// message back when the mailbox is full, [`call`](ChildRef::call) and [`send`](ChildRef::send) wait for room.
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_otp::{CastError, ChildSpec, Strategy, SupervisorSpec};
    ///
    /// struct Log;
    /// impl Actor for Log {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// #[derive(Message)]
    /// #[rtype(result = "()")]
    /// struct Line(&'static str);
    /// impl Handler<Line> for Log {
    ///     type Result = ();
    ///     fn handle(&mut self, Line(line): Line, _: &mut Context<Self>) {
    ///         println!("{line}");
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let spec = ChildSpec::new("log", || Log).mailbox_capacity(1);
    /// let log = spec.child_ref();
    /// let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
    /// log.cast(Line("taken"))?;
    /// assert!(matches!(log.cast(Line("one too many")), Err(CastError::Full(Line("one too many")))));
    /// log.send(Line("waits for room")).await?;
    /// # root.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mailbox_capacity(mut self, capacity: usize) -> Self {
        self.launcher.mailbox_capacity = Some(capacity);
        self
    }

    /// What it was sent through handles and waits when it dies is handed to its next incarnation, in order; by default it is
    /// dropped.
    ///
    /// The message in which it died is not among that: each is handled at most once. What it is sent between two incarnations
    /// is refused as ever. Where there is no next incarnation, and where its supervisor ends it, be it to restart it along with
    /// another, what waits is dropped and its callers are told. Supervisors never keep theirs.
    ///
    /// ```
    /// use actix::prelude::*;
    /// use actix_otp::{ChildSpec, Strategy, SupervisorSpec};
    ///
    /// struct Parser;
    /// impl Actor for Parser {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// #[derive(Message)]
    /// #[rtype(result = "u32")]
    /// struct Parse(&'static str);
    /// impl Handler<Parse> for Parser {
    ///     type Result = u32;
    ///     fn handle(&mut self, Parse(text): Parse, _: &mut Context<Self>) -> u32 {
    ///         text.parse().expect("a number")
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let spec = ChildSpec::new("parser", || Parser).keep_mailbox();
    /// let parser = spec.child_ref();
    /// let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
    /// let (one, two) = tokio::join!(parser.call(Parse("x")), parser.call(Parse("2")));
    /// assert!(one.is_err());
    /// assert_eq!(two?, 2); // from the incarnation after the panic
    /// # root.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_mailbox(mut self) -> Self {
        self.launcher.keeps_mailbox = true;
        self
    }

    /// After how long at work on one message it counts as stuck; by default that is not measured.
    ///
    /// It is for whoever looks: [`ChildStats::current`] names the message and its time, [`ChildStats::is_stuck`] is the mark, and
    /// a printed tree shows it. Nothing is ended by it. It costs a look at the clock for each message.
    ///
    /// ```
    /// use std::time::Duration;
    /// use actix::prelude::*;
    /// use actix_otp::ChildSpec;
    ///
    /// # struct Importer;
    /// # impl Actor for Importer {
    /// #     type Context = Context<Self>;
    /// # }
    /// let spec = ChildSpec::new("importer", || Importer).stuck_after(Duration::from_secs(10));
    /// let importer = spec.child_ref();
    /// if importer.stats().is_stuck() {
    ///     println!("{:?}", importer.stats().current);
    /// }
    /// ```
    pub fn stuck_after(mut self, limit: Duration) -> Self {
        self.launcher.watching.stuck_after = Some(limit);
        self
    }

    /// Enters a `tracing` span for each message that comes through a handle; by default there is none.
    ///
    /// Its name is `message`, its level info, its fields are `child`, `incarnation` and `message_type`. It is entered while the
    /// handler runs; futures that it returns are not within it.
    pub fn trace_messages(mut self) -> Self {
        self.launcher.watching.traces = true;
        self
    }

    /// From now on the child takes its messages from there.
    pub(crate) fn station(self, shared: &Arc<SharedInbox<A>>) -> Self {
        let slot = &self.launcher.slot;
        slot.set_station(Station::new(Arc::clone(shared)));
        self
    }

    /// The handle on the child, valid before its first start and across all restarts.
    #[must_use]
    pub fn child_ref(&self) -> ChildRef<A> {
        ChildRef::new(Arc::clone(&self.launcher.slot))
    }

    /// What is known of the child apart from its factory.
    #[must_use]
    pub fn info(&self) -> &ChildSpecInfo {
        &self.info
    }

    pub(crate) fn into_blueprint(self) -> Blueprint {
        let Self { launcher, info } = self;
        if launcher.keeps_mailbox && info.kind == ChildKind::Worker {
            let station = Station::new(Arc::default());
            launcher.slot.set_station(station);
        }
        Blueprint {
            info: Arc::new(info),
            place: Arc::clone(&launcher.slot) as _,
            launcher: Some(Arc::new(Arc::new(launcher))),
        }
    }
}

impl ChildSpec<Supervisor> {
    /// A nested supervisor: permanent, and given as long as it needs to stop its own children.
    ///
    /// Its children's handles stay valid when it is restarted itself.
    pub fn supervisor(id: impl Into<Arc<str>>, spec: SupervisorSpec) -> Self {
        let id = id.into();
        let (path, children) = (Arc::clone(&id), Children::default());
        let view = Arc::new(children.clone());
        let start_timeout = spec.start_timeout;
        let factory = move |making: &Making<'_, _>| {
            let supervisor = spec.instantiate(making, &path, children.clone())?;
            Ok(Init::Run(supervisor))
        };
        let mut child = Self::of_supervisor(id, view, Box::new(factory));
        child.info.start_timeout = start_timeout;
        child
    }

    /// A nested supervisor whose spec is made anew at each start, and which may fail or decline to start.
    ///
    /// Its children get new handles each time; ask it for them, or make their specs outside and use
    /// [`supervisor`](Self::supervisor). A panic in the factory is a failed start.
    ///
    /// ```
    /// use actix_otp::{ChildSpec, Init, Strategy, SupervisorSpec};
    ///
    /// let plugins = ChildSpec::try_supervisor("plugins", || match std::env::var("PLUGINS") {
    ///     Ok(_) => Ok(Init::Run(SupervisorSpec::new(Strategy::OneForOne))),
    ///     Err(std::env::VarError::NotPresent) => Ok(Init::Ignore),
    ///     Err(error) => Err(error),
    /// });
    /// assert_eq!(plugins.child_ref().id(), "plugins");
    /// ```
    pub fn try_supervisor<F, E>(id: impl Into<Arc<str>>, factory: F) -> Self
    where
        F: Fn() -> Result<Init<SupervisorSpec>, E> + Send + Sync + 'static,
        E: fmt::Display,
    {
        let id = id.into();
        let (path, children) = (Arc::clone(&id), Children::default());
        let view = Arc::new(children.clone());
        let factory = move |making: &Making<'_, _>| match factory() {
            Ok(Init::Run(spec)) => {
                let supervisor = spec.instantiate(making, &path, children.clone())?;
                Ok(Init::Run(supervisor))
            }
            Ok(Init::Ignore) => Ok(Init::Ignore),
            Err(error) => Err(failed(error)),
        };
        Self::of_supervisor(id, view, Box::new(factory))
    }
}

/// What a factory's error means for the start.
fn failed(cause: impl fmt::Display) -> StartError {
    StartError::Exited(ExitReason::error(cause))
}

impl<A: Actor> fmt::Debug for ChildSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChildSpec").field(&self.info).finish()
    }
}

/// A [`ChildSpec`] whose actor type is forgotten: what a supervisor keeps. Clones start the same child.
#[derive(Clone)]
pub(crate) struct Blueprint {
    pub(crate) info: Arc<ChildSpecInfo>,
    place: Arc<dyn Place>,
    /// `None` once the child will never be started again.
    launcher: Option<Arc<dyn Launch>>,
}

impl Blueprint {
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.info.id
    }

    /// Starts the next incarnation; the start fails where the factory was forgotten.
    ///
    /// # Errors
    ///
    /// The strings on the previous incarnation, while something is left of it.
    pub(crate) fn launch(&self, env: LaunchEnv) -> Result<Launched, Arc<Control>> {
        match &self.launcher {
            Some(launcher) => launcher.launch(env),
            None => Ok(Launched::failed(ExitReason::NotRunning)),
        }
    }

    /// Takes the factory out, with all that it holds, when there will be no other start.
    pub(crate) fn take_factory(&mut self) -> Option<impl Sized + use<>> {
        self.launcher.take()
    }

    /// Makes an incarnation unreachable that was killed and blocks its thread.
    pub(crate) fn give_up(&self, incarnation: u64) {
        self.place.give_up(incarnation);
    }

    /// The child is not started again, for this reason; only one whose inbox outlives its incarnations minds.
    pub(crate) fn retire(&self, reason: &ExitReason) {
        self.place.retire(reason);
    }

    /// Distinguishes this child from all others alive, whatever their ids.
    pub(crate) fn identity(&self) -> usize {
        self.place.identity()
    }

    /// The child, which stands as `state` says, with everything below it.
    pub(crate) fn tree(&self, state: ChildState) -> SupervisionTree {
        let id = Arc::clone(self.id());
        let stats = self.place.stats();
        SupervisionTree::of(id, state, self.info.actor, stats, self.place.view())
    }
}

trait Launch: Send + Sync {
    fn launch(&self, env: LaunchEnv) -> Result<Launched, Arc<Control>>;
}

impl<A: Actor<Context = Context<A>>> Launch for Arc<Launcher<A>> {
    fn launch(&self, env: LaunchEnv) -> Result<Launched, Arc<Control>> {
        Launcher::launch(self, env)
    }
}

/// What is there of a child besides its factory, the actor type forgotten.
trait Place: Send + Sync {
    fn give_up(&self, incarnation: u64);
    fn retire(&self, reason: &ExitReason);
    fn stats(&self) -> ChildStats;
    fn identity(&self) -> usize;
    fn view(&self) -> Option<&Arc<dyn View>>;
}

impl<A: Actor<Context = Context<A>>> Place for Slot<A> {
    fn give_up(&self, incarnation: u64) {
        Slot::give_up(self, incarnation);
    }

    fn retire(&self, reason: &ExitReason) {
        self.leave_station(reason);
    }

    fn stats(&self) -> ChildStats {
        Slot::stats(self)
    }

    fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn view(&self) -> Option<&Arc<dyn View>> {
        Slot::view(self)
    }
}

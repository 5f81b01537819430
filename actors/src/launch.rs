//! Starting one incarnation of a child on its arbiter: what a supervisor and a [`ChildSpec`](crate::ChildSpec) agree on.

use std::{mem, sync::Arc};

use actix::{Actor, AsyncContext, Context, Message};
use tokio::sync::oneshot;

pub(crate) use crate::start_error::StartError;
use crate::{
    control::{Control, Signal},
    driver::Driver,
    exit::ExitReason,
    feed::Feed,
    inbox::{Inbox, Outbox},
    observer::Lineage,
    panics::{catch_panic, drop_caught},
    placement::Placement,
    presence::Presence,
    slot::{Running, Slot, SlotAttendant},
    watch::Watching,
};

/// How a start went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Running,
    /// The factory answered [`Init::Ignore`].
    Ignored,
}

pub(crate) type StartResult = Result<Started, StartError>;

/// What a factory answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Init<A> {
    /// Run this actor.
    Run(A),
    /// Nothing to run now; the supervisor keeps the spec of a child that is not temporary (OTP: `ignore`).
    Ignore,
}

/// Tells the supervisor that a child ended, in the order of its own mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ChildExited {
    /// The child's place in the supervisor's table.
    pub(crate) key: u64,
    pub(crate) incarnation: u64,
    pub(crate) reason: ExitReason,
}

/// Where a supervisor hears of the exits of its children.
pub(crate) type Exits = Arc<dyn Outbox<ChildExited>>;

/// A [`ChildExited`] that waits for its reason.
pub(crate) struct ExitNotice {
    pub(crate) supervisor: Exits,
    pub(crate) key: u64,
    pub(crate) incarnation: u64,
}

impl ExitNotice {
    pub(crate) fn send(self, reason: ExitReason) {
        let Self {
            supervisor,
            key,
            incarnation,
        } = self;
        supervisor.post(ChildExited {
            key,
            incarnation,
            reason,
        });
    }
}

/// What a supervisor gives to a start.
pub(crate) struct LaunchEnv {
    /// Whom to tell of the exit, and under which key; `None` for the root of a tree.
    pub(crate) supervisor: Option<(Exits, u64)>,
    pub(crate) origin: Origin,
}

/// Where a child comes from; what a supervisor passes on to its own children.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) lineage: Lineage,
    /// `None` above a root.
    pub(crate) presence: Option<Arc<Presence>>,
}

impl Origin {
    /// What is above a root.
    pub(crate) fn none() -> Self {
        Self {
            lineage: Lineage::none(),
            presence: None,
        }
    }
}

/// A start under way.
pub(crate) struct Launched {
    pub(crate) control: Arc<Control>,
    pub(crate) incarnation: u64,
    pub(crate) started: oneshot::Receiver<StartResult>,
}

impl Launched {
    /// A start that came to nothing.
    pub(crate) fn failed(reason: ExitReason) -> Self {
        let (sender, started) = oneshot::channel();
        let control = Arc::new(Control::default());
        control.set_exited(reason.clone());
        let _ = sender.send(Err(StartError::Exited(reason)));
        Self {
            control,
            incarnation: 0,
            started,
        }
    }
}

/// An incarnation that has its place, and nothing more yet.
pub(crate) struct Birth {
    pub(crate) incarnation: u64,
    pub(crate) control: Arc<Control>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) started: oneshot::Sender<StartResult>,
}

/// A birth on its way to its arbiter. Dropped there unused it says that the arbiter stopped, so that nobody waits for an
/// incarnation that never was.
struct Awaited<A: Actor<Context = Context<A>>> {
    birth: Option<Birth>,
    slot: Arc<Slot<A>>,
}

impl<A: Actor<Context = Context<A>>> Awaited<A> {
    /// Ends it before there is an actor.
    fn end(&mut self, reason: ExitReason, result: StartResult) {
        if let Some(birth) = self.birth.take() {
            drop(birth.presence);
            self.slot.abandon_start(birth.incarnation);
            birth.control.set_exited(reason);
            let _ = birth.started.send(result);
        }
    }

    fn was_killed(&self) -> bool {
        self.birth
            .as_ref()
            .is_none_or(|birth| birth.control.signal() == Signal::Kill)
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Awaited<A> {
    fn drop(&mut self) {
        self.end(ExitReason::ArbiterStopped, Err(StartError::ArbiterStopped));
    }
}

/// Makes an actor; on the thread that will run it, so the actor need not be `Send`.
pub(crate) type Factory<A> = dyn Fn(&Making<'_, A>) -> Result<Init<A>, StartError> + Send + Sync;

/// What a factory may want to know; those of users do not.
pub(crate) struct Making<'a, A: Actor> {
    pub(crate) origin: &'a Origin,
    /// Where the actor will be reached.
    pub(crate) inbox: &'a Arc<Inbox<A>>,
}

/// Everything needed to start a child again and again.
pub(crate) struct Launcher<A: Actor> {
    pub(crate) slot: Arc<Slot<A>>,
    pub(crate) factory: Box<Factory<A>>,
    pub(crate) placement: Placement,
    pub(crate) mailbox_capacity: Option<usize>,
    pub(crate) keeps_mailbox: bool,
    pub(crate) watching: Watching,
}

impl<A: Actor<Context = Context<A>>> Launcher<A> {
    /// Starts the next incarnation.
    ///
    /// # Errors
    ///
    /// The strings on the previous one, while something is left of it.
    pub(crate) fn launch(self: &Arc<Self>, env: LaunchEnv) -> Result<Launched, Arc<Control>> {
        let control = Arc::new(Control::default());
        let incarnation = self.slot.claim(&control)?;
        // Here rather than on its arbiter, so that the supervisor can end a shared one at any time from now on.
        let inbox = self.slot.open_inbox(self.mailbox_capacity.unwrap_or(0));
        let (sender, started) = oneshot::channel();
        let birth = Birth {
            incarnation,
            presence: Presence::new(&control, env.origin.presence.clone()),
            control: Arc::clone(&control),
            started: sender,
        };
        let run = {
            let launcher = Arc::clone(self);
            let awaited = Awaited {
                birth: Some(birth),
                slot: Arc::clone(&self.slot),
            };
            move || launcher.run(awaited, inbox, env)
        };
        match self.placement.pick() {
            None => run(),
            // Where the arbiter has stopped, the closure is dropped unrun, and `Awaited` answers.
            Some(arbiter) => drop(arbiter.spawn_fn(run)),
        }
        Ok(Launched {
            control,
            incarnation,
            started,
        })
    }

    fn run(&self, mut awaited: Awaited<A>, inbox: Arc<Inbox<A>>, env: LaunchEnv) {
        if awaited.was_killed() {
            let killed = StartError::Exited(ExitReason::Killed);
            return awaited.end(ExitReason::Killed, Err(killed));
        }
        let origin = Origin {
            lineage: env.origin.lineage,
            presence: awaited
                .birth
                .as_ref()
                .map(|birth| Arc::clone(&birth.presence)),
        };
        let Some(control) = awaited
            .birth
            .as_ref()
            .map(|birth| Arc::clone(&birth.control))
        else {
            return;
        };
        let making = Making {
            origin: &origin,
            inbox: &inbox,
        };
        let made = catch_panic(|| (self.factory)(&making))
            .unwrap_or_else(|panicked| Err(StartError::Exited(panicked.into())));
        drop(origin);
        let actor = match made {
            Ok(Init::Run(actor)) => actor,
            Ok(Init::Ignore) => return awaited.end(ExitReason::Normal, Ok(Started::Ignored)),
            Err(error) => return awaited.end(error.clone().into_reason(), Err(error)),
        };
        let Some(birth) = awaited.birth.take() else {
            return;
        };
        let mut context = Context::new();
        if let Some(capacity) = self.mailbox_capacity {
            context.set_mailbox_capacity(capacity);
        }
        let notice = env.supervisor.map(|(supervisor, key)| ExitNotice {
            supervisor,
            key,
            incarnation: birth.incarnation,
        });
        let slot = Arc::clone(&self.slot);
        let watch = self.watching.begin(slot.id(), birth.incarnation);
        context.spawn(Feed {
            inbox: Arc::clone(&inbox),
            control: Arc::clone(&control),
            watch: watch.clone(),
        });
        let running = Running {
            addr: context.address(),
            inbox,
            incarnation: birth.incarnation,
            control: Arc::clone(&control),
            watch,
        };
        let attendant = SlotAttendant::new(slot, birth, running, notice);
        actix_rt::spawn(Driver::new(actor, context, control, attendant));
    }
}

impl<A: Actor> Drop for Launcher<A> {
    /// The factory may own values of any type, and the last one to let go of it may be the supervisor.
    fn drop(&mut self) {
        let factory = mem::replace(&mut self.factory, Box::new(|_| Ok(Init::Ignore)));
        drop_caught("a factory", || drop(factory));
    }
}

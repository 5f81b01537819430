//! Starting one incarnation of a child on its arbiter: what a supervisor and a [`ChildSpec`](crate::ChildSpec) agree on.

use std::{mem, sync::Arc};

use actix::{Actor, AsyncContext, Context, Message, Recipient};
use tokio::sync::oneshot;

pub(crate) use crate::start_error::StartError;
use crate::{
    control::{Control, Signal},
    driver::Driver,
    exit::ExitReason,
    observer::Lineage,
    panics::{catch_panic, drop_caught},
    placement::Placement,
    slot::{Slot, SlotAttendant},
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

/// A [`ChildExited`] that waits for its reason.
pub(crate) struct ExitNotice {
    pub(crate) supervisor: Recipient<ChildExited>,
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
        supervisor.do_send(ChildExited {
            key,
            incarnation,
            reason,
        });
    }
}

/// What a supervisor gives to a start.
pub(crate) struct LaunchEnv {
    /// Whom to tell of the exit, and under which key; `None` for the root of a tree.
    pub(crate) supervisor: Option<(Recipient<ChildExited>, u64)>,
    pub(crate) lineage: Lineage,
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

/// A start on its way to its arbiter. Dropped there unused it says that the arbiter stopped, so that nobody waits for
/// an incarnation that never was.
struct Awaited(Option<(Arc<Control>, oneshot::Sender<StartResult>)>);

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some((control, started)) = self.0.take() {
            control.set_exited(ExitReason::ArbiterStopped);
            let _ = started.send(Err(StartError::ArbiterStopped));
        }
    }
}

/// Makes an actor; on the thread that will run it, so the actor need not be `Send`.
pub(crate) type Factory<A> = dyn Fn(&Lineage) -> Result<Init<A>, StartError> + Send + Sync;

/// Everything needed to start a child again and again.
pub(crate) struct Launcher<A: Actor> {
    pub(crate) slot: Arc<Slot<A>>,
    pub(crate) factory: Box<Factory<A>>,
    pub(crate) placement: Placement,
    pub(crate) mailbox_capacity: Option<usize>,
}

impl<A: Actor<Context = Context<A>>> Launcher<A> {
    /// Starts the next incarnation; the caller has made sure that the previous one is gone.
    pub(crate) fn launch(self: &Arc<Self>, env: LaunchEnv) -> Launched {
        let control = Arc::new(Control::default());
        let incarnation = self.slot.begin(&control);
        let (sender, started) = oneshot::channel();
        let run = {
            let launcher = Arc::clone(self);
            let awaited = Awaited(Some((Arc::clone(&control), sender)));
            move || launcher.run(incarnation, awaited, env)
        };
        match self.placement.pick() {
            None => run(),
            // Where the arbiter has stopped, the closure is dropped unrun, and `Awaited` answers.
            Some(arbiter) => drop(arbiter.spawn_fn(run)),
        }
        Launched {
            control,
            incarnation,
            started,
        }
    }

    fn run(&self, incarnation: u64, mut awaited: Awaited, env: LaunchEnv) {
        let Some((control, started)) = awaited.0.take() else {
            return;
        };
        let LaunchEnv {
            supervisor,
            lineage,
        } = env;
        if control.signal() == Signal::Kill {
            control.set_exited(ExitReason::Killed);
            let _ = started.send(Err(StartError::Exited(ExitReason::Killed)));
            return;
        }
        let made = catch_panic(|| (self.factory)(&lineage))
            .unwrap_or_else(|panicked| Err(StartError::Exited(panicked.into())));
        let actor = match made {
            Ok(Init::Run(actor)) => actor,
            Ok(Init::Ignore) => {
                control.set_exited(ExitReason::Normal);
                let _ = started.send(Ok(Started::Ignored));
                return;
            }
            Err(error) => {
                control.set_exited(error.clone().into_reason());
                let _ = started.send(Err(error));
                return;
            }
        };
        let mut context = Context::new();
        if let Some(capacity) = self.mailbox_capacity {
            context.set_mailbox_capacity(capacity);
        }
        let notice = supervisor.map(|(supervisor, key)| ExitNotice {
            supervisor,
            key,
            incarnation,
        });
        let slot = Arc::clone(&self.slot);
        let attendant = SlotAttendant::new(
            slot,
            incarnation,
            context.address(),
            Arc::clone(&control),
            started,
            notice,
        );
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

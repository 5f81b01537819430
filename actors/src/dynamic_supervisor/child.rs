//! One child without a spec: its handle, its start, and its place in the table.

use std::{fmt, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context, dev::channel};
use tokio::sync::oneshot;

use super::{
    error::StartDynamicError,
    nursery::{Nursery, Position},
};
use crate::{
    control::{Control, Signal},
    driver::{Attendant, Driver},
    exit::ExitReason,
    feed::Pacer,
    launch::{Init, StartError, StartResult, Started},
    panics::catch_panic,
};

/// A running temporary child.
pub struct DynamicChild<A: Actor> {
    addr: Addr<A>,
    pub(super) control: Arc<Control>,
    pub(super) position: Position,
}

impl<A: Actor<Context = Context<A>>> DynamicChild<A> {
    /// Its address. Messages go straight to actix's mailbox, which is drained in one go; see
    /// [`guarantees`](crate::guarantees).
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
            position: self.position,
        }
    }
}

impl<A: Actor> fmt::Debug for DynamicChild<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamicChild").field(&self.control).finish()
    }
}

/// actix's own default, in messages.
const MAILBOX_CAPACITY: usize = 16;

/// A child that was admitted and still has to be made.
pub(super) struct Newborn<A: Actor<Context = Context<A>>> {
    mailbox: channel::AddressReceiver<A>,
    control: Arc<Control>,
    place: Place,
}

impl<A: Actor<Context = Context<A>>> Newborn<A> {
    /// Admits a child; whoever started it is told through `started` how that went.
    pub(super) fn admit(
        nursery: &Arc<Nursery>,
        started: Option<oneshot::Sender<StartResult>>,
    ) -> Result<(DynamicChild<A>, Self), StartDynamicError> {
        let control = Arc::new(Control::default());
        let mut place = Place::take(nursery, &control, std::any::type_name::<A>())?;
        place.started = started;
        let (sender, mailbox) = channel::channel(MAILBOX_CAPACITY);
        let child = DynamicChild {
            addr: Addr::new(sender),
            control: Arc::clone(&control),
            position: place.position(),
        };
        let newborn = Self {
            mailbox,
            control,
            place,
        };
        Ok((child, newborn))
    }

    /// Makes and runs the child on its arbiter.
    pub(super) fn dispatch<F>(self, nursery: &Nursery, factory: F)
    where
        F: FnOnce() -> Result<Init<A>, ExitReason> + Send + 'static,
    {
        nursery.dispatch(self.place.position, move || self.make_and_run(factory));
    }

    fn make_and_run(mut self, factory: impl FnOnce() -> Result<Init<A>, ExitReason>) {
        let made = catch_panic(factory).unwrap_or_else(|panicked| Err(panicked.into()));
        match made {
            Ok(Init::Run(actor)) => self.run(actor),
            Ok(Init::Ignore) => self.end(&ExitReason::Normal, Ok(Started::Ignored)),
            Err(reason) => {
                let error = StartError::Exited(reason.clone());
                self.end(&reason, Err(error));
            }
        }
    }

    /// Runs the child on the arbiter of the caller.
    pub(super) fn run(self, actor: A) {
        let mut context = Context::with_receiver(self.mailbox);
        context.spawn(Pacer);
        actix_rt::spawn(Driver::new(actor, context, self.control, self.place));
    }

    /// Ends a child that never ran.
    fn end(&mut self, reason: &ExitReason, result: StartResult) {
        if let Some(started) = self.place.started.take() {
            let _ = started.send(result);
        }
        self.place.exited(reason, false);
        self.control.set_exited(reason.clone());
    }
}

/// A child's place in the table; it is free again when the child ends, at the latest when this is dropped.
pub(crate) struct Place {
    nursery: Arc<Nursery>,
    position: Position,
    free: bool,
    started: Option<oneshot::Sender<StartResult>>,
}

impl Place {
    pub(crate) fn take(
        nursery: &Arc<Nursery>,
        control: &Arc<Control>,
        actor: &'static str,
    ) -> Result<Self, StartDynamicError> {
        let position = nursery.admit(control, actor)?;
        nursery.kill_if_missed(control);
        Ok(Self {
            nursery: Arc::clone(nursery),
            position,
            free: false,
            started: None,
        })
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }
}

impl Attendant for Place {
    fn started(&mut self) {
        self.nursery.report_start(self.position);
        if let Some(started) = self.started.take() {
            let _ = started.send(Ok(Started::Running));
        }
    }

    /// The place is free before anybody hears of the end.
    fn exited(&mut self, reason: &ExitReason, started: bool) {
        if !std::mem::replace(&mut self.free, true) {
            self.nursery.leave(self.position, reason, started);
        }
        if let Some(started) = self.started.take() {
            let _ = started.send(Err(StartError::Exited(reason.clone())));
        }
    }
}

impl Drop for Place {
    /// A child whose arbiter stopped before it began ends here.
    fn drop(&mut self) {
        if !self.free
            && let Some(resident) = self.nursery.release(self.position)
        {
            resident.control.set_exited(ExitReason::ArbiterStopped);
        }
    }
}

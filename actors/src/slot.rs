//! Where a named child stands: the state behind a [`ChildRef`](crate::ChildRef), shared by all incarnations of the child.
//!
//! The order at an exit is part of the contract: the address is cleared first, then the actor is dropped, then reason
//! and incarnation are recorded, then waiters and monitors wake, and only then the supervisor hears of it.

use std::sync::Arc;

use actix::{Actor, Addr, Context};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    control::Control,
    driver::Attendant,
    exit::ExitReason,
    launch::{ExitNotice, StartError, StartResult, Started},
    monitor::Down,
};

/// What is known of a child, for everybody who waits for a change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Counts the starts that were tried; zero before the first.
    pub(crate) incarnation: u64,
    /// Whether that incarnation serves.
    pub(crate) running: bool,
    /// The latest incarnation that ended, and why.
    pub(crate) last_exit: Option<(u64, ExitReason)>,
}

impl Status {
    /// Why `incarnation`, or one after it, ended.
    pub(crate) fn exit_of(&self, incarnation: u64) -> Option<&ExitReason> {
        self.last_exit
            .as_ref()
            .filter(|(ended, _)| *ended >= incarnation)
            .map(|(_, reason)| reason)
    }
}

/// One child's place; outlives every incarnation of the child.
pub(crate) struct Slot<A: Actor> {
    id: Arc<str>,
    /// Borrowed by each call: cloning an `Addr` would cost two allocations.
    running: ArcSwapOption<Running<A>>,
    control: Mutex<Option<Arc<Control>>>,
    status: watch::Sender<Status>,
    monitors: Mutex<Vec<oneshot::Sender<Down>>>,
}

/// The serving incarnation.
pub(crate) struct Running<A: Actor> {
    pub(crate) addr: Addr<A>,
    pub(crate) incarnation: u64,
    control: Arc<Control>,
}

impl<A: Actor<Context = Context<A>>> Slot<A> {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            running: ArcSwapOption::empty(),
            control: Mutex::new(None),
            status: watch::Sender::new(Status::default()),
            monitors: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn running(&self) -> arc_swap::Guard<Option<Arc<Running<A>>>> {
        self.running.load()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The strings on the present incarnation, serving or starting.
    pub(crate) fn control(&self) -> Option<Arc<Control>> {
        self.control.lock().clone()
    }

    /// Makes room for the next incarnation; returns its number.
    pub(crate) fn begin(&self, control: &Arc<Control>) -> u64 {
        *self.control.lock() = Some(Arc::clone(control));
        let mut incarnation = 0;
        self.status.send_modify(|status| {
            status.incarnation += 1;
            status.running = false;
            incarnation = status.incarnation;
        });
        incarnation
    }

    /// Registers a monitor and says which incarnation it watches; where nothing runs it is told so at once.
    pub(crate) fn add_monitor(&self, monitor: oneshot::Sender<Down>) -> u64 {
        // The lock is held while the status is read, so an exit either sees the monitor or is seen here.
        let mut monitors = self.monitors.lock();
        let (incarnation, running) = {
            let status = self.status.borrow();
            (status.incarnation, status.running)
        };
        if running {
            // Only before the list would grow, so that many monitors stay cheap.
            if monitors.len() == monitors.capacity() {
                monitors.retain(|monitor| !monitor.is_closed());
            }
            monitors.push(monitor);
        } else {
            drop(monitors);
            let _ = monitor.send(Down {
                id: Arc::clone(&self.id),
                incarnation,
                reason: ExitReason::NotRunning,
            });
        }
        incarnation
    }

    /// Nobody new reaches `incarnation`, which was killed and blocks its thread; its end is recorded when it comes.
    pub(crate) fn give_up(&self, incarnation: u64) {
        if self.serves(incarnation) {
            self.running.store(None);
        }
        self.status.send_if_modified(|status| {
            let gone = status.running && status.incarnation == incarnation;
            status.running &= !gone;
            gone
        });
    }

    /// After a reply was dropped: why `incarnation` died, or `None` when it lives and merely gave no reply.
    pub(crate) async fn settle(&self, incarnation: u64) -> Option<ExitReason> {
        let serving = self
            .running()
            .as_ref()
            .filter(|running| running.incarnation == incarnation)
            .map(|running| Arc::clone(&running.control));
        if let Some(control) = serving {
            return control.turn_ended().await;
        }
        // Its end is recorded, or will be.
        let mut status = self.status();
        let ended = status
            .wait_for(|status| status.exit_of(incarnation).is_some())
            .await
            .ok()?;
        ended.exit_of(incarnation).cloned()
    }

    fn serves(&self, incarnation: u64) -> bool {
        self.running()
            .as_ref()
            .is_some_and(|running| running.incarnation == incarnation)
    }

    fn record_exit(&self, incarnation: u64, reason: &ExitReason) {
        let monitors = {
            let mut monitors = self.monitors.lock();
            self.status.send_modify(|status| {
                status.running = status.running && status.incarnation != incarnation;
                status.last_exit = Some((incarnation, reason.clone()));
            });
            std::mem::take(&mut *monitors)
        };
        // Before anybody hears of it: who is told of an end may start the child again at once.
        if let Some(control) = self.control() {
            control.set_exited(reason.clone());
        }
        for monitor in monitors {
            let _ = monitor.send(Down {
                id: Arc::clone(&self.id),
                incarnation,
                reason: reason.clone(),
            });
        }
    }
}

/// Reports the steps of one incarnation to its slot, to whoever started it, and to its supervisor.
pub(crate) struct SlotAttendant<A: Actor> {
    slot: Arc<Slot<A>>,
    incarnation: u64,
    /// Handed to the slot once the start is complete.
    running: Option<Running<A>>,
    started: Option<oneshot::Sender<StartResult>>,
    notice: Option<ExitNotice>,
}

impl<A: Actor<Context = Context<A>>> SlotAttendant<A> {
    pub(crate) fn new(
        slot: Arc<Slot<A>>,
        incarnation: u64,
        addr: Addr<A>,
        control: Arc<Control>,
        started: oneshot::Sender<StartResult>,
        notice: Option<ExitNotice>,
    ) -> Self {
        Self {
            slot,
            incarnation,
            running: Some(Running {
                addr,
                incarnation,
                control,
            }),
            started: Some(started),
            notice,
        }
    }
}

impl<A: Actor<Context = Context<A>>> Attendant for SlotAttendant<A> {
    fn started(&mut self) {
        let incarnation = self.incarnation;
        if let Some(running) = self.running.take() {
            self.slot.running.store(Some(Arc::new(running)));
        }
        self.slot
            .status
            .send_modify(|status| status.running = status.incarnation == incarnation);
        if let Some(started) = self.started.take() {
            let _ = started.send(Ok(Started::Running));
        }
    }

    fn ending(&mut self) {
        self.running = None;
        // An incarnation that was given up as stuck may end long after its successor began to serve.
        if self.slot.serves(self.incarnation) {
            self.slot.running.store(None);
        }
    }

    fn exited(&mut self, reason: &ExitReason, started: bool) {
        self.slot.record_exit(self.incarnation, reason);
        if let Some(ack) = self.started.take() {
            let _ = ack.send(Err(StartError::Exited(reason.clone())));
        } else if started && let Some(notice) = self.notice.take() {
            notice.send(reason.clone());
        }
    }
}

//! Where a named child stands: the state behind a [`ChildRef`](crate::ChildRef), shared by all incarnations of the child.
//!
//! The order at an exit is part of the contract: the address is cleared first, then the actor is dropped, then reason
//! and incarnation are recorded, then waiters and monitors wake, and only then the supervisor hears of it.

use std::sync::{Arc, OnceLock};

use actix::{Actor, Addr, Context};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    control::Control,
    driver::Attendant,
    exit::ExitReason,
    inbox::Inbox,
    launch::{Birth, ExitNotice, StartError, StartResult, Started},
    monitor::Down,
    presence::Presence,
    shared_inbox::Station,
    stats::ChildStats,
    supervisor::ChildState,
    view::View,
    watch::Watch,
};

/// What is known of a child, for everybody who waits for a change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Counts the starts that were tried; zero before the first.
    pub(crate) incarnation: u64,
    /// Whether the start of that incarnation is under way.
    pub(crate) starting: bool,
    /// Whether that incarnation serves.
    pub(crate) running: bool,
    /// Whether that incarnation was ended by its supervisor.
    pub(crate) shut_down: bool,
}

/// One child's place; outlives every incarnation of the child.
pub(crate) struct Slot<A: Actor> {
    id: Arc<str>,
    /// Borrowed by each call: cloning an `Addr` would cost two allocations.
    running: ArcSwapOption<Running<A>>,
    control: Mutex<Option<Arc<Control>>>,
    /// Why the incarnation before the present one ended.
    last_exit: Mutex<Option<Box<ExitReason>>>,
    status: watch::Sender<Status>,
    monitors: Mutex<Vec<oneshot::Sender<Down>>>,
    /// For supervisors only.
    view: Option<Arc<dyn View>>,
    /// For a child whose inbox outlives its incarnations.
    station: OnceLock<Box<Station<A>>>,
}

/// The serving incarnation.
pub(crate) struct Running<A: Actor> {
    pub(crate) addr: Addr<A>,
    pub(crate) inbox: Arc<Inbox<A>>,
    pub(crate) incarnation: u64,
    pub(crate) control: Arc<Control>,
    pub(crate) watch: Option<Arc<Watch>>,
}

impl<A: Actor<Context = Context<A>>> Slot<A> {
    pub(crate) fn new(id: Arc<str>, view: Option<Arc<dyn View>>) -> Self {
        Self {
            id,
            running: ArcSwapOption::empty(),
            control: Mutex::new(None),
            last_exit: Mutex::new(None),
            status: watch::Sender::new(Status::default()),
            monitors: Mutex::new(Vec::new()),
            view,
            station: OnceLock::new(),
        }
    }

    /// From now on the child takes its messages there; the first station counts.
    pub(crate) fn set_station(&self, station: Station<A>) {
        let _ = self.station.set(Box::new(station));
    }

    /// The inbox for the next incarnation.
    pub(crate) fn open_inbox(&self, capacity: usize) -> Arc<Inbox<A>> {
        match self.station.get() {
            Some(station) => station.enter(capacity),
            None => Arc::new(Inbox::new(capacity, false)),
        }
    }

    /// There will be no other incarnation: what waits in a shared inbox for this child alone is dropped.
    pub(crate) fn leave_station(&self, reason: &ExitReason) {
        if let Some(station) = self.station.get() {
            station.leave(reason);
        }
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn running(&self) -> arc_swap::Guard<Option<Arc<Running<A>>>> {
        self.running.load()
    }

    /// As [`running`](Self::running), to be kept.
    pub(crate) fn serving(&self) -> Option<Arc<Running<A>>> {
        self.running.load_full()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The strings on the present incarnation, serving or starting.
    pub(crate) fn control(&self) -> Option<Arc<Control>> {
        self.control.lock().clone()
    }

    pub(crate) fn view(&self) -> Option<&Arc<dyn View>> {
        self.view.as_ref()
    }

    /// Where the child stands as its handle sees it.
    pub(crate) fn state(&self) -> ChildState {
        let status = self.status.borrow();
        let incarnation = status.incarnation;
        match (status.running, status.starting) {
            (true, _) => ChildState::Running { incarnation },
            (false, true) => ChildState::Starting { incarnation },
            (false, false) => ChildState::Stopped,
        }
    }

    /// How the child is doing.
    pub(crate) fn stats(&self) -> ChildStats {
        let running = self.serving();
        let stats = running
            .as_ref()
            .map(|running| running.inbox.stats(&running.control));
        let ended = self
            .control()
            .and_then(|control| control.exit_reason().cloned());
        let last_exit = || self.last_exit.lock().as_deref().cloned();
        ChildStats {
            restarts: self.status.borrow().incarnation.saturating_sub(1),
            last_exit: ended.or_else(last_exit),
            current: running.and_then(|running| running.watch.as_ref()?.current()),
            ..stats.unwrap_or_default()
        }
    }

    /// Takes the place for the next incarnation and returns its number.
    ///
    /// # Errors
    ///
    /// The strings on the previous incarnation, of which something is left; see [`Presence`].
    pub(crate) fn claim(&self, control: &Arc<Control>) -> Result<u64, Arc<Control>> {
        let mut present = self.control.lock();
        if let Some(previous) = present.as_ref().filter(|previous| !previous.is_gone()) {
            return Err(Arc::clone(previous));
        }
        if let Some(reason) = present.as_ref().and_then(|previous| previous.exit_reason()) {
            *self.last_exit.lock() = Some(Box::new(reason.clone()));
        }
        *present = Some(Arc::clone(control));
        let mut incarnation = 0;
        self.status.send_modify(|status| {
            status.incarnation += 1;
            status.starting = true;
            (status.running, status.shut_down) = (false, false);
            incarnation = status.incarnation;
        });
        Ok(incarnation)
    }

    /// The start that was under way has come to nothing.
    pub(crate) fn abandon_start(&self, incarnation: u64) {
        self.status.send_if_modified(|status| {
            let under_way = status.starting && status.incarnation == incarnation;
            status.starting &= !under_way;
            under_way
        });
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

    fn serves(&self, incarnation: u64) -> bool {
        self.running()
            .as_ref()
            .is_some_and(|running| running.incarnation == incarnation)
    }

    fn record_exit(&self, incarnation: u64, control: &Control, reason: &ExitReason) {
        let monitors = {
            let mut monitors = self.monitors.lock();
            self.status.send_modify(|status| {
                if status.incarnation == incarnation {
                    (status.starting, status.running) = (false, false);
                    status.shut_down = *reason == ExitReason::Shutdown;
                }
            });
            std::mem::take(&mut *monitors)
        };
        // Before anybody hears of it: who is told of an end may start the child again at once.
        control.set_exited(reason.clone());
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
    control: Arc<Control>,
    /// Handed to the slot once the start is complete.
    running: Option<Running<A>>,
    started: Option<oneshot::Sender<StartResult>>,
    notice: Option<ExitNotice>,
    /// Given up when the actor is gone.
    presence: Option<Arc<Presence>>,
}

impl<A: Actor<Context = Context<A>>> SlotAttendant<A> {
    pub(crate) fn new(
        slot: Arc<Slot<A>>,
        birth: Birth,
        running: Running<A>,
        notice: Option<ExitNotice>,
    ) -> Self {
        let Birth {
            incarnation,
            control,
            presence,
            started,
        } = birth;
        Self {
            slot,
            incarnation,
            running: Some(running),
            control,
            started: Some(started),
            notice,
            presence: Some(presence),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Attendant for SlotAttendant<A> {
    fn started(&mut self) {
        let incarnation = self.incarnation;
        if let Some(running) = self.running.take() {
            self.slot.running.store(Some(Arc::new(running)));
        }
        self.slot.status.send_modify(|status| {
            status.starting = false;
            status.running = status.incarnation == incarnation;
        });
        if let Some(started) = self.started.take() {
            let _ = started.send(Ok(Started::Running));
        }
    }

    fn ending(&mut self) {
        self.running = None;
        if self.slot.serves(self.incarnation) {
            self.slot.running.store(None);
        }
    }

    fn exited(&mut self, reason: &ExitReason, started: bool) {
        self.presence = None;
        let (incarnation, control) = (self.incarnation, &self.control);
        self.slot.record_exit(incarnation, control, reason);
        if let Some(ack) = self.started.take() {
            let _ = ack.send(Err(StartError::Exited(reason.clone())));
        } else if started && let Some(notice) = self.notice.take() {
            notice.send(reason.clone());
        }
    }
}

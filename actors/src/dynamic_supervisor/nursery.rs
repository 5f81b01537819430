//! The children without a spec: one table an arbiter, one small control block a child.
//!
//! The table is shared, so a start from any thread costs no message to the supervisor; the supervisor opens it when it
//! starts, empties it when it stops, and kills what is in it when it dies.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use slab::Slab;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{error::StartDynamicError, seats::Seats};
use crate::{
    child_spec::Shutdown,
    control::{Control, Signal},
    exit::ExitReason,
    observer::Lineage,
    panics::drop_caught,
    placement::ArbiterPool,
};

/// All children without a spec, actors and tasks, whichever incarnation of the supervisor started them.
pub(crate) struct Nursery {
    /// False while the supervisor does not run.
    open: AtomicBool,
    pub(super) seats: Arc<Seats>,
    /// Told when the last child of a shard is gone.
    emptied: Notify,
    pool: Option<ArbiterPool>,
    /// Runs starts and ends on the supervisor's own arbiter.
    home: ArcSwapOption<mpsc::UnboundedSender<Work>>,
    next_shard: AtomicUsize,
    shards: Box<[Shard]>,
    lineage: OnceLock<Lineage>,
}

/// The children of one arbiter, so that starts and exits on different threads do not contend.
type Shard = Mutex<Slab<Resident>>;

/// Something to do on the supervisor's arbiter.
type Work = Box<dyn FnOnce() + Send>;

/// What the table holds of a child.
#[derive(Clone)]
pub(crate) struct Resident {
    pub(crate) control: Arc<Control>,
    /// The Rust type of the actor, or of the future.
    pub(crate) actor: &'static str,
}

/// Where a child is in the table; it fits into a word, for every child and every handle has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    shard: u32,
    key: u32,
}

impl Nursery {
    pub(super) fn new(max_children: usize, pool: Option<ArbiterPool>) -> Self {
        let shards = pool.as_ref().map_or(1, ArbiterPool::len);
        Self {
            open: AtomicBool::new(false),
            seats: Arc::new(Seats::new(max_children)),
            emptied: Notify::new(),
            pool,
            home: ArcSwapOption::empty(),
            next_shard: AtomicUsize::new(0),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            lineage: OnceLock::new(),
        }
    }

    /// Called on the supervisor's thread; from now on children are started here.
    pub(super) fn open(&self, lineage: &Lineage) {
        // A handle belongs to one place in one tree, so every incarnation of the supervisor has the same lineage.
        self.lineage.get_or_init(|| lineage.clone());
        let (home, mut work) = mpsc::unbounded_channel::<Work>();
        actix_rt::spawn(async move {
            while let Some(start) = work.recv().await {
                // What a child was given before it ran may panic when it is dropped.
                drop_caught("a child that did not run", start);
            }
        });
        self.home.store(Some(Arc::new(home)));
        self.open.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.home.store(None);
    }

    /// Counts a child in, unless there are too many or nobody would supervise it.
    pub(super) fn admit(
        &self,
        control: &Arc<Control>,
        actor: &'static str,
    ) -> Result<Position, StartDynamicError> {
        if !self.is_open() {
            return Err(StartDynamicError::NoSupervisor);
        }
        self.seats.occupy()?;
        let shard = match self.shards.len() {
            1 => 0,
            shards => self.next_shard.fetch_add(1, Ordering::Relaxed) % shards,
        };
        let control = Arc::clone(control);
        let key = self.shards[shard]
            .lock()
            .insert(Resident { control, actor });
        // A table of 2^32 children would take four terabytes.
        Ok(Position {
            shard: shard as u32,
            key: key as u32,
        })
    }

    /// Runs a start on the arbiter of its place. Where that has stopped, the start is dropped unrun.
    pub(crate) fn dispatch(&self, to: Position, start: impl FnOnce() + Send + 'static) {
        match &self.pool {
            Some(pool) => drop(pool.get(to.shard as usize).spawn_fn(start)),
            None => self.dispatch_home(start),
        }
    }

    /// Runs something on the supervisor's own arbiter; it is dropped where there is no supervisor.
    pub(super) fn dispatch_home(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(home) = &*self.home.load() {
            let _ = home.send(Box::new(work));
        }
    }

    /// A supervisor that closed the table while a child was admitted may have missed that child.
    pub(super) fn kill_if_missed(&self, control: &Control) {
        if !self.open.load(Ordering::SeqCst) {
            control.send(Signal::Kill);
        }
    }

    /// Reports that a child runs.
    pub(super) fn report_start(&self, at: Position) {
        let lineage = self.lineage.get().filter(|lineage| lineage.is_watched());
        let (Some(lineage), Some(shard)) = (lineage, self.shards.get(at.shard as usize)) else {
            return;
        };
        // The observer may ask about the children, or start others: the table is not locked while it is told.
        let actor = shard.lock().get(at.key as usize).map(|it| it.actor);
        if let Some(actor) = actor {
            lineage.unnamed_started(actor);
        }
    }

    /// Frees the place of a child that ended and reports the end, unless it had never begun.
    pub(super) fn leave(&self, at: Position, reason: &ExitReason, began: bool) {
        let resident = self.release(at);
        if let (true, Some(resident), Some(lineage)) = (began, resident, self.lineage.get()) {
            lineage.unnamed_terminated(resident.actor, reason);
        }
    }

    /// Frees a child's place; what was there.
    pub(super) fn release(&self, at: Position) -> Option<Resident> {
        let (resident, empty) = {
            let mut shard = self.shards[at.shard as usize].lock();
            (shard.try_remove(at.key as usize), shard.is_empty())
        };
        self.seats.vacate();
        if empty {
            self.emptied.notify_waiters();
        }
        resident
    }

    /// The child at a place, if `control` is its own.
    pub(super) fn find(&self, at: Position, control: &Arc<Control>) -> Option<Resident> {
        let shard = self.shards.get(at.shard as usize)?.lock();
        let resident = shard.get(at.key as usize)?;
        Arc::ptr_eq(&resident.control, control).then(|| resident.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    pub(super) fn residents(&self) -> Vec<Resident> {
        let shards = self.shards.iter();
        shards
            .flat_map(|shard| {
                let shard = shard.lock();
                shard.iter().map(|(_, it)| it.clone()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Stops all children at once and waits for them, as `shutdown` says; how many still block their threads.
    pub(super) async fn stop_all(&self, shutdown: Shutdown, kill_timeout: Duration) -> usize {
        self.close();
        if shutdown != Shutdown::Kill {
            self.signal_all(Signal::Shutdown);
        }
        match shutdown {
            Shutdown::Kill => {}
            Shutdown::Timeout(patience) => {
                let _ = timeout(patience, self.emptied()).await;
            }
            Shutdown::Infinity => self.emptied().await,
        }
        if self.len() > 0 {
            self.signal_all(Signal::Kill);
            let _ = timeout(kill_timeout, self.emptied()).await;
        }
        self.len()
    }

    /// Nobody supervises any more: no more starts, and no orphans.
    pub(super) fn abandon(&self) {
        self.close();
        self.signal_all(Signal::Kill);
    }

    fn signal_all(&self, signal: Signal) {
        for shard in &self.shards {
            // A driver that is woken needs the lock when it ends, so it is not held while waking.
            let controls: Vec<_> = shard
                .lock()
                .iter()
                .map(|(_, resident)| Arc::clone(&resident.control))
                .collect();
            for control in controls {
                control.send(signal);
            }
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

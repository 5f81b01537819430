//! The temporary children of a dynamic supervisor: one table an arbiter, one small control block a child.
//!
//! The table is shared, so a start from any thread costs no message to the supervisor; the supervisor opens it when it
//! starts, empties it when it stops, and kills what is in it when it dies.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::Actor;
use actix::{Addr, Context, dev::channel};
use actix_rt::ArbiterHandle;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::{Notify, oneshot};

use super::{DynamicChild, StartDynamicError};
use crate::{
    child_spec::Shutdown,
    control::{Control, Signal},
    driver::{Attendant, Driver},
    exit::ExitReason,
    launch::{StartError, StartResult, Started},
    placement::ArbiterPool,
};

/// All temporary children, whichever incarnation of the supervisor started them.
pub(super) struct Nursery {
    /// False while the supervisor does not run.
    open: AtomicBool,
    max_children: usize,
    live: AtomicUsize,
    /// Told when the last child is gone.
    emptied: Notify,
    pool: Option<ArbiterPool>,
    next_shard: AtomicUsize,
    shards: Box<[Shard]>,
}

/// The children of one arbiter, so that starts and exits on different threads do not contend.
type Shard = Mutex<Slab<Arc<Control>>>;

impl Nursery {
    pub(super) fn new(max_children: usize, pool: Option<ArbiterPool>) -> Self {
        let shards = pool.as_ref().map_or(1, ArbiterPool::len);
        Self {
            open: AtomicBool::new(false),
            max_children,
            live: AtomicUsize::new(0),
            emptied: Notify::new(),
            pool,
            next_shard: AtomicUsize::new(0),
            shards: (0..shards).map(|_| Shard::default()).collect(),
        }
    }

    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Starts a child on the next arbiter of the pool, or on `home` where there is no pool.
    pub(super) fn spawn<A, F>(
        self: &Arc<Self>,
        home: &ArbiterHandle,
        factory: F,
        started: Option<oneshot::Sender<StartResult>>,
    ) -> Result<DynamicChild<A>, StartDynamicError>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> A + Send + 'static,
    {
        let place = self.admit()?;
        let arbiter = match &self.pool {
            Some(pool) => pool.get(place.shard),
            None => home.clone(),
        };
        let (child, newborn) = self.conceive(place, started);
        // Where the arbiter has stopped, the closure is dropped unrun, and with it the place in the table.
        arbiter.spawn_fn(move || newborn.make_and_run(factory));
        Ok(child)
    }

    /// Starts a child on the arbiter of the caller.
    pub(super) fn spawn_local<A: Actor<Context = Context<A>>>(
        self: &Arc<Self>,
        actor: A,
    ) -> Result<DynamicChild<A>, StartDynamicError> {
        let place = self.admit()?;
        let (child, newborn) = self.conceive(place, None);
        newborn.run(actor);
        Ok(child)
    }

    /// Counts the child in, unless there are too many or nobody would supervise it.
    fn admit(&self) -> Result<Vacancy, StartDynamicError> {
        if !self.open.load(Ordering::Acquire) {
            return Err(StartDynamicError::NoSupervisor);
        }
        let within = |live| (live < self.max_children).then_some(live + 1);
        if self
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, within)
            .is_err()
        {
            return Err(StartDynamicError::MaxChildren(self.max_children));
        }
        let shard = match self.shards.len() {
            1 => 0,
            shards => self.next_shard.fetch_add(1, Ordering::Relaxed) % shards,
        };
        Ok(Vacancy { shard })
    }

    fn conceive<A: Actor<Context = Context<A>>>(
        self: &Arc<Self>,
        Vacancy { shard }: Vacancy,
        started: Option<oneshot::Sender<StartResult>>,
    ) -> (DynamicChild<A>, Newborn<A>) {
        let control = Arc::new(Control::default());
        let key = self.shards[shard].lock().insert(Arc::clone(&control));
        // A supervisor that closed the table meanwhile may have missed this child.
        if !self.open.load(Ordering::SeqCst) {
            control.send(Signal::Kill);
        }
        let (sender, mailbox) = channel::channel(MAILBOX_CAPACITY);
        let addr = Addr::new(sender);
        let place = Place {
            nursery: Arc::clone(self),
            shard,
            key,
            started,
        };
        let child = DynamicChild::new(addr, Arc::clone(&control));
        (
            child,
            Newborn {
                mailbox,
                control,
                place,
            },
        )
    }

    /// Stops all children at once and waits for them, as `shutdown` says; false when some still block their threads.
    pub(super) async fn stop_all(&self, shutdown: Shutdown, kill_timeout: Duration) -> bool {
        self.open.store(false, Ordering::SeqCst);
        let patience = match shutdown {
            Shutdown::Kill => Some(Duration::ZERO),
            Shutdown::Timeout(patience) => Some(patience),
            Shutdown::Infinity => None,
        };
        if shutdown != Shutdown::Kill {
            self.signal_all(Signal::Shutdown);
            match patience {
                None => self.emptied().await,
                Some(patience) => {
                    let _ = tokio::time::timeout(patience, self.emptied()).await;
                }
            }
        }
        if self.live() == 0 {
            return true;
        }
        self.signal_all(Signal::Kill);
        tokio::time::timeout(kill_timeout, self.emptied())
            .await
            .is_ok()
    }

    /// Nobody supervises any more: no more starts, and no orphans.
    pub(super) fn abandon(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.signal_all(Signal::Kill);
    }

    fn signal_all(&self, signal: Signal) {
        for shard in &self.shards {
            // Woken drivers may end on this very thread's next turn; they need the lock, so it is not held while waking.
            let controls: Vec<_> = shard
                .lock()
                .iter()
                .map(|(_, control)| Arc::clone(control))
                .collect();
            for control in controls {
                control.send(signal);
            }
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.live() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// actix's own default, in messages.
const MAILBOX_CAPACITY: usize = 16;

/// A place that was counted but not filled yet.
struct Vacancy {
    shard: usize,
}

/// A child on its way to its arbiter.
struct Newborn<A: Actor<Context = Context<A>>> {
    mailbox: channel::AddressReceiver<A>,
    control: Arc<Control>,
    place: Place,
}

impl<A: Actor<Context = Context<A>>> Newborn<A> {
    fn make_and_run(mut self, factory: impl FnOnce() -> A) {
        match catch_unwind(AssertUnwindSafe(factory)) {
            Ok(actor) => self.run(actor),
            Err(payload) => {
                let reason = ExitReason::from_panic(&*payload);
                self.place.exited(&reason, false);
                self.control.set_exited(reason);
            }
        }
    }

    fn run(self, actor: A) {
        let Self {
            mailbox,
            control,
            place,
        } = self;
        actix_rt::spawn(Driver::new(
            actor,
            Context::with_receiver(mailbox),
            control,
            place,
        ));
    }
}

/// A child's place in the table; it is free again when this is dropped.
struct Place {
    nursery: Arc<Nursery>,
    shard: usize,
    key: usize,
    started: Option<oneshot::Sender<StartResult>>,
}

impl Attendant for Place {
    fn started(&mut self) {
        if let Some(started) = self.started.take() {
            let _ = started.send(Ok(Started::Running));
        }
    }

    fn exited(&mut self, reason: &ExitReason, _: bool) {
        if reason.is_abnormal() && *reason != ExitReason::Killed {
            tracing::warn!(%reason, "a temporary child ended");
        }
        if let Some(started) = self.started.take() {
            let _ = started.send(Err(StartError::Exited(reason.clone())));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let nursery = &self.nursery;
        let control = nursery.shards[self.shard].lock().try_remove(self.key);
        // Set already where an actor ran; a child whose arbiter stopped before it began ends here.
        if let Some(control) = control {
            control.set_exited(ExitReason::ArbiterStopped);
        }
        if nursery.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            nursery.emptied.notify_waiters();
        }
    }
}

//! The attached handlers: a list that is replaced as a whole, so that delivering an event takes no lock.

use std::{
    cell::RefCell,
    mem, ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use actix_otp::{Panicked, catch_panic};
use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    event::{Event, Family},
    filter::{FamilySet, Filter},
};

/// A handler with this id is attached already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a telemetry handler with the id `{id}` is attached already; detach it first")]
#[non_exhaustive]
pub struct AlreadyAttached {
    /// The id.
    pub id: Arc<str>,
}

/// An attached handler, as far as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerInfo {
    /// Its id.
    pub id: Arc<str>,
    /// What it hears.
    pub filter: Filter,
}

pub(super) type Handler = Box<dyn Fn(&Event<'_>) + Send + Sync>;

struct Attached {
    info: HandlerInfo,
    handler: Handler,
    /// Taken back before the list is replaced: who still reads the old list does not call it any more.
    live: AtomicBool,
}

impl Drop for Attached {
    /// It is dropped by whoever looks at the list last: a thread that works on something else.
    fn drop(&mut self) {
        let handler = mem::replace(&mut self.handler, Box::new(|_| {}));
        if let Err(panic) = catch_panic(|| drop(handler)) {
            tracing::error!(
                handler = crate::log_text::printed(&self.info.id),
                panic = crate::log_text::cut(panic.text()),
                "a telemetry handler panicked while it was dropped"
            );
        }
    }
}

thread_local! {
    /// The handlers that run on this thread now, each within an event that the one before has caused.
    static RUNNING: RefCell<Vec<*const Attached>> = const { RefCell::new(Vec::new()) };
}

/// Calls a handler, unless it is running: it would cause an event within an event, and so on without end.
fn call(attached: &Attached, event: &Event<'_>) -> Result<(), Panicked> {
    let this = ptr::from_ref(attached);
    if RUNNING.with_borrow(|running| running.contains(&this)) {
        return Ok(());
    }
    RUNNING.with_borrow_mut(|running| running.push(this));
    let called = catch_panic(|| (attached.handler)(event));
    RUNNING.with_borrow_mut(Vec::pop);
    called
}

/// All handlers, in the order in which they were attached.
#[derive(Default)]
pub(super) struct Handlers {
    /// The families that some handler may hear. Only a hint that saves work, so relaxed reads are enough.
    interest: AtomicU32,
    list: ArcSwap<Vec<Arc<Attached>>>,
    /// Changes take turns. Never held while a handler runs or is dropped, so handlers may attach and detach.
    changing: Mutex<()>,
}

impl Handlers {
    #[inline]
    pub(super) fn listen(&self, family: Family) -> bool {
        FamilySet::from_bits(self.interest.load(Ordering::Relaxed)).contains(family)
    }

    pub(super) fn attach(
        &self,
        id: Arc<str>,
        filter: Filter,
        handler: Handler,
    ) -> Result<(), AlreadyAttached> {
        let attached = Arc::new(Attached {
            info: HandlerInfo { id, filter },
            handler,
            live: AtomicBool::new(true),
        });
        let _turn = self.changing.lock();
        let now = self.list.load();
        if now.iter().any(|other| other.info.id == attached.info.id) {
            let id = Arc::clone(&attached.info.id);
            return Err(AlreadyAttached { id });
        }
        self.replace(now.iter().cloned().chain([attached]).collect());
        Ok(())
    }

    pub(super) fn detach(&self, id: &str) -> bool {
        self.remove(|attached| *attached.info.id == *id)
    }

    pub(super) fn infos(&self) -> Vec<HandlerInfo> {
        let list = self.list.load();
        list.iter().map(|attached| attached.info.clone()).collect()
    }

    /// Calls every handler that wants the event, on this thread and in order, but for those that are causing it.
    pub(super) fn deliver(&self, event: &Event<'_>) {
        for attached in self.list.load().iter() {
            if !attached.info.filter.matches(event) || !attached.live.load(Ordering::Acquire) {
                continue;
            }
            if let Err(panic) = call(attached, event) {
                // By identity: another handler may have got the id in the meantime.
                self.remove(|other| Arc::ptr_eq(other, attached));
                tracing::error!(
                    handler = crate::log_text::printed(&attached.info.id),
                    event = event.name(),
                    panic = crate::log_text::cut(panic.text()),
                    "a telemetry handler panicked and was detached"
                );
            }
        }
    }

    fn remove(&self, which: impl Fn(&Arc<Attached>) -> bool) -> bool {
        // What leaves the list is dropped after the lock is released: a handler's drop is code of the embedder.
        let old;
        {
            let _turn = self.changing.lock();
            old = self.list.load_full();
            let Some(removed) = old.iter().find(|attached| which(attached)) else {
                return false;
            };
            removed.live.store(false, Ordering::Release);
            let kept = old.iter().filter(|other| !Arc::ptr_eq(other, removed));
            self.replace(kept.cloned().collect());
        }
        drop(old);
        true
    }

    fn replace(&self, list: Vec<Arc<Attached>>) {
        let interest = list.iter().fold(FamilySet::default(), |all, attached| {
            all.union(attached.info.filter.interest())
        });
        self.list.store(Arc::new(list));
        self.interest.store(interest.bits(), Ordering::Relaxed);
    }
}

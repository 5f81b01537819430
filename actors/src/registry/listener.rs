//! Hearing of who registers and who leaves: [`RegistryListener`].

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Something that changed in a [`Registry`](crate::Registry).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryChange<K, T> {
    /// An actor has registered itself under a key.
    Registered {
        /// The key.
        key: K,
        /// The actor.
        address: T,
    },
    /// An actor has left a key: it unregistered or ended, or another one took the key over.
    Unregistered {
        /// The key.
        key: K,
        /// The actor.
        address: T,
    },
    /// So many changes were lost, since they were not read in time: look at the registry anew. Changes that are told after
    /// this one may be older.
    Missed(u64),
}

/// Tells the changes of a registry, in order for each key; made by [`Registry::listen`](crate::Registry::listen).
///
/// It is a stream, so an actor can have the changes delivered with `ctx.add_stream`. Dropped, it listens no more.
#[must_use = "a listener tells only whoever reads it"]
pub struct RegistryListener<K, T> {
    changes: mpsc::Receiver<RegistryChange<K, T>>,
    missed: Arc<AtomicU64>,
}

impl<K, T> RegistryListener<K, T> {
    /// Waits for the next change; `None` when the registry is gone.
    pub async fn recv(&mut self) -> Option<RegistryChange<K, T>> {
        poll_fn(|cx| self.poll_change(cx)).await
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<RegistryChange<K, T>>> {
        match self.missed.swap(0, Ordering::AcqRel) {
            0 => self.changes.poll_recv(cx),
            missed => Poll::Ready(Some(RegistryChange::Missed(missed))),
        }
    }
}

impl<K, T> Stream for RegistryListener<K, T> {
    type Item = RegistryChange<K, T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_change(cx)
    }
}

impl<K, T> fmt::Debug for RegistryListener<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryListener").finish_non_exhaustive()
    }
}

/// All listeners of one registry.
pub(super) struct Listeners<K, T> {
    /// Whether there has ever been one; until then a change costs no more than a look at this.
    any: AtomicBool,
    outlets: Mutex<Vec<Outlet<K, T>>>,
}

struct Outlet<K, T> {
    changes: mpsc::Sender<RegistryChange<K, T>>,
    missed: Arc<AtomicU64>,
}

impl<K, T> Listeners<K, T> {
    pub(super) fn new() -> Self {
        Self {
            any: AtomicBool::new(false),
            outlets: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn add(&self, capacity: usize) -> RegistryListener<K, T> {
        let (sender, changes) = mpsc::channel(capacity.max(1));
        let missed = Arc::<AtomicU64>::default();
        self.outlets.lock().push(Outlet {
            changes: sender,
            missed: Arc::clone(&missed),
        });
        self.any.store(true, Ordering::SeqCst);
        RegistryListener { changes, missed }
    }

    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Called under the lock of the key, so that the changes of one key are told in order.
    pub(super) fn tell(&self, change: impl Fn() -> RegistryChange<K, T>) {
        if !self.any() {
            return;
        }
        self.outlets
            .lock()
            .retain(|outlet| match outlet.changes.try_send(change()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    outlet.missed.fetch_add(1, Ordering::AcqRel);
                    true
                }
                Err(TrySendError::Closed(_)) => false,
            });
    }
}

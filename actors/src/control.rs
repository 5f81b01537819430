//! The thread-safe strings on a driven actor: whoever holds its [`Control`] can stop it, kill it and wait for its end.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering, fence},
    },
    task::Waker,
};

use tokio::sync::Notify;

use crate::exit::ExitReason;

/// What a driven actor was told from outside. A later order outweighs an earlier one only when it is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Signal {
    Run = 0,
    /// Stop with its hooks, reason `Normal`.
    Stop = 1,
    /// Stop with its hooks, reason `Shutdown`.
    Shutdown = 2,
    /// End now, without hooks.
    Kill = 3,
}

impl Signal {
    const BITS: u32 = 2;

    fn from_word(word: u32) -> Self {
        match word & ((1 << Self::BITS) - 1) {
            0 => Self::Run,
            1 => Self::Stop,
            2 => Self::Shutdown,
            _ => Self::Kill,
        }
    }
}

/// The strongest order so far and how many orders there were: an actor that refused to stop can be asked again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders(u32);

impl Orders {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn strongest(self) -> Signal {
        Signal::from_word(self.0)
    }
}

/// One incarnation of one actor, seen from other threads.
#[derive(Default)]
pub(crate) struct Control {
    /// The strongest [`Signal`] in the low bits, above them the number of orders.
    orders: AtomicU32,
    ready: AtomicBool,
    /// Wakes the driver's task; a spawned task keeps one waker for life.
    driver: OnceLock<Waker>,
    /// Somebody waits for the end of the actor's turn.
    asked: AtomicBool,
    exit: OnceLock<ExitReason>,
    gone: AtomicBool,
    /// Told of the exit, of the end of a turn that was waited for, and when nothing is left.
    news: Notify,
}

impl Control {
    pub(crate) fn send(&self, signal: Signal) {
        let one_more = |word: u32| {
            let strongest = Signal::from_word(word).max(signal);
            let number = (word >> Signal::BITS).wrapping_add(1);
            Some((number << Signal::BITS) | strongest as u32)
        };
        let (set, fetch) = (Ordering::SeqCst, Ordering::Relaxed);
        // The closure always answers, so this cannot fail.
        let _ = self.orders.fetch_update(set, fetch, one_more);
        self.wake();
    }

    /// The strongest order so far.
    pub(crate) fn signal(&self) -> Signal {
        self.orders().strongest()
    }

    pub(crate) fn orders(&self) -> Orders {
        Orders(self.orders.load(Ordering::Acquire))
    }

    /// The actor declares its start complete (see `StartAck`).
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Called by the driver before it reads the signal for the first time, so that no signal is missed.
    pub(crate) fn attach_driver(&self, waker: &Waker) {
        self.driver.get_or_init(|| waker.clone());
        fence(Ordering::SeqCst);
    }

    /// The fence pairs with the one in `attach_driver`: either this side sees the waker or that side sees the signal.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if let Some(driver) = self.driver.get() {
            driver.wake_by_ref();
        }
    }

    pub(crate) fn set_exited(&self, reason: ExitReason) {
        let _ = self.exit.set(reason);
        self.news.notify_waiters();
    }

    pub(crate) fn exit_reason(&self) -> Option<&ExitReason> {
        self.exit.get()
    }

    /// Waits for the end of the actor: its memory is released and its exit recorded.
    pub(crate) async fn exited(&self) -> ExitReason {
        self.until(|control| control.exit.get().cloned()).await
    }

    /// Nothing is left of the incarnation, nor of what was below it; see [`Presence`](crate::presence::Presence).
    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    pub(crate) async fn gone(&self) {
        self.until(|control| control.is_gone().then_some(())).await;
    }

    async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let news = self.news.notified();
            // `notified` counts from its creation, so news between the look and the wait are not missed.
            if let Some(seen) = look(self) {
                return seen;
            }
            news.await;
        }
    }

    /// Waits for the end of the turn that the actor is in: the reason when the actor ended with it, `None` when it lives
    /// on.
    ///
    /// It is the driver that answers, when the next turn begins, so a turn that nobody asks about costs nothing.
    pub(crate) async fn turn_ended(&self) -> Option<ExitReason> {
        self.asked.store(true, Ordering::SeqCst);
        self.wake();
        self.until(|control| match control.exit.get() {
            Some(reason) => Some(Some(reason.clone())),
            None if control.asked.load(Ordering::SeqCst) => None,
            None => Some(None),
        })
        .await
    }

    /// Called by the driver: the actor has outlived the turns so far.
    pub(crate) fn begin_turn(&self) {
        if self.asked.load(Ordering::Acquire) && self.asked.swap(false, Ordering::SeqCst) {
            self.news.notify_waiters();
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("signal", &self.signal())
            .field("exit", &self.exit.get())
            .finish()
    }
}

//! Whether an engine takes work, how much is under way, and how what is left learns of the end (specification, section 23).
//!
//! ```text
//! running --drain--> draining --nothing is left, or the time is up--> cut
//! ```
//!
//! The state and the counts are one number: a request is let in and counted in one step, so a stop that finds nothing
//! under way can rely on it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::{Notify, futures::Notified};

/// Shared by all that take work for an engine, and by all that is under way there.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    /// The highest bit: no more is let in. Below it the count of tasks, and in the lower half that of requests.
    state: AtomicU64,
    /// Told when nothing is left of what was under way when it began to drain.
    idle: Notify,
    is_cut: AtomicBool,
    cut: Notify,
}

const DRAINING: u64 = 1 << 63;
const REQUEST: u64 = 1;
/// What is no request: an open stream, or a task that was sent to a pool.
const TASK: u64 = 1 << 32;

/// Why nothing is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoEntry {
    /// As many requests are under way as there may be.
    Full,
    /// It stops, or has stopped.
    Stopping,
}

impl Lifecycle {
    /// Counts a request in, unless `max` are under way already; `None` for no limit.
    ///
    /// One that is nested in a request under way is let in while it drains, so that what runs can end with its result.
    pub(crate) fn enter(
        self: &Arc<Self>,
        max: Option<usize>,
        is_nested: bool,
    ) -> Result<Place<'_>, NoEntry> {
        let place = Place(self);
        let before = self.state.fetch_add(REQUEST, Ordering::Relaxed);
        if before & DRAINING != 0 && !is_nested {
            return Err(NoEntry::Stopping);
        }
        match max {
            Some(max) if requests(before) >= max => Err(NoEntry::Full),
            _ => Ok(place),
        }
    }

    /// Counts something in that is no request.
    pub(crate) fn enter_task(self: &Arc<Self>) -> Result<Held, NoEntry> {
        let held = self.held(TASK);
        let before = self.state.fetch_add(TASK, Ordering::Relaxed);
        if before & DRAINING == 0 {
            Ok(held)
        } else {
            Err(NoEntry::Stopping)
        }
    }

    fn held(self: &Arc<Self>, unit: u64) -> Held {
        Held {
            of: Arc::clone(self),
            unit,
        }
    }

    fn leave(&self, unit: u64) {
        // What was done here is seen by whoever finds that nothing is left.
        let before = self.state.fetch_sub(unit, Ordering::AcqRel);
        if before == DRAINING + unit {
            self.idle.notify_waiters();
        }
    }

    /// How many requests are under way.
    pub(crate) fn requests(&self) -> usize {
        requests(self.state.load(Ordering::Relaxed))
    }

    /// How much is under way that is no request.
    pub(crate) fn tasks(&self) -> u64 {
        (self.state.load(Ordering::Relaxed) & !DRAINING) / TASK
    }

    /// Whether it takes work.
    pub(crate) fn is_running(&self) -> bool {
        self.state.load(Ordering::Relaxed) & DRAINING == 0
    }

    /// Lets nothing in any more.
    pub(crate) fn drain(&self) {
        self.state.fetch_or(DRAINING, Ordering::AcqRel);
    }

    /// Waits until nothing is left of what was under way; only while it drains.
    pub(crate) async fn idle(&self) {
        loop {
            let mut told = pin!(self.idle.notified());
            told.as_mut().enable();
            if self.state.load(Ordering::Acquire) == DRAINING {
                return;
            }
            told.await;
        }
    }

    /// Ends what is still under way.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    /// What the future answers, or `None` where it is cut off: then it is not polled again.
    ///
    /// One that is ready at once costs one look.
    pub(crate) async fn until_cut<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut cut = Cut {
            lifecycle: self,
            told: None,
        };
        poll_fn(|cx| {
            if self.is_cut.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => cut.poll(cx).map(|()| None),
            }
        })
        .await
    }
}

fn requests(state: u64) -> usize {
    (state & (TASK - 1)) as usize
}

/// The place of a request among those that are under way; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place<'l>(&'l Arc<Lifecycle>);

impl Place<'_> {
    /// The same place, for a call that goes on after its request was answered.
    pub(crate) fn keep(self) -> Held {
        let held = self.0.held(REQUEST);
        std::mem::forget(self);
        held
    }

    /// A place beside this one, for what the request leaves behind and that is no request any more, such as a stream.
    pub(crate) fn follow(&self) -> Held {
        self.0.state.fetch_add(TASK, Ordering::Relaxed);
        self.0.held(TASK)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(REQUEST);
    }
}

/// A place that belongs to a task of its own; free again when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<Lifecycle>,
    unit: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.leave(self.unit);
    }
}

/// Waits for the cut. Asks to be told only once something else has to be waited for, and anew only for another waker.
struct Cut<'l> {
    lifecycle: &'l Lifecycle,
    told: Option<(Pin<Box<Notified<'l>>>, Waker)>,
}

impl Cut<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (notified, waker) = match &mut self.told {
            Some((_, waker)) if waker.will_wake(cx.waker()) => return Poll::Pending,
            Some(told) => {
                told.1.clone_from(cx.waker());
                told
            }
            none => {
                let notified = Box::pin(self.lifecycle.cut.notified());
                none.insert((notified, cx.waker().clone()))
            }
        };
        let polled = notified.as_mut().poll(&mut Context::from_waker(waker));
        // A cut that came before this asked told nobody here.
        if self.lifecycle.is_cut.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        polled
    }
}

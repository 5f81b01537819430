//! What an accepted task holds: a [`Ticket`] until its turn comes, then a [`Place`].

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    circuit_breaker::Pass,
    event::{PoolEvent, TaskEnd},
    places::Standing,
    pool::Shared,
};

/// The right of an accepted task to a place. Dropped, it gives up its turn, and the task counts as cancelled.
#[must_use = "dropping a ticket gives up the turn"]
pub struct Ticket {
    claim: Claim,
    admitted: Duration,
}

impl Ticket {
    pub(super) fn new(
        pool: Arc<Shared>,
        standing: Standing,
        pass: Pass,
        admitted: Duration,
    ) -> Self {
        Self {
            claim: Claim {
                pool,
                standing,
                pass: Some(pass),
                started: None,
                end: TaskEnd::Cancelled,
            },
            admitted,
        }
    }

    /// Waits for the place; tickets get theirs in the order in which they were admitted.
    ///
    /// It may be polled on any thread. Dropping the future gives up the turn, and the place if it was there already.
    pub async fn place(self) -> Place {
        poll_fn(|cx| self.claim.poll_placed(cx)).await;
        self.start()
    }

    /// The place, where it is there already: always, in a pool without a queue.
    ///
    /// # Errors
    ///
    /// The ticket, which keeps its turn.
    pub fn try_place(self) -> Result<Place, Self> {
        if self.claim.is_placed() {
            Ok(self.start())
        } else {
            Err(self)
        }
    }

    fn start(self) -> Place {
        let Self {
            mut claim,
            admitted,
        } = self;
        claim.started = claim.pool.watched_now();
        if let Some(started) = claim.started {
            let waited = started.saturating_sub(admitted);
            claim
                .pool
                .emit(|pool| PoolEvent::TaskStart { pool, waited });
        }
        Place { claim }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("is_placed", &self.claim.is_placed())
            .finish_non_exhaustive()
    }
}

/// A place in a pool, held while a task runs. Dropped, it is free again; without [`finish`](Self::finish) the task counts
/// as cancelled.
#[must_use = "dropping a place frees it for the next task"]
pub struct Place {
    claim: Claim,
}

impl Place {
    /// Frees the place and counts how the task ended.
    pub fn finish(mut self, end: TaskEnd) {
        self.claim.end = end;
    }

    /// Tells the circuit that this task works well, long before it ends.
    ///
    /// It matters only where the task is the trial of a half-open circuit, which then closes: a stream that has sent its
    /// first chunk must not keep all others waiting until it ends. For every other task it does nothing and costs nothing,
    /// so that it may be told with each chunk.
    pub fn works(&mut self) {
        if let Some(pass) = &mut self.claim.pass
            && pass.is_trial()
        {
            self.claim.pool.prove(pass);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// What has to be given back to the pool, exactly once, wherever it is dropped.
struct Claim {
    pool: Arc<Shared>,
    standing: Standing,
    /// Taken by the drop.
    pass: Option<Pass>,
    /// When the task got its place; only known where somebody watches.
    started: Option<Duration>,
    end: TaskEnd,
}

impl Claim {
    fn is_placed(&self) -> bool {
        self.standing == Standing::Placed
            || self.pool.places(|places| places.is_placed(self.standing))
    }

    fn poll_placed(&self, cx: &Context<'_>) -> Poll<()> {
        if self.standing == Standing::Placed {
            return Poll::Ready(());
        }
        let (placed, _replaced) = self
            .pool
            .places(|places| places.ask(self.standing, cx.waker()));
        if placed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.pool.leave(self.standing, pass, self.end, self.started);
        }
    }
}

//! The queue between the handle on a child and its actor: [`Inbox`]; a [`Feed`](crate::feed::Feed) serves it.
//!
//! An actix mailbox is drained in one go: whatever waits in it, and whatever its handlers send there meanwhile, is handled
//! within one poll, and nothing can come in between. So the messages of a handle have a queue of their own, from which the
//! actor takes one at a time. That is what bounds its turn, lets a kill in between two messages, and gives the queue a
//! bound that holds.

use std::{collections::VecDeque, sync::Arc};

use actix::{Actor, Context, Handler, Message};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::{Semaphore, TryAcquireError};

use crate::{
    control::Control,
    exit::ExitReason,
    panics::drop_caught,
    parcel::{Answer, Letter, Parcel, Reply, question},
    stats::ChildStats,
};

/// A queue that grew beyond this gives its memory back when it is empty.
const KEPT: usize = 64;

/// What is sent to a child through its handle; for one incarnation, or [shared](crate::shared_inbox).
pub(crate) struct Inbox<A: Actor> {
    queue: Mutex<Queue<A>>,
    /// The room that is left, for an inbox with a bound.
    room: Option<Semaphore>,
    /// Several take from it, one after another or side by side, and it does not end with any of them.
    shared: bool,
}

struct Queue<A: Actor> {
    messages: VecDeque<Box<dyn Parcel<A>>>,
    /// Those who have seen the queue empty and sleep, as far as this queue is concerned.
    idle: SmallVec<[Arc<Control>; 1]>,
    closed: bool,
    /// How many messages were taken.
    taken: u64,
}

/// Why an inbox did not take a message.
pub(crate) enum Refused<M> {
    Full(M),
    Closed(M),
}

impl<A: Actor<Context = Context<A>>> Inbox<A> {
    /// An inbox for so many messages; zero stands for any number.
    pub(crate) fn new(capacity: usize, shared: bool) -> Self {
        Self {
            queue: Mutex::new(Queue {
                messages: VecDeque::new(),
                idle: SmallVec::new(),
                closed: false,
                taken: 0,
            }),
            room: (capacity > 0).then(|| Semaphore::new(capacity.min(Semaphore::MAX_PERMITS))),
            shared,
        }
    }

    /// The two ends of the reply to a message for this inbox.
    pub(crate) fn question<R>(&self) -> (Reply<R>, Answer<R>) {
        question(self.shared)
    }

    /// Takes a message, unless there is no room; the reply goes to `reply`.
    pub(crate) fn push<M>(
        &self,
        message: M,
        reply: Option<Reply<M::Result>>,
    ) -> Result<(), Refused<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        if let Some(room) = &self.room {
            match room.try_acquire() {
                Ok(place) => place.forget(),
                Err(TryAcquireError::Closed) => return Err(Refused::Closed(message)),
                Err(TryAcquireError::NoPermits) => return Err(Refused::Full(message)),
            }
        }
        self.enqueue(message, reply).map_err(Refused::Closed)
    }

    /// As [`push`](Self::push), but waits for room; gives the message back where the actor ended first.
    pub(crate) async fn push_when_room<M>(
        &self,
        message: M,
        reply: Option<Reply<M::Result>>,
    ) -> Result<(), M>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        if let Some(room) = &self.room {
            match room.acquire().await {
                Ok(place) => place.forget(),
                Err(_) => return Err(message),
            }
        }
        self.enqueue(message, reply)
    }

    /// Takes a message whatever the bound.
    pub(crate) fn enqueue<M>(&self, message: M, reply: Option<Reply<M::Result>>) -> Result<(), M>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let idle = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(message);
            }
            let letter = Letter { message, reply };
            queue.messages.push_back(Box::new(letter));
            // All of them: one that has work of another kind by now may be long.
            std::mem::take(&mut queue.idle)
        };
        idle.iter().for_each(|idle| idle.wake());
        Ok(())
    }

    /// The next message for `taker`, who is woken for another one where there is none.
    pub(crate) fn pop(&self, taker: &Arc<Control>) -> Option<Box<dyn Parcel<A>>> {
        let mut queue = self.queue.lock();
        let Some(next) = queue.messages.pop_front() else {
            if !queue.idle.iter().any(|idle| Arc::ptr_eq(idle, taker)) {
                queue.idle.push(Arc::clone(taker));
            }
            if queue.messages.capacity() > KEPT {
                queue.messages = VecDeque::new();
            }
            return None;
        };
        queue.taken += 1;
        drop(queue);
        if let Some(room) = &self.room {
            room.add_permits(1);
        }
        Some(next)
    }

    /// How the queue of `taker` stands; what else there is to know is left out.
    pub(crate) fn stats(&self, taker: &Arc<Control>) -> ChildStats {
        let queue = self.queue.lock();
        ChildStats {
            waiting: queue.messages.len(),
            handled: queue.taken,
            busy: !queue.idle.iter().any(|idle| Arc::ptr_eq(idle, taker)),
            ..ChildStats::default()
        }
    }

    /// `taker` has ended. An inbox of its own ends with it; in a shared one another takes what it had been woken for.
    pub(crate) fn leave(&self, taker: &Arc<Control>) {
        if !self.shared {
            return self.close(None);
        }
        let idle = {
            let mut queue = self.queue.lock();
            queue.idle.retain(|idle| !Arc::ptr_eq(idle, taker));
            match queue.messages.is_empty() {
                true => None,
                false => queue.idle.pop(),
            }
        };
        if let Some(idle) = idle {
            idle.wake();
        }
    }

    /// Nothing is taken any more, and what waits is dropped, each message for itself: its drop may panic. Who waits for an
    /// answer from a shared inbox is told `reason`.
    pub(crate) fn close(&self, reason: Option<ExitReason>) {
        let messages = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            queue.idle.clear();
            std::mem::take(&mut queue.messages)
        };
        if let Some(room) = &self.room {
            room.close();
        }
        let ended = reason.map(|reason| {
            let control = Control::default();
            control.set_exited(reason);
            Arc::new(control)
        });
        for message in messages {
            drop_caught("a message", || match &ended {
                Some(ended) => message.return_unopened(ended),
                None => drop(message),
            });
        }
    }
}

/// Where messages of one type go that are sent whatever the bound.
pub(crate) trait Outbox<M>: Send + Sync {
    fn post(&self, message: M);
}

impl<A, M> Outbox<M> for Inbox<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn post(&self, message: M) {
        // Nobody is there any more to do anything about it.
        let _ = self.enqueue(message, None);
    }
}

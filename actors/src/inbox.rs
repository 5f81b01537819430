//! The queue between the handle on a child and its actor: [`Inbox`], and the [`Feed`] that serves it.
//!
//! An actix mailbox is drained in one go: whatever waits in it, and whatever its handlers send there meanwhile, is handled
//! within one poll, and nothing can come in between. So the messages of a handle have a queue of their own, from which the
//! actor takes one at a time. That is what bounds its turn, lets a kill in between two messages, and gives the queue a
//! bound that holds.

use std::{
    cell::Cell,
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{
    Actor, ActorFuture, AsyncContext, Context, Handler, Message,
    dev::{Envelope, EnvelopeProxy, OneshotSender},
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, TryAcquireError};

use crate::{
    control::{Control, Signal},
    panics::drop_caught,
};

/// How many messages, or rounds of work that the actor makes for itself, fit into one turn.
pub(crate) const TURN: u32 = 16;

/// A queue that grew beyond this gives its memory back when it is empty.
const KEPT: usize = 64;

thread_local! {
    /// What is left of the turn under way on this thread.
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// Called by the driver: the turn of an actor begins.
pub(crate) fn begin_turn() {
    LEFT.set(TURN);
}

/// What one incarnation of a child has been sent through its handle.
pub(crate) struct Inbox<A: Actor> {
    queue: Mutex<Queue<A>>,
    /// The room that is left, for an inbox with a bound.
    room: Option<Semaphore>,
    control: Arc<Control>,
}

struct Queue<A: Actor> {
    messages: VecDeque<Envelope<A>>,
    /// The actor has seen the queue empty and sleeps, as far as this queue is concerned.
    idle: bool,
    closed: bool,
}

/// Why an inbox did not take a message.
pub(crate) enum Refused<M> {
    Full(M),
    Closed(M),
}

impl<A: Actor<Context = Context<A>>> Inbox<A> {
    /// An inbox for so many messages; zero stands for any number.
    pub(crate) fn new(control: &Arc<Control>, capacity: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                messages: VecDeque::new(),
                idle: false,
                closed: false,
            }),
            room: (capacity > 0).then(|| Semaphore::new(capacity.min(Semaphore::MAX_PERMITS))),
            control: Arc::clone(control),
        }
    }

    /// Takes a message, unless there is no room; the reply goes to `reply`.
    pub(crate) fn push<M>(
        &self,
        message: M,
        reply: Option<OneshotSender<M::Result>>,
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
        reply: Option<OneshotSender<M::Result>>,
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
    pub(crate) fn enqueue<M>(
        &self,
        message: M,
        reply: Option<OneshotSender<M::Result>>,
    ) -> Result<(), M>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let was_idle = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(message);
            }
            queue.messages.push_back(Envelope::new(message, reply));
            std::mem::replace(&mut queue.idle, false)
        };
        if was_idle {
            self.control.wake();
        }
        Ok(())
    }

    fn pop(&self) -> Option<Envelope<A>> {
        let mut queue = self.queue.lock();
        let Some(next) = queue.messages.pop_front() else {
            queue.idle = true;
            if queue.messages.capacity() > KEPT {
                queue.messages = VecDeque::new();
            }
            return None;
        };
        drop(queue);
        if let Some(room) = &self.room {
            room.add_permits(1);
        }
        Some(next)
    }

    /// Nothing is taken any more, and what waits is dropped, each message for itself: its drop may panic.
    fn close(&self) {
        let messages = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.messages)
        };
        if let Some(room) = &self.room {
            room.close();
        }
        for message in messages {
            drop_caught("a message", || drop(message));
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

/// Serves an inbox from within the actor's context.
pub(crate) struct Feed<A: Actor<Context = Context<A>>>(pub(crate) Arc<Inbox<A>>);

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Feed<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        _: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let inbox = &self.0;
        loop {
            // An actor that waits for something, or that stops, takes no message.
            if ctx.waiting() {
                return Poll::Pending;
            }
            let left = LEFT.get();
            if left == 0 || inbox.control.signal() == Signal::Kill {
                // Where the actor goes on making work for itself, this is what ends its turn.
                ctx.wait(Pause::default());
                return Poll::Pending;
            }
            LEFT.set(left - 1);
            match inbox.pop() {
                Some(mut message) => message.handle(actor, ctx),
                None => return Poll::Pending,
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Feed<A> {
    /// The actor is gone.
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Ends the turn of an actor; it goes on with the next one.
#[derive(Default)]
struct Pause {
    over: bool,
}

impl<A: Actor> ActorFuture<A> for Pause {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        _: &mut A,
        _: &mut A::Context,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if std::mem::replace(&mut self.over, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

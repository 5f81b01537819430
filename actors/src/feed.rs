//! Serving the queue of an actor, one message at a time and so many in a turn: [`Feed`].

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{Actor, ActorFuture, AsyncContext, Context};

use crate::{
    control::{Control, Orders},
    inbox::Inbox,
    watch::Watch,
};

/// How many messages, or rounds of work that the actor makes for itself, fit into one turn.
pub(crate) const TURN: u32 = 16;

thread_local! {
    /// What is left of the turn under way on this thread.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    /// The orders that were passed on to the actor before the turn.
    static OBEYED: Cell<Orders> = const { Cell::new(Orders::NONE) };
}

/// Called by the driver: the turn of an actor begins that has obeyed these orders.
pub(crate) fn begin_turn(obeyed: Orders) {
    LEFT.set(TURN);
    OBEYED.set(obeyed);
}

/// Serves an inbox from within the actor's context.
pub(crate) struct Feed<A: Actor<Context = Context<A>>> {
    pub(crate) inbox: Arc<Inbox<A>>,
    /// The strings on the incarnation that is fed.
    pub(crate) control: Arc<Control>,
    pub(crate) watch: Option<Arc<Watch>>,
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Feed<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        _: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let Self {
            inbox,
            control,
            watch,
        } = &*self;
        loop {
            // An actor that waits for something, or that stops, takes no message.
            if ctx.waiting() {
                return Poll::Pending;
            }
            let left = LEFT.get();
            if left == 0 || control.orders() != OBEYED.get() {
                // Where the actor goes on making work for itself, this is what ends its turn.
                ctx.wait(Pause::default());
                return Poll::Pending;
            }
            LEFT.set(left - 1);
            match (inbox.pop(control), watch) {
                (Some(message), None) => message.deliver(actor, ctx, control),
                (Some(message), Some(watch)) => watch.deliver(message, actor, ctx, control),
                (None, watch) => {
                    if let Some(watch) = watch {
                        watch.rests();
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Feed<A> {
    /// The actor is gone.
    fn drop(&mut self) {
        self.inbox.leave(&self.control);
    }
}

/// Bounds the turn of an actor that has no inbox: what it makes for itself. What is sent to its address cannot be bounded.
///
/// Gone with the last address: an actor that has something to do would not stop for want of one.
pub(crate) struct Pacer;

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Pacer {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut A,
        ctx: &mut Context<A>,
        _: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if !ctx.connected() {
            return Poll::Ready(());
        }
        match LEFT.get().checked_sub(1) {
            Some(left) => LEFT.set(left),
            None => ctx.wait(Pause::default()),
        }
        Poll::Pending
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

//! One thing at a time: how a supervisor of either kind lends its core to an operation, and obeys a stop in between.
//!
//! An operation is an async function of the core. The actor waits for it and takes no message meanwhile; a stop that is
//! asked for in that time is noted, and obeyed when the core is back. An operation that is dropped half-way (its
//! supervisor was killed) drops the core with it.

use std::{rc::Rc, time::Duration};

use actix::{
    Actor, ActorFuture, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message,
    Running, WrapFuture,
};

use crate::{
    inbox::{Inbox, Outbox},
    shutdown::StopRequest,
};

/// An actor that lends its core.
pub(crate) trait Lender: Actor<Context = Context<Self>> {
    /// What the operations work on.
    type Core: 'static;

    fn lending(&mut self) -> &mut Lending<Self::Core>;

    /// Its own inbox.
    fn inbox(&self) -> &Inbox<Self>;

    /// Ends the children, then the actor. Called at rest only.
    fn stop_children_and_exit(&mut self, ctx: &mut Context<Self>);

    /// Lends the core to an operation, and passes its result on to `then` when the core is back.
    ///
    /// Does nothing where there is no core to lend: before the start and after the stop.
    fn operate<R: 'static>(
        &mut self,
        operation: impl AsyncFnOnce(&mut Self::Core) -> R + 'static,
        then: impl FnOnce(&mut Self, R, &mut Context<Self>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.wait(lend(self, operation).map(|result, this, ctx| {
            if let Some(result) = result {
                then(this, result, ctx);
            }
            obey_stop(this, ctx);
        }));
    }

    /// The same for a message with an answer; `unavailable` is the answer where there is no core to lend.
    fn answer<R: 'static>(
        &mut self,
        unavailable: R,
        operation: impl AsyncFnOnce(&mut Self::Core) -> R + 'static,
    ) -> AtomicResponse<Self, R> {
        AtomicResponse::new(Box::pin(lend(self, operation).map(|result, this, ctx| {
            obey_stop(this, ctx);
            result.unwrap_or(unavailable)
        })))
    }

    /// Does what is left to do after an exit was dealt with.
    fn go_on(&mut self, next: Next, ctx: &mut Context<Self>)
    where
        Self: Handler<TryAgain>,
    {
        match next {
            Next::GoOn => {}
            Next::TryAgain(key) => self.inbox().post(TryAgain(key)),
            Next::TryAgainAfter(key, pause) => {
                ctx.run_later(pause, move |this, _| this.inbox().post(TryAgain(key)));
            }
            Next::Exit => self.stop_children_and_exit(ctx),
        }
    }

    /// For [`Actor::stopping`]: the children come first, so the stop is put off until they have ended.
    fn stop_after_children(&mut self, ctx: &mut Context<Self>) -> Running {
        let lending = self.lending();
        match lending.state {
            State::New | State::Closed => return Running::Stop,
            State::Lent => lending.stop.make(),
            State::Idle(_) => self.stop_children_and_exit(ctx),
        }
        Running::Continue
    }
}

/// The core of a supervisor, and whether the supervisor was told to stop while it was lent.
pub(crate) struct Lending<C> {
    state: State<C>,
    stop: Rc<StopRequest>,
}

enum State<C> {
    /// Not started yet.
    New,
    /// At rest, ready for the next operation.
    Idle(Box<C>),
    /// Lent to the operation under way.
    Lent,
    /// The children are stopped.
    Closed,
}

impl<C> Lending<C> {
    /// The request that an operation under way listens to.
    pub(crate) fn stop_request(&self) -> Rc<StopRequest> {
        Rc::clone(&self.stop)
    }

    /// The supervisor started: there is a core to lend from now on.
    pub(crate) fn open(&mut self, core: C) {
        self.state = State::Idle(Box::new(core));
    }

    /// The children are stopped: there is no core any more.
    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The core, at rest.
    pub(crate) fn core(&self) -> Option<&C> {
        match &self.state {
            State::Idle(core) => Some(core),
            _ => None,
        }
    }

    /// As [`core`](Self::core), for what takes no time.
    pub(crate) fn core_mut(&mut self) -> Option<&mut C> {
        match &mut self.state {
            State::Idle(core) => Some(core),
            _ => None,
        }
    }

    fn take(&mut self) -> Option<Box<C>> {
        match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(core) => Some(core),
            other => {
                self.state = other;
                None
            }
        }
    }
}

impl<C> Default for Lending<C> {
    fn default() -> Self {
        Self {
            state: State::New,
            stop: Rc::default(),
        }
    }
}

fn lend<A, R, O>(
    actor: &mut A,
    operation: O,
) -> impl ActorFuture<A, Output = Option<R>> + use<A, R, O>
where
    A: Lender,
    R: 'static,
    O: AsyncFnOnce(&mut A::Core) -> R + 'static,
{
    let core = actor.lending().take();
    let work = async move {
        let mut core = core?;
        let result = operation(&mut core).await;
        Some((core, result))
    };
    work.into_actor(actor).map(|done, this, _| {
        let (core, result) = done?;
        this.lending().state = State::Idle(core);
        Some(result)
    })
}

/// Obeys a stop that was asked for while the core was lent.
fn obey_stop<A: Lender>(actor: &mut A, ctx: &mut Context<A>) {
    let lending = actor.lending();
    if lending.stop.is_made() && matches!(lending.state, State::Idle(_)) {
        actor.stop_children_and_exit(ctx);
    }
}

/// How a supervisor goes on after it dealt with an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    /// A restart failed; try this child again, after what waits in the mailbox.
    TryAgain(u64),
    /// A child waits for its restart; try this one when the pause is over.
    TryAgainAfter(u64, Duration),
    /// Too many restarts, or a significant child ended: stop the children and exit.
    Exit,
}

/// A restart that failed is to be tried again.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TryAgain(pub(crate) u64);

//! Runs one actix actor to its end and says why it ended.
//!
//! actix polls an actor as a bare task: a panic kills the task, the caller learns only that the mailbox closed, and
//! hooks run on poisoned state while the stack unwinds. The [`Driver`] owns the actor's future instead: it catches panics,
//! obeys a [`Control`], drops the actor without hooks after a panic or a kill, and reports each step to an
//! [`Attendant`]. It and [`inbox`](crate::inbox) are the only modules that use `actix::dev`.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, AsyncContext, Context,
    dev::{AsyncContextParts, ContextFut},
};

use crate::{
    control::{Control, Orders, Signal},
    exit::ExitReason,
    feed,
    panics::{Panicked, catch_panic, drop_caught},
};

/// Who is told about the steps of a driven actor.
pub(crate) trait Attendant: Unpin + 'static {
    /// The start is complete: `started` returned, or a deferred start was acknowledged.
    fn started(&mut self);

    /// The actor is about to be dropped; nobody new may reach it.
    fn ending(&mut self) {}

    /// The actor is gone, its memory released. `started` tells whether the start had been complete.
    fn exited(&mut self, reason: &ExitReason, started: bool);
}

/// The task of one driven actor.
pub(crate) struct Driver<A: Actor<Context = Context<A>>, T: Attendant> {
    /// `None` once the actor is gone.
    actor: Option<ContextFut<A, Context<A>>>,
    control: Arc<Control>,
    attendant: T,
    phase: Phase,
    /// The orders that were passed on to the actor.
    obeyed: Orders,
    /// The reason the actor gave for the stop it is in; boxed, for there is one driver for each of perhaps many actors.
    noted: Option<Box<ExitReason>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    New,
    /// Polled; its start waits for a `StartAck`, or failed.
    Starting,
    Started,
}

impl<A, T> Driver<A, T>
where
    A: Actor<Context = Context<A>>,
    T: Attendant,
{
    /// Takes the actor and its context; `spawn_local` the result on the thread that made the actor.
    pub(crate) fn new(actor: A, context: Context<A>, control: Arc<Control>, attendant: T) -> Self {
        Self {
            actor: Some(context.into_future(actor)),
            control,
            attendant,
            phase: Phase::New,
            obeyed: Orders::default(),
            noted: None,
        }
    }

    /// Passes a new order on to the actor; true when it must end now.
    fn obey(&mut self) -> bool {
        let orders = self.control.orders();
        if orders != self.obeyed {
            self.obeyed = orders;
            if orders.strongest() == Signal::Kill {
                return true;
            }
            if let Some(actor) = &mut self.actor {
                actor.ctx().stop();
            }
        }
        false
    }

    /// One poll of the actor; the reason once it ended.
    fn poll_actor(&mut self, cx: &mut TaskContext<'_>) -> Option<ExitReason> {
        let actor = self.actor.as_mut()?;
        let starts = self.phase == Phase::New;
        // An actor without any address stops by itself; this one lasts until the first poll has handed out others.
        let _first_addr = (starts && !actor.ctx().connected()).then(|| actor.address());
        if starts {
            actor.ctx().wait(AfterStarted);
        }
        feed::begin_turn(self.obeyed);
        let scope = Scope::enter(starts.then(|| Arc::clone(&self.control)));
        let polled = catch_panic(|| Pin::new(&mut *actor).poll(cx));
        let mut notes = scope.leave();
        let panicked_in_start = polled.is_err() && actor.ctx().waiting();
        if let Some(reason) = notes.as_mut().and_then(|notes| notes.exit.take()) {
            self.noted = Some(Box::new(reason));
        }
        let ended = self.after_poll(polled);
        if starts {
            let returned = notes.filter(|notes| notes.past_start || !panicked_in_start);
            let complete = returned.is_some_and(|notes| notes.start_is_complete(ended.as_ref()));
            self.phase = if complete {
                Phase::Started
            } else {
                Phase::Starting
            };
        } else if self.control.is_ready() {
            self.phase = Phase::Started;
        }
        ended
    }

    /// What a poll comes to: the reason once the actor has ended.
    fn after_poll(&mut self, polled: Result<Poll<()>, Panicked>) -> Option<ExitReason> {
        match polled {
            Err(panicked) => Some(panicked.into()),
            Ok(Poll::Ready(())) => Some(self.reason_for_stop()),
            Ok(Poll::Pending) => {
                if self.actor.as_mut()?.ctx().state() == ActorState::Running {
                    // Where it had been asked to stop it refused, and with that took its reason back.
                    self.noted = None;
                }
                None
            }
        }
    }

    /// Why an actor whose future completed has stopped: its own word first, then the order it was given.
    fn reason_for_stop(&mut self) -> ExitReason {
        if let Some(noted) = self.noted.take() {
            return *noted;
        }
        // `terminate` wipes the flag that a started actor keeps through an orderly stop.
        let terminated = self
            .actor
            .as_mut()
            .is_some_and(|actor| !actor.ctx().parts().started());
        // An order that came while it was at work counts as well: it may have stopped in that very turn.
        match self.control.signal() {
            Signal::Run | Signal::Stop if !terminated => ExitReason::Normal,
            Signal::Shutdown if !terminated => ExitReason::Shutdown,
            _ => ExitReason::Killed,
        }
    }

    fn end(&mut self, reason: ExitReason) {
        self.attendant.ending();
        if let Some(mut actor) = self.actor.take() {
            // After an orderly stop this changes nothing; otherwise it keeps the hooks from running on drop.
            actor.ctx().terminate();
            drop_caught("an actor", || drop(actor));
        }
        self.attendant.exited(&reason, self.phase == Phase::Started);
        self.control.set_exited(reason);
    }
}

impl<A, T> Future for Driver<A, T>
where
    A: Actor<Context = Context<A>>,
    T: Attendant,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.phase == Phase::New {
            this.control.attach_driver(cx.waker());
        }
        if this.obey() {
            this.end(ExitReason::Killed);
            return Poll::Ready(());
        }
        let before = this.phase;
        this.control.begin_turn();
        let ended = this.poll_actor(cx);
        if before != Phase::Started && this.phase == Phase::Started {
            this.attendant.started();
        }
        match ended {
            Some(reason) => {
                this.end(reason);
                Poll::Ready(())
            }
            None => Poll::Pending,
        }
    }
}

impl<A, T> Drop for Driver<A, T>
where
    A: Actor<Context = Context<A>>,
    T: Attendant,
{
    /// A driver dropped before its actor ended means that the arbiter stopped.
    fn drop(&mut self) {
        if self.actor.is_some() {
            self.end(ExitReason::ArbiterStopped);
        }
    }
}

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Nobodys) };
    /// One for each turn with notes that is under way, the innermost last.
    static NOTES: RefCell<Vec<Notes>> = const { RefCell::new(Vec::new()) };
}

/// Whose turn it is on this thread. Most turns are quiet, and this word is all they cost.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// No actor is being polled.
    Nobodys,
    /// An actor is being polled, and there are no notes on it.
    Quiet,
    Noted,
}

/// What the actor that is being polled says about itself.
#[derive(Default)]
struct Notes {
    exit: Option<ExitReason>,
    /// Whether it was `started` that told the actor to exit.
    exits_in_start: bool,
    /// Set during the first turn, in which a start can be deferred.
    starting: Option<Arc<Control>>,
    start_deferred: bool,
    /// `started` has returned for certain.
    past_start: bool,
}

/// Marks the end of `started` in the first turn of an actor.
///
/// It is waited for before the turn begins. While `started` runs the context therefore has something to wait for; then actix
/// takes it over, polls what `started` wants to wait for, and this before it goes on to any message.
struct AfterStarted;

impl<A: Actor> ActorFuture<A> for AfterStarted {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut A,
        _: &mut A::Context,
        _: &mut TaskContext<'_>,
    ) -> Poll<()> {
        Notes::write(|notes| notes.past_start = true);
        Poll::Ready(())
    }
}

impl Notes {
    /// Whether the start is complete, `started` having returned, given what became of the actor in the same turn.
    fn start_is_complete(&self, ended: Option<&ExitReason>) -> bool {
        if self.start_deferred {
            return self
                .starting
                .as_ref()
                .is_some_and(|control| control.is_ready());
        }
        match ended {
            None => true,
            Some(reason) if self.exits_in_start => !reason.is_abnormal(),
            // Terminated by itself, most likely where it starts.
            Some(reason) => *reason != ExitReason::Killed,
        }
    }

    /// Notes something about the actor whose turn it is; `None` between turns.
    fn write<R>(note: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let turn = TURN.get();
        if turn == Turn::Nobodys {
            return None;
        }
        NOTES.with_borrow_mut(|notes| {
            if turn == Turn::Quiet {
                notes.push(Self::default());
                TURN.set(Turn::Noted);
            }
            notes.last_mut().map(note)
        })
    }
}

/// The stretch of one poll, during which [`ExitContext`] reaches the driver.
struct Scope {
    /// The turn in which this one takes place, where an actor polls another one.
    outer: Turn,
}

impl Scope {
    fn enter(starting: Option<Arc<Control>>) -> Self {
        let outer = TURN.replace(Turn::Quiet);
        if starting.is_some() {
            Notes::write(|notes| notes.starting = starting);
        }
        Self { outer }
    }

    fn leave(self) -> Option<Notes> {
        match TURN.replace(self.outer) {
            Turn::Noted => NOTES.with_borrow_mut(Vec::pop),
            Turn::Nobodys | Turn::Quiet => None,
        }
    }
}

/// What an actor can tell its supervisor through its own context.
///
/// Implemented for every actix [`Context`]. Outside of a supervised actor the reason has nobody to go to: the actor
/// then merely stops.
pub trait ExitContext {
    /// Stops the actor, hooks included, with `reason`; its supervisor decides by it about a restart.
    ///
    /// The last call counts, so `stopping` can replace the reason, whoever asked for the stop. An actor that refuses to
    /// stop ([`Running::Continue`](actix::Running::Continue)) takes its reason back. Called in `started` with an abnormal
    /// reason, it makes the start fail.
    fn exit(&mut self, reason: ExitReason);

    /// To be called in `started`: the start counts as complete only once [`StartAck::ready`] was called.
    ///
    /// Until then the supervisor waits and callers see an actor that is not running. Anywhere else the returned ack has
    /// no effect, since the start is complete.
    fn defer_start(&mut self) -> StartAck;
}

impl<A: Actor<Context = Context<A>>> ExitContext for Context<A> {
    fn exit(&mut self, reason: ExitReason) {
        let waits = self.waiting();
        Notes::write(|notes| {
            notes.exit = Some(reason);
            notes.exits_in_start |= notes.starting.is_some() && waits && !notes.past_start;
        });
        self.stop();
    }

    fn defer_start(&mut self) -> StartAck {
        let control = Notes::write(|notes| {
            notes.start_deferred = notes.starting.is_some();
            notes.starting.clone()
        });
        StartAck {
            control: control.flatten(),
        }
    }
}

/// Completes a start that [`ExitContext::defer_start`] put off.
///
/// Dropped unused it ends the actor, and the start fails: nobody could complete it any more.
#[must_use = "dropping it makes the start fail"]
#[derive(Debug)]
pub struct StartAck {
    control: Option<Arc<Control>>,
}

impl StartAck {
    /// Declares the start complete.
    pub fn ready(mut self) {
        if let Some(control) = self.control.take() {
            control.set_ready();
        }
    }
}

impl Drop for StartAck {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.send(Signal::Kill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_belongs_to_the_innermost_turn() {
        let exit = |notes: Option<Notes>| notes.and_then(|notes| notes.exit);
        let note = |reason| Notes::write(|notes| notes.exit = Some(reason));
        let outer = Scope::enter(None);
        assert!(note(ExitReason::Normal).is_some());
        let quiet = Scope::enter(None);
        assert_eq!(exit(quiet.leave()), None);
        let inner = Scope::enter(None);
        assert!(note(ExitReason::Killed).is_some());
        assert_eq!(exit(inner.leave()), Some(ExitReason::Killed));
        assert_eq!(exit(outer.leave()), Some(ExitReason::Normal));
        assert!(note(ExitReason::Normal).is_none(), "it is nobody's turn");
    }
}

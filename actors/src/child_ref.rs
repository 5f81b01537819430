//! The handle that survives restarts: [`ChildRef`].
//!
//! An actix `Addr` is bound to one incarnation of an actor and dead for good after a crash. A `ChildRef` stands for the
//! child: it always reaches the incarnation that serves now, and where a call fails it says why.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Addr, Context, Handler, Message};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    control::Signal,
    exit::ExitReason,
    inbox::Refused,
    message_ref::MessageRef,
    monitor::Monitor,
    parcel::NoAnswer,
    slot::{Slot, Status},
    stats::ChildStats,
    supervisor::{ChildCounts, ChildState, SupervisionTree},
};

/// A cheap, cloneable handle on a supervised child, valid across its restarts.
///
/// It is handed out by [`ChildSpec::child_ref`](crate::ChildSpec::child_ref) before the child runs, and by whatever
/// starts a child. Messages are never sent twice: what a crash swallowed is reported, not repeated.
pub struct ChildRef<A: Actor> {
    slot: Arc<Slot<A>>,
}

impl<A: Actor<Context = Context<A>>> ChildRef<A> {
    pub(crate) fn new(slot: Arc<Slot<A>>) -> Self {
        Self { slot }
    }

    /// As [`Blueprint::identity`](crate::child_spec::Blueprint::identity).
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.slot).addr()
    }

    /// The id of the child.
    #[must_use]
    pub fn id(&self) -> &str {
        self.slot.id()
    }

    /// The number of the incarnation that serves now, counted from 1; `None` while none does.
    #[must_use]
    pub fn incarnation(&self) -> Option<u64> {
        self.slot
            .running()
            .as_ref()
            .map(|running| running.incarnation)
    }

    /// Whether an incarnation serves at this moment.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.slot.running().is_some()
    }

    /// The address of the incarnation that serves now, for actix APIs that want one. It is not valid after a restart.
    ///
    /// What is sent through it goes past the handle: it has a queue of its own, which knows no bound and is drained in one
    /// go; see [`guarantees`](crate::guarantees).
    #[must_use]
    pub fn addr(&self) -> Option<Addr<A>> {
        self.slot
            .running()
            .as_ref()
            .map(|running| running.addr.clone())
    }

    /// How it is doing, without asking it: what waits, what was handled, how its incarnations ended (OTP: `process_info`).
    #[must_use]
    pub fn stats(&self) -> ChildStats {
        self.slot.stats()
    }

    /// Sends a message and waits for its result (OTP: `gen_server:call`, without a time limit).
    ///
    /// Waits for room first where the mailbox has a bound and is full. Several calls of one caller, each awaited, are handled
    /// in order.
    ///
    /// # Errors
    ///
    /// [`CallError::NotRunning`] at once, with the message, in the gap between two incarnations, or when the actor ended
    /// before there was room; [`CallError::Died`] when the actor ended before it replied, whether it had begun with the
    /// message or not; [`CallError::NoReply`] when it lives on and dropped the reply, which is certain once its next turn
    /// begins.
    pub async fn call<M>(&self, message: M) -> Result<M::Result, CallError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(running) = self.slot.serving() else {
            return Err(CallError::NotRunning(message));
        };
        let (reply, answer) = running.inbox.question();
        let sent = running.inbox.push_when_room(message, Some(reply)).await;
        sent.map_err(CallError::NotRunning)?;
        Ok(answer.get(Some(&running.control)).await?)
    }

    /// Like [`call`](Self::call), but refuses at once when the mailbox is full.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`], with the message, and those of [`call`](Self::call).
    pub async fn try_call<M>(&self, message: M) -> Result<M::Result, CallError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(running) = self.slot.serving() else {
            return Err(CallError::NotRunning(message));
        };
        let (reply, answer) = running.inbox.question();
        running.inbox.push(message, Some(reply))?;
        Ok(answer.get(Some(&running.control)).await?)
    }

    /// Like [`call`](Self::call), with a time limit (OTP: `gen_server:call/3`).
    ///
    /// # Errors
    ///
    /// [`CallError::TimedOut`], and those of [`call`](Self::call). A message with which the actor had not begun by then is
    /// dropped; one with which it had is carried out, and its result dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time, which every arbiter has.
    pub async fn call_within<M>(
        &self,
        message: M,
        limit: Duration,
    ) -> Result<M::Result, CallError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let answer = timeout(limit, self.call(message)).await;
        answer.unwrap_or(Err(CallError::TimedOut(limit)))
    }

    /// Sends a message without waiting for anything (OTP: `gen_server:cast`).
    ///
    /// # Errors
    ///
    /// [`CastError::NotRunning`], or [`CastError::Full`] where the mailbox has a bound, with the message. A message that was
    /// accepted may still be lost with the actor.
    pub fn cast<M>(&self, message: M) -> Result<(), CastError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        match self.slot.running().as_ref() {
            Some(running) => Ok(running.inbox.push(message, None)?),
            None => Err(CastError::NotRunning(message)),
        }
    }

    /// Like [`cast`](Self::cast), but waits for room where the mailbox is full.
    ///
    /// # Errors
    ///
    /// [`CastError::NotRunning`], with the message, also when the actor ended before there was room.
    pub async fn send<M>(&self, message: M) -> Result<(), CastError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(running) = self.slot.serving() else {
            return Err(CastError::NotRunning(message));
        };
        let sent = running.inbox.push_when_room(message, None).await;
        sent.map_err(CastError::NotRunning)
    }

    /// The same child as a handle by message, for whoever sends one kind of message and need not know the actor.
    #[must_use]
    pub fn message_ref<M>(&self) -> MessageRef<M>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        self.clone().into()
    }

    /// Waits until an incarnation with a number above `newer_than` serves, and returns its number.
    ///
    /// With 0 any incarnation will do, also the one that serves at this moment; with the number of an incarnation it is
    /// the next one. Incarnations that came and went between two looks are passed over. A start that fails uses up a
    /// number too, so the next one is not always one higher. It waits for as long as it takes, for ever where the child is
    /// never started again or its supervisor is gone: put a timeout around it.
    pub async fn wait_until_running(&self, newer_than: u64) -> u64 {
        let mut status = self.slot.status();
        let serves = |status: &Status| status.running && status.incarnation > newer_than;
        let serving = status
            .wait_for(serves)
            .await
            .ok()
            .map(|status| status.incarnation);
        match serving {
            Some(incarnation) => incarnation,
            // The sender lives in the slot, which this handle keeps.
            None => std::future::pending().await,
        }
    }

    /// Like [`wait_until_running`](Self::wait_until_running), but answers `None` where the latest incarnation was ended by its
    /// supervisor ([`ExitReason::Shutdown`]): that one was terminated, or stops with all its children.
    ///
    /// A sibling's restart may end a child in this way too, under the strategies that restart several; it then comes back.
    pub async fn wait_until_running_or_shut_down(&self, newer_than: u64) -> Option<u64> {
        let mut status = self.slot.status();
        let serves = |status: &Status| status.running && status.incarnation > newer_than;
        let settled = |status: &Status| serves(status) || status.shut_down;
        let status = status.wait_for(settled).await.ok()?;
        serves(&status).then_some(status.incarnation)
    }

    /// Watches the incarnation that serves now (OTP: `erlang:monitor`).
    pub fn monitor(&self) -> Monitor {
        let (sender, down) = oneshot::channel();
        let incarnation = self.slot.add_monitor(sender);
        Monitor::new(Arc::clone(self.slot.id()), incarnation, down)
    }

    /// Stops the present incarnation with its hooks, reason [`ExitReason::Normal`], and waits for its end
    /// (OTP: `gen_server:stop`).
    ///
    /// Its supervisor restarts a permanent child all the same; to stop a child for good, ask the supervisor to terminate
    /// it. Returns the reason of the exit, [`ExitReason::NotRunning`] where nothing ran.
    ///
    /// Without a time limit: an actor that refuses to stop ([`Running::Continue`](actix::Running::Continue)) keeps the
    /// caller waiting until something else ends it. Asking again asks the actor again;
    /// [`stop_or_kill`](Self::stop_or_kill) has a limit.
    pub async fn stop(&self) -> ExitReason {
        self.end(Signal::Stop).await
    }

    /// Like [`stop`](Self::stop), but kills the incarnation when it has not ended after `patience`.
    ///
    /// As with [`kill`](Self::kill), a handler that blocks its thread delays the end until it returns. Once begun it goes on,
    /// also where this future is dropped, for as long as the runtime of the caller runs.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time, which every arbiter has.
    pub async fn stop_or_kill(&self, patience: Duration) -> ExitReason {
        self.end_within(Signal::Stop, patience).await
    }

    /// Ends the present incarnation without its hooks, reason [`ExitReason::Killed`], and waits for its end
    /// (OTP: `exit(Pid, kill)`).
    ///
    /// A handler that blocks its thread delays the end until it returns.
    pub async fn kill(&self) -> ExitReason {
        self.end(Signal::Kill).await
    }

    /// Ends the present incarnation, with a kill when it has not ended in time.
    pub(crate) async fn end_within(&self, signal: Signal, limit: Duration) -> ExitReason {
        let Some(control) = self.slot.control() else {
            return ExitReason::NotRunning;
        };
        if control.exit_reason().is_some() {
            return ExitReason::NotRunning;
        }
        control.send(signal);
        // The kill comes in time also where the caller goes away.
        let ending = Arc::clone(&control);
        tokio::spawn(async move {
            if timeout(limit, ending.exited()).await.is_err() {
                ending.send(Signal::Kill);
            }
        });
        control.exited().await
    }

    /// Waits for the end of the latest incarnation, also where it has ended already.
    #[cfg(feature = "signal")]
    pub(crate) async fn exited(&self) -> ExitReason {
        match self.slot.control() {
            Some(control) => control.exited().await,
            None => ExitReason::NotRunning,
        }
    }

    /// What is here and below, at this moment.
    pub(crate) fn subtree(&self) -> SupervisionTree {
        let (id, actor) = (Arc::clone(self.slot.id()), std::any::type_name::<A>());
        SupervisionTree::of(id, self.slot.state(), actor, self.stats(), self.slot.view())
    }

    /// The numbers of children of a supervisor that is alive.
    pub(crate) fn counts(&self) -> Option<ChildCounts> {
        let alive = self.slot.state() != ChildState::Stopped;
        Some(self.slot.view().filter(|_| alive)?.counts())
    }

    pub(crate) async fn end(&self, signal: Signal) -> ExitReason {
        match self.slot.control() {
            Some(control) if control.exit_reason().is_none() => {
                control.send(signal);
                control.exited().await
            }
            _ => ExitReason::NotRunning,
        }
    }
}

impl<A: Actor> Clone for ChildRef<A> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
        }
    }
}

impl<A: Actor<Context = Context<A>>> fmt::Debug for ChildRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildRef")
            .field("id", &self.id())
            .field("incarnation", &self.incarnation())
            .finish()
    }
}

/// Why a [`ChildRef::call`] got no result.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<M> {
    /// Nothing serves at the moment; the message comes back unsent.
    NotRunning(M),
    /// The mailbox is full; only [`ChildRef::try_call`] minds. The message comes back unsent.
    Full(M),
    /// The actor ended before it replied. Whether it had begun with the message is not known.
    Died(ExitReason),
    /// The actor lives on, but dropped the reply: a task it had started for it panicked or was cancelled.
    NoReply,
    /// There was no reply in time; only [`ChildRef::call_within`] minds.
    TimedOut(Duration),
}

impl<M> CallError<M> {
    /// The message, where it was not sent.
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::NotRunning(message) | Self::Full(message) => Some(message),
            Self::Died(_) | Self::NoReply | Self::TimedOut(_) => None,
        }
    }
}

impl<M> fmt::Display for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(_) => f.write_str("the actor is not running"),
            Self::Full(_) => f.write_str("the actor's mailbox is full"),
            Self::Died(reason) => write!(f, "the actor ended before it replied: {reason}"),
            Self::NoReply => f.write_str("the actor dropped the reply"),
            Self::TimedOut(limit) => write!(f, "the actor did not reply within {limit:?}"),
        }
    }
}

impl<M> fmt::Debug for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(_) => f.write_str("NotRunning(..)"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Died(reason) => f.debug_tuple("Died").field(reason).finish(),
            Self::NoReply => f.write_str("NoReply"),
            Self::TimedOut(limit) => f.debug_tuple("TimedOut").field(limit).finish(),
        }
    }
}

impl<M> std::error::Error for CallError<M> {}

impl<M> From<NoAnswer> for CallError<M> {
    fn from(reason: NoAnswer) -> Self {
        match reason {
            NoAnswer::Died(reason) => Self::Died(reason),
            NoAnswer::NoReply => Self::NoReply,
        }
    }
}

impl<M> From<Refused<M>> for CallError<M> {
    fn from(refused: Refused<M>) -> Self {
        match refused {
            Refused::Full(message) => Self::Full(message),
            Refused::Closed(message) => Self::NotRunning(message),
        }
    }
}

/// Why a message was not taken by [`ChildRef::cast`] or [`ChildRef::send`]; the message comes back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CastError<M> {
    /// Nothing serves at the moment.
    NotRunning(M),
    /// The mailbox is full; only [`ChildRef::cast`] minds.
    Full(M),
}

impl<M> CastError<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::NotRunning(message) | Self::Full(message) => message,
        }
    }
}

impl<M> fmt::Display for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning(_) => "the actor is not running",
            Self::Full(_) => "the actor's mailbox is full",
        })
    }
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning(_) => "NotRunning(..)",
            Self::Full(_) => "Full(..)",
        })
    }
}

impl<M> std::error::Error for CastError<M> {}

impl<M> From<Refused<M>> for CastError<M> {
    fn from(refused: Refused<M>) -> Self {
        match refused {
            Refused::Full(message) => Self::Full(message),
            Refused::Closed(message) => Self::NotRunning(message),
        }
    }
}

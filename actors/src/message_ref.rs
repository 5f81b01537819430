//! A handle by message: [`MessageRef`], for whoever sends one kind of message and need not know the actor.

use std::{fmt, sync::Arc};

use actix::{Actor, Context, Handler, Message};
use futures_util::future::BoxFuture;

use crate::{
    blocking_pool::BlockingPool,
    child_ref::{CallError, CastError, ChildRef},
};

/// A cheap, cloneable handle on whoever takes a message, valid across restarts: what actix's `Recipient` is to an `Addr`, this
/// is to a [`ChildRef`].
///
/// [`ChildRef::message_ref`] makes one, and so does [`Registry::message_ref`](crate::Registry::message_ref), for whoever has a key
/// when a message is sent.
///
/// ```
/// use actix::prelude::*;
/// use actix_otp::{ChildSpec, MessageRef, Strategy, SupervisorSpec};
///
/// #[derive(Message)]
/// #[rtype(result = "usize")]
/// struct Measure(&'static str);
///
/// struct Ruler;
/// impl Actor for Ruler {
///     type Context = Context<Self>;
/// }
/// impl Handler<Measure> for Ruler {
///     type Result = usize;
///     fn handle(&mut self, Measure(text): Measure, _: &mut Context<Self>) -> usize {
///         text.len()
///     }
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = ChildSpec::new("ruler", || Ruler);
/// let measure: MessageRef<Measure> = spec.child_ref().message_ref();
/// let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
/// assert_eq!(measure.call(Measure("four")).await?, 4);
/// # root.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct MessageRef<M: Message<Result: Send> + Send + 'static> {
    target: Arc<dyn Target<M>>,
}

impl<M: Message<Result: Send> + Send + 'static> MessageRef<M> {
    pub(crate) fn new(target: impl Target<M> + 'static) -> Self {
        Self {
            target: Arc::new(target),
        }
    }

    /// Whether somebody serves at this moment.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.target.is_running()
    }

    /// Sends a message and waits for its result; see [`ChildRef::call`].
    ///
    /// # Errors
    ///
    /// As [`ChildRef::call`].
    pub async fn call(&self, message: M) -> Result<M::Result, CallError<M>> {
        self.target.call(message).await
    }

    /// Sends a message without waiting for anything; see [`ChildRef::cast`].
    ///
    /// # Errors
    ///
    /// As [`ChildRef::cast`].
    pub fn cast(&self, message: M) -> Result<(), CastError<M>> {
        self.target.cast(message)
    }

    /// Like [`cast`](Self::cast), but waits for room; see [`ChildRef::send`].
    ///
    /// # Errors
    ///
    /// As [`ChildRef::send`].
    pub async fn send(&self, message: M) -> Result<(), CastError<M>> {
        self.target.send(message).await
    }
}

impl<M: Message<Result: Send> + Send + 'static> Clone for MessageRef<M> {
    fn clone(&self) -> Self {
        Self {
            target: Arc::clone(&self.target),
        }
    }
}

impl<M: Message<Result: Send> + Send + 'static> fmt::Debug for MessageRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageRef")
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}

impl<A, M> From<ChildRef<A>> for MessageRef<M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn from(child: ChildRef<A>) -> Self {
        Self::new(child)
    }
}

impl<A, M> From<BlockingPool<A>> for MessageRef<M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn from(pool: BlockingPool<A>) -> Self {
        Self::new(pool)
    }
}

/// Somebody who takes a message, whatever else.
pub(crate) trait Target<M: Message<Result: Send> + Send + 'static>: Send + Sync {
    fn is_running(&self) -> bool;
    fn call(&self, message: M) -> BoxFuture<'_, Result<M::Result, CallError<M>>>;
    fn cast(&self, message: M) -> Result<(), CastError<M>>;
    fn send(&self, message: M) -> BoxFuture<'_, Result<(), CastError<M>>>;
}

impl<A, M> Target<M> for ChildRef<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn is_running(&self) -> bool {
        ChildRef::is_running(self)
    }

    fn call(&self, message: M) -> BoxFuture<'_, Result<M::Result, CallError<M>>> {
        Box::pin(ChildRef::call(self, message))
    }

    fn cast(&self, message: M) -> Result<(), CastError<M>> {
        ChildRef::cast(self, message)
    }

    fn send(&self, message: M) -> BoxFuture<'_, Result<(), CastError<M>>> {
        Box::pin(ChildRef::send(self, message))
    }
}

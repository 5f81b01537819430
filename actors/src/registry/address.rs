//! The addresses a registry can lead to.

use std::hash::Hash;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use futures_util::{FutureExt, future::BoxFuture};

/// What a [`Registry`](crate::Registry) leads to: [`Addr`] or [`Recipient`]. Sealed.
pub trait Address: Clone + Eq + Hash + Send + Sync + 'static + sealed::Sealed {
    /// Whether the actor still takes messages.
    fn is_connected(&self) -> bool;
}

/// An [`Address`] that takes messages of this type. Sealed.
pub trait Takes<M: Message<Result: Send> + Send + 'static>: Address {
    /// Sends a message without waiting for anything.
    #[doc(hidden)]
    fn deliver(&self, message: M);

    /// Sends a message and waits for its result; `None` where there is none.
    #[doc(hidden)]
    fn request(&self, message: M) -> BoxFuture<'static, Option<M::Result>>;
}

impl<A, M> Takes<M> for Addr<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn deliver(&self, message: M) {
        self.do_send(message);
    }

    fn request(&self, message: M) -> BoxFuture<'static, Option<M::Result>> {
        self.send(message).map(Result::ok).boxed()
    }
}

impl<M: Message<Result: Send> + Send + 'static> Takes<M> for Recipient<M> {
    fn deliver(&self, message: M) {
        self.do_send(message);
    }

    fn request(&self, message: M) -> BoxFuture<'static, Option<M::Result>> {
        self.send(message).map(Result::ok).boxed()
    }
}

mod sealed {
    pub trait Sealed {}
}

impl<A: Actor> sealed::Sealed for Addr<A> {}

impl<A: Actor> Address for Addr<A> {
    fn is_connected(&self) -> bool {
        self.connected()
    }
}

impl<M: Message<Result: Send> + Send + 'static> sealed::Sealed for Recipient<M> {}

impl<M: Message<Result: Send> + Send + 'static> Address for Recipient<M> {
    fn is_connected(&self) -> bool {
        self.connected()
    }
}

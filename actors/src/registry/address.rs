//! The addresses a registry can lead to.

use std::hash::Hash;

use actix::{Actor, Addr, Message, Recipient};

/// What a [`Registry`](crate::Registry) leads to: [`Addr`] or [`Recipient`]. Sealed.
pub trait Address: Clone + Eq + Hash + Send + Sync + 'static + sealed::Sealed {
    /// Whether the actor still takes messages.
    fn is_connected(&self) -> bool;
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

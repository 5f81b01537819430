//! Names for actors: [`Registry`].
//!
//! An actor registers itself under keys of any type; whoever holds the registry finds it there. A registry is a value
//! that is handed to those who use it, never a global.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::Registry;
//!
//! struct Room(Registry<String, Addr<Room>>, String);
//!
//! impl Actor for Room {
//!     type Context = Context<Self>;
//!
//!     fn started(&mut self, ctx: &mut Self::Context) {
//!         self.0.register(ctx, self.1.clone(), ()).expect("the name is free");
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() {
//!     let rooms = Registry::new();
//!     let room = Room(rooms.clone(), "lobby".into()).start();
//!     actix::clock::sleep(std::time::Duration::ZERO).await;
//!     assert_eq!(rooms.get("lobby"), Some(room));
//! }
//! ```
//!
//! # Groups
//!
//! A [`DuplicateRegistry`] is what OTP's process groups (`pg`) are: an actor joins a group with
//! [`register`](DuplicateRegistry::register) and leaves it with [`unregister`](Registry::unregister) or its end;
//! [`lookup`](Registry::lookup) gives the members, [`dispatch`](Registry::dispatch) sends to all of them, and
//! [`listen`](Registry::listen) tells who joins and who leaves.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{DuplicateRegistry, RegistryChange};
//!
//! #[derive(Clone, Message)]
//! #[rtype(result = "()")]
//! struct News(&'static str);
//!
//! struct Reader(DuplicateRegistry<&'static str, Recipient<News>>);
//! impl Actor for Reader {
//!     type Context = Context<Self>;
//!     fn started(&mut self, ctx: &mut Self::Context) {
//!         self.0.register(ctx, "readers", ());
//!     }
//! }
//! impl Handler<News> for Reader {
//!     type Result = ();
//!     fn handle(&mut self, News(text): News, _: &mut Self::Context) {
//!         println!("{text}");
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() {
//!     let groups = DuplicateRegistry::new();
//!     let mut changes = groups.listen(100);
//!     let _readers = [Reader(groups.clone()).start(), Reader(groups.clone()).start()];
//!     for _ in 0..2 {
//!         assert!(matches!(
//!             changes.recv().await,
//!             Some(RegistryChange::Registered { key: "readers", .. })
//!         ));
//!     }
//!     let told = groups.dispatch("readers", |reader, _| reader.do_send(News("extra, extra")));
//!     assert_eq!(told, 2);
//! }
//! ```
//!
//! # How entries end
//!
//! An entry belongs to the actor that registered it. The actor's context holds a guard, so its entries vanish when the
//! context is dropped, however the actor ends: stop, panic, kill, the end of its arbiter. No supervisor is needed for
//! that. From the moment its mailbox is closed an actor is found no more and holds no unique key; when a supervisor,
//! a [`Monitor`](crate::Monitor) or a caller hears of its end, its entries are gone.
//!
//! A registered actor is reachable. So it does not stop for want of an address, as actix's actors otherwise do, until it
//! unregisters or the registry is dropped.

mod address;
mod error;
mod listener;
mod table;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    marker::PhantomData,
    sync::{Arc, Weak},
};

use actix::{Actor, Addr, AsyncContext, Message, fut::wrap_future};
use futures_util::future::{BoxFuture, ready};

use self::table::{Added, Claim, Entry, Held, NewGuard, Table};
pub use self::{
    address::{Address, Takes},
    error::AlreadyRegistered,
    listener::{RegistryChange, RegistryListener},
};

use crate::{
    child_ref::{CallError, CastError},
    exit::ExitReason,
    message_ref::{MessageRef, Target},
};

/// Names for actors, unique by default; see [`DuplicateRegistry`] for many actors under one key.
///
/// `K` is the type of the keys, `T` that of the addresses, [`Addr`] or [`Recipient`](actix::Recipient), and `V` that of a value kept with
/// each registration. Handles are cheap to clone; the registry lives as long as the last of them.
///
/// A lookup takes a short read lock on one of many shards.
pub struct Registry<K, T, V = (), N = Unique> {
    table: Arc<Table<K, T, V>>,
    names: PhantomData<fn() -> N>,
}

/// A [`Registry`] that takes any number of actors under one key, and one actor any number of times: topics, pools.
pub type DuplicateRegistry<K, T, V = ()> = Registry<K, T, V, Duplicate>;

/// A [`Registry`] where a key belongs to one live actor at a time.
#[derive(Clone, Copy, Debug)]
pub enum Unique {}

/// A [`Registry`] where a key takes any number of actors.
#[derive(Clone, Copy, Debug)]
pub enum Duplicate {}

impl<K, T, V, N> Registry<K, T, V, N>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Address,
    V: Send + Sync + 'static,
{
    /// A registry without entries.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new()),
            names: PhantomData,
        }
    }

    /// The live entries under a key, in order of registration.
    #[must_use]
    pub fn lookup<Q>(&self, key: &Q) -> Vec<(T, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let entries = self.table.live(key);
        entries
            .iter()
            .map(|entry| (entry.address.clone(), entry.value.clone()))
            .collect()
    }

    /// Calls a function for each live entry under a key, in the order of registration and on the thread of the caller;
    /// returns how many there were.
    ///
    /// It works on a snapshot and holds no lock, so the function may use the registry. Borrowing the address, it is the
    /// cheapest way to send.
    pub fn dispatch<Q>(&self, key: &Q, mut send: impl FnMut(&T, &V)) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entries = self.table.live(key);
        for entry in &entries {
            send(&entry.address, &entry.value);
        }
        entries.len()
    }

    /// What a function makes of the live entries, whatever their keys; those for which it gives `None` are left out.
    ///
    /// It works on a snapshot, put together shard by shard: entries that come or go meanwhile may be seen or not.
    pub fn select<R>(&self, mut of: impl FnMut(&K, &T, &V) -> Option<R>) -> Vec<R> {
        let all = self.table.all();
        all.iter()
            .filter_map(|(key, entry)| of(key, &entry.address, &entry.value))
            .collect()
    }

    /// The keys an actor has registered, in no particular order, each as often as it was registered.
    #[must_use]
    pub fn keys(&self, owner: &T) -> Vec<K> {
        self.table.keys(owner)
    }

    /// The values an actor has registered under a key, in order of registration.
    #[must_use]
    pub fn values<Q>(&self, owner: &T, key: &Q) -> Vec<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let entries = self.table.owned(owner, key);
        entries.iter().map(|entry| entry.value.clone()).collect()
    }

    /// The number of entries; a key counts as often as it is registered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// Removes all entries of the calling actor under a key; how many there were.
    ///
    /// With its last entry the actor is no longer kept from stopping for want of an address.
    pub fn unregister<A, C, Q>(&self, ctx: &mut C, key: &Q) -> usize
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.unregister_if(ctx, key, |_| true)
    }

    /// Removes the entries of the calling actor under a key whose value is as wanted; how many there were.
    pub fn unregister_if<A, C, Q>(
        &self,
        ctx: &mut C,
        key: &Q,
        mut wanted: impl FnMut(&V) -> bool,
    ) -> usize
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let owner = T::from(ctx.address());
        let owned = self.table.owned(&owner, key);
        let doomed = owned.iter().filter(|entry| wanted(&entry.value));
        let doomed: Vec<_> = doomed.map(|entry| entry.id).collect();
        if doomed.is_empty() {
            return 0;
        }
        self.table.remove(&owner, key, &doomed)
    }

    /// Hears of every registration and of every end of one from now on (OTP: Elixir's registry listeners, `pg:monitor`).
    ///
    /// `capacity` is the number of changes that are kept for the listener; what it does not read in time is lost, and it is
    /// told how many those were.
    pub fn listen(&self, capacity: usize) -> RegistryListener<K, T> {
        self.table.listeners.add(capacity)
    }

    /// Adds an entry; the one in whose place it is.
    fn enter<A, C>(
        &self,
        ctx: &mut C,
        key: K,
        value: V,
        claim: Claim,
    ) -> Result<Option<Held<T, V>>, Held<T, V>>
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
    {
        let owner = T::from(ctx.address());
        let Added { id, replaced } = self.table.insert(&key, &owner, value, claim)?;
        let new_guard = self.table.note(&owner, key.clone(), id);
        if self.table.was_lost(&key, id) {
            self.table.remove(&owner, &key, &[id]);
        }
        if let Some(replaced) = &replaced {
            self.table.remove(&replaced.address, &key, &[replaced.id]);
        }
        if let Some(NewGuard { id, released }) = new_guard {
            let guard = Guard {
                table: Arc::downgrade(&self.table),
                owner,
                id,
            };
            ctx.spawn(wrap_future(async move {
                let _guard = guard;
                // Done when the last entry was unregistered, or the registry is gone.
                let _ = released.await;
            }));
        }
        Ok(replaced)
    }
}

impl<K, T, V> Registry<K, T, V, Unique>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Address,
    V: Send + Sync + 'static,
{
    /// Registers the calling actor under a key, until it ends or unregisters.
    ///
    /// From `started` it is the way to start an actor under a name: where the name is taken, stop with
    /// [`exit`](crate::ExitContext::exit) and the start fails.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`], with the holder, while another actor has the key and lives, or this one has it already. A
    /// holder that is dead never blocks: the key is taken over.
    pub fn register<A, C>(&self, ctx: &mut C, key: K, value: V) -> Result<(), AlreadyRegistered<T>>
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
    {
        self.enter(ctx, key, value, Claim::Unique)
            .map(drop)
            .map_err(|held| AlreadyRegistered {
                holder: held.address.clone(),
            })
    }

    /// Registers the calling actor under a key, whoever has it, in one step: at no moment is the key free, and whoever looks
    /// finds the one actor or the other. Returns the other actor that had the key, where that is
    /// alive.
    ///
    /// That one is not told otherwise than by [`listen`](Self::listen); send it a message where it has to know.
    pub fn take_over<A, C>(&self, ctx: &mut C, key: K, value: V) -> Option<T>
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
    {
        let entered = self.enter(ctx, key, value, Claim::TakeOver);
        debug_assert!(entered.is_ok(), "who takes over is not refused");
        let replaced = entered.ok().flatten()?;
        let other = replaced.is_alive() && replaced.address != T::from(ctx.address());
        other.then(|| replaced.address.clone())
    }

    /// The live actor that has the key.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(self.table.first(key)?.address.clone())
    }

    /// A handle on whoever has the key when a message is sent: a recipient that survives restarts and successions.
    ///
    /// A registered actor is reached by its address, which knows neither a bound nor the reason of an end. So a call to one
    /// that ended before it replied is [`Died`](CallError::Died) with [`ExitReason::NotRunning`].
    #[must_use]
    pub fn message_ref<M>(&self, key: K) -> MessageRef<M>
    where
        T: Takes<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        MessageRef::new(Holder {
            names: self.clone(),
            key,
        })
    }

    /// What a function makes of the live entry under a key. It borrows the address, which is cheaper than a clone.
    pub fn with<Q, R>(&self, key: &Q, of: impl FnOnce(&T, &V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.table.first(key)?;
        Some(of(&entry.address, &entry.value))
    }

    /// Replaces the value of the calling actor's entry by what a function makes of it; returns the new one and the old.
    ///
    /// The function is not called, and nothing is returned, where the actor does not have the key.
    pub fn update_value<A, C>(
        &self,
        ctx: &mut C,
        key: &K,
        update: impl FnOnce(&V) -> V,
    ) -> Option<(V, V)>
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
        V: Clone,
    {
        let owner = T::from(ctx.address());
        let entry = self.table.owned(&owner, key).pop()?;
        let new = update(&entry.value);
        let updated = Entry {
            id: entry.id,
            address: owner,
            value: new.clone(),
        };
        self.table.replace(key, Arc::new(updated));
        Some((new, entry.value.clone()))
    }
}

impl<K, T, V> Registry<K, T, V, Duplicate>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Address,
    V: Send + Sync + 'static,
{
    /// Registers the calling actor under a key, once more if it is there already, until it ends or unregisters.
    pub fn register<A, C>(&self, ctx: &mut C, key: K, value: V)
    where
        A: Actor<Context = C>,
        C: AsyncContext<A>,
        T: From<Addr<A>>,
    {
        let entered = self.enter(ctx, key, value, Claim::Shared);
        debug_assert!(entered.is_ok(), "only unique keys are refused");
    }
}

impl<K, T, V, N> Default for Registry<K, T, V, N>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Address,
    V: Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K, T, V, N> Clone for Registry<K, T, V, N> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            names: PhantomData,
        }
    }
}

impl<K, T, V, N> fmt::Debug for Registry<K, T, V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Whoever has a key.
struct Holder<K, T, V> {
    names: Registry<K, T, V, Unique>,
    key: K,
}

impl<K, T, V, M> Target<M> for Holder<K, T, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Takes<M>,
    V: Send + Sync + 'static,
    M: Message<Result: Send> + Send + 'static,
{
    fn is_running(&self) -> bool {
        self.names.get(&self.key).is_some()
    }

    fn call(&self, message: M) -> BoxFuture<'_, Result<M::Result, CallError<M>>> {
        Box::pin(async move {
            let Some(holder) = self.names.get(&self.key) else {
                return Err(CallError::NotRunning(message));
            };
            match holder.request(message).await {
                Some(result) => Ok(result),
                None if holder.is_connected() => Err(CallError::NoReply),
                None => Err(CallError::Died(ExitReason::NotRunning)),
            }
        })
    }

    fn cast(&self, message: M) -> Result<(), CastError<M>> {
        match self.names.get(&self.key) {
            Some(holder) => {
                holder.deliver(message);
                Ok(())
            }
            None => Err(CastError::NotRunning(message)),
        }
    }

    /// There is always room.
    fn send(&self, message: M) -> BoxFuture<'_, Result<(), CastError<M>>> {
        Box::pin(ready(Target::cast(self, message)))
    }
}

/// Kept by the context of an actor with entries; drops them with the actor.
struct Guard<K, T, V>
where
    K: Hash + Eq + Clone,
    T: Address,
{
    table: Weak<Table<K, T, V>>,
    owner: T,
    id: u64,
}

impl<K, T, V> Drop for Guard<K, T, V>
where
    K: Hash + Eq + Clone,
    T: Address,
{
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.forget(&self.owner, self.id);
        }
    }
}

//! Threads for actors that block, under supervision and with one queue: [`BlockingPoolSpec`].
//!
//! A handler that computes for long, or calls a library that blocks, keeps its thread. Here each actor has a thread of its
//! own, and all of them take from one queue: a message goes to whoever is free. This is what actix's `SyncArbiter` does, and
//! an actor that panics is restarted here, while the others go on.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{BlockingPoolSpec, Strategy, SupervisorSpec};
//!
//! struct Hasher;
//! impl Actor for Hasher {
//!     type Context = Context<Self>;
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "u64")]
//! struct Hash(&'static [u8]);
//! impl Handler<Hash> for Hasher {
//!     type Result = u64;
//!     fn handle(&mut self, Hash(bytes): Hash, _: &mut Context<Self>) -> u64 {
//!         bytes.iter().fold(0, |hash, byte| hash * 31 + u64::from(*byte)) // takes its time
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (spec, hashers) = BlockingPoolSpec::new(2, || Hasher).queue_capacity(100).build("hashers")?;
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
//!     assert_eq!(hashers.call(Hash(b"a")).await?, 97);
//!     root.shutdown().await;
//!     Ok(())
//! }
//! ```

use std::{fmt, io, sync::Arc};

use actix::{Actor, Context, Handler, Message};
use futures_util::future::BoxFuture;

use crate::{
    child_ref::{CallError, CastError},
    child_spec::ChildSpec,
    intensity::Intensity,
    message_ref::Target,
    observer::Observer,
    placement::{ArbiterPool, Placement},
    shared_inbox::SharedInbox,
    supervisor::{Strategy, Supervisor, SupervisorRef, SupervisorSpec},
};

/// A recipe for a supervisor of actors that block, each on a thread of its own, with one queue for all of them.
///
/// It is a [`Supervisor`] like any other, one for one, whose children have their numbers as ids. The threads are started with
/// [`build`](Self::build), and end when the spec and all that was started from it are gone. A stop ends the actors one after
/// another, each after the message it is in; what waits in the queue is dropped.
#[must_use = "a spec does nothing until it is built and supervised"]
pub struct BlockingPoolSpec<A: Actor> {
    workers: Vec<ChildSpec<A>>,
    supervisor: SupervisorSpec,
}

impl<A: Actor<Context = Context<A>>> BlockingPoolSpec<A> {
    /// So many threads, at least one, each with a permanent actor, made there by a factory that cannot fail.
    pub fn new<F>(threads: usize, factory: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
    {
        let factory = Arc::new(factory);
        let worker = |number: usize| {
            let factory = Arc::clone(&factory);
            ChildSpec::new(number.to_string(), move || factory())
        };
        Self {
            workers: (0..threads.max(1)).map(worker).collect(),
            supervisor: SupervisorSpec::new(Strategy::OneForOne),
        }
    }

    /// How many messages may wait for a free actor; zero, the default, stands for any number.
    pub fn queue_capacity(self, capacity: usize) -> Self {
        self.each(|worker| worker.mailbox_capacity(capacity))
    }

    /// Changes the spec of every actor: its restart type, its pauses, its shutdown. The placement is replaced.
    pub fn each(mut self, change: impl Fn(ChildSpec<A>) -> ChildSpec<A>) -> Self {
        self.workers = self.workers.into_iter().map(change).collect();
        self
    }

    /// How many restarts of all actors together are too many; the default is 3 in 5 seconds.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.supervisor = self.supervisor.intensity(intensity);
        self
    }

    /// Who is told what happens here; the default is the observer of the supervisor above.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.supervisor = self.supervisor.observer(observer);
        self
    }

    /// Starts the threads. Returns the child spec for the supervisor above, and the handle that leads to the queue.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread or a runtime.
    pub fn build(
        self,
        id: impl Into<Arc<str>>,
    ) -> io::Result<(ChildSpec<Supervisor>, BlockingPool<A>)> {
        let threads = ArbiterPool::new(self.workers.len())?;
        let queue = Arc::new(SharedInbox::default());
        let workers = self.workers.into_iter().enumerate();
        let supervisor = workers.fold(self.supervisor, |supervisor, (number, worker)| {
            let placement = Placement::PoolMember(threads.clone(), number);
            supervisor.child(worker.placement(placement).station(&queue))
        });
        let spec = ChildSpec::supervisor(id, supervisor);
        let supervisor = spec.child_ref();
        Ok((spec, BlockingPool { supervisor, queue }))
    }
}

impl<A: Actor> fmt::Debug for BlockingPoolSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPoolSpec")
            .field("threads", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// Leads to the queue of a pool of actors that block; cheap to clone, and valid across restarts.
///
/// The queue is there from the first start until the pool is stopped. An actor that dies loses the message it is in, and
/// nothing else. Several senders, or several actors, know no order.
pub struct BlockingPool<A: Actor> {
    supervisor: SupervisorRef,
    queue: Arc<SharedInbox<A>>,
}

impl<A: Actor<Context = Context<A>>> BlockingPool<A> {
    /// Has whoever is free handle a message, and waits for its result. Waits for room first where the queue is full.
    ///
    /// # Errors
    ///
    /// [`CallError::NotRunning`], with the message, where the pool does not run or stops before there is room;
    /// [`CallError::Died`] when the actor ended that handled the message, or when the pool was stopped first;
    /// [`CallError::NoReply`] as for [`ChildRef::call`](crate::ChildRef::call).
    pub async fn call<M>(&self, message: M) -> Result<M::Result, CallError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(queue) = self.queue.inbox() else {
            return Err(CallError::NotRunning(message));
        };
        let (reply, answer) = queue.question();
        let sent = queue.push_when_room(message, Some(reply)).await;
        sent.map_err(CallError::NotRunning)?;
        // The answer comes also where the queue goes away, and says so.
        drop(queue);
        Ok(answer.get(None).await?)
    }

    /// Like [`call`](Self::call), but refuses at once when the queue is full.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`], with the message, and those of [`call`](Self::call).
    pub async fn try_call<M>(&self, message: M) -> Result<M::Result, CallError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(queue) = self.queue.inbox() else {
            return Err(CallError::NotRunning(message));
        };
        let (reply, answer) = queue.question();
        queue.push(message, Some(reply))?;
        drop(queue);
        Ok(answer.get(None).await?)
    }

    /// Leaves a message in the queue without waiting for anything.
    ///
    /// # Errors
    ///
    /// [`CastError::NotRunning`], or [`CastError::Full`] where the queue has a bound, with the message.
    pub fn cast<M>(&self, message: M) -> Result<(), CastError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        match self.queue.inbox() {
            Some(queue) => Ok(queue.push(message, None)?),
            None => Err(CastError::NotRunning(message)),
        }
    }

    /// Like [`cast`](Self::cast), but waits for room where the queue is full.
    ///
    /// # Errors
    ///
    /// [`CastError::NotRunning`], with the message, also when the pool was stopped before there was room.
    pub async fn send<M>(&self, message: M) -> Result<(), CastError<M>>
    where
        A: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        let Some(queue) = self.queue.inbox() else {
            return Err(CastError::NotRunning(message));
        };
        let sent = queue.push_when_room(message, None).await;
        sent.map_err(CastError::NotRunning)
    }

    /// Whether there is somebody to take messages, now or after a restart.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.queue.inbox().is_some()
    }

    /// The handle on the supervisor of the actors.
    #[must_use]
    pub fn supervisor(&self) -> &SupervisorRef {
        &self.supervisor
    }
}

impl<A: Actor> Clone for BlockingPool<A> {
    fn clone(&self) -> Self {
        Self {
            supervisor: self.supervisor.clone(),
            queue: Arc::clone(&self.queue),
        }
    }
}

impl<A: Actor> fmt::Debug for BlockingPool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingPool")
            .field(&self.supervisor.id())
            .finish()
    }
}

impl<A, M> Target<M> for BlockingPool<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn is_running(&self) -> bool {
        BlockingPool::is_running(self)
    }

    fn call(&self, message: M) -> BoxFuture<'_, Result<M::Result, CallError<M>>> {
        Box::pin(BlockingPool::call(self, message))
    }

    fn cast(&self, message: M) -> Result<(), CastError<M>> {
        BlockingPool::cast(self, message)
    }

    fn send(&self, message: M) -> BoxFuture<'_, Result<(), CastError<M>>> {
        Box::pin(BlockingPool::send(self, message))
    }
}

//! The same child on every arbiter of a pool, reached by key: [`PartitionSupervisorSpec`].
//!
//! One actor serves one message at a time. Where its work splits by key, one actor an arbiter uses all of them, and what
//! belongs to one key is still served in order by one actor.
//!
//! ```
//! use actix::prelude::*;
//! use actix_otp::{ArbiterPool, PartitionSupervisorSpec, Strategy, SupervisorSpec};
//!
//! struct Counter(usize);
//! impl Actor for Counter {
//!     type Context = Context<Self>;
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = ArbiterPool::new(2)?;
//!     let (spec, counters) = PartitionSupervisorSpec::new(&pool, Counter).build("counters");
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
//!
//!     let counter = counters.for_key("a customer"); // always the same one
//!     assert!(counter.is_running());
//!     root.shutdown().await;
//!     pool.stop();
//!     Ok(())
//! }
//! ```

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use actix::{Actor, Context};

use crate::{
    child_ref::ChildRef,
    child_spec::ChildSpec,
    intensity::Intensity,
    observer::Observer,
    placement::{ArbiterPool, Placement},
    supervisor::{Strategy, Supervisor, SupervisorRef, SupervisorSpec},
};

/// A recipe for a supervisor with one child, the partition, on each arbiter of a pool (OTP: Elixir's
/// `PartitionSupervisor`).
///
/// It is a [`Supervisor`] like any other, whose children have their numbers as ids. A partition stays on its place in
/// the pool: where its arbiter dies, it is restarted on the one that took over. The number of partitions is that of the
/// arbiters and does not change.
#[must_use = "a spec does nothing until it is built and supervised"]
pub struct PartitionSupervisorSpec<A: Actor, H = ChildRef<A>> {
    strategy: Strategy,
    intensity: Intensity,
    observer: Option<Arc<dyn Observer>>,
    partitions: Vec<(ChildSpec<A>, H)>,
}

impl<A: Actor<Context = Context<A>>> PartitionSupervisorSpec<A> {
    /// Partitions that are actors, permanent workers, made with their number by a factory that cannot fail.
    pub fn new<F>(pool: &ArbiterPool, factory: F) -> Self
    where
        F: Fn(usize) -> A + Send + Sync + 'static,
    {
        let factory = Arc::new(factory);
        Self::from_specs(pool, |partition| {
            let factory = Arc::clone(&factory);
            let spec = ChildSpec::new(partition.to_string(), move || factory(partition));
            let handle = spec.child_ref();
            (spec, handle)
        })
    }
}

impl<A: Actor<Context = Context<A>>, H> PartitionSupervisorSpec<A, H> {
    /// Partitions of any kind: for each number a spec, with an id of its own, and the handle to which keys lead.
    ///
    /// The placement of the specs is replaced. With dynamic supervisors as partitions, starts and stops of children no
    /// longer wait for each other:
    ///
    /// ```
    /// use actix_otp::{ArbiterPool, DynamicSupervisorSpec, PartitionSupervisorSpec};
    ///
    /// # fn sessions(pool: &ArbiterPool) {
    /// let (spec, sessions) = PartitionSupervisorSpec::from_specs(pool, |partition| {
    ///     DynamicSupervisorSpec::new().build(partition.to_string())
    /// })
    /// .build("sessions");
    /// assert_eq!(sessions.for_key("a user").count(), 0);
    /// # }
    /// ```
    pub fn from_specs(pool: &ArbiterPool, mut of: impl FnMut(usize) -> (ChildSpec<A>, H)) -> Self {
        let on_arbiter = |partition| {
            let (spec, handle) = of(partition);
            let placement = Placement::PoolMember(pool.clone(), partition);
            (spec.placement(placement), handle)
        };
        Self {
            strategy: Strategy::default(),
            intensity: Intensity::default(),
            observer: None,
            partitions: (0..pool.len()).map(on_arbiter).collect(),
        }
    }

    /// Changes the spec of every partition: its restart type, its shutdown, its mailbox.
    pub fn each(mut self, change: impl Fn(ChildSpec<A>) -> ChildSpec<A>) -> Self {
        let partitions = self.partitions.into_iter();
        self.partitions = partitions
            .map(|(spec, handle)| (change(spec), handle))
            .collect();
        self
    }

    /// Which partitions are restarted when one ends; the default is [`Strategy::OneForOne`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many restarts of all partitions together are too many; the default is 3 in 5 seconds.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Who is told what happens here and in the supervisors below; the default is the observer of the one above.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The child spec for the supervisor above, and the handle that leads to the partitions.
    pub fn build(
        self,
        id: impl Into<Arc<str>>,
    ) -> (ChildSpec<Supervisor>, PartitionSupervisorRef<H>) {
        let mut supervisor = SupervisorSpec::new(self.strategy).intensity(self.intensity);
        if let Some(observer) = self.observer {
            supervisor = supervisor.observer(move |event: &_| observer.observe(event));
        }
        let mut handles = Vec::with_capacity(self.partitions.len());
        for (spec, handle) in self.partitions {
            supervisor = supervisor.child(spec);
            handles.push(handle);
        }
        let spec = ChildSpec::supervisor(id, supervisor);
        let handle = PartitionSupervisorRef {
            supervisor: spec.child_ref(),
            partitions: handles.into(),
            hasher: RandomState::new(),
        };
        (spec, handle)
    }
}

impl<A: Actor, H> fmt::Debug for PartitionSupervisorSpec<A, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSupervisorSpec")
            .field("strategy", &self.strategy)
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

/// Leads from keys to partitions; valid across restarts, cheap to clone, and free of locks.
#[derive(Clone)]
pub struct PartitionSupervisorRef<H> {
    supervisor: SupervisorRef,
    partitions: Arc<[H]>,
    hasher: RandomState,
}

impl<H> PartitionSupervisorRef<H> {
    /// The partition of a key: always the same one for equal keys, in this process and among clones of this handle.
    ///
    /// Nothing is promised about which one it is.
    pub fn for_key(&self, key: &(impl Hash + ?Sized)) -> &H {
        let hash = self.hasher.hash_one(key) as usize;
        // A pool has at least one arbiter.
        &self.partitions[hash % self.partitions.len()]
    }

    /// The partition of this number, counted from 0.
    #[must_use]
    pub fn get(&self, partition: usize) -> Option<&H> {
        self.partitions.get(partition)
    }

    /// All partitions in the order of their numbers.
    pub fn iter(&self) -> std::slice::Iter<'_, H> {
        self.partitions.iter()
    }

    /// The number of partitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Always false: a pool has at least one arbiter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// The handle on the supervisor of the partitions.
    #[must_use]
    pub fn supervisor(&self) -> &SupervisorRef {
        &self.supervisor
    }
}

impl<'a, H> IntoIterator for &'a PartitionSupervisorRef<H> {
    type Item = &'a H;
    type IntoIter = std::slice::Iter<'a, H>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<H> fmt::Debug for PartitionSupervisorRef<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSupervisorRef")
            .field("id", &self.supervisor.id())
            .field("partitions", &self.len())
            .finish()
    }
}

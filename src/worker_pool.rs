//! Worker pools: how many calls may run at a time, how many may wait, and when none is let through for a while.
//!
//! There are three (specification, section 14): one for async and none calls, one in which every open stream holds a place, and one for
//! the threads of blocking functions. A [`WorkerPool`] decides at once about each task; who is accepted waits for a place in the order of arrival, holds it
//! while the task runs, and reports how it ended.
//!
//! ```
//! use std::sync::Arc;
//! use gen_api::{
//!     clock::ManualClock,
//!     worker_pool::{PoolSettings, Rejected, TaskEnd, WorkerPool},
//! };
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let pool = WorkerPool::new("reports", PoolSettings::new(1, 1), Arc::new(ManualClock::new()));
//! let first = pool.admit()?.place().await;
//! let second = pool.admit()?; // queued
//! assert_eq!(pool.admit().unwrap_err(), Rejected::QueueFull);
//! first.finish(TaskEnd::Completed);
//! second.place().await.finish(TaskEnd::Completed);
//! assert_eq!(pool.status().executed, 2);
//! # Ok::<(), Rejected>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The circuit
//!
//! Ten panics or timeouts in a row open the circuit of a pool: for 5 seconds it refuses every task. The first task after
//! that is a trial: it closes the circuit or opens it again. A trial that is killed leaves its turn to the next task, one
//! that has not ended after 5 further seconds lets another task beside it, and one that goes on for long may close the circuit
//! before it ends ([`Place::works`]). An error of the function's own is no failure. Tasks that were accepted before the circuit opened
//! run all the same, and count for nothing when they end: they say nothing of how things are now.
//!
//! # Threads
//!
//! A pool runs nothing by itself. The engine runs its calls where it always does; [`WorkerPoolActor`] runs tasks of
//! others, sent to it as [`Run`].

mod actor;
mod circuit_breaker;
mod event;
mod places;
mod pool;
pub(crate) mod settings;
mod status;
mod telemetry;
#[cfg(test)]
mod tests;
mod ticket;
mod worker;

use std::sync::Arc;

pub use self::{
    actor::{GetPoolStatus, ResetCircuit, Resize, Run, WorkerPoolActor},
    circuit_breaker::CircuitState,
    event::{PoolEvent, PoolObserver, Rejected, TaskEnd},
    pool::WorkerPool,
    settings::{CircuitSettings, PoolSettings},
    status::{PoolStatus, PoolsStatus},
    ticket::{Place, Ticket},
    worker::RunError,
};
use crate::clock::Clock;

/// The pools of an engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerPools {
    /// For async and none calls; its name is `async`.
    pub async_pool: WorkerPool,
    /// For open streams; its name is `stream`.
    pub stream_pool: WorkerPool,
    /// For the threads of blocking functions, whatever the mode of the call; its name is `blocking`.
    pub blocking_pool: WorkerPool,
}

impl WorkerPools {
    /// Empty pools, and who hears of what happens in them.
    #[must_use]
    pub fn new(
        async_settings: PoolSettings,
        stream_settings: PoolSettings,
        blocking_settings: PoolSettings,
        clock: &Arc<dyn Clock>,
        observer: Option<Arc<dyn PoolObserver>>,
    ) -> Self {
        let pool = |name: &str, settings| match &observer {
            Some(observer) => {
                let observer = Arc::clone(observer);
                WorkerPool::observed(name, settings, Arc::clone(clock), observer)
            }
            None => WorkerPool::new(name, settings, Arc::clone(clock)),
        };
        Self {
            async_pool: pool("async", async_settings),
            stream_pool: pool("stream", stream_settings),
            blocking_pool: pool("blocking", blocking_settings),
        }
    }

    /// What the pools do and have done.
    #[must_use]
    pub fn status(&self) -> PoolsStatus {
        PoolsStatus {
            async_pool: self.async_pool.status(),
            stream_pool: self.stream_pool.status(),
            blocking_pool: self.blocking_pool.status(),
        }
    }
}

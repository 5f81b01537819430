//! The actor around a pool: typed messages for its verbs, and tasks that it runs on the engine's threads.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message, MessageResult, ResponseFuture};
use actix_otp::ArbiterPool;
use futures_core::future::BoxFuture;
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    pool::WorkerPool,
    status::PoolStatus,
    worker::{self, RunError},
};
use crate::{call::local::contained::Contained, lifecycle::Lifecycle};

/// Takes the verbs of a [`WorkerPool`] as messages, and runs tasks in it.
///
/// It keeps nothing of its own, and the tasks it started run apart from it: killed and started again with a clone of the
/// same handle, it finds all counts, and no task is lost.
pub struct WorkerPoolActor {
    pool: WorkerPool,
    arbiters: ArbiterPool,
    lifecycle: Arc<Lifecycle>,
}

impl WorkerPoolActor {
    /// The actor for this pool, which spreads its tasks over these threads.
    #[must_use]
    pub fn new(pool: WorkerPool, arbiters: ArbiterPool) -> Self {
        Self::under(pool, arbiters, Arc::default())
    }

    /// The same for a pool of an engine, which takes no tasks any more when it stops, and cuts those that do not end.
    pub(crate) fn under(
        pool: WorkerPool,
        arbiters: ArbiterPool,
        lifecycle: Arc<Lifecycle>,
    ) -> Self {
        Self {
            pool,
            arbiters,
            lifecycle,
        }
    }
}

impl Actor for WorkerPoolActor {
    type Context = Context<Self>;
}

impl fmt::Debug for WorkerPoolActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPoolActor")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// Asks for a task to be run in the pool (specification, section 22: `WorkerPool.execute_async`).
///
/// It is accepted or refused when the message is handled. An accepted one runs to its end, whether or not the sender
/// waits for the answer. A task that panics fails alone. Whatever the task returns, it has completed: to the circuit an
/// error that it returns is no failure.
///
/// ```
/// use std::sync::Arc;
/// use actix::Actor;
/// use actix_otp::ArbiterPool;
/// use gen_api::{
///     clock::ManualClock,
///     worker_pool::{PoolSettings, Run, WorkerPool, WorkerPoolActor},
/// };
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = WorkerPool::new("reports", PoolSettings::new(4, 100), Arc::new(ManualClock::new()));
/// let actor = WorkerPoolActor::new(pool.clone(), ArbiterPool::new(1)?).start();
/// assert_eq!(actor.send(Run::new(async { 6 * 7 })).await??, 42);
/// assert_eq!(pool.status().executed, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "it runs when it is sent to a pool's actor"]
pub struct Run<T> {
    task: BoxFuture<'static, T>,
    timeout: Option<Duration>,
}

impl<T> Run<T> {
    /// Runs this task, for as long as it takes.
    pub fn new(task: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            task: Box::pin(task),
            timeout: None,
        }
    }

    /// Ends the task when it has waited for so long, counted from the first time that it waits. It may wait as long for a
    /// place before.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Message for Run<T> {
    type Result = Result<T, RunError>;
}

/// [`WorkerPool::status`] as a message.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PoolStatus")]
pub struct GetPoolStatus;

/// [`WorkerPool::resize`] as a message; answers with the status after it.
#[derive(Clone, Copy, Debug, Default, Message)]
#[rtype(result = "PoolStatus")]
pub struct Resize {
    /// The new number of places; `None` leaves it.
    pub places: Option<usize>,
    /// The new room in the queue; `None` leaves it.
    pub queue: Option<usize>,
}

/// [`WorkerPool::reset_circuit`] as a message; answers with the status after it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "PoolStatus")]
pub struct ResetCircuit;

impl<T: Send + 'static> Handler<Run<T>> for WorkerPoolActor {
    type Result = ResponseFuture<Result<T, RunError>>;

    fn handle(&mut self, message: Run<T>, _: &mut Context<Self>) -> Self::Result {
        let Run { task, timeout } = message;
        // From here on, for dropping a task that is refused runs foreign code too.
        let task = Contained::new(task, Handle::current());
        let Ok(held) = self.lifecycle.enter_task() else {
            return Box::pin(async { Err(RunError::Stopping) });
        };
        let ticket = match self.pool.admit() {
            Ok(ticket) => ticket,
            Err(rejected) => return Box::pin(async move { Err(rejected.into()) }),
        };
        let clock = self.pool.clock().clone();
        let (sender, answer) = oneshot::channel();
        let lifecycle = Arc::clone(&self.lifecycle);
        // Where the thread takes no more tasks, the sender is dropped with the task.
        self.arbiters.pick().spawn(async move {
            let run = worker::run(ticket, task, timeout, clock);
            if let Some(answer) = lifecycle.until_cut(run).await {
                let _ = sender.send(answer);
            }
            drop(held);
        });
        Box::pin(async move { answer.await.unwrap_or(Err(RunError::ThreadStopped)) })
    }
}

impl Handler<GetPoolStatus> for WorkerPoolActor {
    type Result = MessageResult<GetPoolStatus>;

    fn handle(&mut self, _: GetPoolStatus, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.pool.status())
    }
}

impl Handler<Resize> for WorkerPoolActor {
    type Result = MessageResult<Resize>;

    fn handle(&mut self, resize: Resize, _: &mut Context<Self>) -> Self::Result {
        self.pool.resize(resize.places, resize.queue);
        MessageResult(self.pool.status())
    }
}

impl Handler<ResetCircuit> for WorkerPoolActor {
    type Result = MessageResult<ResetCircuit>;

    fn handle(&mut self, _: ResetCircuit, _: &mut Context<Self>) -> Self::Result {
        self.pool.reset_circuit();
        MessageResult(self.pool.status())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use actix::Addr;
    use actix_otp::{ChildSpec, Strategy, SupervisorSpec};
    use tokio::sync::Notify;

    use super::*;
    use crate::{
        clock::ManualClock,
        worker_pool::{CircuitSettings, CircuitState, PoolSettings, Rejected},
    };

    struct Fixture {
        pool: WorkerPool,
        clock: ManualClock,
        arbiters: ArbiterPool,
        actor: Addr<WorkerPoolActor>,
    }

    fn started(settings: PoolSettings) -> Fixture {
        let clock = ManualClock::new();
        let pool = WorkerPool::new("test", settings, Arc::new(clock.clone()));
        let arbiters = ArbiterPool::new(1).unwrap();
        let actor = WorkerPoolActor::new(pool.clone(), arbiters.clone()).start();
        Fixture {
            pool,
            clock,
            arbiters,
            actor,
        }
    }

    /// Waits for another thread; far longer than it ever needs.
    async fn until(done: impl Fn() -> bool) {
        for _ in 0..1_000_000 {
            if done() {
                return;
            }
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
        panic!("it never happened");
    }

    #[actix::test]
    async fn a_task_answers_with_its_result() {
        let Fixture { pool, actor, .. } = started(PoolSettings::new(1, 0));
        let answer = actor.send(Run::new(async { "done".to_owned() })).await;
        assert_eq!(answer.unwrap().unwrap(), "done");
        let status = pool.status();
        assert_eq!((status.executed, status.failed, status.idle), (1, 0, 1));
    }

    #[actix::test]
    async fn a_task_runs_on_the_threads_of_the_pool_and_not_on_the_actors() {
        let Fixture { actor, .. } = started(PoolSettings::new(1, 0));
        let thread = actor
            .send(Run::new(async { std::thread::current().id() }))
            .await;
        assert_ne!(thread.unwrap().unwrap(), std::thread::current().id());
    }

    #[actix::test]
    async fn a_panicking_task_fails_its_task_only() {
        let Fixture { pool, actor, .. } = started(PoolSettings::new(1, 0));
        let panicking = Run::new(async {
            if pool_is_on_fire() {
                panic!("kaboom");
            }
        });
        let answer = actor.send(panicking).await.unwrap();
        assert_eq!(answer, Err(RunError::Panicked("kaboom".into())));
        assert_eq!(actor.send(Run::new(async { 1 })).await.unwrap(), Ok(1));
        let status = pool.status();
        assert_eq!((status.executed, status.failed, status.idle), (2, 1, 1));
    }

    fn pool_is_on_fire() -> bool {
        true
    }

    struct Grenade;

    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("dropped on purpose");
        }
    }

    #[actix::test]
    async fn a_refused_task_whose_drop_panics_does_not_hurt_the_actor() {
        let Fixture { actor, .. } = started(PoolSettings::new(0, 0));
        let grenade = Grenade;
        let task = async move { drop(grenade) };
        let refused = actor.send(Run::new(task)).await.unwrap();
        assert_eq!(refused, Err(RunError::Rejected(Rejected::QueueFull)));
        assert!(actor.connected());
    }

    #[actix::test]
    async fn a_task_whose_drop_panics_still_frees_its_place() {
        let Fixture {
            pool, clock, actor, ..
        } = started(PoolSettings::new(1, 0));
        let grenade = Grenade;
        let task = async move {
            let _grenade = grenade;
            pending::<()>().await;
        };
        let answer = actor.send(Run::new(task).timeout(Duration::from_secs(1)));
        let answer = tokio::task::spawn_local(answer);
        until(|| clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(1));
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer, Err(RunError::TimedOut(Duration::from_secs(1))));
        assert_eq!(pool.status().idle, 1);
    }

    #[actix::test]
    async fn what_a_task_holds_is_free_before_its_place_is() {
        struct Connection(WorkerPool, std::sync::mpsc::Sender<usize>);
        impl Drop for Connection {
            fn drop(&mut self) {
                let _ = self.1.send(self.0.status().busy);
            }
        }
        let Fixture {
            pool, clock, actor, ..
        } = started(PoolSettings::new(1, 0));
        let (sender, busy_at_drop) = std::sync::mpsc::channel();
        let connection = Connection(pool, sender);
        let task = async move {
            let _connection = connection;
            pending::<()>().await;
        };
        let answer = actor.send(Run::new(task).timeout(Duration::from_secs(1)));
        let answer = tokio::task::spawn_local(answer);
        until(|| clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(1));
        assert!(answer.await.unwrap().unwrap().is_err());
        assert_eq!(busy_at_drop.recv(), Ok(1));
    }

    #[actix::test]
    async fn a_task_without_a_timeout_arms_no_timer_and_one_with_it_ends_in_time() {
        let Fixture {
            pool, clock, actor, ..
        } = started(PoolSettings::new(2, 0));
        let gate = Arc::new(Notify::new());
        let patient = {
            let gate = Arc::clone(&gate);
            tokio::task::spawn_local(actor.send(Run::new(async move { gate.notified().await })))
        };
        let timed = Run::new(pending::<()>()).timeout(Duration::from_millis(300));
        let timed = tokio::task::spawn_local(actor.send(timed));
        until(|| clock.sleepers() == 1 && pool.status().busy == 2).await;
        clock.advance(Duration::from_millis(300));
        let answer = timed.await.unwrap().unwrap();
        assert_eq!(answer, Err(RunError::TimedOut(Duration::from_millis(300))));
        assert_eq!(pool.status().busy, 1);
        gate.notify_one();
        assert_eq!(patient.await.unwrap().unwrap(), Ok(()));
        assert_eq!((pool.status().executed, pool.status().failed), (2, 1));
    }

    #[actix::test]
    async fn a_full_pool_and_an_open_circuit_refuse_a_task_with_the_reason() {
        let settings = PoolSettings::new(1, 0).with_circuit(CircuitSettings::new(1, 5_000));
        let Fixture { pool, actor, .. } = started(settings);
        let ticket = pool.admit().unwrap();
        let refused = actor.send(Run::new(async {})).await.unwrap();
        assert_eq!(refused, Err(RunError::Rejected(Rejected::QueueFull)));
        ticket
            .try_place()
            .unwrap()
            .finish(crate::worker_pool::TaskEnd::Panicked);
        let refused = actor.send(Run::new(async {})).await.unwrap();
        let retry_after = Duration::from_secs(5);
        let open = Rejected::CircuitOpen { retry_after };
        assert_eq!(refused, Err(RunError::Rejected(open)));
        assert_eq!(pool.status().rejected, 2);

        let status = actor.send(ResetCircuit).await.unwrap();
        assert_eq!(status.circuit, CircuitState::Closed);
        assert_eq!(actor.send(Run::new(async {})).await.unwrap(), Ok(()));
    }

    #[actix::test]
    async fn a_task_goes_on_when_nobody_waits_for_its_answer() {
        let Fixture { pool, actor, .. } = started(PoolSettings::new(1, 1));
        let gate = Arc::new(Notify::new());
        let waits = {
            let gate = Arc::clone(&gate);
            async move { gate.notified().await }
        };
        actor.do_send(Run::new(waits));
        drop(actor.send(Run::new(async {})));
        until(|| pool.status().busy == 1).await;
        gate.notify_one();
        until(|| pool.status().executed >= 1 && pool.status().busy == 0).await;
        assert_eq!(pool.status().cancelled, 0);
    }

    #[actix::test]
    async fn a_resize_gives_new_places_to_those_who_wait() {
        let Fixture { pool, actor, .. } = started(PoolSettings::new(1, 5));
        let held = pool.admit().unwrap().try_place().unwrap();
        let waiting = tokio::task::spawn_local(actor.send(Run::new(async { 7 })));
        until(|| pool.status().queued == 1).await;
        let resize = Resize {
            places: Some(2),
            queue: None,
        };
        let status = actor.send(resize).await.unwrap();
        assert_eq!((status.places, status.queue), (2, 5));
        assert_eq!(waiting.await.unwrap().unwrap(), Ok(7));
        assert_eq!(actor.send(GetPoolStatus).await.unwrap(), pool.status());
        drop(held);
    }

    #[actix::test]
    async fn tasks_and_counts_survive_the_death_of_the_actor() {
        let Fixture { pool, arbiters, .. } = started(PoolSettings::new(1, 1));
        let spec = {
            let (pool, arbiters) = (pool.clone(), arbiters.clone());
            ChildSpec::new("async_pool", move || {
                WorkerPoolActor::new(pool.clone(), arbiters.clone())
            })
        };
        let actor = spec.child_ref();
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .child(spec)
            .start("root")
            .await
            .unwrap();
        let gate = Arc::new(Notify::new());
        let waits = {
            let gate = Arc::clone(&gate);
            async move { gate.notified().await }
        };
        assert!(actor.cast(Run::new(waits)).is_ok());
        until(|| pool.status().busy == 1).await;
        actor.kill().await;
        actor.wait_until_running(1).await;
        assert_eq!(actor.call(GetPoolStatus).await.unwrap().busy, 1);
        gate.notify_one();
        until(|| pool.status().busy == 0).await;
        assert_eq!(actor.call(GetPoolStatus).await.unwrap().executed, 1);
        root.shutdown().await;
    }

    #[actix::test]
    async fn a_task_whose_thread_stops_says_so_and_frees_its_place() {
        let Fixture {
            pool,
            arbiters,
            actor,
            ..
        } = started(PoolSettings::new(1, 0));
        let answer = tokio::task::spawn_local(actor.send(Run::new(pending::<()>())));
        until(|| pool.status().busy == 1).await;
        arbiters.stop();
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer, Err(RunError::ThreadStopped));
        until(|| pool.status().busy == 0).await;
        assert_eq!((pool.status().cancelled, pool.status().executed), (1, 0));
    }
}

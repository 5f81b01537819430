//! Futures as supervised children: [`TaskSupervisor`].
//!
//! A task is a temporary child of a [`DynamicSupervisor`]: it is counted and limited with the actors there, its panic
//! becomes a reason instead of a lost task, and it ends with its supervisor. Its result can be awaited or not.
//!
//! ```
//! use actix_otp::{Strategy, SupervisorSpec, TaskError, TaskSupervisor};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (spec, tasks) = TaskSupervisor::build("tasks");
//!     let root = SupervisorSpec::new(Strategy::OneForOne).child(spec).start("root").await?;
//!
//!     tasks.spawn(async { println!("nobody waits for this") })?;
//!     assert_eq!(tasks.run(async { 6 * 7 }).await, Ok(42));
//!     let failed = tasks.run(async { panic!("no answer") }).await;
//!     assert!(matches!(failed, Err::<(), _>(TaskError::Died(_))));
//!     root.shutdown().await;
//!     Ok(())
//! }
//! ```

mod child;
mod run;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

pub use self::child::TaskActor;
use crate::{
    child_spec::ChildSpec,
    control::{Control, Signal},
    dynamic_supervisor::{
        DynamicHandle, DynamicSupervisor, DynamicSupervisorRef, DynamicSupervisorSpec, Position,
        Sealed, StartDynamicError, Target,
    },
    exit::ExitReason,
};

/// Runs futures under a dynamic supervisor, from any thread.
///
/// It is a view of a [`DynamicSupervisorRef`]: actors and tasks can live under the same supervisor, and clones are cheap.
/// Tasks run on the supervisor's arbiter, or spread over its pool. They are never restarted, for the result of a second
/// run could reach nobody; see [`ChildSpec::task`] for those that are.
///
/// A task has no hooks: told to stop, it is dropped where it waits, with everything it owns.
#[derive(Clone, Debug)]
pub struct TaskSupervisor {
    supervisor: DynamicSupervisorRef,
}

impl TaskSupervisor {
    /// A supervisor of its own for tasks, with the defaults of [`DynamicSupervisorSpec`]: the child spec for the
    /// supervisor above, and the handle.
    pub fn build(id: impl Into<Arc<str>>) -> (ChildSpec<DynamicSupervisor>, Self) {
        let (spec, supervisor) = DynamicSupervisorSpec::new().build(id);
        (spec, supervisor.into())
    }

    /// Starts a task nobody waits for (OTP: `Task.Supervisor.start_child`). The handle can be dropped.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]: too many children, or no supervisor.
    pub fn spawn<F>(&self, future: F) -> Result<TaskHandle, StartDynamicError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start_task(future, None)
    }

    /// Starts a task whose result can be awaited (OTP: `Task.Supervisor.async_nolink`).
    ///
    /// The task runs from now on, awaited or not; dropping the [`Task`] only gives up its result.
    ///
    /// # Errors
    ///
    /// [`StartDynamicError`]: too many children, or no supervisor.
    pub fn start<F>(&self, future: F) -> Result<Task<F::Output>, StartDynamicError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let handle = self.start_task(future, Some(reply))?;
        Ok(Task { result, handle })
    }

    /// Runs a task to its end and gives its result (OTP: `Task.Supervisor.async`, awaited).
    ///
    /// The task is bound to its caller: when the future of this call is dropped, the task is aborted.
    ///
    /// # Errors
    ///
    /// [`TaskError`]: it could not be started, or it ended without a result.
    pub async fn run<F>(&self, future: F) -> Result<F::Output, TaskError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut task = Bound(self.start(future)?);
        (&mut task.0).await
    }

    /// The supervisor itself: counts, lists, [`terminate_child`](DynamicSupervisorRef::terminate_child).
    #[must_use]
    pub fn supervisor(&self) -> &DynamicSupervisorRef {
        &self.supervisor
    }

    fn start_task<F>(
        &self,
        future: F,
        reply: Option<run::Reply<F::Output>>,
    ) -> Result<TaskHandle, StartDynamicError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let nursery = self.supervisor.nursery();
        let (control, run) = run::admit(nursery, future, reply)?;
        let position = run.position();
        nursery.dispatch(position, move || drop(actix_rt::spawn(run.finish())));
        Ok(TaskHandle { control, position })
    }
}

impl From<DynamicSupervisorRef> for TaskSupervisor {
    fn from(supervisor: DynamicSupervisorRef) -> Self {
        Self { supervisor }
    }
}

/// The result of a task that runs; dropping it lets the task run on, its result lost.
///
/// Like every future it is not to be polled again once it is done.
#[must_use = "use `spawn` where nobody waits for the result"]
#[derive(Debug)]
pub struct Task<T> {
    result: oneshot::Receiver<Result<T, ExitReason>>,
    handle: TaskHandle,
}

impl<T> Task<T> {
    /// The handle on the task apart from its result.
    #[must_use]
    pub fn handle(&self) -> &TaskHandle {
        &self.handle
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map(|result| {
            result
                // Dropped without an answer: the task was on its way to an arbiter that stopped.
                .unwrap_or(Err(ExitReason::ArbiterStopped))
                .map_err(TaskError::Died)
        })
    }
}

/// A task that ends with whoever waits for it.
struct Bound<T>(Task<T>);

impl<T> Drop for Bound<T> {
    fn drop(&mut self) {
        self.0.handle.abort();
    }
}

/// A cheap handle on a task, to end it or to wait for its end.
#[derive(Clone)]
pub struct TaskHandle {
    control: Arc<Control>,
    position: Position,
}

impl TaskHandle {
    /// Drops the task where it waits, reason [`ExitReason::Killed`]; without effect on a task that has ended.
    ///
    /// It does not wait for the end: a task that blocks its thread goes on until it next waits.
    pub fn abort(&self) {
        self.control.send(Signal::Kill);
    }

    /// Waits for the end of the task, whatever ends it: [`ExitReason::Normal`] when it ran to its end.
    pub async fn exited(&self) -> ExitReason {
        self.control.exited().await
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.control.exit_reason().is_some()
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskHandle").field(&self.control).finish()
    }
}

impl DynamicHandle for TaskHandle {}

impl Sealed for TaskHandle {
    fn target(&self) -> Target<'_> {
        Target::unnamed(self.position, &self.control)
    }
}

/// Why a task gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It ended before it had a result: it panicked, was aborted, or its supervisor stopped.
    #[error("the task ended without a result: {0}")]
    Died(ExitReason),
    /// It was not started.
    #[error("the task was not started: {0}")]
    Start(#[from] StartDynamicError),
}

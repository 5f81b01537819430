//! A task as a child like any other: with an id, a restart type, and a place under any supervisor.

use std::{fmt, future::Future, sync::Arc};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::{FutureExt, future::LocalBoxFuture};

use crate::{
    child_spec::{ChildSpec, Restart},
    driver::ExitContext,
    exit::ExitReason,
};

/// The actor around a task that was made with [`ChildSpec::task`]; it ends with its task.
pub struct TaskActor {
    task: Arc<dyn Fn() -> LocalBoxFuture<'static, ExitReason> + Send + Sync>,
}

impl Actor for TaskActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let task = (self.task)().into_actor(self);
        ctx.spawn(task.map(|reason, _, ctx| ctx.exit(reason)));
    }
}

impl fmt::Debug for TaskActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskActor").finish_non_exhaustive()
    }
}

impl ChildSpec<TaskActor> {
    /// A task that its supervisor can start again, made anew by a closure each time.
    ///
    /// It exits with [`ExitReason::Normal`] when the future gives `Ok`, and with [`ExitReason::Error`] and the text of
    /// the error when it gives `Err`. Its start is complete before the closure runs, so it never fails. As in Elixir's `Task` the default is [`Restart::Temporary`]; with
    /// [`Restart::Transient`] it runs until it succeeds, within the supervisor's intensity.
    ///
    /// ```
    /// use actix_otp::{ChildSpec, Restart};
    ///
    /// let spec = ChildSpec::task("import", || async {
    ///     let text = std::fs::read_to_string("data.csv")?;
    ///     println!("{} lines", text.lines().count());
    ///     Ok::<_, std::io::Error>(())
    /// })
    /// .restart(Restart::Transient);
    /// ```
    pub fn task<M, F, E>(id: impl Into<Arc<str>>, make: M) -> Self
    where
        M: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + 'static,
        E: fmt::Display,
    {
        let make = Arc::new(make);
        let run = move || {
            let make = Arc::clone(&make);
            let run = async move {
                match make().await {
                    Ok(()) => ExitReason::Normal,
                    Err(error) => ExitReason::error(error),
                }
            };
            run.boxed_local()
        };
        let task: Arc<dyn Fn() -> _ + Send + Sync> = Arc::new(run);
        let make_actor = move || TaskActor {
            task: Arc::clone(&task),
        };
        Self::new(id, make_actor).restart(Restart::Temporary)
    }
}

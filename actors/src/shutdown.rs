//! Ending one child: ask, wait, kill, and never wait for ever on a thread that does not come back. And being ended:
//! a supervisor that is told to stop gives up a start that is under way.

use std::{cell::Cell, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::{sync::Notify, time::timeout};

use crate::{
    child_spec::{Blueprint, ChildSpecInfo, Shutdown},
    control::{Control, Signal},
    exit::ExitReason,
    launch::{LaunchEnv, Launched, StartError, StartResult},
};

/// Whether the supervisor itself was told to stop; shared by the actor and the operation under way.
#[derive(Default)]
pub(crate) struct StopRequest {
    made: Cell<bool>,
    wake: Notify,
}

impl StopRequest {
    pub(crate) fn make(&self) {
        self.made.set(true);
        self.wake.notify_waiters();
    }

    pub(crate) fn is_made(&self) -> bool {
        self.made.get()
    }

    /// The result of `future`, or `None` when a stop was asked for first.
    pub(crate) async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let stop = pin!(self.wake.notified());
        if self.made.get() {
            return None;
        }
        match select(pin!(future), stop).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(((), _)) => None,
        }
    }

    /// Begins the next start of a child as soon as nothing is left of its previous incarnation, which is at once unless
    /// something blocks its thread: two incarnations never run at a time, so ports and files are free.
    pub(crate) async fn launched(
        &self,
        child: &Blueprint,
        env: impl Fn() -> LaunchEnv,
        kill_timeout: Duration,
    ) -> Result<Launched, StartError> {
        let launched = async {
            loop {
                match child.launch(env()) {
                    Ok(launched) => return launched,
                    Err(previous) => previous.gone().await,
                }
            }
        };
        match self.or(timeout(kill_timeout, launched)).await {
            Some(Ok(launched)) => Ok(launched),
            Some(Err(_)) => Err(StartError::StillRunning),
            None => Err(StartError::SupervisorStopping),
        }
    }

    /// Waits until a start is complete. Where a stop is asked for first, or it takes too long, the start is given up: the
    /// child is ended by its own rule.
    pub(crate) async fn or_started(
        &self,
        child: Launched,
        info: &ChildSpecInfo,
        kill_timeout: Duration,
    ) -> StartResult {
        let limit = info.start_timeout;
        let given_up = match self.or(within(limit, child.started)).await {
            Some(Some(started)) => return started.unwrap_or(Err(StartError::ArbiterStopped)),
            Some(None) => StartError::TimedOut(limit.unwrap_or_default()),
            None => StartError::SupervisorStopping,
        };
        end_child(&child.control, info.shutdown, kill_timeout).await;
        Err(given_up)
    }
}

/// Ends a child by its own rule; `None` when it was killed and still blocks its thread after `kill_timeout`.
pub(crate) async fn end_child(
    control: &Arc<Control>,
    shutdown: Shutdown,
    kill_timeout: Duration,
) -> Option<ExitReason> {
    let patience = match shutdown {
        Shutdown::Kill => return kill(control, kill_timeout).await,
        Shutdown::Timeout(patience) => Some(patience),
        Shutdown::Infinity => None,
    };
    control.send(Signal::Shutdown);
    match within(patience, control.exited()).await {
        Some(reason) => Some(reason),
        None => kill(control, kill_timeout).await,
    }
}

async fn kill(control: &Arc<Control>, kill_timeout: Duration) -> Option<ExitReason> {
    control.send(Signal::Kill);
    within(Some(kill_timeout), control.exited()).await
}

pub(crate) async fn within<T>(
    limit: Option<Duration>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

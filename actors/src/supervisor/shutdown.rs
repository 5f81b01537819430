//! Ending one child: ask, wait, kill, and never wait for ever on a thread that does not come back.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    child_spec::Shutdown,
    control::{Control, Signal},
    exit::ExitReason,
};

/// Ends a child by its own rule; `None` when it was killed and still blocks its thread after `kill_timeout`.
pub(super) async fn end_child(
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

async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

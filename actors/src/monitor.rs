//! Hearing of an actor's end without being its supervisor: [`Monitor`] and [`Down`].
//!
//! As in OTP a monitor watches one incarnation and reports exactly once; monitoring what does not run reports at once,
//! with [`ExitReason::NotRunning`].

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::Message;
use tokio::sync::oneshot;

use crate::exit::ExitReason;

/// The end of one incarnation of a child; also a message, see [`MonitorContext`](crate::MonitorContext).
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Down {
    /// The id of the child, as in its [`ChildSpec`](crate::ChildSpec).
    pub id: Arc<str>,
    /// Which incarnation ended, counted from 1; 0 for a child that was never started.
    pub incarnation: u64,
    /// Why it ended.
    pub reason: ExitReason,
}

/// A future that is done when the monitored incarnation has ended; dropping it ends the monitoring.
///
/// Made by [`ChildRef::monitor`](crate::ChildRef::monitor).
#[must_use = "a monitor reports only to whoever awaits it"]
#[derive(Debug)]
pub struct Monitor {
    id: Arc<str>,
    incarnation: u64,
    down: oneshot::Receiver<Down>,
}

impl Monitor {
    pub(crate) fn new(id: Arc<str>, incarnation: u64, down: oneshot::Receiver<Down>) -> Self {
        Self {
            id,
            incarnation,
            down,
        }
    }
}

impl Future for Monitor {
    type Output = Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Down> {
        Pin::new(&mut self.down).poll(cx).map(|down| {
            // The slot went away with the monitor still registered: nothing runs there any more.
            down.unwrap_or_else(|_| Down {
                id: Arc::clone(&self.id),
                incarnation: self.incarnation,
                reason: ExitReason::NotRunning,
            })
        })
    }
}

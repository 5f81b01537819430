//! Asking the actor that owns a piece of state, across its restarts.
//!
//! Reads go to shared tables and need no actor; what changes state goes through the owner. In the milliseconds between
//! two incarnations of it the message is held back and sent once the next one serves.

use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use actix_otp::{CallError, ChildRef};
use futures_util::future::{Either, select};

use crate::clock::Clock;

/// How long a restart may take before the asker is told; restarts take well under a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// The owner of the state did not answer: the engine is stopping or was stopped, or the owner died over this very request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's actor for this is not available")]
#[non_exhaustive]
pub struct Unavailable;

/// Sends a message to the owner and waits for the answer; a message is never sent twice.
pub(crate) async fn ask<A, M>(
    owner: &ChildRef<A>,
    clock: &dyn Clock,
    message: M,
) -> Result<M::Result, Unavailable>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let message = match owner.call(message).await {
        Ok(answer) => return Ok(answer),
        Err(CallError::NotRunning(message)) => message,
        Err(_) => return Err(Unavailable),
    };
    let running = std::pin::pin!(owner.wait_until_running_or_shut_down(0));
    match select(running, clock.sleep(PATIENCE)).await {
        Either::Left((Some(_), _)) => owner.call(message).await.map_err(|_| Unavailable),
        Either::Left((None, _)) | Either::Right(_) => Err(Unavailable),
    }
}

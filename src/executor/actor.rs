//! The executor as an actor, for those who hold an address.

use std::{fmt, sync::Arc};

use actix::{Actor, Context, Handler, Message, Recipient, ResponseFuture};

use super::{Pipeline, Reply};
use crate::{
    model::{Request, Response},
    respond,
};

/// Takes requests as messages; the engine runs one on each of its threads.
///
/// Every [`Execute`] is worked on in a task of its own: it goes on when the executor that took it dies.
pub struct Executor {
    pipeline: Arc<Pipeline>,
}

impl Executor {
    pub(crate) fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline }
    }
}

impl Actor for Executor {
    type Context = Context<Self>;
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

/// Asks for a request to be executed (SPEC section 22: `Executor.execute!`).
///
/// Without a recipient the [`Reply`] holds all responses, the later ones as a stream. With one, every response goes there
/// in order, the immediate one included, and the reply is empty. A message that dies in the mailbox of an executor
/// answers its recipient with `Service temporarily unavailable` and `can_retry`.
#[derive(Debug)]
pub struct Execute {
    request: Option<Request>,
    recipient: Option<Recipient<Response>>,
}

impl Execute {
    /// Asks for this request; the reply holds all responses.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self {
            request: Some(request),
            recipient: None,
        }
    }

    /// Sends every response to `recipient`.
    #[must_use]
    pub fn deliver_to(mut self, recipient: Recipient<Response>) -> Self {
        self.recipient = Some(recipient);
        self
    }
}

impl Message for Execute {
    type Result = Reply;
}

impl Drop for Execute {
    /// An executor takes the request out; what is still here was never begun.
    fn drop(&mut self) {
        if let (Some(request), Some(recipient)) = (self.request.take(), self.recipient.take()) {
            recipient.do_send(respond::unavailable(request.request_id));
        }
    }
}

impl Handler<Execute> for Executor {
    type Result = ResponseFuture<Reply>;

    fn handle(&mut self, mut message: Execute, _: &mut Context<Self>) -> Self::Result {
        let (request, recipient) = (message.request.take(), message.recipient.take());
        let pipeline = Arc::clone(&self.pipeline);
        Box::pin(async move {
            match (request, recipient) {
                (Some(request), None) => pipeline.execute(request).await,
                (Some(request), Some(recipient)) => {
                    pipeline.execute_to(request, recipient).await;
                    Reply::nothing()
                }
                (None, _) => Reply::nothing(),
            }
        })
    }
}

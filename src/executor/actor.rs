//! The executor as an actor, for those who hold an address.

use std::{fmt, mem, sync::Arc};

use actix::{Actor, Context, Handler, Message, Recipient};

use super::{Pipeline, Reply, begun::Begun};
use crate::{
    model::{Request, Response},
    respond,
};

/// Takes requests as messages; the engine runs one on each of its threads.
///
/// A request that is not ready at once is worked on in a task of its own: it goes on when the executor that took it dies.
/// Messages: [`Execute`], [`StartStream`](crate::StartStream).
pub struct Executor {
    pub(super) pipeline: Arc<Pipeline>,
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

/// Asks for a request to be executed (specification, section 22: `Executor.execute!`).
///
/// Without a recipient the [`Reply`] holds all responses, the later ones as a stream. With one, every response goes there
/// in order, the immediate one included, and the reply is empty. A message that dies in the mailbox of an executor
/// answers its recipient with `Service temporarily unavailable` and `can_retry`.
#[derive(Debug)]
pub struct Execute {
    request: Request,
    recipient: Undelivered,
}

impl Execute {
    /// Asks for this request; the reply holds all responses.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self {
            request,
            recipient: Undelivered::default(),
        }
    }

    /// Sends every response to `recipient`.
    #[must_use]
    pub fn deliver_to(mut self, recipient: Recipient<Response>) -> Self {
        self.recipient = Undelivered::new(&self.request, recipient);
        self
    }
}

impl Message for Execute {
    type Result = Reply;
}

impl Handler<Execute> for Executor {
    type Result = Begun<Reply>;

    fn handle(&mut self, message: Execute, _: &mut Context<Self>) -> Self::Result {
        let Execute { request, recipient } = message;
        let recipient = recipient.take();
        let pipeline = Arc::clone(&self.pipeline);
        Begun::new(async move {
            match recipient {
                None => pipeline.execute(request).await,
                Some(recipient) => {
                    pipeline.execute_to(request, recipient).await;
                    Reply::nothing()
                }
            }
        })
    }
}

/// The recipient of a request that no executor has taken yet. Where none ever does, it is told so.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    recipient: Option<Recipient<Response>>,
    request_id: String,
}

impl Undelivered {
    pub(super) fn new(request: &Request, recipient: Recipient<Response>) -> Self {
        Self {
            recipient: Some(recipient),
            request_id: request.request_id.clone(),
        }
    }

    /// The recipient, now that the request is worked on.
    pub(super) fn take(mut self) -> Option<Recipient<Response>> {
        self.recipient.take()
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        if let Some(recipient) = self.recipient.take() {
            recipient.do_send(respond::unavailable(mem::take(&mut self.request_id)));
        }
    }
}

//! How the responses after the first one reach whoever asked, with exactly one terminal response among them.
//!
//! The promise holds whatever happens (SPEC section 3): room for the terminal response is set aside from the start, so a
//! slow receiver cannot make it wait, and a sink that is dropped without one, because its task was killed or its thread
//! died, sends the response for a lost call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{Message, Recipient};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::model::Response;

/// The later responses of an async or stream request, in order; the last one is terminal.
///
/// Dropping it tells a stream's producer that nobody listens any more.
#[must_use = "dropping it ends the stream"]
#[derive(Debug)]
pub struct Responses {
    receiver: mpsc::Receiver<Response>,
}

impl Responses {
    /// The next response; `None` after the terminal one.
    pub async fn next(&mut self) -> Option<Response> {
        self.receiver.recv().await
    }
}

impl Stream for Responses {
    type Item = Response;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        self.receiver.poll_recv(cx)
    }
}

/// A response can be sent to an actor: see [`Execute::deliver_to`](crate::Execute::deliver_to).
impl Message for Response {
    type Result = ();
}

/// The receiver of a [`ResponseSink`] is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiverGone;

/// The sending end; owned by the one task that answers the request.
pub(crate) struct ResponseSink {
    target: Target,
    /// Set until the terminal response was sent.
    pending: Option<Pending>,
}

enum Target {
    Channel {
        sender: mpsc::Sender<Response>,
        terminal: Option<mpsc::OwnedPermit<Response>>,
    },
    Recipient(Recipient<Response>),
}

struct Pending {
    request_id: String,
    /// Makes the terminal response, should the sink be dropped without one.
    lost: LostResponse,
}

/// Makes a terminal response from a request id.
pub(crate) type LostResponse = fn(String) -> Response;

impl ResponseSink {
    /// A sink into a channel with room for `buffer` responses and the terminal one. `lost` makes the response for a call
    /// that vanished.
    pub(crate) fn channel(
        buffer: usize,
        request_id: String,
        lost: LostResponse,
    ) -> (Self, Responses) {
        let (sender, receiver) = mpsc::channel(buffer + 1);
        // The channel is new and empty, so its permit is there.
        let terminal = sender.clone().try_reserve_owned().ok();
        let target = Target::Channel { sender, terminal };
        (
            Self {
                target,
                pending: Some(Pending { request_id, lost }),
            },
            Responses { receiver },
        )
    }

    /// A sink into an actor's mailbox.
    pub(crate) fn recipient(
        recipient: Recipient<Response>,
        request_id: String,
        lost: LostResponse,
    ) -> Self {
        let target = Target::Recipient(recipient);
        Self {
            target,
            pending: Some(Pending { request_id, lost }),
        }
    }

    /// Sends a response that is not the last; waits while the receiver is slow.
    pub(crate) async fn send(&mut self, response: Response) -> Result<(), ReceiverGone> {
        match &mut self.target {
            Target::Channel { sender, .. } => sender.send(response).await.map_err(|_| ReceiverGone),
            // The answer of the receiving actor is the sign that it has taken the message out of its mailbox.
            Target::Recipient(recipient) => {
                recipient.send(response).await.map_err(|_| ReceiverGone)
            }
        }
    }

    /// From here on the loss of the sink means something else than before.
    pub(crate) fn on_loss(&mut self, lost: LostResponse) {
        if let Some(pending) = &mut self.pending {
            pending.lost = lost;
        }
    }

    /// Waits until the receiver is gone; an actor's mailbox says so only when it is sent to.
    pub(crate) fn receiver_gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let sender = match &self.target {
            Target::Channel { sender, .. } => Some(sender.clone()),
            Target::Recipient(_) => None,
        };
        async move {
            match sender {
                Some(sender) => sender.closed().await,
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn request_id(&self) -> String {
        self.pending
            .as_ref()
            .map(|pending| pending.request_id.clone())
            .unwrap_or_default()
    }

    /// Sends the terminal response; never waits.
    pub(crate) fn finish(mut self, response: Response) {
        self.pending = None;
        self.send_terminal(response);
    }

    /// Ends without a terminal response: the receiver is gone, or the request has none.
    pub(crate) fn abandon(mut self) {
        self.pending = None;
    }

    fn send_terminal(&mut self, response: Response) {
        match &mut self.target {
            Target::Channel { terminal, .. } => {
                if let Some(permit) = terminal.take() {
                    permit.send(response);
                }
            }
            Target::Recipient(recipient) => recipient.do_send(response),
        }
    }
}

impl Drop for ResponseSink {
    fn drop(&mut self) {
        if let Some(Pending { request_id, lost }) = self.pending.take() {
            self.send_terminal(lost(request_id));
        }
    }
}

impl fmt::Debug for ResponseSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseSink")
            .field("finished", &self.pending.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn lost(request_id: String) -> Response {
        Response::error(request_id, "lost")
    }

    #[tokio::test]
    async fn the_terminal_response_has_room_even_when_nobody_reads() {
        let (mut sink, mut responses) = ResponseSink::channel(1, "r".into(), lost);
        sink.send(Response::stream_chunk("r", 1))
            .await
            .expect("there is room for one");
        assert!(
            sink.send(Response::stream_chunk("r", 2))
                .now_or_never()
                .is_none()
        );
        sink.finish(Response::stream_end("r"));
        assert_eq!(responses.next().await, Some(Response::stream_chunk("r", 1)));
        assert_eq!(responses.next().await, Some(Response::stream_end("r")));
        assert_eq!(responses.next().await, None);
    }

    #[tokio::test]
    async fn a_sink_that_vanishes_leaves_one_terminal_response() {
        let (sink, mut responses) = ResponseSink::channel(1, "r".into(), lost);
        drop(sink);
        assert_eq!(responses.next().await, Some(Response::error("r", "lost")));
        assert_eq!(responses.next().await, None);
    }

    #[tokio::test]
    async fn sending_to_a_receiver_that_is_gone_fails() {
        let (mut sink, responses) = ResponseSink::channel(1, "r".into(), lost);
        drop(responses);
        sink.receiver_gone().await;
        assert_eq!(
            sink.send(Response::stream_chunk("r", 1)).await,
            Err(ReceiverGone)
        );
    }
}

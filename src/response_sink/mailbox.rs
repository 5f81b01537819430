//! The way into an actor's mailbox, with the backpressure that a mailbox does not have.
//!
//! Only a message with an answer tells that an actor has taken it, and waiting for each answer would cost two changes of
//! tasks a response. A mailbox keeps its order, so one answer speaks for all that was sent before: every so often a response
//! is sent as a mark, and while its answer is outstanding only so many more follow that the bound holds.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix::{MailboxError, Recipient};
use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use super::ReceiverGone;
use crate::{
    clock::{Clock, Sleep},
    model::Response,
};

/// The end of the task that answers.
pub(super) struct Mailbox {
    recipient: Recipient<Response>,
    /// Every so many places there is a mark, at half of the bound: the actor works on one half while the other comes.
    step: usize,
    /// How many places the responses take that were sent after the latest mark.
    since_mark: usize,
    /// The answer to the latest mark, while it is outstanding. Dropped, it would withdraw its response.
    mark: Option<BoxFuture<'static, Result<(), MailboxError>>>,
    clock: Arc<dyn Clock>,
    /// When the actor is looked at again.
    next_look: Option<Sleep>,
}

/// A mailbox tells nobody that it is closed. A stream that is quiet asks this often, so that it ends with its receiver.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

impl Mailbox {
    /// The responses that wait in the mailbox take no more than `capacity` places (at least one), but for what the latest one
    /// takes beyond them; terminal ones take none.
    pub(super) fn new(
        recipient: Recipient<Response>,
        capacity: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clock,
            next_look: None,
            recipient,
            step: (capacity / 2).max(1),
            since_mark: 0,
            mark: None,
        }
    }

    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ReceiverGone>> {
        let answered = self.poll_settled(cx).is_ready();
        if !self.recipient.connected() {
            return Poll::Ready(Err(ReceiverGone));
        }
        let room = self.step.saturating_sub(self.since_mark);
        if answered {
            // What is sent next becomes the mark at the latest, however much was sent since the one before.
            return Poll::Ready(Ok(room.max(1)));
        }
        // The next mark waits for the answer to this one.
        match room.saturating_sub(1) {
            0 => Poll::Pending,
            room => Poll::Ready(Ok(room)),
        }
    }

    /// Done where no mark is outstanding.
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(mark) = &mut self.mark {
            // An error means that the actor is gone, which its address says as well.
            let _ = ready!(mark.poll_unpin(cx));
            self.mark = None;
        }
        Poll::Ready(())
    }

    /// Done once the actor is gone, as far as one look after another can tell.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.recipient.connected() {
            let clock = &self.clock;
            let look = self
                .next_look
                .get_or_insert_with(|| clock.sleep(LOOKS_EVERY));
            ready!(look.as_mut().poll(cx));
            self.next_look = None;
        }
        Poll::Ready(())
    }

    /// Sends a response for which there is [room](Self::poll_room) and that takes so many places.
    pub(super) fn send(&mut self, response: Response, places: u32) {
        self.since_mark += places as usize;
        if self.mark.is_none() && self.since_mark >= self.step {
            self.since_mark = 0;
            self.mark = Some(self.recipient.send(response).boxed());
        } else {
            self.recipient.do_send(response);
        }
    }

    pub(super) fn finish(&mut self, response: Response) {
        self.recipient.do_send(response);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use actix::{Actor, AsyncContext, Context as ActorContext, Handler, WrapFuture};
    use futures_util::task::noop_waker_ref;
    use tokio::sync::{Notify, mpsc};

    use super::*;
    use crate::clock::ManualClock;

    /// Passes on what it gets, each as soon as it is told to.
    struct Slow {
        next: Arc<Notify>,
        got: mpsc::UnboundedSender<Response>,
    }

    impl Actor for Slow {
        type Context = ActorContext<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            let next = Arc::clone(&self.next);
            ctx.wait(async move { next.notified().await }.into_actor(self));
        }
    }

    impl Handler<Response> for Slow {
        type Result = ();

        fn handle(&mut self, response: Response, ctx: &mut Self::Context) {
            let _ = self.got.send(response);
            let next = Arc::clone(&self.next);
            ctx.wait(async move { next.notified().await }.into_actor(self));
        }
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::new())
    }

    fn gone(mailbox: &mut Mailbox) -> Poll<()> {
        mailbox.poll_gone(&mut Context::from_waker(noop_waker_ref()))
    }

    fn room(mailbox: &mut Mailbox) -> Poll<Result<usize, ReceiverGone>> {
        mailbox.poll_room(&mut Context::from_waker(noop_waker_ref()))
    }

    #[actix::test]
    async fn no_more_than_the_bound_wait_in_a_mailbox_and_all_come_in_order() {
        for capacity in [1, 2, 3, 4, 9, 64] {
            let next = Arc::new(Notify::new());
            let (sender, mut got) = mpsc::unbounded_channel();
            let slow = Slow {
                next: Arc::clone(&next),
                got: sender,
            };
            let mut mailbox = Mailbox::new(slow.start().recipient(), capacity, clock());
            let (mut sent, mut received) = (0, 0);
            while received < 200 {
                while let Poll::Ready(room) = room(&mut mailbox) {
                    for _ in 0..room.expect("it lives") {
                        mailbox.send(Response::stream_chunk("r", sent), 1);
                        sent += 1;
                    }
                }
                assert!(sent - received <= capacity, "{capacity}: {sent} {received}");
                assert!(sent - received > 0, "{capacity}: it stands still");
                next.notify_one();
                let response = got.recv().await.expect("it lives");
                assert_eq!(response, Response::stream_chunk("r", received));
                received += 1;
                // Lets the answer come through.
                tokio::task::yield_now().await;
            }
            mailbox.finish(Response::stream_end("r"));
            for number in received..sent {
                next.notify_one();
                assert_eq!(got.recv().await, Some(Response::stream_chunk("r", number)));
            }
            next.notify_one();
            assert_eq!(got.recv().await, Some(Response::stream_end("r")));
        }
    }

    #[actix::test]
    async fn a_mailbox_whose_actor_is_gone_says_so() {
        struct Gone;
        impl Actor for Gone {
            type Context = ActorContext<Self>;
        }
        impl Handler<Response> for Gone {
            type Result = ();

            fn handle(&mut self, _: Response, ctx: &mut Self::Context) {
                actix::ActorContext::stop(ctx);
            }
        }
        let mut mailbox = Mailbox::new(Gone.start().recipient(), 1, clock());
        assert_eq!(room(&mut mailbox), Poll::Ready(Ok(1)));
        assert!(gone(&mut mailbox).is_pending());
        mailbox.send(Response::stream_chunk("r", 1), 1);
        poll_fn(|cx| mailbox.poll_settled(cx)).await;
        tokio::task::yield_now().await;
        assert_eq!(room(&mut mailbox), Poll::Ready(Err(ReceiverGone)));
        assert!(gone(&mut mailbox).is_ready());
    }
}

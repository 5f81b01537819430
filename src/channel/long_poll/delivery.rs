//! The answer to a poll, whose messages stay until the client has as good as received them.
//!
//! HTTP has no word for "received", so the answer goes out in three pieces: its head, its body but for the last byte, and
//! that. A network that knows the client is gone refuses the second piece, and the third is never sent. Without it the
//! client has no answer, so messages that are taken when it is handed over are neither lost in a connection that is dead
//! nor told twice.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use crate::channel::outbox::{Outbox, PollEnd};

/// The body of an answer with messages.
pub(super) struct Delivery {
    outbox: Arc<Outbox>,
    /// The number of the poll, and how many messages it gets.
    poll: u64,
    count: usize,
    body: Bytes,
    /// What is there is on its way; the next piece comes at the next turn.
    paused: bool,
}

impl Delivery {
    pub(super) fn new(outbox: Arc<Outbox>, poll: u64, count: usize, body: Bytes) -> Self {
        Self {
            outbox,
            poll,
            count,
            body,
            paused: false,
        }
    }
}

impl MessageBody for Delivery {
    type Error = PollEnd;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.body.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PollEnd>>> {
        if self.body.is_empty() {
            return Poll::Ready(None);
        }
        self.paused = !self.paused;
        if self.paused {
            // Whatever is written goes to the network now.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = match self.body.len() {
            1 => {
                self.outbox.take_texts(self.poll, self.count)?;
                1
            }
            length => length - 1,
        };
        Poll::Ready(Some(Ok(self.body.split_to(piece))))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::channel::frame::{Kind, Version};

    fn outbox(texts: &[&str]) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::long_poll(Version::V2, 1_000));
        for text in texts {
            push(&outbox, text);
        }
        outbox
    }

    fn push(outbox: &Outbox, text: &str) {
        let pushed = outbox.push(|packet| {
            packet.add(|out| {
                out.extend_from_slice(text.as_bytes());
                Ok(Kind::Text)
            });
        });
        pushed.unwrap();
    }

    /// What a poll is given, if there is anything.
    fn look(outbox: &Outbox, poll: u64) -> Option<Result<Vec<String>, PollEnd>> {
        let cx = Context::from_waker(Waker::noop());
        match outbox.poll_texts(poll, |texts| texts.iter().cloned().collect(), &cx) {
            Poll::Ready(texts) => Some(texts),
            Poll::Pending => None,
        }
    }

    fn delivery(outbox: &Arc<Outbox>, poll: u64, count: usize) -> Pin<Box<Delivery>> {
        let body = Bytes::from_static(b"body");
        Box::pin(Delivery::new(Arc::clone(outbox), poll, count, body))
    }

    fn next(delivery: &mut Pin<Box<Delivery>>) -> Poll<Option<Result<Bytes, PollEnd>>> {
        delivery
            .as_mut()
            .poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn piece(bytes: &'static str) -> Poll<Option<Result<Bytes, PollEnd>>> {
        Poll::Ready(Some(Ok(Bytes::from_static(bytes.as_bytes()))))
    }

    #[test]
    fn messages_stay_until_the_last_byte_of_the_answer_is_handed_over() {
        let outbox = outbox(&["one", "two"]);
        let poll = outbox.begin_poll();
        let mut answer = delivery(&outbox, poll, 2);
        push(&outbox, "three");
        assert_eq!(next(&mut answer), Poll::Pending);
        assert_eq!(next(&mut answer), piece("bod"));
        assert_eq!(next(&mut answer), Poll::Pending);
        assert_eq!(
            look(&outbox, poll),
            Some(Ok(vec!["one".into(), "two".into(), "three".into()]))
        );
        assert_eq!(next(&mut answer), piece("y"));
        assert_eq!(next(&mut answer), Poll::Ready(None));
        assert_eq!(look(&outbox, poll), Some(Ok(vec!["three".into()])));
    }

    #[test]
    fn an_answer_that_is_dropped_on_its_way_leaves_the_messages_to_the_next_poll_in_order() {
        let outbox = outbox(&["one", "two"]);
        let first = outbox.begin_poll();
        let mut answer = delivery(&outbox, first, 2);
        for _ in 0..3 {
            let _ = next(&mut answer);
        }
        push(&outbox, "three");
        drop(answer);
        let second = outbox.begin_poll();
        let expected = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
        assert_eq!(look(&outbox, second), Some(Ok(expected)));
    }

    #[test]
    fn a_client_that_polls_anew_gets_the_messages_and_the_answer_on_its_way_is_cut() {
        let outbox = outbox(&["one"]);
        let first = outbox.begin_poll();
        let mut answer = delivery(&outbox, first, 1);
        for _ in 0..3 {
            let _ = next(&mut answer);
        }
        let second = outbox.begin_poll();
        assert_eq!(look(&outbox, first), Some(Err(PollEnd::Followed)));
        assert_eq!(look(&outbox, second), Some(Ok(vec!["one".into()])));
        assert_eq!(next(&mut answer), Poll::Ready(Some(Err(PollEnd::Followed))));
        assert!(look(&outbox, second).is_some());
    }
}

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use futures_util::FutureExt;

use super::*;

fn text(length: usize) -> impl FnOnce(&mut Packet) {
    move |packet| {
        packet.add(|out| {
            out.extend(std::iter::repeat_n(b'x', length));
            Ok(Kind::Text)
        });
    }
}

/// Takes what there is; how many bytes, or `None` at the end.
fn take(outbox: &Outbox) -> Option<usize> {
    match outbox.poll_frames(&Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(frames)) => Some(frames.len()),
        Poll::Ready(None) => None,
        Poll::Pending => Some(0),
    }
}

fn load(outbox: &Outbox) -> Load {
    outbox.poll_load(&Context::from_waker(Waker::noop()))
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn frames_that_wait_are_handed_over_in_one_piece() {
    let outbox = Outbox::websocket(Version::V2, 1_000);
    for _ in 0..5 {
        outbox.push(text(10)).unwrap();
    }
    assert_eq!(take(&outbox), Some(60));
    assert_eq!(take(&outbox), Some(0));
}

#[test]
fn a_response_waits_for_room_and_then_goes() {
    let outbox = Outbox::websocket(Version::V2, 100);
    assert_eq!(outbox.send(text(90)).now_or_never(), Some(Ok(())));
    let mut waiting = Box::pin(outbox.send(text(90)));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    assert!(load(&outbox).crowded);
    assert_eq!(take(&outbox), Some(92));
    assert!(!load(&outbox).crowded);
    assert_eq!(waiting.now_or_never(), Some(Ok(())));
    assert_eq!(take(&outbox), Some(92));
}

#[test]
fn a_frame_larger_than_the_limit_goes_when_nothing_else_waits() {
    let outbox = Outbox::websocket(Version::V2, 100);
    assert_eq!(outbox.send(text(50_000)).now_or_never(), Some(Ok(())));
    assert_eq!(take(&outbox), Some(50_004));
}

#[test]
fn pushes_may_use_as_much_again_and_then_the_client_is_closed() {
    let outbox = Outbox::websocket(Version::V2, 100);
    outbox.push(text(90)).unwrap();
    outbox.push(text(90)).unwrap();
    assert!(load(&outbox).crowded && load(&outbox).is_open);
    assert_eq!(outbox.push(text(90)), Err(Refused::Full));
    assert!(!load(&outbox).is_open);
    assert_eq!(outbox.push(text(1)), Err(Refused::Gone));
    // What waited is dropped; the close frame says why.
    assert_eq!(take(&outbox), Some(2 + 2 + "too slow".len()));
}

#[test]
fn who_waits_for_room_learns_of_a_close() {
    let outbox = Outbox::websocket(Version::V2, 100);
    outbox.push(text(90)).unwrap();
    let mut waiting = Box::pin(outbox.send(text(90)));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    outbox.close(CloseCode::Away, "");
    assert_eq!(waiting.now_or_never(), Some(Err(Gone)));
}

#[test]
fn after_a_close_the_rest_is_sent_and_the_end_follows_only_when_told() {
    let outbox = Outbox::websocket(Version::V2, 100);
    outbox.push(text(10)).unwrap();
    outbox.close(CloseCode::Away, "");
    outbox.close(CloseCode::Error, "a second one");
    assert_eq!(take(&outbox), Some(12 + 4));
    assert_eq!(take(&outbox), Some(0));
    outbox.end();
    assert_eq!(take(&outbox), None);
}

#[test]
fn the_sender_is_woken_by_a_frame_and_the_owner_by_a_crowd() {
    let (sender, owner) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let wakes = |wakes: &Wakes| wakes.0.load(Ordering::Relaxed);
    let outbox = Outbox::websocket(Version::V2, 100);
    let (for_sender, for_owner) = (Waker::from(sender.clone()), Waker::from(owner.clone()));
    outbox.poll_load(&Context::from_waker(&for_owner));
    assert!(
        outbox
            .poll_frames(&Context::from_waker(&for_sender))
            .is_pending()
    );
    outbox.push(text(90)).unwrap();
    outbox.push(text(9)).unwrap();
    assert_eq!((wakes(&sender), wakes(&owner)), (1, 1));
    outbox.connection_gone();
    assert_eq!(wakes(&owner), 2);
    assert!(load(&outbox).is_gone);
}

#[test]
fn whether_it_was_eased_is_told_once() {
    let outbox = Outbox::websocket(Version::V2, 100);
    assert!(outbox.has_eased());
    outbox.push(text(90)).unwrap();
    outbox.push(text(90)).unwrap();
    outbox.has_eased();
    assert!(!outbox.has_eased());
    take(&outbox);
    assert!(outbox.has_eased());
}

#[test]
fn a_poll_gets_the_texts_one_by_one_and_at_last_the_end() {
    let outbox = Outbox::long_poll(Version::V2, 100);
    let cx = Context::from_waker(Waker::noop());
    let poll = outbox.begin_poll();
    let look = || outbox.poll_texts(poll, |texts| texts.iter().cloned().collect::<Vec<_>>(), &cx);
    assert!(look().is_pending());
    outbox.push(text(2)).unwrap();
    outbox.push(text(3)).unwrap();
    assert_eq!(
        look(),
        Poll::Ready(Ok(vec!["xx".to_owned(), "xxx".to_owned()]))
    );
    outbox.take_texts(poll, 2).unwrap();
    outbox.close(CloseCode::Error, "");
    assert_eq!(look(), Poll::Ready(Err(PollEnd::Closed)));
}

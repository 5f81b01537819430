//! Mailboxes with a bound: what is refused, and who waits.

use actix::prelude::*;
use actix_otp::{CallError, CastError, ChildRef, ChildSpec, ExitReason, Strategy, SupervisorRef};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::{
    cast::{start, supervisor},
    support::{Journal, paused},
};

struct Noter(Journal);

impl Actor for Noter {
    type Context = Context<Self>;
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "usize")]
struct Note(usize);

impl Handler<Note> for Noter {
    type Result = usize;

    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) -> usize {
        self.0.note(n.to_string());
        n
    }
}

/// A child with room for two messages.
async fn with_room_for_two() -> (SupervisorRef, ChildRef<Noter>, Journal) {
    let journal = Journal::default();
    let notes = journal.clone();
    let spec = ChildSpec::new("noter", move || Noter(notes.clone())).mailbox_capacity(2);
    let child = spec.child_ref();
    let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
    // Its first turn is over, and its mailbox empty.
    yield_now().await;
    (root, child, journal)
}

#[test]
fn a_full_mailbox_gives_the_message_of_a_cast_and_of_a_try_call_back() {
    paused(async {
        let (root, child, journal) = with_room_for_two().await;
        assert_eq!(child.cast(Note(1)), Ok(()));
        assert_eq!(child.cast(Note(2)), Ok(()));
        assert_eq!(child.cast(Note(3)), Err(CastError::Full(Note(3))));
        assert_eq!(child.try_call(Note(4)).await, Err(CallError::Full(Note(4))));
        yield_now().await;
        assert_eq!(child.try_call(Note(5)).await, Ok(5));
        assert_eq!(journal.take(), ["1", "2", "5"]);
        root.shutdown().await;
    });
}

#[test]
fn a_call_and_a_send_wait_for_room() {
    paused(async {
        let (root, child, journal) = with_room_for_two().await;
        for n in 1..=2 {
            assert_eq!(child.cast(Note(n)), Ok(()));
        }
        let mut send = Box::pin(child.send(Note(3)));
        let mut call = Box::pin(child.call(Note(4)));
        assert!((&mut send).now_or_never().is_none());
        assert!((&mut call).now_or_never().is_none());
        let (sent, answer) = tokio::join!(send, call);
        assert_eq!((sent, answer), (Ok(()), Ok(4)));
        let mut notes = journal.take();
        assert_eq!(notes[..2], ["1", "2"]);
        // Between two senders there is no order.
        notes.sort();
        assert_eq!(notes, ["1", "2", "3", "4"]);
        root.shutdown().await;
    });
}

#[test]
fn who_waits_for_room_when_the_actor_ends_gets_the_message_back() {
    paused(async {
        let (root, child, journal) = with_room_for_two().await;
        for n in 1..=2 {
            assert_eq!(child.cast(Note(n)), Ok(()));
        }
        let mut send = Box::pin(child.send(Note(3)));
        let mut call = Box::pin(child.call(Note(4)));
        assert!((&mut send).now_or_never().is_none());
        assert!((&mut call).now_or_never().is_none());
        assert_eq!(child.kill().await, ExitReason::Killed);
        assert_eq!(send.await, Err(CastError::NotRunning(Note(3))));
        assert_eq!(call.await, Err(CallError::NotRunning(Note(4))));
        assert!(journal.take().is_empty());
        child.wait_until_running(1).await;
        // The next incarnation has all the room.
        assert_eq!((child.cast(Note(5)), child.cast(Note(6))), (Ok(()), Ok(())));
        root.shutdown().await;
    });
}

#[test]
fn a_mailbox_without_a_bound_takes_any_number() {
    paused(async {
        let journal = Journal::default();
        let notes = journal.clone();
        let spec = ChildSpec::new("noter", move || Noter(notes.clone()));
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        for n in 0..10_000 {
            assert_eq!(child.cast(Note(n)), Ok(()));
        }
        assert_eq!(child.call(Note(10_000)).await, Ok(10_000));
        assert_eq!(journal.take().len(), 10_001);
        root.shutdown().await;
    });
}

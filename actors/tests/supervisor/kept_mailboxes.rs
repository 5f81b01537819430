//! Mailboxes that outlive an incarnation: who gets what waited, and who is told that nobody does.

use std::time::Duration;

use actix::prelude::*;
use actix_otp::{
    Backoff, CallError, CastError, ChildRef, ChildSpec, DynamicSupervisorSpec, ExitContext,
    ExitReason, Init, Restart, Strategy, SupervisorRef,
};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::{
    cast::{start, supervisor},
    support::{Journal, paused},
};

struct Noter(Journal);

impl Noter {
    fn spec(journal: &Journal) -> ChildSpec<Self> {
        let journal = journal.clone();
        ChildSpec::new("noter", move || {
            journal.note("made");
            Self(journal.clone())
        })
        .keep_mailbox()
    }
}

impl Actor for Noter {
    type Context = Context<Self>;
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
enum Do {
    Note(usize),
    Panic(&'static str),
    Exit(ExitReason),
}

impl Handler<Do> for Noter {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Context<Self>) {
        match what {
            Do::Note(n) => self.0.note(n.to_string()),
            Do::Panic(text) => panic!("{text}"),
            Do::Exit(reason) => ctx.exit(reason),
        }
    }
}

async fn run(spec: ChildSpec<Noter>, restarts: usize) -> (SupervisorRef, ChildRef<Noter>) {
    let child = spec.child_ref();
    let root = start(supervisor(Strategy::OneForOne, restarts).child(spec)).await;
    // Its first turn is over, and its mailbox empty.
    yield_now().await;
    (root, child)
}

fn died(reason: ExitReason) -> Result<(), CallError<Do>> {
    Err(CallError::Died(reason))
}

#[test]
fn what_waits_in_a_kept_mailbox_is_handled_by_the_next_incarnation_in_order_and_once() {
    paused(async {
        let journal = Journal::default();
        let (root, child) = run(Noter::spec(&journal), 9).await;
        for message in [
            Do::Note(1),
            Do::Panic("one"),
            Do::Note(2),
            Do::Panic("two"),
            Do::Note(3),
        ] {
            assert_eq!(child.cast(message), Ok(()));
        }
        child.wait_until_running(2).await;
        assert_eq!(child.call(Do::Note(4)).await, Ok(()));
        assert_eq!(journal.take(), ["made", "1", "made", "2", "made", "3", "4"]);
        root.shutdown().await;
    });
}

#[test]
fn a_call_from_a_kept_mailbox_dies_with_the_incarnation_that_took_it() {
    paused(async {
        let (root, child) = run(Noter::spec(&Journal::default()), 9).await;
        let (one, two, three) = tokio::join!(
            child.call(Do::Panic("one")),
            child.call(Do::Panic("two")),
            child.call(Do::Note(3)),
        );
        assert_eq!(one, died(ExitReason::Panicked("one".into())));
        assert_eq!(two, died(ExitReason::Panicked("two".into())));
        assert_eq!(three, Ok(()));
        root.shutdown().await;
    });
}

#[test]
fn a_kill_leaves_a_kept_mailbox_to_the_next_incarnation() {
    paused(async {
        let (root, child) = run(Noter::spec(&Journal::default()), 9).await;
        let (killed, answer) = tokio::join!(child.kill(), child.call(Do::Note(1)));
        assert_eq!((killed, answer), (ExitReason::Killed, Ok(())));
        assert_eq!(child.incarnation(), Some(2));
        root.shutdown().await;
    });
}

#[test]
fn who_waits_for_room_in_a_kept_mailbox_gets_it_from_the_next_incarnation() {
    paused(async {
        let (root, child) = run(Noter::spec(&Journal::default()).mailbox_capacity(1), 9).await;
        assert_eq!(child.cast(Do::Panic("one")), Ok(()));
        let mut waits = Box::pin(child.call(Do::Note(1)));
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(waits.await, Ok(()));
        assert_eq!(child.incarnation(), Some(2));
        root.shutdown().await;
    });
}

#[test]
fn between_two_incarnations_a_kept_mailbox_takes_nothing_new() {
    paused(async {
        let journal = Journal::default();
        let pause = Duration::from_secs(1);
        let (root, child) = run(Noter::spec(&journal).backoff(Backoff::new(pause)), 9).await;
        let mut waits = Box::pin(child.call(Do::Note(1)));
        assert_eq!(child.cast(Do::Panic("one")), Ok(()));
        assert!((&mut waits).now_or_never().is_none());
        while child.is_running() {
            yield_now().await;
        }
        let late = child.cast(Do::Note(2));
        assert_eq!(late, Err(CastError::NotRunning(Do::Note(2))));
        assert_eq!(waits.await, Ok(()));
        assert_eq!(journal.take(), ["made", "made", "1"]);
        root.shutdown().await;
    });
}

#[test]
fn a_kept_mailbox_survives_a_restart_that_fails_at_first() {
    paused(async {
        let journal = Journal::default();
        let notes = journal.clone();
        let spec = ChildSpec::try_new("noter", move || {
            notes.note("tried");
            match notes.look().len() {
                2 | 3 => Err("not yet"),
                _ => Ok(Init::Run(Noter(notes.clone()))),
            }
        });
        let (root, child) = run(spec.keep_mailbox(), 9).await;
        let (_, kept) = tokio::join!(child.call(Do::Panic("one")), child.call(Do::Note(1)));
        assert_eq!(kept, Ok(()));
        assert_eq!(journal.take(), ["tried", "tried", "tried", "tried", "1"]);
        root.shutdown().await;
    });
}

#[test]
fn who_waits_in_a_kept_mailbox_is_answered_when_the_child_is_terminated() {
    paused(async {
        let (root, child) = run(Noter::spec(&Journal::default()), 9).await;
        // The supervisor has its turn first: when the message arrives the child has its order to stop.
        let (terminated, waits) =
            tokio::join!(root.terminate_child("noter"), child.call(Do::Note(1)));
        assert_eq!(terminated, Ok(()));
        assert_eq!(waits, died(ExitReason::Shutdown));
        // Started again by hand it begins with an empty one.
        assert_eq!(root.restart_child("noter").await, Ok(()));
        assert_eq!(child.call(Do::Note(2)).await, Ok(()));
        root.shutdown().await;
    });
}

#[test]
fn who_waits_in_a_kept_mailbox_is_answered_when_the_child_is_not_restarted() {
    paused(async {
        let spec = Noter::spec(&Journal::default()).restart(Restart::Transient);
        let (root, child) = run(spec, 9).await;
        let (_, waits) = tokio::join!(
            child.call(Do::Exit(ExitReason::Normal)),
            child.call(Do::Note(1)),
        );
        assert_eq!(waits, died(ExitReason::Normal));
        root.shutdown().await;
    });
}

#[test]
fn who_waits_in_a_kept_mailbox_is_answered_when_the_supervisor_gives_up() {
    paused(async {
        let (_, child) = run(Noter::spec(&Journal::default()), 0).await;
        let (_, waits) = tokio::join!(child.call(Do::Panic("one")), child.call(Do::Note(1)));
        assert_eq!(waits, died(ExitReason::Shutdown));
    });
}

#[test]
fn who_waits_in_a_kept_mailbox_is_answered_when_the_wait_for_a_restart_is_ended() {
    paused(async {
        let backoff = Backoff::new(Duration::from_secs(3600));
        let (root, child) = run(Noter::spec(&Journal::default()).backoff(backoff), 9).await;
        let mut waits = Box::pin(async {
            tokio::join!(child.call(Do::Panic("one")), child.call(Do::Note(1))).1
        });
        for _ in 0..20 {
            assert!((&mut waits).now_or_never().is_none());
            yield_now().await;
        }
        assert_eq!(root.terminate_child("noter").await, Ok(()));
        assert_eq!(waits.await, died(ExitReason::Shutdown));
        root.shutdown().await;
    });
}

#[test]
fn who_waits_in_a_kept_mailbox_is_answered_when_the_supervisor_is_killed() {
    paused(async {
        let backoff = Backoff::new(Duration::from_secs(3600));
        let (root, child) = run(Noter::spec(&Journal::default()).backoff(backoff), 9).await;
        let mut waits = Box::pin(async {
            tokio::join!(child.call(Do::Panic("one")), child.call(Do::Note(1))).1
        });
        for _ in 0..20 {
            assert!((&mut waits).now_or_never().is_none());
            yield_now().await;
        }
        assert_eq!(root.kill().await, ExitReason::Killed);
        assert_eq!(waits.await, died(ExitReason::Killed));
    });
}

#[test]
fn a_child_of_a_dynamic_supervisor_can_keep_its_mailbox_as_well() {
    paused(async {
        let (dynamic, children) = DynamicSupervisorSpec::new().build("dynamic");
        let root = start(supervisor(Strategy::OneForOne, 9).child(dynamic)).await;
        let spec = Noter::spec(&Journal::default()).restart(Restart::Transient);
        let child = children.start_spec(spec).await.expect("it starts");
        yield_now().await;
        let (_, kept) = tokio::join!(child.call(Do::Panic("one")), child.call(Do::Note(1)));
        assert_eq!(kept, Ok(()));
        let (_, waits) = tokio::join!(
            child.call(Do::Exit(ExitReason::Normal)),
            child.call(Do::Note(2)),
        );
        assert_eq!(waits, died(ExitReason::Normal));
        root.shutdown().await;
    });
}

//! What callers, casters and monitors see, while the child runs, while it crashes, and in the gap between.

use std::time::Duration;

use actix::prelude::*;
use actix_otp::{CallError, CastError, ChildRef, ChildSpec, ExitReason, Restart, Strategy};

use crate::{
    cast::{start, supervisor, which, workers},
    support::{ExitWith, Journal, Panic, Ping, Worker, crash, paused, settle},
};

fn died() -> ExitReason {
    ExitReason::Panicked("told to panic".into())
}

#[test]
fn a_handle_is_valid_before_the_first_start_and_across_restarts() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default());
        let child = spec.child_ref();
        assert_eq!((child.incarnation(), child.id()), (None, "a"));
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        assert_eq!(child.incarnation(), Some(1));
        assert_eq!(child.call(Ping).await, Ok("a"));
        crash(&child).await;
        assert_eq!(child.incarnation(), Some(2));
        assert_eq!(child.call(Ping).await, Ok("a"));
        assert!(child.addr().is_some_and(|addr| addr.connected()));
        root.shutdown().await;
        assert!(child.addr().is_none());
    });
}

#[test]
fn a_message_to_a_child_that_does_not_run_comes_back() {
    paused(async {
        let child = Worker::spec("a", &Journal::default()).child_ref();
        let error = child.call(Ping).await.expect_err("nothing runs");
        assert_eq!(error, CallError::NotRunning(Ping));
        assert_eq!(error.into_message(), Some(Ping));
        assert_eq!(child.cast(Ping), Err(CastError::NotRunning(Ping)));
        let error = child.send(Ping).await.expect_err("nothing runs");
        assert_eq!(error, CastError::NotRunning(Ping));
        let error = child.try_call(Ping).await.expect_err("nothing runs");
        assert_eq!(error, CallError::NotRunning(Ping));
        assert_eq!(error.into_message(), Some(Ping));
    });
}

#[test]
fn the_crashing_call_and_those_queued_behind_it_learn_the_reason() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        let (first, second, third) = tokio::join!(
            child.call(Panic),
            child.call(Ping),
            child.call(ExitWith(ExitReason::Normal))
        );
        assert_eq!(first, Err(CallError::Died(died())));
        assert_eq!(second, Err(CallError::Died(died())));
        assert_eq!(third, Err(CallError::Died(died())));
        settle().await;
        // What was queued is not sent to the next incarnation: it was not told to exit.
        assert_eq!(child.incarnation(), Some(2));
        root.shutdown().await;
    });
}

#[test]
fn a_call_in_the_gap_between_two_incarnations_fails_at_once() {
    paused(async {
        let switch = crate::cast::Switch::default();
        let spec = switch.slow_spec("a", &Journal::default());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        switch.fail(true);
        let _ = child.call(Panic).await;
        let before = tokio::time::Instant::now();
        assert_eq!(child.call(Panic).await, Err(CallError::NotRunning(Panic)));
        assert_eq!(before.elapsed(), Duration::ZERO);
        switch.fail(false);
        assert!(child.wait_until_running(1).await > 1);
        root.shutdown().await;
    });
}

#[test]
fn calls_queued_at_an_orderly_stop_learn_that_the_child_ended() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        let (first, second) = tokio::join!(
            child.call(ExitWith(ExitReason::shutdown_with("upgrade"))),
            child.call(Ping)
        );
        assert_eq!(first, Ok(()));
        assert_eq!(
            second,
            Err(CallError::Died(ExitReason::shutdown_with("upgrade")))
        );
        root.shutdown().await;
    });
}

/// Notes the numbers it is sent.
struct Noter(Journal);

impl Actor for Noter {
    type Context = Context<Self>;
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
struct Note(usize);

impl Handler<Note> for Noter {
    type Result = ();

    fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) {
        self.0.note(n.to_string());
    }
}

#[test]
fn messages_of_one_sender_are_handled_in_the_order_sent() {
    paused(async {
        let journal = Journal::default();
        let of_actor = journal.clone();
        let spec = ChildSpec::new("noter", move || Noter(of_actor.clone()));
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        for n in 0..100 {
            child.cast(Note(n)).expect("running");
        }
        assert_eq!(child.call(Note(100)).await, Ok(()));
        let expected: Vec<_> = (0..=100).map(|n| n.to_string()).collect();
        assert_eq!(journal.take(), expected);
        root.shutdown().await;
    });
}

#[test]
fn a_monitor_reports_once_with_reason_and_incarnation() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default());
        let child = spec.child_ref();
        let down = child.monitor().await;
        assert_eq!((down.incarnation, down.reason), (0, ExitReason::NotRunning));
        let root = start(supervisor(Strategy::OneForOne, 2).child(spec)).await;
        let (first, second) = (child.monitor(), child.monitor());
        drop(child.monitor());
        assert_eq!(child.stop().await, ExitReason::Normal);
        for down in [first.await, second.await] {
            assert_eq!((&*down.id, down.incarnation), ("a", 1));
            assert_eq!(down.reason, ExitReason::Normal);
        }
        child.wait_until_running(1).await;
        let monitor = child.monitor();
        crash(&child).await;
        let down = monitor.await;
        assert_eq!((down.incarnation, down.reason), (2, died()));
        root.shutdown().await;
    });
}

#[test]
fn a_monitor_of_a_child_that_ended_for_good_reports_that_nothing_runs() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).restart(Restart::Temporary);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        child.stop().await;
        assert_eq!(child.monitor().await.reason, ExitReason::NotRunning);
        assert_eq!(child.stop().await, ExitReason::NotRunning);
        assert_eq!(child.kill().await, ExitReason::NotRunning);
        assert_eq!(
            child.stop_or_kill(Duration::ZERO).await,
            ExitReason::NotRunning
        );
        root.shutdown().await;
    });
}

#[test]
fn an_actor_is_dropped_before_anybody_hears_of_its_end() {
    paused(async {
        let journal = Journal::default();
        let (spec, [child]) = workers(supervisor(Strategy::OneForOne, 1), &journal, ["a"]);
        let root = start(spec).await;
        let watch = {
            let (journal, down) = (journal.clone(), child.monitor());
            async move {
                down.await;
                journal.note("heard");
            }
        };
        tokio::join!(watch, async { drop(child.call(Panic).await) });
        settle().await;
        // A port or a file that the old one held is free when the new one starts.
        let entries = journal.take();
        let at = |what: &str| entries.iter().position(|entry| entry == what);
        assert!(at("a dropped") < at("heard"), "{entries:?}");
        assert_eq!(entries[..2], ["a started", "a dropped"]);
        root.shutdown().await;
    });
}

#[test]
fn waiting_for_a_newer_incarnation_ends_with_its_number() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 3),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        assert_eq!(child.wait_until_running(0).await, 1);
        let wait = |handle: ChildRef<Worker>| async move { handle.wait_until_running(2).await };
        let (newer, ()) = tokio::join!(wait(child.clone()), async {
            crash(&child).await;
            crash(&child).await;
        });
        assert_eq!(newer, 3);
        assert_eq!(which(&root).await, ["a:3"]);
        root.shutdown().await;
    });
}

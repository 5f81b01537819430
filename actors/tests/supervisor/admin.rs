//! The admin verbs: start, terminate, restart, delete, which, count, get spec, and their errors.

use std::time::Instant;

use actix_otp::{
    ChildRef, ChildState, CountChildren, DeleteChildError, ExitReason, RestartChildError,
    StartChildError, Strategy, SupervisorRef, TerminateChildError,
};

use futures_util::FutureExt;

use crate::{
    cast::{Gate, Request, counts, start, supervisor, which, workers},
    support::{Journal, Panic, Ping, Worker, paused, settle},
};

#[test]
fn the_verbs_take_a_child_through_its_whole_life() {
    paused(async {
        let journal = Journal::default();
        let (spec, [child]) = workers(supervisor(Strategy::OneForOne, 2), &journal, ["a"]);
        let root = start(spec).await;
        let again = || Worker::spec("a", &journal);
        assert_eq!(which(&root).await, ["a:1"]);
        assert_eq!(counts(&root).await, [1, 1, 0, 1]);
        assert_eq!(
            root.start_child(again()).await.map(drop),
            Err(StartChildError::AlreadyStarted("a".into()))
        );

        // Terminated, twice over: known and not running.
        let down = child.monitor();
        assert_eq!(root.terminate_child("a").await, Ok(()));
        assert_eq!(down.await.reason, ExitReason::Shutdown);
        assert_eq!(root.terminate_child("a").await, Ok(()));
        assert_eq!(which(&root).await, ["a:stopped"]);
        assert_eq!(counts(&root).await, [1, 0, 0, 1]);
        assert_eq!(
            root.start_child(again()).await.map(drop),
            Err(StartChildError::AlreadyPresent("a".into()))
        );

        // Restarted: the old handle serves, and running children are neither restarted nor deleted.
        assert_eq!(root.restart_child("a").await, Ok(()));
        assert_eq!(child.call(Ping).await, Ok("a"));
        assert_eq!(which(&root).await, ["a:2"]);
        assert_eq!(counts(&root).await, [1, 1, 0, 1]);
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::Running("a".into()))
        );
        assert_eq!(
            root.delete_child("a").await,
            Err(DeleteChildError::Running("a".into()))
        );

        // Deleted: unknown, and its id is free.
        assert_eq!(root.terminate_child("a").await, Ok(()));
        assert_eq!(root.delete_child("a").await, Ok(()));
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::NotFound("a".into()))
        );
        assert_eq!(counts(&root).await, [0; 4]);
        let fresh = root.start_child(again()).await.expect("the id is free");
        assert_eq!(fresh.call(Ping).await, Ok("a"));
        assert!(!child.is_running());
        root.shutdown().await;
    });
}

#[test]
fn unknown_ids_are_not_found_and_touch_nobody() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 2),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        assert_eq!(
            root.terminate_child("b").await,
            Err(TerminateChildError::NotFound("b".into()))
        );
        assert_eq!(
            root.restart_child("b").await,
            Err(RestartChildError::NotFound("b".into()))
        );
        assert_eq!(
            root.delete_child("b").await,
            Err(DeleteChildError::NotFound("b".into()))
        );
        assert_eq!(root.get_child_spec("b").await, None);
        assert_eq!(child.incarnation(), Some(1));
        root.shutdown().await;
    });
}

#[test]
fn a_restart_after_a_crash_leaves_the_admin_state_as_it_was() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 2),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        crate::support::crash(&child).await;
        assert_eq!(which(&root).await, ["a:2"]);
        assert_eq!(counts(&root).await, [1, 1, 0, 1]);
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_that_does_not_run_says_so_to_every_verb() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 2)).await;
        root.shutdown().await;
        let spec = Worker::spec("a", &Journal::default());
        assert_eq!(
            root.start_child(spec).await.map(drop),
            Err(StartChildError::NoSupervisor)
        );
        assert_eq!(
            root.terminate_child("a").await,
            Err(TerminateChildError::NoSupervisor)
        );
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::NoSupervisor)
        );
        assert_eq!(
            root.delete_child("a").await,
            Err(DeleteChildError::NoSupervisor)
        );
        assert!(root.which_children().await.is_empty());
        assert_eq!(counts(&root).await, [0; 4]);
        assert_eq!(root.get_child_spec("a").await, None);
        assert_eq!(root.tree().await.state, ChildState::Stopped);
        assert_eq!(root.shutdown().await, ExitReason::NotRunning);
    });
}

#[test]
fn the_lists_follow_what_happens_to_the_children() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 2)).await;
        assert!(which(&root).await.is_empty());
        for name in ["b", "a"] {
            let spec = Worker::spec(name, &journal);
            root.start_child(spec).await.expect("starts");
        }
        assert_eq!(which(&root).await, ["b:1", "a:1"]);
        root.terminate_child("b").await.expect("ends");
        assert_eq!(which(&root).await, ["b:stopped", "a:1"]);
        root.delete_child("b").await.expect("is forgotten");
        assert_eq!(which(&root).await, ["a:1"]);
        root.shutdown().await;
    });
}

/// A supervisor kept busy with a gated start, so that its mailbox fills in a known order.
async fn busy_supervisor() -> (SupervisorRef, ChildRef<Worker>, Request) {
    let journal = Journal::default();
    let (spec, [child]) = workers(supervisor(Strategy::OneForOne, 2), &journal, ["a"]);
    let root = start(spec).await;
    let mut gate = Gate::new(&journal);
    let late = root.start_child(gate.spec("late"));
    let request = tokio::select! {
        _ = late => panic!("the gate is closed"),
        request = gate.next("late") => request,
    };
    (root, child, request)
}

#[test]
fn a_child_that_ended_unnoticed_is_not_counted_as_active() {
    paused(async {
        let (root, child, late) = busy_supervisor().await;
        let question = root.call(CountChildren);
        let order = async {
            // In the supervisor's mailbox the question stands before the notice of the crash.
            let _ = child.call(Panic).await;
            late.admit();
        };
        let (counts, ()) = tokio::join!(question, order);
        let counts = counts.expect("answers");
        assert_eq!((counts.specs, counts.active), (2, 1));
        settle().await;
        assert_eq!(which(&root).await, ["a:2", "late:1"]);
        root.shutdown().await;
    });
}

#[test]
fn terminating_wins_against_a_crash_that_the_supervisor_has_not_heard_of() {
    paused(async {
        let (root, child, late) = busy_supervisor().await;
        let down = child.monitor();
        let request = root.terminate_child("a");
        let order = async {
            let _ = child.call(Panic).await;
            late.admit();
        };
        let (terminated, ()) = tokio::join!(request, order);
        assert_eq!(terminated, Ok(()));
        settle().await;
        assert_eq!(which(&root).await, ["a:stopped", "late:1"]);
        // The child's own reason is not lost.
        assert_eq!(
            down.await.reason,
            ExitReason::Panicked("told to panic".into())
        );
        root.shutdown().await;
    });
}

#[test]
fn requests_wait_while_the_supervisor_starts_a_child() {
    paused(async {
        let (root, child, late) = busy_supervisor().await;
        let mut request = Box::pin(root.terminate_child("a"));
        assert!((&mut request).now_or_never().is_none());
        settle().await;
        assert!(child.is_running());
        late.admit();
        assert_eq!(request.await, Ok(()));
        root.shutdown().await;
    });
}

#[test]
fn a_terminated_child_is_never_restarted_and_charges_nothing() {
    paused(async {
        let (spec, [child]) = workers(
            supervisor(Strategy::OneForOne, 0),
            &Journal::default(),
            ["a"],
        );
        let root = start(spec).await;
        for incarnation in 1..=5 {
            assert_eq!(child.incarnation(), Some(incarnation));
            root.terminate_child("a").await.expect("ends");
            settle().await;
            assert_eq!(which(&root).await, ["a:stopped"]);
            root.restart_child("a").await.expect("starts");
        }
        root.shutdown().await;
    });
}

/// Starts and terminates and deletes this many children; the time for all of it.
async fn churn(children: usize) -> std::time::Duration {
    let journal = Journal::default();
    let root = start(supervisor(Strategy::OneForOne, 1)).await;
    let before = Instant::now();
    for n in 0..children {
        let journal = journal.clone();
        let spec = actix_otp::ChildSpec::new(format!("{n}"), move || Worker::new("w", &journal));
        root.start_child(spec).await.expect("starts");
    }
    assert_eq!(counts(&root).await, [children, children, 0, children]);
    for n in 0..children {
        root.terminate_child(n.to_string()).await.expect("ends");
        root.delete_child(n.to_string()).await.expect("forgotten");
    }
    let elapsed = before.elapsed();
    root.shutdown().await;
    elapsed
}

#[test]
fn starting_and_ending_children_stays_near_linear() {
    paused(async {
        // As many in all on both sides, so that what else the machine does hits both alike.
        let mut few = std::time::Duration::ZERO;
        for _ in 0..20 {
            few += churn(500).await;
        }
        let many = churn(10_000).await;
        // A quadratic cost would take twenty times as long.
        assert!(many < few * 10, "{few:?} for 20 x 500, {many:?} for 10 000");
    });
}

//! The three strategies: whom a crash concerns, in which order they end and start, and what becomes of bystanders.

use actix_otp::{ChildRef, ExitReason, Restart, Strategy, SupervisorSpec};

use crate::{
    cast::{
        Act, Gate, counts, exit_and_settle, panic_and_settle, scripted, start, supervisor, which,
        workers,
    },
    support::{Journal, Panic, Ping, Worker, crash, paused, settle},
};

#[test]
fn one_for_one_restarts_only_the_child_that_ended() {
    paused(async {
        let journal = Journal::default();
        let (spec, [a, b]) = workers(supervisor(Strategy::OneForOne, 2), &journal, ["a", "b"]);
        let root = start(spec).await;
        crash(&a).await;
        assert_eq!(which(&root).await, ["a:2", "b:1"]);
        assert_eq!(counts(&root).await, [2, 2, 0, 2]);
        assert_eq!(a.call(Ping).await, Ok("a"));
        crash(&b).await;
        assert_eq!(which(&root).await, ["a:2", "b:2"]);
        root.shutdown().await;
    });
}

#[test]
fn one_for_all_stops_the_others_in_reverse_order_and_starts_all_in_order() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForAll, 2);
        let (spec, [_, b, _]) = workers(spec, &journal, ["a", "b", "c"]);
        let root = start(spec).await;
        journal.take();
        panic_and_settle(&b).await;
        assert_eq!(
            journal.take(),
            [
                "b dropped",
                "c stopped",
                "c dropped",
                "a stopped",
                "a dropped",
                "a started",
                "b started",
                "c started"
            ]
        );
        assert_eq!(which(&root).await, ["a:2", "b:2", "c:2"]);
        assert_eq!(counts(&root).await, [3, 3, 0, 3]);
        root.shutdown().await;
    });
}

#[test]
fn rest_for_one_leaves_earlier_children_alone() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::RestForOne, 2);
        let (spec, [_, b, c]) = workers(spec, &journal, ["a", "b", "c"]);
        let root = start(spec).await;
        panic_and_settle(&b).await;
        assert_eq!(which(&root).await, ["a:1", "b:2", "c:2"]);
        assert_eq!(counts(&root).await, [3, 3, 0, 3]);
        panic_and_settle(&c).await;
        assert_eq!(which(&root).await, ["a:1", "b:2", "c:3"]);
        root.shutdown().await;
    });
}

#[test]
fn order_is_that_of_the_starts_whatever_the_ids() {
    paused(async {
        let journal = Journal::default();
        let names = ["ch7", "ch3", "ch10", "ch2", "ch5"];
        let (spec, handles) = workers(supervisor(Strategy::RestForOne, 2), &journal, names);
        let root = start(spec).await;
        assert_eq!(journal.take(), names.map(|name| format!("{name} started")));
        panic_and_settle(&handles[2]).await;
        assert_eq!(
            journal.take(),
            [
                "ch10 dropped",
                "ch5 stopped",
                "ch5 dropped",
                "ch2 stopped",
                "ch2 dropped",
                "ch10 started",
                "ch2 started",
                "ch5 started"
            ]
        );
        root.shutdown().await;
        let stopped: Vec<_> = journal
            .take()
            .into_iter()
            .filter(|entry| entry.ends_with("stopped"))
            .collect();
        assert_eq!(
            stopped,
            ["ch5", "ch2", "ch10", "ch3", "ch7"].map(|name| format!("{name} stopped"))
        );
    });
}

#[test]
fn a_restarted_child_keeps_its_place_and_a_new_one_comes_last() {
    paused(async {
        let journal = Journal::default();
        let (spec, [a, _]) = workers(supervisor(Strategy::OneForOne, 2), &journal, ["a", "b"]);
        let root = start(spec).await;
        crash(&a).await;
        root.terminate_child("a").await.expect("ends");
        root.restart_child("a").await.expect("starts");
        assert_eq!(which(&root).await, ["a:3", "b:1"]);
        root.terminate_child("a").await.expect("ends");
        root.delete_child("a").await.expect("forgotten");
        root.start_child(Worker::spec("a", &journal))
            .await
            .expect("starts");
        assert_eq!(which(&root).await, ["b:1", "a:1"]);
        root.shutdown().await;
    });
}

#[test]
fn a_group_restart_revives_every_child_of_the_group_that_does_not_run() {
    paused(async {
        for (strategy, expected) in [
            (
                Strategy::OneForAll,
                ["early:2", "a:2", "done:2", "by-hand:2", "ignored:2"],
            ),
            (
                Strategy::RestForOne,
                ["early:stopped", "a:2", "done:2", "by-hand:2", "ignored:2"],
            ),
        ] {
            let journal = Journal::default();
            let (spec, [early, a]) = workers(supervisor(strategy, 2), &journal, ["early", "a"]);
            let done = Worker::spec("done", &journal).restart(Restart::Transient);
            let done_ref = done.child_ref();
            let spec = spec
                .child(done)
                .child(Worker::spec("by-hand", &journal))
                .child(scripted("ignored", &journal, &[Act::Ignore]));
            let root = start(spec).await;
            exit_and_settle(&done_ref, ExitReason::Normal).await;
            for id in [early.id(), "by-hand"] {
                root.terminate_child(id).await.expect("ends");
            }
            assert_eq!(counts(&root).await, [5, 1, 0, 5]);
            panic_and_settle(&a).await;
            assert_eq!(which(&root).await, expected, "{strategy:?}");
            root.shutdown().await;
        }
    });
}

#[test]
fn a_temporary_bystander_is_gone_for_good_after_a_group_restart() {
    paused(async {
        for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
            let journal = Journal::default();
            let (spec, [a]) = workers(supervisor(strategy, 2), &journal, ["a"]);
            let root = start(spec).await;
            let bystander = root
                .start_child(Worker::spec("b", &journal).restart(Restart::Temporary))
                .await
                .expect("starts");
            let down = bystander.monitor();
            exit_and_settle(&a, ExitReason::Normal).await;
            assert_eq!(down.await.reason, ExitReason::Shutdown);
            assert_eq!(which(&root).await, ["a:2"], "{strategy:?}");
            root.shutdown().await;
        }
    });
}

/// Two children crash before the supervisor hears of either.
async fn crash_together(spec: SupervisorSpec) -> bool {
    let (spec, [a, b]) = workers(spec, &Journal::default(), ["a", "b"]);
    let root = start(spec).await;
    crash_both(&a, &b).await;
    let survived = root.is_running();
    if survived {
        assert_eq!(which(&root).await, ["a:2", "b:2"]);
        root.shutdown().await;
    }
    survived
}

async fn crash_both(a: &ChildRef<Worker>, b: &ChildRef<Worker>) {
    a.cast(Panic).expect("running");
    b.cast(Panic).expect("running");
    settle().await;
}

#[test]
fn children_that_crash_together_are_charged_once_for_a_group_and_each_for_itself_otherwise() {
    paused(async {
        assert!(crash_together(supervisor(Strategy::OneForAll, 1)).await);
        assert!(crash_together(supervisor(Strategy::RestForOne, 1)).await);
        assert!(!crash_together(supervisor(Strategy::OneForOne, 1)).await);
        assert!(crash_together(supervisor(Strategy::OneForOne, 2)).await);
    });
}

#[test]
fn one_for_all_starts_the_whole_group_again_when_one_of_it_fails_to_start() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let (a, b) = (gate.spec("a"), gate.spec("b"));
        let a_ref = a.child_ref();
        let spec = supervisor(Strategy::OneForAll, 3).child(a).child(b);
        let (root, ()) = tokio::join!(start(spec), async {
            gate.next("a").await.admit();
            gate.next("b").await.admit();
        });
        a_ref.cast(Panic).expect("running");
        gate.next("a").await.admit();
        let refused = gate.next("b").await;
        journal.take();
        drop(refused);
        // The retry ends the child that had just been started before anything is started again.
        let again = gate.next("a").await;
        assert_eq!(
            journal.take(),
            ["b dropped", "a stopped", "a dropped", "a started"]
        );
        again.admit();
        gate.next("b").await.admit();
        settle().await;
        assert_eq!(which(&root).await, ["a:3", "b:3"]);
        assert!(!gate.is_asked());
        root.shutdown().await;
    });
}

#[test]
fn rest_for_one_starts_only_the_part_from_the_child_that_failed_to_start() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let (a, b) = (gate.spec("a"), gate.spec("b"));
        let a_ref = a.child_ref();
        let spec = supervisor(Strategy::RestForOne, 3).child(a).child(b);
        let (root, ()) = tokio::join!(start(spec), async {
            gate.next("a").await.admit();
            gate.next("b").await.admit();
        });
        a_ref.cast(Panic).expect("running");
        gate.next("a").await.admit();
        drop(gate.next("b").await);
        gate.next("b").await.admit();
        settle().await;
        assert_eq!(which(&root).await, ["a:2", "b:3"]);
        assert!(!gate.is_asked());
        root.shutdown().await;
    });
}

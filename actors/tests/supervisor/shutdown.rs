//! Stopping: order, each child's own way to end, limits, and nothing restarted meanwhile.

use std::time::Duration;

use actix_otp::{ExitReason, Restart, Shutdown, Strategy};
use tokio::time::{Instant, sleep};

use crate::{
    cast::{Gate, Leaver, start, supervisor, workers},
    support::{Journal, Worker, crash, paused, settle},
};

#[test]
fn children_with_all_the_time_they_need_end_with_shutdown() {
    paused(async {
        let journal = Journal::default();
        let worker = Worker::spec("worker", &journal).shutdown(Shutdown::Infinity);
        let nested = actix_otp::ChildSpec::supervisor("nested", supervisor(Strategy::OneForOne, 1));
        let slow = Leaver::spec("slow", None, Some(Duration::from_secs(3600)), &journal)
            .shutdown(Shutdown::Infinity);
        let (a, b, c) = (worker.child_ref(), nested.child_ref(), slow.child_ref());
        let spec = supervisor(Strategy::OneForOne, 1);
        let root = start(spec.child(worker).child(nested).child(slow)).await;
        let downs = (a.monitor(), b.monitor(), c.monitor());
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert_eq!(downs.0.await.reason, ExitReason::Shutdown);
        assert_eq!(downs.1.await.reason, ExitReason::Shutdown);
        assert_eq!(downs.2.await.reason, ExitReason::Shutdown);
    });
}

#[test]
fn a_child_that_ignores_its_stop_is_killed_after_its_time_and_the_others_are_not() {
    paused(async {
        let journal = Journal::default();
        let time = Shutdown::Timeout(Duration::from_millis(1000));
        let polite = Worker::spec("polite", &journal).shutdown(time);
        let stubborn = Worker::stubborn("stubborn", &journal).shutdown(time);
        let (polite_ref, stubborn_ref) = (polite.child_ref(), stubborn.child_ref());
        let spec = supervisor(Strategy::OneForOne, 1);
        let root = start(spec.child(polite).child(stubborn)).await;
        let (polite_down, stubborn_down) = (polite_ref.monitor(), stubborn_ref.monitor());
        let before = Instant::now();
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert_eq!(before.elapsed(), Duration::from_millis(1000));
        assert_eq!(stubborn_down.await.reason, ExitReason::Killed);
        assert_eq!(polite_down.await.reason, ExitReason::Shutdown);
        // No hook of the killed one ran.
        assert_eq!(
            journal.take()[2..],
            ["stubborn dropped", "polite stopped", "polite dropped"]
        );
    });
}

#[test]
fn a_brutal_kill_does_not_ask_first_and_runs_no_hook() {
    paused(async {
        let journal = Journal::default();
        let polite = Worker::spec("polite", &journal);
        let brutal = Worker::spec("brutal", &journal).shutdown(Shutdown::Kill);
        let (polite_ref, brutal_ref) = (polite.child_ref(), brutal.child_ref());
        let root = start(
            supervisor(Strategy::OneForOne, 1)
                .child(polite)
                .child(brutal),
        )
        .await;
        let downs = (polite_ref.monitor(), brutal_ref.monitor());
        root.shutdown().await;
        assert_eq!(downs.0.await.reason, ExitReason::Shutdown);
        assert_eq!(downs.1.await.reason, ExitReason::Killed);
        assert_eq!(
            journal.take()[2..],
            ["brutal dropped", "polite stopped", "polite dropped"]
        );
    });
}

#[test]
fn the_next_child_is_asked_only_when_the_one_after_it_has_ended() {
    paused(async {
        let journal = Journal::default();
        let slow = |id: &str| Leaver::spec(id, None, Some(Duration::from_secs(1)), &journal);
        let spec = supervisor(Strategy::OneForOne, 1);
        let root = start(spec.child(slow("a")).child(slow("b"))).await;
        let before = Instant::now();
        root.shutdown().await;
        assert_eq!(before.elapsed(), Duration::from_secs(2));
        assert_eq!(
            journal.take(),
            ["b stopping", "b stopped", "a stopping", "a stopped"]
        );
    });
}

#[test]
fn children_that_end_by_themselves_during_a_shutdown_keep_their_reasons_and_are_not_restarted() {
    paused(async {
        let journal = Journal::default();
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("info"),
            ExitReason::error("other"),
        ];
        let restarts = [Restart::Temporary, Restart::Transient, Restart::Permanent];
        let first = Worker::spec("first", &journal).restart(Restart::Temporary);
        let first_ref = first.child_ref();
        let mut spec = supervisor(Strategy::OneForOne, 0).child(first);
        let mut leavers = Vec::new();
        for restart in restarts {
            for reason in &reasons {
                let id = format!("{restart:?} {reason}");
                let child = Leaver::spec(id, Some(reason.clone()), None, &journal).restart(restart);
                leavers.push((child.child_ref(), reason.clone()));
                spec = spec.child(child);
            }
        }
        let slow = Leaver::spec("slow", None, Some(Duration::from_secs(1)), &journal)
            .restart(Restart::Temporary)
            .shutdown(Shutdown::Timeout(Duration::from_secs(2)));
        let slow_ref = slow.child_ref();
        let root = start(spec.child(slow)).await;
        let (root_down, first_down) = (root.monitor(), first_ref.monitor());
        let slow_down = slow_ref.monitor();
        let downs: Vec<_> = leavers.iter().map(|(child, _)| child.monitor()).collect();

        let end = async {
            sleep(Duration::from_millis(200)).await;
            for (child, reason) in &leavers {
                assert_eq!(child.stop().await, *reason);
            }
        };
        tokio::join!(root.shutdown(), end);
        assert_eq!(root_down.await.reason, ExitReason::Shutdown);
        assert_eq!(slow_down.await.reason, ExitReason::Shutdown);
        assert_eq!(first_down.await.reason, ExitReason::Shutdown);
        for (down, (_, reason)) in downs.into_iter().zip(&leavers) {
            let down = down.await;
            assert_eq!((&down.reason, down.incarnation), (reason, 1));
        }
        settle().await;
        assert!(leavers.iter().all(|(child, _)| !child.is_running()));
    });
}

#[test]
fn a_child_asked_again_may_stop_at_the_second_request() {
    paused(async {
        let spec = supervisor(Strategy::OneForOne, 1);
        let child = Leaver::spec("a", None, Some(Duration::MAX / 4), &Journal::default());
        let handle = child.child_ref();
        let root = start(spec.child(child)).await;
        // The first request meets a refusal, which would last for ages.
        let first = tokio::time::timeout(Duration::from_secs(60), handle.stop());
        assert!(first.await.is_err());
        assert_eq!(handle.incarnation(), Some(1));
        assert_eq!(handle.stop().await, ExitReason::Normal);
        root.shutdown().await;
    });
}

#[test]
fn stop_or_kill_ends_a_child_that_refuses_to_stop_after_its_time() {
    paused(async {
        let (polite, stubborn) = (
            Worker::spec("polite", &Journal::default()),
            Worker::stubborn("stubborn", &Journal::default()),
        );
        let (polite_ref, stubborn_ref) = (polite.child_ref(), stubborn.child_ref());
        let spec = supervisor(Strategy::OneForOne, 2);
        let root = start(spec.child(polite).child(stubborn)).await;
        let patience = Duration::from_secs(2);
        let before = Instant::now();
        assert_eq!(polite_ref.stop_or_kill(patience).await, ExitReason::Normal);
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(
            stubborn_ref.stop_or_kill(patience).await,
            ExitReason::Killed
        );
        assert_eq!(before.elapsed(), patience);
        root.shutdown().await;
    });
}

#[test]
fn a_stop_during_a_start_gives_the_start_up() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let (spec, [first]) = workers(supervisor(Strategy::OneForOne, 1), &journal, ["first"]);
        let root = start(spec).await;
        let late = root.start_child(gate.spec("late"));
        let stop = async {
            let request = gate.next("late").await;
            assert_eq!(root.shutdown().await, ExitReason::Shutdown);
            drop(request);
        };
        let (answer, ()) = tokio::join!(late, stop);
        assert_eq!(
            answer.map(drop),
            Err(actix_otp::StartChildError::Start {
                id: "late".into(),
                error: actix_otp::StartError::SupervisorStopping
            })
        );
        assert!(!first.is_running());
        assert_eq!(
            journal.take(),
            [
                "first started",
                "late started",
                "late stopped",
                "late dropped",
                "first stopped",
                "first dropped"
            ]
        );
    });
}

#[test]
fn a_tree_that_is_told_to_stop_while_it_starts_rolls_back() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let inner = supervisor(Strategy::OneForOne, 1)
            .child(Worker::spec("first", &journal))
            .child(gate.spec("never"));
        let nested = actix_otp::ChildSpec::supervisor("nested", inner);
        let inner_ref = nested.child_ref();
        let root = supervisor(Strategy::OneForOne, 1).child(nested);
        let stop = async {
            let request = gate.next("never").await;
            assert_eq!(inner_ref.shutdown().await, ExitReason::Shutdown);
            drop(request);
        };
        let (started, ()) = tokio::join!(root.start("root"), stop);
        assert!(started.is_err());
        settle().await;
        assert_eq!(
            journal.take(),
            [
                "first started",
                "never started",
                "never stopped",
                "never dropped",
                "first stopped",
                "first dropped"
            ]
        );
    });
}

#[test]
fn a_stopped_supervisor_restarts_nobody() {
    paused(async {
        let journal = Journal::default();
        let (spec, [a]) = workers(supervisor(Strategy::OneForOne, 9), &journal, ["a"]);
        let root = start(spec).await;
        crash(&a).await;
        journal.take();
        tokio::join!(root.shutdown(), async {
            let _ = a.kill().await;
        });
        sleep(Duration::from_secs(60)).await;
        assert_eq!(journal.take(), ["a dropped"]);
    });
}

#[test]
fn a_stop_with_a_limit_goes_on_when_its_caller_goes_away() {
    paused(async {
        let spec = Worker::stubborn("a", &Journal::default());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        let down = child.monitor();
        let second = Duration::from_secs(1);
        let gave_up = tokio::time::timeout(second / 2, child.stop_or_kill(second)).await;
        assert!(gave_up.is_err());
        assert_eq!(down.await.reason, ExitReason::Killed);
        root.shutdown().await;
    });
}

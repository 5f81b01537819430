//! The core of the supervisor's contract: strategies, restart types, intensity, order, nesting.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    CallError, CastError, ChildSpec, ChildState, ExitReason, Init, Intensity, Restart, Shutdown,
    StartChildError, StartError, Strategy, SupervisorRef, SupervisorSpec,
};
use support::{ExitWith, Journal, LoseReply, Panic, Ping, Worker, crash, paused, settle};

async fn start(spec: SupervisorSpec) -> SupervisorRef {
    spec.start("root").await.expect("the tree starts")
}

#[test]
fn children_start_in_order_and_stop_in_reverse_order() {
    paused(async {
        let journal = Journal::default();
        let root = start(
            SupervisorSpec::new(Strategy::OneForOne)
                .child(Worker::spec("a", &journal))
                .child(Worker::spec("b", &journal)),
        )
        .await;
        assert_eq!(journal.take(), ["a started", "b started"]);
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert_eq!(
            journal.take(),
            ["b stopped", "b dropped", "a stopped", "a dropped"]
        );
    });
}

#[test]
fn one_for_one_restarts_only_the_child_that_panicked() {
    paused(async {
        let journal = Journal::default();
        let (a, b) = (Worker::spec("a", &journal), Worker::spec("b", &journal));
        let (a_ref, b_ref) = (a.child_ref(), b.child_ref());
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(a).child(b)).await;
        crash(&a_ref).await;
        assert_eq!(a_ref.incarnation(), Some(2));
        assert_eq!(b_ref.incarnation(), Some(1));
        assert_eq!(a_ref.call(Ping).await, Ok("a"));
        root.shutdown().await;
    });
}

#[test]
fn one_for_all_stops_the_others_in_reverse_order_and_starts_all_in_order() {
    paused(async {
        let journal = Journal::default();
        let specs = ["a", "b", "c"].map(|name| Worker::spec(name, &journal));
        let [a, b, c] = &specs;
        let (b_ref, c_ref, _a_ref) = (b.child_ref(), c.child_ref(), a.child_ref());
        let root = start(specs.into_iter().fold(
            SupervisorSpec::new(Strategy::OneForAll),
            SupervisorSpec::child,
        ))
        .await;
        journal.take();
        crash(&b_ref).await;
        c_ref.wait_until_running(1).await;
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
        root.shutdown().await;
    });
}

#[test]
fn rest_for_one_leaves_earlier_children_alone() {
    paused(async {
        let journal = Journal::default();
        let specs = ["a", "b", "c"].map(|name| Worker::spec(name, &journal));
        let [a_ref, b_ref, c_ref] = [0, 1, 2].map(|i: usize| specs[i].child_ref());
        let root = start(specs.into_iter().fold(
            SupervisorSpec::new(Strategy::RestForOne),
            SupervisorSpec::child,
        ))
        .await;
        crash(&b_ref).await;
        c_ref.wait_until_running(1).await;
        assert_eq!(
            [a_ref, b_ref, c_ref].map(|child| child.incarnation()),
            [Some(1), Some(2), Some(2)]
        );
        root.shutdown().await;
    });
}

#[test]
fn restart_types_follow_the_truth_table() {
    paused(async {
        let cases = [
            (
                Restart::Permanent,
                ExitReason::Normal,
                Some(ChildState::Running { incarnation: 2 }),
            ),
            (
                Restart::Permanent,
                ExitReason::Shutdown,
                Some(ChildState::Running { incarnation: 2 }),
            ),
            (
                Restart::Permanent,
                ExitReason::error("x"),
                Some(ChildState::Running { incarnation: 2 }),
            ),
            (
                Restart::Transient,
                ExitReason::Normal,
                Some(ChildState::Stopped),
            ),
            (
                Restart::Transient,
                ExitReason::Shutdown,
                Some(ChildState::Stopped),
            ),
            (
                Restart::Transient,
                ExitReason::shutdown_with("x"),
                Some(ChildState::Stopped),
            ),
            (
                Restart::Transient,
                ExitReason::error("x"),
                Some(ChildState::Running { incarnation: 2 }),
            ),
            (Restart::Temporary, ExitReason::Normal, None),
            (Restart::Temporary, ExitReason::error("x"), None),
        ];
        for (restart, reason, expected) in cases {
            let spec = Worker::spec("a", &Journal::default()).restart(restart);
            let child = spec.child_ref();
            let root = start(SupervisorSpec::new(Strategy::OneForOne).child(spec)).await;
            child
                .call(ExitWith(reason.clone()))
                .await
                .expect("it replies before it stops");
            settle().await;
            let state = root.which_children().await.first().map(|child| child.state);
            assert_eq!(state, expected, "{restart:?} after {reason}");
            root.shutdown().await;
        }
    });
}

#[test]
fn over_its_intensity_a_supervisor_stops_its_children_and_exits_with_shutdown() {
    paused(async {
        let journal = Journal::default();
        let (a, b) = (Worker::spec("a", &journal), Worker::spec("b", &journal));
        let a_ref = a.child_ref();
        let root = start(
            SupervisorSpec::new(Strategy::OneForOne)
                .intensity(Intensity::new(1, Duration::from_secs(5)))
                .child(a)
                .child(b),
        )
        .await;
        crash(&a_ref).await;
        let down = root.monitor();
        journal.take();
        assert_eq!(
            a_ref.call(Panic).await,
            Err(CallError::Died(ExitReason::Panicked(
                "told to panic".into()
            )))
        );
        assert_eq!(down.await.reason, ExitReason::Shutdown);
        assert_eq!(journal.take(), ["a dropped", "b stopped", "b dropped"]);
    });
}

#[test]
fn restarts_spread_wider_than_the_period_are_never_too_many() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default());
        let a_ref = spec.child_ref();
        let root = start(
            SupervisorSpec::new(Strategy::OneForOne)
                .intensity(Intensity::new(1, Duration::from_secs(5)))
                .child(spec),
        )
        .await;
        for _ in 0..4 {
            crash(&a_ref).await;
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        assert_eq!(a_ref.incarnation(), Some(5));
        root.shutdown().await;
    });
}

#[test]
fn a_failed_start_stops_the_children_before_it_in_reverse_order() {
    paused(async {
        let journal = Journal::default();
        let failing =
            ChildSpec::<Worker>::try_new("bad", || Err::<Init<Worker>, _>("no such port"));
        let error = SupervisorSpec::new(Strategy::OneForOne)
            .child(Worker::spec("a", &journal))
            .child(Worker::spec("b", &journal))
            .child(failing)
            .start("root")
            .await
            .expect_err("a child does not start");
        assert_eq!(
            error,
            StartError::Exited(ExitReason::error(
                "child `bad` did not start: error: no such port"
            ))
        );
        assert_eq!(
            journal.take(),
            [
                "a started",
                "b started",
                "b stopped",
                "b dropped",
                "a stopped",
                "a dropped"
            ]
        );
    });
}

#[test]
fn a_restart_that_fails_is_tried_again_and_the_supervisor_answers_in_between() {
    paused(async {
        let attempts = Arc::new(AtomicUsize::new(0));
        let factory = {
            let attempts = Arc::clone(&attempts);
            move || match attempts.fetch_add(1, Ordering::SeqCst) {
                1..=3 => Err("not yet"),
                _ => Ok(Init::Run(Worker::new("a", &Journal::default()))),
            }
        };
        let spec = ChildSpec::try_new("a", factory);
        let a_ref = spec.child_ref();
        let root = start(
            SupervisorSpec::new(Strategy::OneForOne)
                .intensity(Intensity::new(10, Duration::from_secs(5)))
                .child(spec),
        )
        .await;
        let _ = a_ref.call(Panic).await;
        assert!(a_ref.wait_until_running(1).await > 1);
        assert_eq!(attempts.load(Ordering::SeqCst), 5);
        assert_eq!(root.count_children().await.active, 1);
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_ignores_its_stop_is_killed_after_its_timeout() {
    paused(async {
        let journal = Journal::default();
        let spec =
            Worker::stubborn("a", &journal).shutdown(Shutdown::Timeout(Duration::from_millis(300)));
        let down = spec.child_ref();
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(spec)).await;
        let down = down.monitor();
        let before = tokio::time::Instant::now();
        root.shutdown().await;
        assert_eq!(before.elapsed(), Duration::from_millis(300));
        assert_eq!(down.await.reason, ExitReason::Killed);
        assert_eq!(journal.take(), ["a started", "a dropped"]);
    });
}

#[test]
fn a_brutal_kill_runs_no_hook() {
    paused(async {
        let journal = Journal::default();
        let spec = Worker::spec("a", &journal).shutdown(Shutdown::Kill);
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(spec)).await;
        root.shutdown().await;
        assert_eq!(journal.take(), ["a started", "a dropped"]);
    });
}

#[test]
fn a_nested_supervisor_that_gives_up_is_restarted_with_its_children() {
    paused(async {
        let journal = Journal::default();
        let leaf = Worker::spec("leaf", &journal);
        let leaf_ref = leaf.child_ref();
        let nested = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(Intensity::new(0, Duration::from_secs(5)))
            .child(leaf);
        let root = start(
            SupervisorSpec::new(Strategy::OneForOne).child(ChildSpec::supervisor("nested", nested)),
        )
        .await;
        crash(&leaf_ref).await;
        assert_eq!(leaf_ref.call(Ping).await, Ok("leaf"));
        assert_eq!(
            root.tree().await.to_string(),
            "root (Supervisor): running, incarnation 1\n  \
             nested (Supervisor): running, incarnation 2\n    \
             leaf (Worker): running, incarnation 2\n"
        );
        root.shutdown().await;
    });
}

#[test]
fn a_killed_supervisor_takes_its_children_along() {
    paused(async {
        let journal = Journal::default();
        let root =
            start(SupervisorSpec::new(Strategy::OneForOne).child(Worker::spec("a", &journal)))
                .await;
        assert_eq!(root.kill().await, ExitReason::Killed);
        settle().await;
        assert_eq!(journal.take(), ["a started", "a dropped"]);
    });
}

#[test]
fn a_killed_nested_supervisor_comes_back_with_one_incarnation_of_each_child() {
    paused(async {
        let journal = Journal::default();
        let leaf = Worker::spec("leaf", &journal);
        let leaf_ref = leaf.child_ref();
        let nested = ChildSpec::supervisor(
            "nested",
            SupervisorSpec::new(Strategy::OneForOne).child(leaf),
        );
        let nested_ref = nested.child_ref();
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(nested)).await;
        nested_ref.kill().await;
        leaf_ref.wait_until_running(1).await;
        assert_eq!(
            journal.take(),
            ["leaf started", "leaf dropped", "leaf started"]
        );
        root.shutdown().await;
    });
}

#[test]
fn children_are_added_terminated_restarted_and_deleted_at_runtime() {
    paused(async {
        let journal = Journal::default();
        let root = start(SupervisorSpec::new(Strategy::OneForOne)).await;
        let child = root
            .start_child(Worker::spec("a", &journal))
            .await
            .expect("starts");
        assert_eq!(
            root.start_child(Worker::spec("a", &journal))
                .await
                .map(drop),
            Err(StartChildError::AlreadyStarted("a".into()))
        );
        root.terminate_child("a").await.expect("ends");
        assert!(!child.is_running());
        assert_eq!(
            root.start_child(Worker::spec("a", &journal))
                .await
                .map(drop),
            Err(StartChildError::AlreadyPresent("a".into()))
        );
        root.restart_child("a").await.expect("starts again");
        assert_eq!(child.call(Ping).await, Ok("a"));
        root.terminate_child("a").await.expect("ends");
        root.delete_child("a").await.expect("is forgotten");
        assert_eq!(root.count_children().await.specs, 0);
        root.shutdown().await;
    });
}

#[test]
fn a_call_says_why_it_failed_and_hands_the_message_back_where_it_can() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).restart(Restart::Temporary);
        let child = spec.child_ref();
        assert_eq!(
            child
                .call(Ping)
                .await
                .map_err(|e| e.into_message().is_some()),
            Err(true)
        );
        assert!(matches!(child.cast(Ping), Err(CastError::NotRunning(Ping))));
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(spec)).await;
        assert_eq!(child.call(LoseReply).await, Err(CallError::NoReply));
        let queued = child.call(Panic);
        let behind = child.call(ExitWith(ExitReason::Normal));
        let (first, second) = tokio::join!(queued, behind);
        let died = ExitReason::Panicked("told to panic".into());
        assert_eq!(first, Err(CallError::Died(died.clone())));
        assert!(matches!(second, Err(CallError::Died(reason)) if reason == died));
        root.shutdown().await;
    });
}

#[test]
fn a_monitor_reports_once_with_reason_and_incarnation() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default());
        let child = spec.child_ref();
        assert_eq!(child.monitor().await.reason, ExitReason::NotRunning);
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(spec)).await;
        let monitor = child.monitor();
        assert_eq!(child.stop().await, ExitReason::Normal);
        let down = monitor.await;
        assert_eq!((down.incarnation, down.reason), (1, ExitReason::Normal));
        child.wait_until_running(1).await;
        root.shutdown().await;
    });
}

/// Panics in whichever hook it is told to.
struct Fragile(&'static str);

impl Actor for Fragile {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.0 {
            "started" => panic!("in started"),
            "interval" => {
                ctx.run_interval(Duration::from_millis(10), |_, _| panic!("in interval"));
            }
            "spawned" => {
                let later = async {
                    tokio::task::yield_now().await;
                    panic!("in spawned")
                };
                ctx.spawn(later.into_actor(self));
            }
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.0 == "stopping" {
            panic!("in stopping");
        }
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if self.0 == "stopped" {
            panic!("in stopped");
        }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        if self.0 == "drop" {
            panic!("in drop");
        }
    }
}

#[test]
fn a_panic_in_any_hook_costs_that_actor_only() {
    paused(async {
        let healthy = Worker::spec("healthy", &Journal::default());
        let healthy_ref = healthy.child_ref();
        let root = start(SupervisorSpec::new(Strategy::OneForOne).child(healthy)).await;
        let error = root
            .start_child(ChildSpec::new("started", || Fragile("started")))
            .await;
        assert_eq!(
            error.map(drop),
            Err(StartChildError::Start {
                id: "started".into(),
                error: StartError::Exited(ExitReason::Panicked("in started".into()))
            })
        );
        for hook in ["interval", "spawned", "stopping", "stopped", "drop"] {
            let spec = ChildSpec::new(hook, move || Fragile(hook)).restart(Restart::Temporary);
            let child = root.start_child(spec).await.expect(hook);
            let down = child.monitor();
            tokio::time::sleep(Duration::from_millis(25)).await;
            child.stop().await;
            let reason = down.await.reason;
            let panicked = ExitReason::Panicked(format!("in {hook}").into());
            // A panic while the actor is dropped comes after its orderly stop and changes its reason no more.
            let expected = if hook == "drop" {
                ExitReason::Normal
            } else {
                panicked
            };
            assert_eq!(reason, expected);
        }
        settle().await;
        assert_eq!(root.count_children().await.specs, 1);
        assert_eq!(healthy_ref.call(Ping).await, Ok("healthy"));
        assert_eq!(healthy_ref.incarnation(), Some(1));
        root.shutdown().await;
    });
}

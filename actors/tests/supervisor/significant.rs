//! Significant children: which exits end the supervisor, by its auto-shutdown.

use actix_otp::{
    AutoShutdown, ChildRef, ChildSpec, ExitReason, Restart, Strategy, SupervisorRef, SupervisorSpec,
};

use crate::{
    cast::{Act, exit_and_settle, panic_and_settle, scripted, start, supervisor, which, workers},
    support::{Journal, Worker, paused, settle},
};

const AUTO: [AutoShutdown; 3] = [
    AutoShutdown::Never,
    AutoShutdown::AnySignificant,
    AutoShutdown::AllSignificant,
];

fn significant(name: &'static str, restart: Restart) -> ChildSpec<Worker> {
    Worker::spec(name, &Journal::default())
        .restart(restart)
        .significant(true)
}

/// Two significant children of this type, and one that is not significant.
async fn trio(auto: AutoShutdown, restart: Restart) -> (SupervisorRef, [ChildRef<Worker>; 3]) {
    let (a, b) = (significant("a", restart), significant("b", restart));
    let plain = Worker::spec("plain", &Journal::default());
    let handles = [a.child_ref(), b.child_ref(), plain.child_ref()];
    let spec = supervisor(Strategy::OneForOne, 5).auto_shutdown(auto);
    let root = start(spec.child(a).child(b).child(plain)).await;
    (root, handles)
}

async fn kill_and_settle(child: &ChildRef<Worker>) {
    child.kill().await;
    settle().await;
}

#[test]
fn a_temporary_child_that_is_not_significant_never_ends_its_supervisor() {
    paused(async {
        for auto in AUTO {
            let root = start(supervisor(Strategy::OneForOne, 5).auto_shutdown(auto)).await;
            let fresh = async || {
                let spec = Worker::spec("a", &Journal::default()).restart(Restart::Temporary);
                root.start_child(spec).await.expect("the id is free")
            };
            fresh().await;
            root.terminate_child("a").await.expect("ends");
            kill_and_settle(&fresh().await).await;
            exit_and_settle(&fresh().await, ExitReason::error("x")).await;
            exit_and_settle(&fresh().await, ExitReason::Normal).await;
            assert!(root.is_running(), "{auto:?}");
            root.shutdown().await;
        }
    });
}

#[test]
fn a_transient_child_that_is_not_significant_never_ends_its_supervisor() {
    paused(async {
        for auto in AUTO {
            let spec = Worker::spec("a", &Journal::default()).restart(Restart::Transient);
            let child = spec.child_ref();
            let tree = supervisor(Strategy::OneForOne, 5).auto_shutdown(auto);
            let root = start(tree.child(spec)).await;
            root.terminate_child("a").await.expect("ends");
            root.restart_child("a").await.expect("starts");
            kill_and_settle(&child).await;
            exit_and_settle(&child, ExitReason::error("x")).await;
            assert_eq!(which(&root).await, ["a:4"]);
            exit_and_settle(&child, ExitReason::Normal).await;
            assert_eq!(which(&root).await, ["a:stopped"], "{auto:?}");
            root.shutdown().await;
        }
    });
}

#[test]
fn terminating_a_significant_child_on_request_ends_nobody_else() {
    paused(async {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for restart in [Restart::Temporary, Restart::Transient] {
                let (root, _) = trio(auto, restart).await;
                root.terminate_child("a").await.expect("ends");
                // Not even when it is the last one.
                root.terminate_child("b").await.expect("ends");
                settle().await;
                assert!(root.is_running(), "{auto:?}, {restart:?}");
                root.shutdown().await;
            }
        }
    });
}

#[test]
fn any_exit_of_a_significant_temporary_child_ends_a_supervisor_that_waits_for_any() {
    paused(async {
        for how in [
            ExitReason::Killed,
            ExitReason::error("x"),
            ExitReason::Normal,
        ] {
            let (root, [a, b, plain]) =
                trio(AutoShutdown::AnySignificant, Restart::Temporary).await;
            let downs = (root.monitor(), b.monitor(), plain.monitor());
            if how == ExitReason::Killed {
                kill_and_settle(&a).await;
            } else {
                exit_and_settle(&a, how).await;
            }
            assert_eq!(downs.0.await.reason, ExitReason::Shutdown);
            assert_eq!(downs.1.await.reason, ExitReason::Shutdown);
            assert_eq!(downs.2.await.reason, ExitReason::Shutdown);
        }
    });
}

#[test]
fn a_significant_transient_child_ends_its_supervisor_only_when_it_ends_well() {
    paused(async {
        for how in [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("done"),
        ] {
            let (root, [a, b, plain]) =
                trio(AutoShutdown::AnySignificant, Restart::Transient).await;
            kill_and_settle(&a).await;
            exit_and_settle(&a, ExitReason::error("x")).await;
            panic_and_settle(&a).await;
            assert_eq!(which(&root).await, ["a:4", "b:1", "plain:1"]);
            exit_and_settle(&a, how).await;
            assert!(!root.is_running());
            assert!(!b.is_running() && !plain.is_running());
        }
    });
}

#[test]
fn the_last_significant_child_ends_a_supervisor_that_waits_for_all() {
    paused(async {
        for restart in [Restart::Temporary, Restart::Transient] {
            let (root, [a, b, plain]) = trio(AutoShutdown::AllSignificant, restart).await;
            exit_and_settle(&a, ExitReason::Normal).await;
            assert!(root.is_running() && plain.is_running());
            exit_and_settle(&b, ExitReason::Normal).await;
            assert!(!root.is_running(), "{restart:?}");
            assert!(!plain.is_running());
        }
    });
}

#[test]
fn a_significant_child_that_was_terminated_on_request_is_not_waited_for() {
    paused(async {
        let (root, [_, b, _]) = trio(AutoShutdown::AllSignificant, Restart::Transient).await;
        root.terminate_child("a").await.expect("ends");
        exit_and_settle(&b, ExitReason::Normal).await;
        assert!(!root.is_running());
    });
}

#[test]
fn a_significant_child_that_is_being_restarted_is_waited_for() {
    paused(async {
        let switch = crate::cast::Switch::default();
        let failing = switch
            .slow_spec("a", &Journal::default())
            .restart(Restart::Transient)
            .significant(true);
        let failing_ref = failing.child_ref();
        let other = significant("b", Restart::Transient);
        let other_ref = other.child_ref();
        let spec = supervisor(Strategy::OneForOne, 100).auto_shutdown(AutoShutdown::AllSignificant);
        let root = start(spec.child(failing).child(other)).await;
        switch.fail(true);
        let _ = failing_ref.call(crate::support::Panic).await;
        exit_and_settle(&other_ref, ExitReason::Normal).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(which(&root).await, ["a:restarting", "b:stopped"]);
        root.shutdown().await;
    });
}

#[test]
fn significant_bystanders_of_a_group_restart_end_nobody() {
    paused(async {
        for (strategy, expected) in [
            (Strategy::OneForOne, ["a:1", "b:2", "c:1"]),
            (Strategy::OneForAll, ["a:2", "b:2", "c:2"]),
            (Strategy::RestForOne, ["a:1", "b:2", "c:2"]),
        ] {
            for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
                let b = Worker::spec("b", &Journal::default()).restart(Restart::Transient);
                let b_ref = b.child_ref();
                let spec = supervisor(strategy, 5).auto_shutdown(auto);
                let spec = spec
                    .child(significant("a", Restart::Transient))
                    .child(b)
                    .child(significant("c", Restart::Transient));
                let root = start(spec).await;
                kill_and_settle(&b_ref).await;
                assert_eq!(which(&root).await, expected, "{strategy:?}, {auto:?}");
                root.shutdown().await;
            }
        }
    });
}

#[test]
fn a_significant_temporary_bystander_is_gone_and_ends_nobody() {
    paused(async {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            let spec = supervisor(Strategy::OneForAll, 5).auto_shutdown(auto);
            let (spec, [a]) = workers(spec, &Journal::default(), ["a"]);
            let root = start(spec.child(significant("b", Restart::Temporary))).await;
            panic_and_settle(&a).await;
            assert_eq!(which(&root).await, ["a:2"], "{auto:?}");
            root.shutdown().await;
        }
    });
}

#[test]
fn a_restart_at_which_a_significant_child_declines_ends_nobody() {
    paused(async {
        let spec = scripted("a", &Journal::default(), &[Act::Run, Act::Ignore])
            .restart(Restart::Transient)
            .significant(true);
        let child = spec.child_ref();
        let tree = supervisor(Strategy::OneForOne, 5).auto_shutdown(AutoShutdown::AnySignificant);
        let root = start(tree.child(spec)).await;
        panic_and_settle(&child).await;
        assert_eq!(which(&root).await, ["a:stopped"]);
        root.shutdown().await;
    });
}

/// A supervisor of one significant worker, itself significant or not, under one that waits for any.
async fn nested(significant_inner: bool) -> (SupervisorRef, SupervisorRef, ChildRef<Worker>) {
    let leaf = significant("leaf", Restart::Transient);
    let leaf_ref = leaf.child_ref();
    let waits = |spec: SupervisorSpec| spec.auto_shutdown(AutoShutdown::AnySignificant);
    let inner = ChildSpec::supervisor(
        "inner",
        waits(supervisor(Strategy::OneForOne, 5)).child(leaf),
    )
    .restart(Restart::Transient)
    .significant(significant_inner);
    let inner_ref = inner.child_ref();
    let root = start(waits(supervisor(Strategy::OneForOne, 5)).child(inner)).await;
    (root, inner_ref, leaf_ref)
}

#[test]
fn an_auto_shutdown_goes_up_the_tree_as_far_as_supervisors_are_significant() {
    paused(async {
        let (root, inner, leaf) = nested(true).await;
        exit_and_settle(&leaf, ExitReason::Normal).await;
        assert!(!inner.is_running() && !root.is_running());

        let (root, inner, leaf) = nested(false).await;
        exit_and_settle(&leaf, ExitReason::Normal).await;
        assert!(!inner.is_running() && root.is_running());
        assert_eq!(which(&root).await, ["inner:stopped"]);
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
    });
}

#[test]
fn a_permanent_supervisor_that_shut_itself_down_is_started_again() {
    paused(async {
        let leaf = significant("leaf", Restart::Temporary);
        let leaf_ref = leaf.child_ref();
        let inner = supervisor(Strategy::OneForOne, 5).auto_shutdown(AutoShutdown::AnySignificant);
        let inner = ChildSpec::supervisor("inner", inner.child(leaf));
        let root = start(supervisor(Strategy::OneForOne, 5).child(inner)).await;
        exit_and_settle(&leaf_ref, ExitReason::Normal).await;
        assert_eq!(which(&root).await, ["inner:2"]);
        assert_eq!(leaf_ref.incarnation(), Some(2));
        root.shutdown().await;
    });
}

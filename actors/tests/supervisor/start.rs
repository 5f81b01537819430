//! Starting: order, rollback, children that fail or decline, and what the caller learns.

use actix_otp::{
    BadSpec, ChildSpec, ExitReason, Init, Restart, RestartChildError, StartChildError, StartError,
    Strategy, SupervisorSpec,
};

use crate::{
    cast::{Act, counts, failed, scripted, start, supervisor, which, workers},
    support::{Journal, Ping, Worker, paused},
};

#[test]
fn an_empty_supervisor_starts_and_ends_with_shutdown() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 2)).await;
        assert_eq!(counts(&root).await, [0; 4]);
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert!(!root.is_running());
    });
}

#[test]
fn children_start_in_order_and_stop_in_reverse_order() {
    paused(async {
        let journal = Journal::default();
        let (spec, _) = workers(supervisor(Strategy::OneForOne, 1), &journal, ["a", "b"]);
        let root = start(spec).await;
        assert_eq!(journal.take(), ["a started", "b started"]);
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert_eq!(
            journal.take(),
            ["b stopped", "b dropped", "a stopped", "a dropped"]
        );
    });
}

#[test]
fn a_failed_start_stops_the_children_before_it_in_reverse_order_and_starts_none_after_it() {
    paused(async {
        let journal = Journal::default();
        let (spec, _) = workers(supervisor(Strategy::OneForOne, 9), &journal, ["a", "b"]);
        let spec = spec
            .child(scripted("bad", &journal, &[Act::Fail]))
            .child(Worker::spec("z", &journal));
        let error = spec
            .start("root")
            .await
            .expect_err("a child does not start");
        assert_eq!(
            error,
            failed("child `bad` did not start: error: scripted to fail")
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
fn the_start_error_of_a_tree_names_the_path_to_the_child_and_its_cause() {
    paused(async {
        let journal = Journal::default();
        let inner =
            supervisor(Strategy::OneForOne, 1).child(scripted("leaf", &journal, &[Act::Fail]));
        let error = supervisor(Strategy::OneForOne, 1)
            .child(ChildSpec::supervisor("inner", inner))
            .start("root")
            .await
            .expect_err("a leaf does not start");
        assert_eq!(
            error.to_string(),
            "error: child `inner` did not start: error: child `leaf` did not start: error: scripted to fail"
        );
    });
}

#[test]
fn a_child_added_later_that_declines_to_start_is_kept_not_running() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        let declined = root
            .start_child(scripted("a", &journal, &[Act::Ignore]))
            .await
            .expect("declining is no error");
        assert!(!declined.is_running());
        root.start_child(Worker::spec("b", &journal))
            .await
            .expect("starts");
        assert_eq!(which(&root).await, ["a:stopped", "b:1"]);
        assert_eq!(counts(&root).await, [2, 1, 0, 2]);
        root.restart_child("a")
            .await
            .expect("its second start runs");
        assert_eq!(declined.call(Ping).await, Ok("a"));
        root.shutdown().await;
    });
}

#[test]
fn a_first_child_that_declines_to_start_is_kept_unless_it_is_temporary() {
    paused(async {
        for (restart, expected) in [
            (Restart::Permanent, vec!["a:stopped", "b:1"]),
            (Restart::Transient, vec!["a:stopped", "b:1"]),
            (Restart::Temporary, vec!["b:1"]),
        ] {
            let journal = Journal::default();
            let ignoring = scripted("a", &journal, &[Act::Ignore]).restart(restart);
            let healthy = Worker::spec("b", &journal).restart(restart);
            let spec = supervisor(Strategy::OneForOne, 1);
            let root = start(spec.child(ignoring).child(healthy)).await;
            assert_eq!(which(&root).await, expected, "{restart:?}");
            let specs = expected.len();
            assert_eq!(counts(&root).await, [specs, 1, 0, specs]);
            root.shutdown().await;
        }
    });
}

#[test]
fn a_temporary_child_added_later_that_declines_to_start_is_not_kept() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        for (name, act) in [("a", Act::Ignore), ("b", Act::Run)] {
            let spec = scripted(name, &journal, &[act]).restart(Restart::Temporary);
            root.start_child(spec).await.expect("no error");
        }
        assert_eq!(which(&root).await, ["b:1"]);
        assert_eq!(counts(&root).await, [1, 1, 0, 1]);
        root.shutdown().await;
    });
}

#[test]
fn a_child_whose_first_start_fails_is_not_kept_and_the_supervisor_lives_on() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 0)).await;
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let spec = scripted("a", &journal, &[Act::Fail]).restart(restart);
            assert_eq!(
                root.start_child(spec).await.map(drop),
                Err(StartChildError::Start {
                    id: "a".into(),
                    error: failed("scripted to fail")
                })
            );
            assert!(which(&root).await.is_empty());
        }
        // None of these failures was charged: there is no room for even one restart.
        assert!(root.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_failed_restart_on_request_is_reported_not_retried_and_keeps_the_child() {
    paused(async {
        let journal = Journal::default();
        let spec = scripted("a", &journal, &[Act::Run, Act::Fail]);
        let root = start(supervisor(Strategy::OneForOne, 0).child(spec)).await;
        root.terminate_child("a").await.expect("ends");
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::Start {
                id: "a".into(),
                error: failed("scripted to fail")
            })
        );
        assert_eq!(which(&root).await, ["a:stopped"]);
        root.restart_child("a").await.expect("the third start runs");
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_whose_factory_declines_is_a_child_that_does_not_run() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        let declining = ChildSpec::try_supervisor("inner", || {
            Ok::<Init<SupervisorSpec>, ExitReason>(Init::Ignore)
        });
        let inner = root.start_child(declining).await.expect("no error");
        assert!(!inner.is_running());
        assert_eq!(counts(&root).await, [1, 0, 1, 0]);
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_whose_factory_fails_or_panics_does_not_start() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 0)).await;
        let failing =
            ChildSpec::try_supervisor("inner", || Err::<Init<SupervisorSpec>, _>("no settings"));
        let panicking = ChildSpec::try_supervisor("inner", || -> Result<_, ExitReason> {
            panic!("broken settings")
        });
        for (spec, error) in [
            (failing, failed("no settings")),
            (
                panicking,
                StartError::Exited(ExitReason::Panicked("broken settings".into())),
            ),
        ] {
            assert_eq!(
                root.start_child(spec).await.map(drop),
                Err(StartChildError::Start {
                    id: "inner".into(),
                    error
                })
            );
        }
        assert_eq!(counts(&root).await, [0; 4]);
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_made_by_a_factory_runs_the_children_of_its_spec() {
    paused(async {
        let journal = Journal::default();
        let nested = ChildSpec::try_supervisor("inner", {
            let journal = journal.clone();
            move || {
                let spec = supervisor(Strategy::OneForOne, 1).child(Worker::spec("leaf", &journal));
                Ok::<_, ExitReason>(Init::Run(spec))
            }
        });
        let inner = nested.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(nested)).await;
        inner.kill().await;
        inner.wait_until_running(1).await;
        assert_eq!(which(&inner).await, ["leaf:1"]);
        root.shutdown().await;
    });
}

#[test]
fn a_bad_spec_is_refused_before_any_child_is_started() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForOne, 1)
            .child(Worker::spec("a", &journal))
            .child(Worker::spec("a", &journal));
        assert_eq!(
            spec.clone().start("root").await.map(drop),
            Err(StartError::BadSpec(BadSpec::DuplicateId("a".into())))
        );
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        assert_eq!(
            root.start_child(ChildSpec::supervisor("inner", spec))
                .await
                .map(drop),
            Err(StartChildError::Start {
                id: "inner".into(),
                error: StartError::BadSpec(BadSpec::DuplicateId("a".into()))
            })
        );
        assert!(journal.take().is_empty());
        root.shutdown().await;
    });
}

#[test]
fn a_child_does_not_run_twice_in_trees_made_from_clones_of_one_spec() {
    paused(async {
        let journal = Journal::default();
        let (spec, [child]) = workers(supervisor(Strategy::OneForOne, 1), &journal, ["a"]);
        let first = start(spec.clone()).await;
        let second = spec.clone().start("second").await.map(drop);
        let error = failed("child `a` did not start: its previous incarnation has not ended yet");
        assert_eq!(second, Err(error));
        assert_eq!(child.incarnation(), Some(1));
        first.shutdown().await;
        start(spec).await.shutdown().await;
    });
}

#[test]
fn a_failing_start_is_charged_to_no_budget() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        for _ in 0..3 {
            let _ = root
                .start_child(scripted("bad", &journal, &[Act::Fail]))
                .await;
        }
        let child = root
            .start_child(Worker::spec("a", &journal))
            .await
            .expect("starts");
        crate::support::crash(&child).await;
        assert_eq!(child.incarnation(), Some(2));
        root.shutdown().await;
    });
}

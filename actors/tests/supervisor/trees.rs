//! Trees: escalation, what survives the restart of a nested supervisor, and what a kill in the middle leaves behind.

use std::time::Duration;

use actix_otp::{
    ChildRef, ChildSpec, ChildState, ExitReason, Init, Intensity, Restart, Shutdown, Strategy,
    Supervisor, SupervisorSpec,
};

use futures_util::FutureExt;

use crate::{
    cast::{
        Act, Gate, Switch, counts, exit_and_settle, live, panic_and_settle, scripted, start,
        supervisor, which, workers,
    },
    support::{Journal, Panic, Ping, Worker, crash, paused, settle},
};

#[test]
fn a_nested_supervisor_that_gives_up_is_restarted_with_its_children() {
    paused(async {
        let (spec, [leaf]) = workers(
            supervisor(Strategy::OneForOne, 0),
            &Journal::default(),
            ["leaf"],
        );
        let nested = ChildSpec::supervisor("nested", spec);
        let root = start(supervisor(Strategy::OneForOne, 3).child(nested)).await;
        crash(&leaf).await;
        assert_eq!(leaf.call(Ping).await, Ok("leaf"));
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
fn a_transient_supervisor_that_gives_up_counts_as_ended_well() {
    paused(async {
        let (spec, [leaf]) = workers(
            supervisor(Strategy::OneForOne, 0),
            &Journal::default(),
            ["leaf"],
        );
        let nested = ChildSpec::supervisor("nested", spec).restart(Restart::Transient);
        let root = start(supervisor(Strategy::OneForOne, 3).child(nested)).await;
        panic_and_settle(&leaf).await;
        assert_eq!(which(&root).await, ["nested:stopped"]);
        assert!(!leaf.is_running());
        assert_eq!(
            root.tree().await.to_string(),
            "root (Supervisor): running, incarnation 1\n  nested (Supervisor): stopped\n"
        );
        root.shutdown().await;
    });
}

#[test]
fn giving_up_goes_up_the_tree_until_somebody_has_restarts_left() {
    paused(async {
        let (spec, [leaf]) = workers(
            supervisor(Strategy::OneForOne, 0),
            &Journal::default(),
            ["leaf"],
        );
        let middle = supervisor(Strategy::OneForOne, 0).child(ChildSpec::supervisor("lower", spec));
        let top = supervisor(Strategy::OneForOne, 1).child(ChildSpec::supervisor("upper", middle));
        let root = start(top).await;
        panic_and_settle(&leaf).await;
        assert_eq!(leaf.incarnation(), Some(2));
        assert_eq!(which(&root).await, ["upper:2"]);
        panic_and_settle(&leaf).await;
        assert!(!root.is_running() && !leaf.is_running());
    });
}

#[test]
fn a_restarted_supervisor_has_its_first_children_again_and_none_that_were_added() {
    paused(async {
        let journal = Journal::default();
        let (first, [one, two]) =
            workers(supervisor(Strategy::OneForOne, 4), &journal, ["one", "two"]);
        let root = start(supervisor(Strategy::OneForAll, 4)).await;
        let nest = async |id: &str, spec: SupervisorSpec, restart| {
            let spec = ChildSpec::supervisor(id, spec).restart(restart);
            root.start_child(spec).await.expect("starts")
        };
        let sup1 = nest("sup1", first, Restart::Permanent).await;
        let empty = || supervisor(Strategy::OneForOne, 4);
        let sup2 = nest("sup2", empty(), Restart::Permanent).await;
        let sup3 = nest("sup3", empty(), Restart::Transient).await;
        root.terminate_child("sup3").await.expect("ends");
        assert_eq!(counts(&root).await, [3, 2, 3, 0]);
        assert_eq!(counts(&sup1).await, [2, 2, 0, 2]);
        assert_eq!(counts(&sup2).await, [0; 4]);

        let switch = Switch::default();
        let failing = sup2
            .start_child(switch.spec("three", &journal))
            .await
            .expect("starts");
        let healthy = sup2
            .start_child(Worker::spec("four", &journal))
            .await
            .expect("starts");
        crash(&healthy).await;
        assert_eq!(which(&sup2).await, ["three:1", "four:2"]);
        assert_eq!((one.incarnation(), two.incarnation()), (Some(1), Some(1)));

        // The restarts of `three` fail until its supervisor gives up; that one's restart takes the whole group along.
        switch.fail(true);
        panic_and_settle(&failing).await;
        assert_eq!(which(&root).await, ["sup1:2", "sup2:2", "sup3:2"]);
        assert_eq!(counts(&root).await, [3, 3, 3, 0]);
        assert_eq!(which(&sup1).await, ["one:2", "two:2"]);
        assert!(which(&sup2).await.is_empty() && which(&sup3).await.is_empty());
        assert!(!healthy.is_running() && !failing.is_running());
        root.shutdown().await;
    });
}

/// A top and a middle supervisor, and one worker below.
async fn three_levels(
    journal: &Journal,
) -> (
    actix_otp::SupervisorRef,
    ChildRef<Supervisor>,
    ChildRef<Worker>,
) {
    let minute = Intensity::new(3, Duration::from_secs(60));
    let spec = SupervisorSpec::new(Strategy::OneForAll).intensity(minute);
    let (middle, [worker]) = workers(spec.clone(), journal, ["worker"]);
    let middle =
        ChildSpec::supervisor("middle", middle).shutdown(Shutdown::Timeout(Duration::from_secs(2)));
    let middle_ref = middle.child_ref();
    (start(spec.child(middle)).await, middle_ref, worker)
}

#[test]
fn a_worker_comes_back_whatever_ends_it_or_its_supervisor() {
    paused(async {
        let journal = Journal::default();
        let (root, middle, worker) = three_levels(&journal).await;
        middle.kill().await;
        worker.wait_until_running(1).await;
        worker.kill().await;
        worker.wait_until_running(2).await;
        crash(&worker).await;
        assert_eq!(middle.incarnation(), Some(2));
        middle.terminate_child("worker").await.expect("ends");
        middle.restart_child("worker").await.expect("starts");
        assert_eq!(worker.call(Ping).await, Ok("worker"));
        assert_eq!(worker.incarnation(), Some(5));
        root.shutdown().await;
    });
}

#[test]
fn a_killed_root_leaves_nothing_behind() {
    paused(async {
        let journal = Journal::default();
        let (root, middle, worker) = three_levels(&journal).await;
        assert_eq!(root.kill().await, ExitReason::Killed);
        settle().await;
        assert!(!middle.is_running() && !worker.is_running());
        assert_eq!(journal.take(), ["worker started", "worker dropped"]);
    });
}

#[test]
fn a_killed_nested_supervisor_comes_back_with_one_incarnation_of_each_child() {
    paused(async {
        let journal = Journal::default();
        let (root, middle, worker) = three_levels(&journal).await;
        middle.kill().await;
        worker.wait_until_running(1).await;
        settle().await;
        assert_eq!(
            journal.take(),
            ["worker started", "worker dropped", "worker started"]
        );
        root.shutdown().await;
    });
}

#[test]
fn a_nested_supervisor_that_is_shut_down_from_outside_follows_its_restart_type() {
    paused(async {
        for (restart, expected) in [
            (Restart::Permanent, vec!["nested:2"]),
            (Restart::Transient, vec!["nested:stopped"]),
            (Restart::Temporary, vec![]),
        ] {
            let nested = ChildSpec::supervisor("nested", supervisor(Strategy::OneForOne, 1));
            let nested = nested.restart(restart);
            let handle = nested.child_ref();
            let root = start(supervisor(Strategy::OneForOne, 1).child(nested)).await;
            assert_eq!(handle.shutdown().await, ExitReason::Shutdown);
            settle().await;
            assert_eq!(which(&root).await, expected);
            root.shutdown().await;
        }
    });
}

#[test]
fn the_restart_of_a_nested_supervisor_that_does_not_come_up_is_tried_again() {
    paused(async {
        let journal = Journal::default();
        let script = [Act::Run, Act::Fail, Act::Fail];
        let leaf = scripted("leaf", &journal, &script);
        let leaf_ref = leaf.child_ref();
        let nested =
            ChildSpec::supervisor("nested", supervisor(Strategy::OneForOne, 0).child(leaf));
        let root = start(supervisor(Strategy::OneForOne, 3).child(nested)).await;
        panic_and_settle(&leaf_ref).await;
        assert_eq!(leaf_ref.call(Ping).await, Ok("leaf"));
        assert_eq!(which(&root).await, ["nested:4"]);
        root.shutdown().await;
    });
}

/// A nested supervisor of a gated child between two workers, and the root above it.
struct Gated {
    root: actix_otp::SupervisorRef,
    nested: ChildRef<Supervisor>,
    first: ChildRef<Worker>,
    last: ChildRef<Worker>,
    gate: Gate,
}

impl Gated {
    async fn start(strategy: Strategy, journal: &Journal) -> Self {
        let mut gate = Gate::new(journal);
        let (first, last) = (
            Worker::spec("first", journal),
            Worker::spec("last", journal),
        );
        let (first_ref, last_ref) = (first.child_ref(), last.child_ref());
        let spec = supervisor(strategy, 9)
            .child(first)
            .child(gate.spec("gated"))
            .child(last);
        let nested = ChildSpec::supervisor("nested", spec);
        let nested_ref = nested.child_ref();
        let root = supervisor(Strategy::OneForOne, 9).child(nested);
        let (root, ()) = tokio::join!(start(root), async {
            gate.next("gated").await.admit();
        });
        Self {
            root,
            nested: nested_ref,
            first: first_ref,
            last: last_ref,
            gate,
        }
    }
}

#[test]
fn a_supervisor_killed_in_the_middle_of_a_restart_leaves_no_orphan() {
    paused(async {
        for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
            let journal = Journal::default();
            let mut tree = Gated::start(strategy, &journal).await;
            tree.first.cast(Panic).expect("running");
            // `first` runs again, `gated` is being started, `last` waits for its turn.
            let pending = tree.gate.next("gated").await;
            assert_eq!(tree.nested.kill().await, ExitReason::Killed);
            drop(pending);
            tree.gate.next("gated").await.admit();
            tree.last.wait_until_running(1).await;
            settle().await;
            assert_eq!(which(&tree.nested).await, ["first:3", "gated:3", "last:2"]);
            assert_eq!(live(&journal), ["first", "gated", "last"]);
            tree.root.shutdown().await;
            assert!(live(&journal).is_empty());
        }
    });
}

#[test]
fn a_supervisor_killed_in_the_middle_of_its_start_leaves_no_orphan() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let first = Worker::spec("first", &journal);
        let spec = supervisor(Strategy::OneForOne, 9)
            .child(first)
            .child(gate.spec("gated"));
        let nested = ChildSpec::supervisor("nested", spec);
        let nested_ref = nested.child_ref();
        let root = supervisor(Strategy::OneForOne, 9).child(nested);
        let (started, ()) = tokio::join!(root.start("root"), async {
            let pending = gate.next("gated").await;
            assert_eq!(nested_ref.kill().await, ExitReason::Killed);
            drop(pending);
        });
        assert!(started.is_err());
        settle().await;
        assert!(!nested_ref.is_running());
        assert_eq!(
            journal.look(),
            [
                "first started",
                "gated started",
                "gated dropped",
                "first dropped"
            ]
        );
    });
}

#[test]
fn a_supervisor_killed_while_it_stops_its_children_leaves_no_orphan() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForOne, 1)
            .child(Worker::spec("a", &journal))
            .child(Worker::stubborn("b", &journal).shutdown(Shutdown::Infinity));
        let root = start(spec).await;
        let stop = tokio::time::timeout(Duration::from_secs(60), root.shutdown());
        assert!(stop.await.is_err());
        assert_eq!(root.kill().await, ExitReason::Killed);
        settle().await;
        assert!(live(&journal).is_empty());
    });
}

#[test]
fn a_declined_supervisor_can_be_started_later() {
    paused(async {
        let declined = std::sync::atomic::AtomicBool::new(true);
        let spec = ChildSpec::try_supervisor("nested", move || {
            if declined.swap(false, std::sync::atomic::Ordering::SeqCst) {
                return Ok::<_, ExitReason>(Init::Ignore);
            }
            Ok(Init::Run(supervisor(Strategy::OneForOne, 1)))
        });
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        assert_eq!(which(&root).await, ["nested:stopped"]);
        root.restart_child("nested").await.expect("starts");
        assert_eq!(which(&root).await, ["nested:2"]);
        root.shutdown().await;
    });
}

#[test]
fn a_transient_supervisor_stopped_by_request_is_not_restarted() {
    paused(async {
        let (spec, [leaf]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["leaf"],
        );
        let nested = ChildSpec::supervisor("nested", spec).restart(Restart::Transient);
        let handle = nested.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(nested)).await;
        exit_and_settle(&leaf, ExitReason::Normal).await;
        assert_eq!(leaf.incarnation(), Some(2));
        assert_eq!(handle.stop().await, ExitReason::Shutdown);
        settle().await;
        assert_eq!(which(&root).await, ["nested:stopped"]);
        root.shutdown().await;
    });
}

#[test]
fn the_tree_and_the_counts_are_answered_at_once_while_a_start_hangs_further_down() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let inner = supervisor(Strategy::OneForOne, 1)
            .child(Worker::spec("leaf", &journal))
            .child(gate.spec("hangs"));
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        let starting = root.start_child(ChildSpec::supervisor("inner", inner));
        tokio::pin!(starting);
        assert!((&mut starting).now_or_never().is_none());
        let request = gate.next("hangs").await;

        let tree = root.tree().now_or_never().expect("at once");
        assert_eq!(
            tree.to_string(),
            "root (Supervisor): running, incarnation 1\n  \
             inner (Supervisor): starting, incarnation 1\n    \
             leaf (Worker): running, incarnation 1\n    \
             hangs (Gated): starting, incarnation 1\n"
        );
        let counts = root.count_children().now_or_never().expect("at once");
        assert_eq!((counts.specs, counts.supervisors), (1, 1));

        request.admit();
        let inner = starting.await.expect("it starts");
        assert_eq!(which(&inner).await, ["leaf:1", "hangs:1"]);
        root.shutdown().await;
        let tree = root.tree().await;
        assert_eq!((tree.state, tree.child_count), (ChildState::Stopped, 0));
    });
}

#[test]
fn the_tree_is_answered_at_once_while_a_child_takes_its_time_to_stop() {
    paused(async {
        let journal = Journal::default();
        let inner = supervisor(Strategy::OneForOne, 1)
            .child(Worker::stubborn("refuses", &journal))
            .child(Worker::spec("obeys", &journal));
        let inner = ChildSpec::supervisor("inner", inner);
        let root = start(supervisor(Strategy::OneForOne, 1).child(inner)).await;
        let stopping = root.shutdown();
        tokio::pin!(stopping);
        assert!((&mut stopping).now_or_never().is_none());
        settle().await;
        let tree = root.tree().now_or_never().expect("at once");
        assert_eq!(
            tree.to_string(),
            "root (Supervisor): running, incarnation 1\n  \
             inner (Supervisor): running, incarnation 1, 1 waiting\n    \
             refuses (Worker): running, incarnation 1\n    \
             obeys (Worker): stopped\n"
        );
        stopping.await;
    });
}

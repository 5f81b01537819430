//! Intensity: how many restarts within the period are too many, and what a supervisor does then.

use std::time::Duration;

use actix_otp::{CallError, ChildRef, ExitReason, Intensity, Shutdown, Strategy, SupervisorSpec};
use tokio::time::sleep;

use crate::{
    cast::{panic_and_settle, start, supervisor, which, workers},
    support::{Journal, Panic, Worker, crash, paused},
};

#[test]
fn the_restart_after_the_last_allowed_one_ends_the_supervisor_whoever_crashes() {
    paused(async {
        for strategy in [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ] {
            let journal = Journal::default();
            let (spec, [a, b]) = workers(supervisor(strategy, 2), &journal, ["a", "b"]);
            let root = start(spec).await;
            crash(&a).await;
            crash(&b).await;
            assert!(root.is_running());
            let down = root.monitor();
            panic_and_settle(&a).await;
            assert_eq!(down.await.reason, ExitReason::Shutdown, "{strategy:?}");
            assert!(!a.is_running() && !b.is_running());
        }
    });
}

#[test]
fn over_its_intensity_a_supervisor_stops_its_children_in_reverse_order() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForOne, 1);
        let (spec, [a, _, _]) = workers(spec, &journal, ["a", "b", "c"]);
        let root = start(spec).await;
        crash(&a).await;
        let down = root.monitor();
        journal.take();
        assert_eq!(
            a.call(Panic).await,
            Err(CallError::Died(ExitReason::Panicked(
                "told to panic".into()
            )))
        );
        assert_eq!(down.await.reason, ExitReason::Shutdown);
        assert_eq!(
            journal.take(),
            [
                "a dropped",
                "c stopped",
                "c dropped",
                "b stopped",
                "b dropped"
            ]
        );
    });
}

#[test]
fn an_intensity_of_zero_allows_no_restart() {
    paused(async {
        let journal = Journal::default();
        let (spec, [a]) = workers(supervisor(Strategy::OneForOne, 0), &journal, ["a"]);
        let root = start(spec).await;
        panic_and_settle(&a).await;
        assert!(!root.is_running());
        assert_eq!(a.incarnation(), None);
    });
}

/// One restart in five seconds, and a brutal kill so that nothing else takes time.
fn one_in_five(journal: &Journal) -> (SupervisorSpec, ChildRef<Worker>) {
    let child = Worker::spec("a", journal).shutdown(Shutdown::Kill);
    let handle = child.child_ref();
    let spec = SupervisorSpec::new(Strategy::OneForOne)
        .intensity(Intensity::new(1, Duration::from_secs(5)))
        .child(child);
    (spec, handle)
}

#[test]
fn restarts_spread_wider_than_the_period_are_never_too_many() {
    paused(async {
        let (spec, child) = one_in_five(&Journal::default());
        let root = start(spec).await;
        for _ in 0..4 {
            crash(&child).await;
            sleep(Duration::from_millis(5_001)).await;
        }
        assert_eq!(which(&root).await, ["a:5"]);
        root.terminate_child("a").await.expect("ends");
        root.delete_child("a").await.expect("is forgotten");
        root.shutdown().await;
    });
}

#[test]
fn a_restart_exactly_one_period_ago_still_counts() {
    paused(async {
        let (spec, child) = one_in_five(&Journal::default());
        let root = start(spec).await;
        crash(&child).await;
        // The crash itself took no time: the clock stands still while anything can run.
        sleep(Duration::from_secs(5)).await;
        panic_and_settle(&child).await;
        assert!(!root.is_running());
    });
}

#[test]
fn the_budget_is_one_for_all_children_of_a_supervisor() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForOne, 3);
        let (spec, children) = workers(spec, &journal, ["a", "b", "c", "d"]);
        let root = start(spec).await;
        for child in &children[..3] {
            crash(child).await;
        }
        assert_eq!(which(&root).await, ["a:2", "b:2", "c:2", "d:1"]);
        panic_and_settle(&children[3]).await;
        assert!(!root.is_running());
    });
}

#[test]
fn a_group_restart_is_one_charge_however_large_the_group() {
    paused(async {
        let journal = Journal::default();
        let spec = supervisor(Strategy::OneForAll, 2);
        let (spec, [a, b, c]) = workers(spec, &journal, ["a", "b", "c"]);
        let root = start(spec).await;
        panic_and_settle(&a).await;
        panic_and_settle(&c).await;
        assert_eq!(which(&root).await, ["a:3", "b:3", "c:3"]);
        panic_and_settle(&b).await;
        assert!(!root.is_running());
    });
}

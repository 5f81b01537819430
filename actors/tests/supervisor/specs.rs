//! Specs: defaults, what is refused, and what a supervisor holds on to.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    AutoShutdown, BadSpec, ChildKind, ChildSpec, Intensity, Restart, Shutdown, StartChildError,
    StartError, Strategy, SupervisorRef, SupervisorSpec,
};

use crate::{
    cast::{exit_and_settle, start, supervisor},
    support::{Journal, Worker, paused},
};

#[test]
fn a_child_spec_has_otps_defaults() {
    paused(async {
        let journal = Journal::default();
        let plain = Worker::spec("plain", &journal);
        let brutal = Worker::spec("brutal", &journal).shutdown(Shutdown::Kill);
        let nested = ChildSpec::supervisor("nested", supervisor(Strategy::OneForOne, 1));
        let root = start(
            supervisor(Strategy::OneForOne, 1)
                .child(plain)
                .child(brutal)
                .child(nested),
        )
        .await;

        let info = root.get_child_spec("plain").await.expect("known");
        assert_eq!(&*info.id, "plain");
        assert_eq!(info.restart, Restart::Permanent);
        assert_eq!(info.shutdown, Shutdown::Timeout(Duration::from_secs(5)));
        assert_eq!(info.kind, ChildKind::Worker);
        assert!(!info.significant);
        assert!(info.actor.ends_with("Worker"));

        let info = root.get_child_spec("brutal").await.expect("known");
        assert_eq!(info.shutdown, Shutdown::Kill);
        let info = root.get_child_spec("nested").await.expect("known");
        assert_eq!(info.kind, ChildKind::Supervisor);
        assert_eq!(info.shutdown, Shutdown::Infinity);
        assert_eq!(info.restart, Restart::Permanent);

        assert_eq!(root.get_child_spec("unknown").await, None);
        root.shutdown().await;
    });
}

#[test]
fn the_default_intensity_is_three_restarts_in_five_seconds() {
    let default = Intensity::default();
    assert_eq!(default.max_restarts(), 3);
    assert_eq!(default.period(), Duration::from_secs(5));
}

#[test]
fn a_period_of_zero_is_a_bad_spec() {
    paused(async {
        let spec =
            SupervisorSpec::new(Strategy::OneForOne).intensity(Intensity::new(1, Duration::ZERO));
        assert_eq!(
            spec.start("root").await.map(drop),
            Err(StartError::BadSpec(BadSpec::ZeroPeriod))
        );
    });
}

#[test]
fn a_shutdown_time_of_zero_asks_and_then_kills_at_once() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        for spec in [
            Worker::spec("obeys", &journal),
            Worker::stubborn("refuses", &journal),
        ] {
            let spec = spec.shutdown(Shutdown::Timeout(Duration::ZERO));
            let child = root.start_child(spec).await.expect("a legal time");
            let before = tokio::time::Instant::now();
            root.terminate_child(child.id()).await.expect("ends");
            assert!(!child.is_running());
            assert!(before.elapsed() <= Duration::from_millis(1));
        }
        root.shutdown().await;
    });
}

#[test]
fn a_significant_child_needs_an_auto_shutdown_and_must_be_able_to_end_for_good() {
    paused(async {
        let never = |id: &str| Some(BadSpec::SignificantWithoutAuto(id.into()));
        let permanent = |id: &str| Some(BadSpec::SignificantPermanent(id.into()));
        let (any, all) = (AutoShutdown::AnySignificant, AutoShutdown::AllSignificant);
        let cases = [
            (AutoShutdown::Never, Restart::Permanent, never("a")),
            (AutoShutdown::Never, Restart::Transient, never("a")),
            (AutoShutdown::Never, Restart::Temporary, never("a")),
            (any, Restart::Permanent, permanent("a")),
            (any, Restart::Transient, None),
            (any, Restart::Temporary, None),
            (all, Restart::Permanent, permanent("a")),
            (all, Restart::Transient, None),
            (all, Restart::Temporary, None),
        ];
        for (auto, restart, refused) in cases {
            let child = || {
                let spec = Worker::spec("a", &Journal::default()).restart(restart);
                spec.significant(true)
            };
            let spec = supervisor(Strategy::OneForOne, 1).auto_shutdown(auto);

            let as_first = spec.clone().child(child()).start("root").await;
            let expected = refused.clone().map(StartError::BadSpec);
            assert_eq!(as_first.as_ref().err(), expected.as_ref(), "{auto:?}");

            let root = start(spec).await;
            let later = root.start_child(child()).await.err();
            let expected = refused.map(StartChildError::BadSpec);
            assert_eq!(later, expected, "{auto:?}, {restart:?}");
            root.shutdown().await;
        }
    });
}

#[test]
fn a_child_that_is_not_significant_fits_every_auto_shutdown() {
    paused(async {
        for auto in [
            AutoShutdown::Never,
            AutoShutdown::AnySignificant,
            AutoShutdown::AllSignificant,
        ] {
            for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
                let child = Worker::spec("a", &Journal::default()).restart(restart);
                let spec = supervisor(Strategy::OneForOne, 1).auto_shutdown(auto);
                start(spec.child(child)).await.shutdown().await;
            }
        }
    });
}

/// A worker whose factory owns something large, seen through the weak pointer.
fn with_luggage(id: &str, restart: Restart) -> (ChildSpec<Worker>, Weak<[u8]>) {
    let luggage: Arc<[u8]> = vec![0; 1 << 16].into();
    let watch = Arc::downgrade(&luggage);
    let spec = ChildSpec::new(id, move || {
        assert!(!luggage.is_empty());
        Worker::new("a", &Journal::default())
    });
    (spec.restart(restart), watch)
}

#[test]
fn the_factory_of_a_temporary_child_is_dropped_after_its_start_and_all_others_are_kept() {
    paused(async {
        for strategy in [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ] {
            let root = start(supervisor(strategy, 1)).await;
            for (id, restart) in [
                ("permanent", Restart::Permanent),
                ("transient", Restart::Transient),
                ("temporary", Restart::Temporary),
            ] {
                let (spec, luggage) = with_luggage(id, restart);
                root.start_child(spec).await.expect("starts");
                let kept = luggage.strong_count() > 0;
                assert_eq!(kept, restart != Restart::Temporary, "{strategy:?}, {id}");
            }
            root.shutdown().await;
        }
    });
}

#[test]
fn a_deleted_child_takes_its_factory_along() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        let (spec, luggage) = with_luggage("a", Restart::Permanent);
        root.start_child(spec).await.expect("starts");
        root.terminate_child("a").await.expect("ends");
        assert!(luggage.strong_count() > 0);
        root.delete_child("a").await.expect("is forgotten");
        assert_eq!(luggage.strong_count(), 0);
        root.shutdown().await;
    });
}

/// The ways in which a child can end.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    Normal,
    Abnormal,
    Terminated,
}

async fn end(root: &SupervisorRef, child: &actix_otp::ChildRef<Worker>, how: End) {
    match how {
        End::Killed => {
            child.kill().await;
            crate::support::settle().await;
        }
        End::Normal => exit_and_settle(child, actix_otp::ExitReason::Normal).await,
        End::Abnormal => exit_and_settle(child, actix_otp::ExitReason::error("x")).await,
        End::Terminated => root.terminate_child("a").await.expect("ends"),
    }
}

#[test]
fn a_spec_outlives_every_end_of_its_child_unless_it_is_temporary() {
    let strategies = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ];
    let known = || Err(StartChildError::AlreadyPresent("a".into()));
    let running = || Err(StartChildError::AlreadyStarted("a".into()));
    paused(async {
        for strategy in strategies {
            for (restart, how, expected) in [
                (Restart::Permanent, End::Killed, running()),
                (Restart::Permanent, End::Normal, running()),
                (Restart::Permanent, End::Abnormal, running()),
                (Restart::Permanent, End::Terminated, known()),
                (Restart::Transient, End::Killed, running()),
                (Restart::Transient, End::Normal, known()),
                (Restart::Transient, End::Abnormal, running()),
                (Restart::Transient, End::Terminated, known()),
                (Restart::Temporary, End::Killed, Ok(())),
                (Restart::Temporary, End::Normal, Ok(())),
                (Restart::Temporary, End::Abnormal, Ok(())),
                (Restart::Temporary, End::Terminated, Ok(())),
            ] {
                let journal = Journal::default();
                let spec = || Worker::spec("a", &journal).restart(restart);
                let root = start(supervisor(strategy, 9)).await;
                let child = root.start_child(spec()).await.expect("starts");
                end(&root, &child, how).await;
                let again = root.start_child(spec()).await.map(drop);
                assert_eq!(again, expected, "{strategy:?}, {restart:?}, {how:?}");
                if again == known() {
                    root.restart_child("a").await.expect("runs again");
                }
                root.shutdown().await;
            }
        }
    });
}

#[derive(Debug, PartialEq, Message)]
#[rtype(result = "usize")]
struct Add(usize);

/// Counts what it was told since its start.
#[derive(Default)]
struct Counter(usize);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = usize;

    fn handle(&mut self, Add(n): Add, ctx: &mut Context<Self>) -> usize {
        if n == 0 {
            ctx.stop();
        }
        self.0 += n;
        self.0
    }
}

#[test]
fn each_start_makes_a_fresh_actor() {
    paused(async {
        let spec = ChildSpec::new("counter", Counter::default);
        let counter = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        assert_eq!(counter.call(Add(2)).await, Ok(2));
        assert_eq!(counter.call(Add(0)).await, Ok(2));
        counter.wait_until_running(1).await;
        assert_eq!(counter.call(Add(1)).await, Ok(1));
        root.shutdown().await;
    });
}

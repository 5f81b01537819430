//! The contract of a dynamic supervisor's children with a spec: how they start, and when they start again.

#[path = "support/children.rs"]
mod children;
mod support;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_otp::{
    BadSpec, ChildKind, ChildRef, ChildSpec, ChildState, DynamicSupervisorRef,
    DynamicSupervisorSpec, ExitReason, Init, Intensity, Restart, Shutdown, StartDynamicError,
    StartError, Strategy, SupervisorSpec,
};
use futures_util::FutureExt;

use children::{OnStop, Start, Subject, numbers, start};
use support::{ExitWith, Panic, Ping, paused, settle};

const PLENTY: Intensity = Intensity::new(100_000, Duration::from_secs(5));

/// Ends a child and gives its supervisor time to act on that.
async fn end(child: &ChildRef<Subject>, reason: ExitReason) {
    let watch = child.monitor();
    child.cast(ExitWith(reason.clone())).expect("running");
    assert_eq!(watch.await.reason, reason);
    settle().await;
}

async fn counts(children: &DynamicSupervisorRef) -> [usize; 4] {
    numbers(children.count_children().await)
}

fn oops() -> ExitReason {
    ExitReason::error("oops")
}

#[test]
fn it_starts_without_children_under_any_supervisor_which_gives_it_all_the_time_to_stop() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        assert!(children.which_children().await.is_empty());
        assert_eq!(counts(&children).await, [0, 0, 0, 0]);
        let spec = root.get_child_spec("dynamic").await.expect("known");
        assert_eq!(spec.kind, ChildKind::Supervisor);
        assert_eq!(spec.shutdown, Shutdown::Infinity);
        root.shutdown().await;
    });
}

#[test]
fn several_stand_under_one_supervisor_as_long_as_their_ids_differ() {
    paused(async {
        let (a, a_ref) = DynamicSupervisorSpec::new().build("a");
        let (b, b_ref) = DynamicSupervisorSpec::new().build("b");
        let (a_again, _) = DynamicSupervisorSpec::new().build("a");
        let spec = SupervisorSpec::new(Strategy::OneForOne).child(a).child(b);
        let root = spec.start("root").await.expect("starts");
        a_ref.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!((a_ref.count(), b_ref.count()), (1, 0));
        let refused = root.start_child(a_again).await;
        assert_eq!(
            refused.map(drop),
            Err(actix_otp::StartChildError::AlreadyStarted("a".into()))
        );
        root.shutdown().await;
    });
}

#[test]
fn three_restarts_in_five_seconds_are_allowed_by_default() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let watch = children.supervisor().monitor();
        let child = children.start_spec(Subject::plain()).await.expect("starts");
        for _ in 0..3 {
            end(&child, oops()).await;
        }
        assert_eq!(child.incarnation(), Some(4));
        tokio::time::sleep(Duration::from_secs(5)).await;
        end(&child, oops()).await;
        assert_eq!(child.incarnation(), Some(5), "the first three are too old");
        for _ in 0..3 {
            end(&child, oops()).await;
        }
        assert_eq!(watch.await.reason, ExitReason::Shutdown);
        root.shutdown().await;
    });
}

#[test]
fn a_start_answers_what_the_factory_answered_and_keeps_nothing_unless_it_runs() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let (ignoring, _) = Subject::scripted(&[Start::Ignore]);
        let ignored = children.start_spec(ignoring).await;
        assert_eq!(ignored.map(drop), Err(StartDynamicError::Ignored));
        let (failing, attempts) = Subject::scripted(&[Start::Fail]);
        let failed = children.start_spec(failing).await;
        let reason = ExitReason::error("no subject today");
        assert_eq!(failed.map(drop), Err(StartError::Exited(reason).into()));
        let panicking = ChildSpec::<Subject>::new("panicking", || panic!("no subject today"));
        let failed = children.start_spec(panicking).await;
        let reason = ExitReason::Panicked("no subject today".into());
        assert_eq!(failed.map(drop), Err(StartError::Exited(reason).into()));
        settle().await;
        assert_eq!(attempts.count(), 1, "a failed first start is not retried");
        assert_eq!(counts(&children).await, [0, 0, 0, 0]);

        let child = children.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!(child.call(Ping).await, Ok("subject"));
        root.shutdown().await;
    });
}

#[test]
fn ids_need_not_be_unique() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let first = children.start_spec(Subject::plain()).await.expect("starts");
        let second = children.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!(first.id(), second.id());
        children.terminate_child(&first).await.expect("a child");
        assert!(second.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_significant_child_is_refused_before_the_supervisor_is_asked() {
    paused(async {
        let (_never_started, children) = DynamicSupervisorSpec::new().build("dynamic");
        let spec = Subject::plain()
            .restart(Restart::Transient)
            .significant(true);
        let refused = children.start_spec(spec).await;
        let reason = BadSpec::SignificantWithoutAuto("subject".into());
        assert_eq!(refused.map(drop), Err(StartDynamicError::BadSpec(reason)));
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::NoSupervisor));
    });
}

#[test]
fn the_limit_counts_children_of_both_kinds_and_is_checked_before_the_factory_runs() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().max_children(0)).await;
        let (spec, attempts) = Subject::scripted(&[Start::Run]);
        let refused = children.start_spec(spec).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(0)));
        assert_eq!(attempts.count(), 0);
        root.shutdown().await;

        let (root, children) = start(DynamicSupervisorSpec::new().max_children(2)).await;
        let with_spec = children.start_spec(Subject::plain()).await.expect("room");
        let unnamed = children
            .start_child(|| Subject::new(OnStop::Obey))
            .await
            .expect("room");
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(2)));
        let refused = children.start_child(|| Subject::new(OnStop::Obey)).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(2)));
        unnamed.stop().await;
        let other = children.start_spec(Subject::plain()).await.expect("room");
        children.terminate_child(&with_spec).await.expect("a child");
        assert_eq!(children.count(), 1);
        children.start_spec(Subject::plain()).await.expect("room");
        drop(other);
        root.shutdown().await;
    });
}

#[test]
fn a_temporary_child_is_never_restarted() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        for reason in [ExitReason::Shutdown, oops()] {
            let spec = Subject::plain().restart(Restart::Temporary);
            let child = children.start_spec(spec).await.expect("starts");
            end(&child, reason).await;
            assert_eq!(counts(&children).await, [0, 0, 0, 0]);
        }
        root.shutdown().await;
    });
}

#[test]
fn a_transient_child_is_restarted_after_an_abnormal_exit_only() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let wanted = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("done"),
        ];
        for reason in wanted {
            let spec = Subject::plain().restart(Restart::Transient);
            let child = children.start_spec(spec).await.expect("starts");
            end(&child, reason).await;
            assert_eq!(counts(&children).await, [0, 0, 0, 0]);
        }
        let spec = Subject::plain().restart(Restart::Transient);
        let child = children.start_spec(spec).await.expect("starts");
        end(&child, oops()).await;
        assert_eq!(counts(&children).await, [1, 1, 0, 1]);
        assert_eq!(child.incarnation(), Some(2));
        root.shutdown().await;
    });
}

#[test]
fn a_permanent_child_is_always_restarted_and_the_others_are_left_alone() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().intensity(PLENTY)).await;
        let bystander = children.start_spec(Subject::plain()).await.expect("starts");
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::shutdown_with("done"),
            oops(),
        ];
        for (running, reason) in (2..).zip(reasons) {
            let child = children.start_spec(Subject::plain()).await.expect("starts");
            end(&child, reason).await;
            assert_eq!(child.incarnation(), Some(2));
            assert_eq!(counts(&children).await, [running, running, 0, running]);
        }
        assert_eq!(bystander.incarnation(), Some(1));
        root.shutdown().await;
    });
}

#[test]
fn the_second_start_decides_anew_what_becomes_of_a_child() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().intensity(PLENTY)).await;
        let (spec, _) = Subject::scripted(&[Start::Run]);
        let runs_again = children.start_spec(spec).await.expect("starts");
        end(&runs_again, oops()).await;
        assert_eq!(counts(&children).await, [1, 1, 0, 1]);

        let (spec, attempts) = Subject::scripted(&[Start::Run, Start::Ignore]);
        let ignores = children.start_spec(spec).await.expect("starts");
        end(&ignores, oops()).await;
        assert_eq!(counts(&children).await, [1, 1, 0, 1], "it is forgotten");
        assert_eq!(attempts.count(), 2, "and not tried again");

        let (spec, _) = Subject::scripted(&[Start::Run, Start::Fail]);
        let fails = children.start_spec(spec).await.expect("starts");
        fails.cast(ExitWith(oops())).expect("running");
        while fails.is_running() {
            tokio::task::yield_now().await;
        }
        assert_eq!(counts(&children).await, [2, 1, 0, 2], "it is restarting");
        let states: Vec<_> = children.which_children().await;
        let states: Vec<_> = states.into_iter().map(|child| child.state).collect();
        assert_eq!(
            states,
            [
                ChildState::Running { incarnation: 2 },
                ChildState::Restarting
            ]
        );
        children.supervisor().kill().await;
        root.shutdown().await;
    });
}

#[test]
fn a_restart_that_is_ignored_is_the_end_of_a_child_even_when_the_first_restart_went_well() {
    paused(async {
        for restart in [Restart::Permanent, Restart::Transient] {
            let (root, children) = start(DynamicSupervisorSpec::new()).await;
            let watch = children.supervisor().monitor();
            let (spec, attempts) =
                Subject::scripted(&[Start::Run, Start::Run, Start::Ignore, Start::Run]);
            let child = children.start_spec(spec.restart(restart)).await;
            let child = child.expect("starts");
            child.kill().await;
            child.wait_until_running(1).await;
            child.kill().await;
            settle().await;
            assert!(children.which_children().await.is_empty());
            assert_eq!(attempts.count(), 3);
            root.shutdown().await;
            assert_eq!(watch.await.reason, ExitReason::Shutdown);
        }
    });
}

#[test]
fn a_child_that_fails_to_restart_keeps_its_place() {
    paused(async {
        let spec = DynamicSupervisorSpec::new().max_children(1);
        let (root, children) = start(spec.intensity(PLENTY)).await;
        let (spec, _) = Subject::scripted(&[Start::Run, Start::Fail]);
        let child = children.start_spec(spec).await.expect("starts");
        child.kill().await;
        while counts(&children).await != [1, 0, 0, 1] {
            tokio::task::yield_now().await;
        }
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(1)));
        children.terminate_child(&child).await.expect("a child");
        children.start_spec(Subject::plain()).await.expect("room");
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_was_restarted_keeps_its_place() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().max_children(1)).await;
        let child = children.start_spec(Subject::plain()).await.expect("starts");
        end(&child, oops()).await;
        assert_eq!(counts(&children).await, [1, 1, 0, 1]);
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(1)));
        root.shutdown().await;
    });
}

#[test]
fn a_failed_restart_is_tried_again_and_each_attempt_counts() {
    paused(async {
        let intensity = Intensity::new(2, Duration::from_secs(5));
        let (root, children) = start(DynamicSupervisorSpec::new().intensity(intensity)).await;
        let (spec, attempts) = Subject::scripted(&[Start::Run, Start::Fail, Start::Run]);
        let child = children.start_spec(spec).await.expect("starts");
        end(&child, oops()).await;
        assert_eq!(attempts.count(), 3);
        assert_eq!(counts(&children).await, [1, 1, 0, 1]);
        let watch = children.supervisor().monitor();
        child.cast(Panic).expect("running");
        assert_eq!(watch.await.reason, ExitReason::Shutdown, "two were charged");
        root.shutdown().await;
    });
}

#[test]
fn a_restart_that_always_fails_uses_up_the_intensity_and_ends_all() {
    paused(async {
        for allowed in [0, 1, 10] {
            let intensity = Intensity::new(allowed, Duration::from_secs(5));
            let (root, children) = start(DynamicSupervisorSpec::new().intensity(intensity)).await;
            let watch = children.supervisor().monitor();
            let bystander = children.start_spec(Subject::plain()).await.expect("starts");
            let ended = bystander.monitor();
            let (spec, attempts) = Subject::scripted(&[Start::Run, Start::Fail]);
            let child = children.start_spec(spec).await.expect("starts");
            child.cast(Panic).expect("running");
            assert_eq!(watch.await.reason, ExitReason::Shutdown);
            assert_eq!(attempts.count(), 1 + allowed);
            assert_eq!(ended.await.reason, ExitReason::Shutdown);
            root.shutdown().await;
        }
    });
}

#[test]
fn a_request_that_comes_during_an_attempt_is_answered_before_the_next_one() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().intensity(PLENTY)).await;
        let attempts = Arc::new(AtomicUsize::new(0));
        let started_at = Arc::new(OnceLock::new());
        let (counted, started, supervisor) =
            (attempts.clone(), started_at.clone(), children.clone());
        let spec = ChildSpec::try_new("failing", move || {
            match counted.fetch_add(1, Ordering::SeqCst) {
                0 => return Ok(Init::Run(Subject::new(OnStop::Obey))),
                1 => {
                    let (counted, started) = (counted.clone(), started.clone());
                    let other = ChildSpec::new("other", move || {
                        let _ = started.set(counted.load(Ordering::SeqCst));
                        Subject::new(OnStop::Obey)
                    });
                    // Polled once, the request is in the mailbox while this attempt is under way.
                    let asked = supervisor.clone();
                    let mut request = Box::pin(async move { asked.start_spec(other).await });
                    assert!((&mut request).now_or_never().is_none());
                    actix::spawn(request.map(drop));
                }
                _ => {}
            }
            Err("no subject today")
        });
        let child = children.start_spec(spec).await.expect("starts");
        child.kill().await;
        while started_at.get().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(started_at.get(), Some(&2), "before the third attempt");
        root.shutdown().await;
        let tried = attempts.load(Ordering::SeqCst);
        settle().await;
        assert_eq!(
            attempts.load(Ordering::SeqCst),
            tried,
            "a stopped supervisor tries no more"
        );
    });
}

#[test]
fn the_start_closure_of_an_unnamed_child_is_dropped_after_its_start() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let luggage = Arc::new(());
        for _ in 0..2 {
            let carried = Arc::clone(&luggage);
            let child = children.start_child(move || {
                let _carried = carried;
                Subject::new(OnStop::Obey)
            });
            let child = child.await.expect("starts");
            assert_eq!(Arc::strong_count(&luggage), 1);
            child.addr().do_send(Panic);
            child.exited().await;
        }
        root.shutdown().await;
    });
}

#[test]
fn the_factory_of_a_temporary_spec_is_dropped_after_its_start_and_others_are_kept() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let luggage = Arc::new(());
            let carried = Arc::clone(&luggage);
            let spec = ChildSpec::new("subject", move || {
                let _carried = &carried;
                Subject::new(OnStop::Obey)
            });
            let spec = spec.restart(restart);
            children.start_spec(spec).await.expect("starts");
            let kept = Arc::strong_count(&luggage) > 1;
            assert_eq!(kept, restart != Restart::Temporary, "{restart:?}");
        }
        root.shutdown().await;
    });
}

#[test]
fn a_killed_supervisor_leaves_no_child_and_its_successor_begins_without_any() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let child = children.start_spec(Subject::plain()).await.expect("starts");
        let ended = child.monitor();
        children.supervisor().kill().await;
        assert_eq!(ended.await.reason, ExitReason::Killed);
        children.supervisor().wait_until_running(1).await;
        assert_eq!(counts(&children).await, [0, 0, 0, 0]);
        assert!(!child.is_running());
        root.shutdown().await;
    });
}

//! When children with a spec start again, and what becomes of those that cannot.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_otp::{
    ChildRef, ChildSpec, ChildState, DynamicSupervisorSpec, ExitReason, Init, Intensity, Restart,
    StartDynamicError,
};
use futures_util::FutureExt;

use crate::{
    children::{OnStop, Start, Subject, counts, start},
    support::{ExitWith, Panic, paused, settle},
};

const PLENTY: Intensity = Intensity::new(100_000, Duration::from_secs(5));

/// Ends a child and gives its supervisor time to act on that.
async fn end(child: &ChildRef<Subject>, reason: ExitReason) {
    let watch = child.monitor();
    child.cast(ExitWith(reason.clone())).expect("running");
    assert_eq!(watch.await.reason, reason);
    settle().await;
}

fn oops() -> ExitReason {
    ExitReason::error("oops")
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

//! The stop of a dynamic supervisor: all children at once, each by its own rule.

use std::time::Duration;

use actix_otp::{
    ChildSpec, DynamicSupervisorSpec, ExitReason, Monitor, Restart, Shutdown, StartDynamicError,
    StartError,
};
use tokio::time::Instant;

use crate::{
    children::{OnStop, SlowStarter, Subject, start},
    support::{paused, settle},
};

const SECOND: Duration = Duration::from_secs(1);

/// Starts the children, shuts the tree down, and tells why each ended and how long it took.
async fn shut_down(specs: Vec<ChildSpec<Subject>>) -> (Vec<ExitReason>, Duration) {
    let (root, children) = start(DynamicSupervisorSpec::new()).await;
    let supervisor = children.supervisor().monitor();
    let mut ends: Vec<Monitor> = Vec::new();
    for spec in specs {
        ends.push(children.start_spec(spec).await.expect("starts").monitor());
    }
    let before = Instant::now();
    root.shutdown().await;
    let took = before.elapsed();
    assert_eq!(supervisor.await.reason, ExitReason::Shutdown);
    let mut reasons = Vec::new();
    for end in ends {
        reasons.push(end.await.reason);
    }
    (reasons, took)
}

fn three(spec: impl Fn() -> ChildSpec<Subject>) -> Vec<ChildSpec<Subject>> {
    vec![spec(), spec(), spec()]
}

fn oops() -> ExitReason {
    ExitReason::shutdown_with("oops")
}

#[test]
fn children_with_brutal_kill_are_killed_though_they_would_stop() {
    paused(async {
        let (reasons, _) = shut_down(three(|| Subject::plain().shutdown(Shutdown::Kill))).await;
        assert_eq!(reasons, vec![ExitReason::Killed; 3]);
    });
}

#[test]
fn children_without_a_limit_are_waited_for_and_end_with_shutdown() {
    paused(async {
        let slow = || Subject::spec(OnStop::After(SECOND * 3_600)).shutdown(Shutdown::Infinity);
        let (reasons, took) = shut_down(three(slow)).await;
        assert_eq!(reasons, vec![ExitReason::Shutdown; 3]);
        assert_eq!(took, SECOND * 3_600, "all at once");
    });
}

#[test]
fn children_that_stop_in_time_end_with_shutdown_and_nobody_waits_for_the_timer() {
    paused(async {
        let limit = Shutdown::Timeout(SECOND);
        let (reasons, took) = shut_down(three(|| Subject::plain().shutdown(limit))).await;
        assert_eq!(reasons, vec![ExitReason::Shutdown; 3]);
        assert_eq!(took, Duration::ZERO);
    });
}

#[test]
fn children_that_are_told_to_stop_may_end_with_a_reason_of_their_own() {
    paused(async {
        for limit in [Shutdown::Infinity, Shutdown::Timeout(SECOND)] {
            let own = || Subject::spec(OnStop::With(oops())).shutdown(limit);
            let (reasons, took) = shut_down(three(own)).await;
            assert_eq!(reasons, vec![oops(); 3]);
            assert_eq!(took, Duration::ZERO);
        }
    });
}

#[test]
fn whatever_its_restart_type_and_reason_no_child_is_restarted_during_the_stop() {
    paused(async {
        let reasons = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            oops(),
            ExitReason::error("other"),
        ];
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let of =
                |reason: &ExitReason| Subject::spec(OnStop::With(reason.clone())).restart(restart);
            let (ended, _) = shut_down(reasons.iter().map(of).collect()).await;
            assert_eq!(ended, reasons);
        }
    });
}

#[test]
fn a_child_that_does_not_stop_in_time_is_killed_and_the_others_are_not() {
    paused(async {
        let limit = Shutdown::Timeout(Duration::from_millis(1));
        let styles = [OnStop::Obey, OnStop::Ignore, OnStop::Obey];
        let specs = styles.map(|style| Subject::spec(style).shutdown(limit));
        let (reasons, took) = shut_down(specs.into()).await;
        let expected = [
            ExitReason::Shutdown,
            ExitReason::Killed,
            ExitReason::Shutdown,
        ];
        assert_eq!(reasons, expected);
        assert_eq!(took, Duration::from_millis(1));
    });
}

#[test]
fn a_limit_of_zero_means_that_a_stop_is_asked_for_and_never_waited_for() {
    paused(async {
        let zero = Shutdown::Timeout(Duration::ZERO);
        let (reasons, took) =
            shut_down(three(|| Subject::spec(OnStop::Ignore).shutdown(zero))).await;
        assert_eq!(reasons, vec![ExitReason::Killed; 3]);
        assert!(took <= Duration::from_millis(1), "{took:?}");
    });
}

#[test]
fn all_children_stop_in_parallel_each_by_its_own_rule() {
    paused(async {
        let slow = |seconds, limit: u32| {
            Subject::spec(OnStop::After(SECOND * seconds))
                .shutdown(Shutdown::Timeout(SECOND * limit))
        };
        let specs = vec![
            slow(1, 2),
            slow(1, 2),
            slow(5, 2),
            slow(3, 4),
            Subject::plain().shutdown(Shutdown::Infinity),
            Subject::plain().shutdown(Shutdown::Kill),
        ];
        let (reasons, took) = shut_down(specs).await;
        let expected = [
            ExitReason::Shutdown,
            ExitReason::Shutdown,
            ExitReason::Killed,
            ExitReason::Shutdown,
            ExitReason::Shutdown,
            ExitReason::Killed,
        ];
        assert_eq!(reasons, expected);
        assert_eq!(took, SECOND * 3);
    });
}

#[test]
fn unnamed_children_all_share_the_rule_of_the_supervisor() {
    paused(async {
        let cases = [
            (Shutdown::Kill, OnStop::Obey, ExitReason::Killed),
            (Shutdown::Infinity, OnStop::Obey, ExitReason::Shutdown),
            (
                Shutdown::Infinity,
                OnStop::After(SECOND),
                ExitReason::Shutdown,
            ),
            (Shutdown::Timeout(SECOND), OnStop::With(oops()), oops()),
            (
                Shutdown::Timeout(SECOND),
                OnStop::Ignore,
                ExitReason::Killed,
            ),
        ];
        for (rule, style, expected) in cases {
            let (root, children) = start(DynamicSupervisorSpec::new().shutdown(rule)).await;
            let mut started = Vec::new();
            for _ in 0..10 {
                let style = style.clone();
                let child = children.start_child(|| Subject::new(style)).await;
                started.push(child.expect("starts"));
            }
            root.shutdown().await;
            for child in started {
                assert_eq!(child.exited().await, expected, "{rule:?}");
            }
        }
    });
}

#[test]
fn a_stop_during_the_start_of_a_dynamic_child_gives_the_start_up() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let spec = ChildSpec::new("slow starter", || SlowStarter);
        let (child, starter) = (spec.child_ref(), children.clone());
        let starting = actix::spawn(async move { starter.start_spec(spec).await.map(drop) });
        settle().await;
        let before = Instant::now();
        root.shutdown().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        let given_up = StartDynamicError::Start(StartError::SupervisorStopping);
        assert_eq!(starting.await.expect("no panic"), Err(given_up));
        assert!(!child.is_running());
        assert_eq!(children.count(), 0);
    });
}

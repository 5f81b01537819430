//! The contract of a dynamic supervisor that ends children: one by its handle, or all at once.

#[path = "support/children.rs"]
mod children;
mod support;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    ArbiterPool, ChildRef, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, ExitReason,
    Intensity, Monitor, Placement, Restart, Shutdown, StartDynamicError, StartError,
    SupervisionEvent, TerminateDynamicError,
};
use children::{OnStop, Start, Subject, numbers, start};
use support::{Panic, paused, settle};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

async fn started(children: &DynamicSupervisorRef, spec: ChildSpec<Subject>) -> ChildRef<Subject> {
    children.start_spec(spec).await.expect("starts")
}

/// Starts the children, shuts the tree down, and tells why each ended and how long it took.
async fn shut_down(specs: Vec<ChildSpec<Subject>>) -> (Vec<ExitReason>, Duration) {
    let (root, children) = start(DynamicSupervisorSpec::new()).await;
    let supervisor = children.supervisor().monitor();
    let mut ends: Vec<Monitor> = Vec::new();
    for spec in specs {
        ends.push(started(&children, spec).await.monitor());
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

struct SlowStarter;

impl Actor for SlowStarter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let ack = actix_otp::ExitContext::defer_start(ctx);
        ctx.run_later(SECOND, |_, _| ack.ready());
    }
}

#[test]
fn a_terminated_child_is_gone_for_good_and_then_unknown() {
    paused(async {
        let rules = [
            (Shutdown::Kill, ExitReason::Killed),
            (Shutdown::Timeout(SECOND), ExitReason::Shutdown),
        ];
        for (rule, expected) in rules {
            let (root, children) = start(DynamicSupervisorSpec::new().shutdown(rule)).await;
            let child = started(&children, Subject::plain().shutdown(rule)).await;
            let ended = child.monitor();
            assert_eq!(children.terminate_child(&child).await, Ok(()));
            assert_eq!(ended.await.reason, expected);
            let again = children.terminate_child(&child).await;
            assert_eq!(again, Err(TerminateDynamicError::NotFound));

            let unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
            let unnamed = unnamed.expect("starts");
            assert_eq!(children.terminate_child(&unnamed).await, Ok(()));
            assert_eq!(unnamed.exited().await, expected);
            let again = children.terminate_child(&unnamed).await;
            assert_eq!(again, Err(TerminateDynamicError::NotFound));

            settle().await;
            assert_eq!(numbers(children.count_children().await), [0, 0, 0, 0]);
            root.shutdown().await;
            let stopped = Err(TerminateDynamicError::NoSupervisor);
            assert_eq!(children.terminate_child(&child).await, stopped);
            assert_eq!(children.terminate_child(&unnamed).await, stopped);
        }
    });
}

#[test]
fn the_child_of_another_supervisor_is_not_found_and_lives_on() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let (other_root, others) = start(DynamicSupervisorSpec::new()).await;
        let named = started(&others, Subject::plain()).await;
        let unnamed = others.start_child(|| Subject::new(OnStop::Obey)).await;
        let unnamed = unnamed.expect("starts");
        // At the same place in this supervisor's tables as the strangers in the other's.
        let own = started(&children, Subject::plain()).await;
        let own_unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
        let own_unnamed = own_unnamed.expect("starts");
        let refused = Err(TerminateDynamicError::NotFound);
        assert_eq!(children.terminate_child(&named).await, refused);
        assert_eq!(children.terminate_child(&unnamed).await, refused);
        assert!(children.get_child_spec(&named).await.is_none());
        assert!(children.get_child_spec(&unnamed).await.is_none());
        assert!(named.is_running() && own.is_running());
        assert!(unnamed.addr().connected() && own_unnamed.addr().connected());
        root.shutdown().await;
        other_root.shutdown().await;
    });
}

#[test]
fn a_child_that_waits_for_its_restart_is_terminated_by_the_handle_it_always_had() {
    paused(async {
        let plenty = Intensity::new(100_000, SECOND * 5);
        let (root, children) = start(DynamicSupervisorSpec::new().intensity(plenty)).await;
        let (spec, attempts) = Subject::scripted(&[Start::Run, Start::Fail]);
        let child = started(&children, spec).await;
        child.kill().await;
        while attempts.count() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(children.terminate_child(&child).await, Ok(()));
        let tried = attempts.count();
        assert_eq!(numbers(children.count_children().await), [0, 0, 0, 0]);
        let again = children.terminate_child(&child).await;
        assert_eq!(again, Err(TerminateDynamicError::NotFound));
        settle().await;
        assert_eq!(attempts.count(), tried, "the retries stop");

        started(&children, Subject::plain()).await;
        assert_eq!(numbers(children.count_children().await), [1, 1, 0, 1]);
        root.shutdown().await;
    });
}

#[test]
fn terminating_wins_against_a_crash_whose_notice_waits_in_the_mailbox() {
    paused(async {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let spec = DynamicSupervisorSpec::new().observer(move |event: &SupervisionEvent| {
            seen.lock().expect("events").push(event.clone());
        });
        let (root, children) = start(spec).await;
        let child = started(&children, Subject::plain()).await;
        // While the slow start is under way the supervisor takes no message: the request is queued before the notice.
        let slow = ChildSpec::new("slow starter", || SlowStarter);
        let (starter, ender, ended) = (children.clone(), children.clone(), child.clone());
        actix::spawn(async move { starter.start_spec(slow).await.map(drop) });
        settle().await;
        let ending = actix::spawn(async move { ender.terminate_child(&ended).await });
        settle().await;
        child.cast(Panic).expect("running");
        assert_eq!(ending.await.expect("no panic"), Ok(()));
        settle().await;
        assert!(!child.is_running());
        assert_eq!(numbers(children.count_children().await), [1, 1, 0, 1]);
        let of_child = |event: &&SupervisionEvent| matches!(event, SupervisionEvent::ChildTerminated { child, .. } if &**child == "subject");
        let events = events.lock().expect("events").clone();
        let ends: Vec<_> = events.iter().filter(of_child).collect();
        assert!(
            matches!(
                ends[..],
                [SupervisionEvent::ChildTerminated {
                    reason: ExitReason::Panicked(_),
                    ..
                }]
            ),
            "one end, with its true reason: {ends:?}"
        );
        root.shutdown().await;
    });
}

#[test]
fn a_killed_child_that_blocks_its_thread_is_given_up_after_the_kill_timeout() {
    let pool = ArbiterPool::new(1).expect("a thread");
    let (release, gate) = mpsc::channel();
    let (blocks, begun) = mpsc::channel();
    let gate = Arc::new(Mutex::new((blocks, gate)));
    let of_child = pool.clone();
    paused(async {
        let spec = DynamicSupervisorSpec::new().kill_timeout(SECOND);
        let (root, children) = start(spec).await;
        let spec = ChildSpec::new("blocking", move || Blocking(Arc::clone(&gate)))
            .shutdown(Shutdown::Timeout(SECOND))
            .placement(Placement::Pool(of_child));
        let child = children.start_spec(spec).await.expect("starts");
        child.cast(Block).expect("running");
        // A stop that came first would find a child that obeys.
        begun.recv().expect("it blocks now");
        let before = Instant::now();
        let ended = children.terminate_child(&child).await;
        assert_eq!(ended, Err(TerminateDynamicError::Unresponsive));
        assert_eq!(before.elapsed(), SECOND * 2);
        assert_eq!(children.count(), 0);
        release.send(()).expect("it waits");
        root.shutdown().await;
    });
    pool.stop();
}

/// Tells when it blocks, and waits for its release.
struct Blocking(Arc<Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>>);

impl Actor for Blocking {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block;

impl Handler<Block> for Blocking {
    type Result = ();

    fn handle(&mut self, _: Block, _: &mut Context<Self>) {
        let gate = self.0.lock().expect("gate");
        let _ = gate.0.send(());
        let _ = gate.1.recv();
    }
}

//! One child ended by its handle.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    ArbiterPool, ChildRef, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, ExitReason,
    Intensity, Placement, Shutdown, SupervisionEvent, TerminateDynamicError,
};
use tokio::time::Instant;

use crate::{
    children::{OnStop, SlowStarter, Start, Subject, numbers, start},
    support::{Panic, paused, settle},
};

const SECOND: Duration = Duration::from_secs(1);

async fn started(children: &DynamicSupervisorRef, spec: ChildSpec<Subject>) -> ChildRef<Subject> {
    children.start_spec(spec).await.expect("starts")
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

#[test]
fn a_termination_goes_on_when_its_caller_goes_away() {
    paused(async {
        let rule = Shutdown::Timeout(SECOND);
        let (root, children) = start(DynamicSupervisorSpec::new().shutdown(rule)).await;
        let refuses = || Subject::new(OnStop::Ignore);
        let unnamed = children.start_child(refuses).await.expect("starts");
        let spec = Subject::spec(OnStop::Ignore).shutdown(rule);
        let named = started(&children, spec).await;
        let ended = named.monitor();
        let both = async {
            tokio::join!(
                children.terminate_child(&unnamed),
                children.terminate_child(&named)
            )
        };
        let gave_up = tokio::time::timeout(SECOND / 2, both).await;
        assert!(gave_up.is_err());
        assert_eq!(unnamed.exited().await, ExitReason::Killed);
        assert_eq!(ended.await.reason, ExitReason::Killed);
        settle().await;
        assert_eq!(children.count(), 0);
        root.shutdown().await;
    });
}

//! Time limits: of a start, of a call, of the stop of a whole tree.

use std::{future::pending, time::Duration};

use actix::prelude::*;
use actix_otp::{
    CallError, ChildSpec, ExitReason, Intensity, StartChildError, StartError, Strategy,
    SupervisorSpec,
};
use tokio::time::{Instant, timeout};

use crate::{
    cast::{Gate, start, supervisor, which},
    support::{Journal, Panic, Ping, Worker, paused, settle},
};

const LIMIT: Duration = Duration::from_secs(3);

#[test]
fn a_start_that_takes_too_long_fails_and_leaves_nothing_behind() {
    paused(async {
        let journal = Journal::default();
        let mut gate = Gate::new(&journal);
        let root = start(supervisor(Strategy::OneForOne, 9)).await;
        let before = Instant::now();
        let answer = root.start_child(gate.spec("a").start_timeout(LIMIT)).await;
        assert_eq!(
            answer.map(drop),
            Err(StartChildError::Start {
                id: "a".into(),
                error: StartError::TimedOut(LIMIT)
            })
        );
        assert!(before.elapsed() >= LIMIT);
        // Too late.
        gate.next("a").await.admit();
        settle().await;
        assert!(which(&root).await.is_empty());
        assert_eq!(journal.take().last().map(String::as_str), Some("a dropped"));
        root.shutdown().await;
    });
}

#[test]
fn a_restart_that_takes_too_long_is_tried_again() {
    paused(async {
        let mut gate = Gate::new(&Journal::default());
        let spec = gate.spec("a").start_timeout(LIMIT);
        let child = spec.child_ref();
        let starting = supervisor(Strategy::OneForOne, 9).child(spec).start("root");
        let (root, ()) = tokio::join!(starting, async { gate.next("a").await.admit() });
        let root = root.expect("starts");
        let _ = child.call(Panic).await;
        let hangs = gate.next("a").await;
        gate.next("a").await.admit();
        assert!(child.wait_until_running(1).await > 1);
        drop(hangs);
        root.shutdown().await;
    });
}

#[test]
fn a_tree_that_does_not_start_in_time_is_taken_back_and_so_is_one_whose_start_is_dropped() {
    paused(async {
        for dropped in [false, true] {
            let journal = Journal::default();
            let gate = Gate::new(&journal);
            let spec = supervisor(Strategy::OneForOne, 9)
                .child(Worker::spec("first", &journal))
                .child(gate.spec("hangs"));
            if dropped {
                assert!(timeout(LIMIT, spec.start("root")).await.is_err());
                settle().await;
            } else {
                let started = spec.start_timeout(LIMIT).start("root").await;
                assert_eq!(started.map(drop), Err(StartError::TimedOut(LIMIT)));
            }
            let mut end = journal.take();
            assert_eq!(end.pop().as_deref(), Some("first dropped"));
            assert_eq!(end.pop().as_deref(), Some("first stopped"));
        }
    });
}

#[test]
fn a_nested_supervisor_that_does_not_start_in_time_fails_its_own_start() {
    paused(async {
        let gate = Gate::new(&Journal::default());
        let inner = SupervisorSpec::new(Strategy::OneForOne)
            .start_timeout(LIMIT)
            .child(gate.spec("hangs"));
        let root = start(supervisor(Strategy::OneForOne, 9)).await;
        let answer = root
            .start_child(ChildSpec::supervisor("inner", inner))
            .await;
        assert_eq!(
            answer.map(drop),
            Err(StartChildError::Start {
                id: "inner".into(),
                error: StartError::TimedOut(LIMIT)
            })
        );
        root.shutdown().await;
    });
}

/// An actor that answers to nothing for a while.
struct Slow;

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<Ping> for Slow {
    type Result = AtomicResponse<Self, &'static str>;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Self::Result {
        let answer = tokio::time::sleep(2 * LIMIT).into_actor(self);
        AtomicResponse::new(Box::pin(answer.map(|(), _, _| "slow")))
    }
}

#[test]
fn a_call_with_a_limit_ends_in_time_and_the_actor_goes_on() {
    paused(async {
        let spec = ChildSpec::new("slow", || Slow);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        let before = Instant::now();
        let answer = child.call_within(Ping, LIMIT).await;
        assert_eq!(answer, Err(CallError::TimedOut(LIMIT)));
        assert!(before.elapsed() < 2 * LIMIT);
        assert_eq!(child.call_within(Ping, 5 * LIMIT).await, Ok("slow"));
        assert_eq!(child.incarnation(), Some(1));
        root.shutdown().await;
    });
}

#[test]
fn a_tree_is_stopped_within_one_limit_whatever_its_children_do() {
    paused(async {
        let journal = Journal::default();
        let stubborn = |name| {
            Worker::stubborn(name, &journal)
                .shutdown(actix_otp::Shutdown::Timeout(Duration::from_secs(3600)))
        };
        let inner = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(Intensity::default())
            .child(stubborn("a"))
            .child(stubborn("b"));
        let tree = supervisor(Strategy::OneForOne, 9)
            .child(ChildSpec::supervisor("inner", inner))
            .child(Worker::spec("obeys", &journal));
        let root = start(tree).await;
        let before = Instant::now();
        assert_eq!(root.shutdown_within(LIMIT).await, ExitReason::Killed);
        assert!(before.elapsed() < LIMIT + Duration::from_millis(100));
        settle().await;
        let ends: Vec<_> = journal.take().split_off(3);
        assert_eq!(ends[..2], ["obeys stopped", "obeys dropped"]);
        assert!(ends.contains(&"a dropped".into()) && ends.contains(&"b dropped".into()));
    });
}

#[test]
fn a_tree_that_ends_in_time_is_stopped_in_order() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 9)).await;
        assert_eq!(root.shutdown_within(LIMIT).await, ExitReason::Shutdown);
        assert_eq!(root.shutdown_within(LIMIT).await, ExitReason::NotRunning);
        let _ = timeout(LIMIT, pending::<()>()).await;
    });
}

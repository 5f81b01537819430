//! A look inside: what is told of a child without asking it.

use std::{sync::mpsc, thread, time::Duration};

use actix::prelude::*;
use actix_otp::{ArbiterPool, ChildSpec, ExitReason, Placement, Strategy};
use tokio::task::yield_now;

use crate::{
    cast::{start, supervisor},
    support::{Journal, Panic, Ping, Worker, crash, paused},
};

struct Slow;

impl Actor for Slow {
    type Context = Context<Self>;
}

/// Keeps the actor at work for so many seconds, its thread not.
#[derive(Debug, PartialEq, Message)]
#[rtype(result = "()")]
struct Take(u64);

impl Handler<Take> for Slow {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, Take(seconds): Take, _: &mut Context<Self>) -> Self::Result {
        let work = tokio::time::sleep(Duration::from_secs(seconds));
        AtomicResponse::new(Box::pin(work.into_actor(self)))
    }
}

/// Keeps its thread until the test lets go of it.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Handler<Block> for Slow {
    type Result = ();

    fn handle(&mut self, Block(begun, gate): Block, _: &mut Context<Self>) {
        begun.send(()).expect("the test listens");
        let _ = gate.recv();
    }
}

#[test]
fn stats_tell_what_waits_and_what_was_handled() {
    paused(async {
        let spec = Worker::spec("worker", &Journal::default());
        let child = spec.child_ref();
        assert_eq!(child.stats(), actix_otp::ChildStats::default());
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        yield_now().await;
        assert!(!child.stats().busy, "it sleeps");
        for _ in 0..3 {
            child.cast(Ping).expect("taken");
        }
        let stats = child.stats();
        assert_eq!((stats.waiting, stats.handled, stats.busy), (3, 0, true));
        let line = root.tree().await.to_string();
        assert!(
            line.contains("worker (Worker): running, incarnation 1, 3 waiting"),
            "{line}"
        );
        child.call(Ping).await.expect("it serves");
        let stats = child.stats();
        assert_eq!((stats.waiting, stats.handled, stats.busy), (0, 4, false));
        assert_eq!(stats.current, None, "nobody asked for it");
        root.shutdown().await;
    });
}

#[test]
fn stats_tell_restarts_and_the_last_reason() {
    paused(async {
        let spec = Worker::spec("worker", &Journal::default());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        assert_eq!((child.stats().restarts, child.stats().last_exit), (0, None));
        crash(&child).await;
        crash(&child).await;
        let stats = child.stats();
        assert_eq!(stats.restarts, 2);
        assert_eq!(
            stats.last_exit,
            Some(ExitReason::Panicked("told to panic".into()))
        );
        assert_eq!(stats.handled, 0, "by this incarnation");
        let shown = &root.tree().await.children[0];
        assert_eq!(
            (shown.stats.restarts, &shown.stats.last_exit),
            (2, &stats.last_exit)
        );
        let _ = child.call(Panic).await;
        child.kill().await;
        root.terminate_child("worker").await.expect("ends");
        assert!(!child.stats().busy);
        root.shutdown().await;
        assert!(child.stats().last_exit.is_some());
    });
}

#[test]
fn a_child_that_does_not_come_back_from_a_message_is_marked_as_stuck() {
    paused(async {
        let spec = ChildSpec::new("slow", || Slow).stuck_after(Duration::from_secs(10));
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        child.cast(Take(20)).expect("taken");
        child.cast(Take(1)).expect("taken");
        tokio::time::sleep(Duration::from_secs(9)).await;
        let stats = child.stats();
        assert!(stats.busy && !stats.is_stuck());
        assert!(stats.current.expect("at work").message.ends_with("Take"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stats = child.stats();
        assert!(stats.is_stuck());
        assert_eq!((stats.waiting, stats.handled), (1, 1));
        let line = root.tree().await.to_string();
        assert!(
            line.contains("1 waiting, stuck in ") && line.contains("Take for 11"),
            "{line}"
        );
        tokio::time::sleep(Duration::from_secs(20)).await;
        let stats = child.stats();
        assert_eq!((stats.current, stats.handled, stats.busy), (None, 2, false));
        root.shutdown().await;
    });
}

#[actix::test]
async fn stats_of_a_child_that_blocks_its_thread_are_told_at_once() {
    let pool = ArbiterPool::new(1).expect("a thread");
    let spec = ChildSpec::new("slow", || Slow)
        .stuck_after(Duration::ZERO)
        .placement(Placement::Pool(pool.clone()));
    let child = spec.child_ref();
    let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
    let (begun, begins) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    child.cast(Block(begun, gate)).expect("taken");
    begins.recv().expect("begun");
    child.cast(Take(0)).expect("taken");
    // Longer than no time at all.
    while !child.stats().is_stuck() {
        thread::yield_now();
    }
    let stats = child.stats();
    assert_eq!((stats.waiting, stats.handled, stats.busy), (1, 1, true));
    drop(open);
    child.call(Take(0)).await.expect("it serves again");
    root.shutdown().await;
    pool.stop();
}

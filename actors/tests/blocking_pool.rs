//! The contract of a pool of actors that block.

mod support;

use std::{
    sync::{Arc, Barrier, mpsc},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    BlockingPool, BlockingPoolSpec, CallError, CastError, ExitReason, Intensity, MessageRef,
    Restart, Strategy, SupervisorRef, SupervisorSpec,
};
use futures_util::{FutureExt, future::join_all};
use support::Journal;
use tokio::task::yield_now;

struct Worker(Journal);

impl Worker {
    fn pool(threads: usize, journal: &Journal) -> BlockingPoolSpec<Self> {
        let journal = journal.clone();
        BlockingPoolSpec::new(threads, move || Self(journal.clone()))
            .intensity(Intensity::new(9, Duration::from_secs(5)))
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.0.note("started");
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.0.note("stopped");
    }
}

/// Work of any kind.
#[derive(Message)]
#[rtype(result = "usize")]
struct Work(Box<dyn FnOnce() -> usize + Send>);

impl Work {
    fn new(work: impl FnOnce() -> usize + Send + 'static) -> Self {
        Self(Box::new(work))
    }
}

impl Handler<Work> for Worker {
    type Result = usize;

    fn handle(&mut self, Work(work): Work, _: &mut Context<Self>) -> usize {
        work()
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Quit;

impl Handler<Quit> for Worker {
    type Result = ();

    fn handle(&mut self, _: Quit, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

async fn start(spec: BlockingPoolSpec<Worker>) -> (SupervisorRef, BlockingPool<Worker>) {
    let (spec, pool) = spec.build("pool").expect("threads");
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(spec)
        .start("root")
        .await;
    (root.expect("the tree starts"), pool)
}

/// Work that says when it begins, and ends when it is told to; a dropped gate panics.
fn gated(begun: &mpsc::Sender<()>) -> (Work, mpsc::Sender<usize>) {
    let (open, gate) = mpsc::channel();
    let begun = begun.clone();
    let work = Work::new(move || {
        begun.send(()).expect("the test listens");
        gate.recv().expect("told to panic")
    });
    (work, open)
}

#[actix::test]
async fn every_thread_of_a_pool_works_at_the_same_time() {
    let (root, pool) = start(Worker::pool(3, &Journal::default())).await;
    // Nobody passes before all three have arrived.
    let barrier = Arc::new(Barrier::new(3));
    let calls = (0..3).map(|n| {
        let barrier = Arc::clone(&barrier);
        pool.call(Work::new(move || {
            barrier.wait();
            n
        }))
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::ok).collect();
    assert_eq!(answers, [Some(0), Some(1), Some(2)]);
    root.shutdown().await;
}

#[actix::test]
async fn a_blocked_actor_of_a_pool_holds_up_nobody_else() {
    let (root, pool) = start(Worker::pool(2, &Journal::default())).await;
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    pool.cast(work).expect("taken");
    begins.recv().expect("begun");
    for n in 0..100 {
        assert_eq!(pool.call(Work::new(move || n)).await.ok(), Some(n));
    }
    gate.send(0).expect("it waits");
    root.shutdown().await;
}

#[actix::test]
async fn an_actor_of_a_pool_that_panics_is_restarted_and_loses_its_message_alone() {
    let journal = Journal::default();
    let (root, pool) = start(Worker::pool(1, &journal)).await;
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    let mut failing = Box::pin(pool.call(work));
    assert!((&mut failing).now_or_never().is_none());
    begins.recv().expect("begun");
    let mut waiting = Box::pin(pool.call(Work::new(|| 7)));
    assert!((&mut waiting).now_or_never().is_none());
    drop(gate);
    let Err(CallError::Died(reason)) = failing.await else {
        panic!("it panicked");
    };
    assert!(reason.to_string().contains("told to panic"), "{reason}");
    assert_eq!(waiting.await.ok(), Some(7));
    assert_eq!(journal.look(), ["started", "started"]);
    root.shutdown().await;
}

#[actix::test]
async fn a_full_queue_of_a_pool_refuses_or_lets_wait() {
    let (root, pool) = start(Worker::pool(1, &Journal::default()).queue_capacity(1)).await;
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    pool.cast(work).expect("taken");
    begins.recv().expect("begun");
    pool.cast(Work::new(|| 1)).expect("room for one");
    assert!(matches!(
        pool.cast(Work::new(|| 2)),
        Err(CastError::Full(_))
    ));
    assert!(matches!(
        pool.try_call(Work::new(|| 2)).await,
        Err(CallError::Full(_))
    ));
    let mut waiting = Box::pin(pool.call(Work::new(|| 3)));
    assert!((&mut waiting).now_or_never().is_none());
    gate.send(0).expect("it waits");
    assert_eq!(waiting.await.ok(), Some(3));
    root.shutdown().await;
}

#[actix::test]
async fn a_pool_that_stops_ends_each_actor_after_its_message_and_answers_who_waits() {
    let journal = Journal::default();
    let (root, pool) = start(Worker::pool(1, &journal).queue_capacity(1)).await;
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    let mut at_work = Box::pin(pool.call(work));
    assert!((&mut at_work).now_or_never().is_none());
    begins.recv().expect("begun");
    let mut queued = Box::pin(pool.call(Work::new(|| 1)));
    assert!((&mut queued).now_or_never().is_none());
    let mut without_room = Box::pin(pool.call(Work::new(|| 2)));
    assert!((&mut without_room).now_or_never().is_none());
    let mut stopped = Box::pin(root.shutdown());
    // Both supervisors are on this thread: in so many turns the order has arrived at the actor.
    for _ in 0..100 {
        assert!((&mut stopped).now_or_never().is_none());
        yield_now().await;
    }
    gate.send(9).expect("it waits");
    assert_eq!(at_work.await.ok(), Some(9));
    stopped.await;
    let queued = queued.await;
    assert!(
        matches!(queued, Err(CallError::Died(ExitReason::Shutdown))),
        "{queued:?}"
    );
    let without_room = without_room.await;
    assert!(
        matches!(without_room, Err(CallError::NotRunning(_))),
        "{without_room:?}"
    );
    assert_eq!(journal.look().last().map(String::as_str), Some("stopped"));
    assert!(!pool.is_running());
    let late = pool.call(Work::new(|| 0)).await;
    assert!(matches!(late, Err(CallError::NotRunning(_))));
}

#[actix::test]
async fn a_pool_that_gives_up_answers_who_waits_and_serves_again_when_it_is_restarted() {
    let spec =
        Worker::pool(1, &Journal::default()).intensity(Intensity::new(0, Duration::from_secs(5)));
    let (root, pool) = start(spec).await;
    let supervisor = pool.supervisor().clone();
    let first = supervisor.incarnation().expect("running");
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    pool.cast(work).expect("taken");
    begins.recv().expect("begun");
    let mut waiting = Box::pin(pool.call(Work::new(|| 1)));
    assert!((&mut waiting).now_or_never().is_none());
    drop(gate);
    let left = waiting.await;
    assert!(
        matches!(left, Err(CallError::Died(ExitReason::Shutdown))),
        "{left:?}"
    );
    supervisor.wait_until_running(first).await;
    assert_eq!(pool.call(Work::new(|| 2)).await.ok(), Some(2));
    root.shutdown().await;
}

#[actix::test]
async fn a_pool_serves_until_the_last_actor_is_gone_for_good() {
    let spec = Worker::pool(2, &Journal::default());
    let (root, pool) = start(spec.each(|worker| worker.restart(Restart::Transient))).await;
    let messages: MessageRef<Quit> = pool.clone().into();
    messages.call(Quit).await.expect("the first one quits");
    assert_eq!(pool.call(Work::new(|| 1)).await.ok(), Some(1));
    messages.call(Quit).await.expect("the second one quits");
    // Its supervisor hears of it before it answers.
    while pool.supervisor().count_children().await.active > 0 {
        yield_now().await;
    }
    pool.supervisor().which_children().await;
    assert!(!messages.is_running());
    let late = pool.call(Work::new(|| 2)).await;
    assert!(matches!(late, Err(CallError::NotRunning(_))));
    root.shutdown().await;
}

#[actix::test]
async fn a_killed_pool_answers_who_waits() {
    let (root, pool) = start(Worker::pool(1, &Journal::default())).await;
    let (begun, begins) = mpsc::channel();
    let (work, gate) = gated(&begun);
    pool.cast(work).expect("taken");
    begins.recv().expect("begun");
    let mut waiting = Box::pin(pool.call(Work::new(|| 1)));
    assert!((&mut waiting).now_or_never().is_none());
    let killed = root.kill().await;
    assert_eq!(killed, ExitReason::Killed);
    let left = waiting.await;
    assert!(
        matches!(left, Err(CallError::Died(ExitReason::Killed))),
        "{left:?}"
    );
    gate.send(0).expect("it waits");
}

/// Blocks its thread a turn later, with work that did not come from the queue.
#[derive(Message)]
#[rtype(result = "()")]
struct BlockLater {
    blocks: mpsc::Sender<()>,
    gate: mpsc::Receiver<()>,
}

struct Sleeper;

impl Actor for Sleeper {
    type Context = Context<Self>;
}

impl Handler<BlockLater> for Sleeper {
    type Result = ();

    fn handle(&mut self, message: BlockLater, ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_millis(1), move |_, _| {
            let _ = message.blocks.send(());
            let _ = message.gate.recv();
        });
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl Handler<Look> for Sleeper {
    type Result = ();

    fn handle(&mut self, _: Look, _: &mut Context<Self>) {}
}

#[actix::test]
async fn a_message_goes_to_who_is_free_also_past_one_that_blocks_over_work_of_its_own() {
    let (spec, pool) = BlockingPoolSpec::new(2, || Sleeper)
        .build("pool")
        .expect("threads");
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(spec)
        .start("root")
        .await;
    let root = root.expect("the tree starts");
    let (blocks, blocked) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    pool.call(BlockLater { blocks, gate }).await.expect("taken");
    let waited = tokio::task::spawn_blocking(move || blocked.recv());
    waited.await.expect("a thread").expect("it blocks");
    let looked = tokio::time::timeout(Duration::from_secs(60), pool.call(Look)).await;
    drop(open);
    looked.expect("the other one is free").expect("an answer");
    root.shutdown().await;
}

//! Threads that block and threads that die: what the rest of the tree does meanwhile.
//!
//! A test here decides itself how long a handler blocks, through channels. Where a limit is to run out the clock of the
//! supervisor's thread is paused: it jumps while the blocked thread stands still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    ArbiterPool, CallError, ChildRef, ChildSpec, ExitReason, Init, Intensity, Placement,
    RestartChildError, Shutdown, StartError, Strategy, SupervisorSpec, TerminateChildError,
};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::{
    cast::{start, supervisor, which, workers},
    support::{Journal, Panic, Ping, Worker, crash, paused},
};

/// An actor that blocks its thread when told to, and counts its living incarnations.
struct Blocker {
    alive: Arc<AtomicUsize>,
}

impl Blocker {
    fn spec(placement: Placement) -> (ChildSpec<Self>, Arc<AtomicUsize>) {
        let alive = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&alive);
        let spec = ChildSpec::new("blocker", move || {
            assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            Self {
                alive: Arc::clone(&count),
            }
        });
        (spec.placement(placement).shutdown(PATIENCE), alive)
    }
}

const PATIENCE: Shutdown = Shutdown::Timeout(Duration::from_secs(1));
const KILL_TIMEOUT: Duration = Duration::from_secs(7);

impl Drop for Blocker {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for Blocker {
    type Context = Context<Self>;
}

/// Blocks until the other end of the channel is dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Block {
    entered: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, block: Block, _: &mut Context<Self>) {
        drop(block.entered);
        let _ = block.release.recv();
    }
}

impl Handler<Ping> for Blocker {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> Self::Result {
        MessageResult("blocker")
    }
}

/// Makes the child block its thread until the result is dropped.
fn block(child: &ChildRef<Blocker>) -> mpsc::Sender<()> {
    let (entered, is_in) = mpsc::channel();
    let (hold, release) = mpsc::channel();
    child.cast(Block { entered, release }).expect("running");
    // Ends when the handler drops its end.
    let _ = is_in.recv();
    hold
}

fn one_thread() -> Placement {
    Placement::Pool(ArbiterPool::new(1).expect("a thread"))
}

#[test]
fn a_blocking_handler_on_another_thread_holds_up_nobody_else() {
    paused(async {
        let (blocker, _) = Blocker::spec(one_thread());
        let handle = blocker.child_ref();
        let spec = supervisor(Strategy::OneForOne, 9);
        let (spec, [other]) = workers(spec, &Journal::default(), ["other"]);
        let root = start(spec.child(blocker)).await;
        let hold = block(&handle);
        assert_eq!(other.call(Ping).await, Ok("other"));
        crash(&other).await;
        assert_eq!(which(&root).await, ["other:2", "blocker:1"]);
        drop(hold);
        assert_eq!(handle.call(Ping).await, Ok("blocker"));
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_blocks_beyond_all_limits_is_reported_and_unreachable_and_not_doubled() {
    paused(async {
        let (blocker, alive) = Blocker::spec(one_thread());
        let handle = blocker.child_ref();
        let spec = supervisor(Strategy::OneForOne, 9).kill_timeout(KILL_TIMEOUT);
        let root = start(spec.child(blocker)).await;
        let down = handle.monitor();
        let hold = block(&handle);
        let mut queued = Box::pin(handle.call(Ping));
        assert!((&mut queued).now_or_never().is_none());

        let before = Instant::now();
        assert_eq!(
            root.terminate_child("blocker").await,
            Err(TerminateChildError::Unresponsive("blocker".into()))
        );
        assert_eq!(before.elapsed(), Duration::from_secs(1) + KILL_TIMEOUT);
        assert_eq!(which(&root).await, ["blocker:stopped"]);
        assert!(!handle.is_running());
        assert_eq!(handle.call(Ping).await, Err(CallError::NotRunning(Ping)));

        // As long as it blocks there is no other incarnation.
        assert_eq!(
            root.restart_child("blocker").await,
            Err(RestartChildError::Start {
                id: "blocker".into(),
                error: StartError::StillRunning
            })
        );
        assert_eq!(alive.load(Ordering::SeqCst), 1);

        // Once its thread comes back it ends at once, after what it had begun with.
        drop(hold);
        assert_eq!(down.await.reason, ExitReason::Killed);
        let answer = queued.await;
        assert!(
            matches!(
                answer,
                Ok("blocker") | Err(CallError::Died(ExitReason::Killed))
            ),
            "{answer:?}"
        );
        assert_eq!(root.restart_child("blocker").await, Ok(()));
        assert_eq!(handle.call(Ping).await, Ok("blocker"));
        root.shutdown().await;
    });
}

#[test]
fn a_tree_with_a_blocking_child_stops_within_its_timeouts() {
    paused(async {
        let journal = Journal::default();
        let (blocker, alive) = Blocker::spec(one_thread());
        let handle = blocker.child_ref();
        let spec = supervisor(Strategy::OneForOne, 9).kill_timeout(KILL_TIMEOUT);
        let (spec, _) = workers(spec, &journal, ["first"]);
        let nested = ChildSpec::supervisor("nested", spec.child(blocker));
        let root = start(supervisor(Strategy::OneForOne, 9).child(nested)).await;
        let down = handle.monitor();
        let hold = block(&handle);
        let before = Instant::now();
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert_eq!(before.elapsed(), Duration::from_secs(1) + KILL_TIMEOUT);
        assert_eq!(
            journal.take(),
            ["first started", "first stopped", "first dropped"]
        );
        drop(hold);
        assert_eq!(down.await.reason, ExitReason::Killed);
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_group_with_a_blocking_child_comes_back_when_its_thread_does() {
    paused(async {
        let (blocker, alive) = Blocker::spec(one_thread());
        let handle = blocker.child_ref();
        let spec = supervisor(Strategy::OneForAll, usize::MAX).kill_timeout(KILL_TIMEOUT);
        let (spec, [other]) = workers(spec, &Journal::default(), ["other"]);
        let root = start(spec.child(blocker)).await;
        let hold = block(&handle);
        let _ = other.call(Panic).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(which(&root).await[1], "blocker:restarting");
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        drop(hold);
        handle.wait_until_running(1).await;
        assert_eq!(handle.call(Ping).await, Ok("blocker"));
        assert!(other.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_killed_over_a_blocking_child_does_not_double_it() {
    paused(async {
        let (blocker, alive) = Blocker::spec(one_thread());
        let handle = blocker.child_ref();
        let spec = supervisor(Strategy::OneForOne, 9).kill_timeout(KILL_TIMEOUT);
        let nested = ChildSpec::supervisor("nested", spec.child(blocker));
        let nested_ref = nested.child_ref();
        let root = start(supervisor(Strategy::OneForOne, usize::MAX).child(nested)).await;
        let down = handle.monitor();
        let hold = block(&handle);
        assert_eq!(nested_ref.kill().await, ExitReason::Killed);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(which(&root).await, ["nested:restarting"]);
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        drop(hold);
        assert_eq!(down.await.reason, ExitReason::Killed);
        nested_ref.wait_until_running(1).await;
        assert_eq!(handle.call(Ping).await, Ok("blocker"));
        root.shutdown().await;
    });
}

/// Runs a test on the real clock, for threads that work at their own speed.
fn in_real_time<F: Future>(test: F) -> F::Output {
    System::new().block_on(test)
}

#[test]
fn a_child_whose_arbiter_dies_is_started_on_another_one_of_the_pool() {
    in_real_time(async {
        let pool = ArbiterPool::new(1).expect("a thread");
        let (spec, alive) = Blocker::spec(Placement::Pool(pool.clone()));
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 3).child(spec)).await;
        let down = child.monitor();
        pool.get(0).stop();
        assert_eq!(down.await.reason, ExitReason::ArbiterStopped);
        child.wait_until_running(1).await;
        assert_eq!(child.call(Ping).await, Ok("blocker"));
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        root.shutdown().await;
    });
}

#[test]
fn a_child_placed_on_one_arbiter_that_died_uses_up_the_budget() {
    in_real_time(async {
        let arbiter = Arbiter::new();
        let (spec, alive) = Blocker::spec(Placement::Arbiter(arbiter.handle()));
        let child = spec.child_ref();
        let first = Worker::spec("first", &Journal::default());
        let first_ref = first.child_ref();
        let tree = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(Intensity::new(2, Duration::from_secs(3600)));
        let root = start(tree.child(first).child(spec)).await;
        let down = root.monitor();
        arbiter.stop();
        assert_eq!(down.await.reason, ExitReason::Shutdown);
        assert!(!child.is_running() && !first_ref.is_running());
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_start_on_an_arbiter_that_died_fails_at_once_however_often_it_is_tried() {
    paused(async {
        let arbiter = Arbiter::new();
        let placement = Placement::Arbiter(arbiter.handle());
        let (spec, _) = Blocker::spec(placement.clone());
        let spec = spec.shutdown(Shutdown::Infinity);
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        root.terminate_child("blocker").await.expect("ends");
        arbiter.stop();
        arbiter.join().expect("an orderly end");

        let before = Instant::now();
        for _ in 0..3 {
            assert_eq!(
                root.restart_child("blocker").await,
                Err(RestartChildError::Start {
                    id: "blocker".into(),
                    error: StartError::ArbiterStopped
                })
            );
        }
        let tree = SupervisorSpec::new(Strategy::OneForOne);
        assert_eq!(
            tree.start_on("root", placement).await.map(drop),
            Err(StartError::ArbiterStopped)
        );
        assert_eq!(before.elapsed(), Duration::ZERO);
        root.shutdown().await;
    });
}

#[test]
fn a_supervisor_whose_arbiter_dies_takes_its_children_along_and_comes_back() {
    in_real_time(async {
        let (home, elsewhere) = (
            ArbiterPool::new(1).expect("a thread"),
            ArbiterPool::new(1).expect("a thread"),
        );
        let (child, alive) = Blocker::spec(Placement::Pool(elsewhere));
        let local = Worker::spec("local", &Journal::default());
        let (child_ref, local_ref) = (child.child_ref(), local.child_ref());
        let nested = SupervisorSpec::new(Strategy::OneForOne)
            .child(local)
            .child(child);
        let nested =
            ChildSpec::supervisor("nested", nested).placement(Placement::Pool(home.clone()));
        let nested_ref = nested.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 3).child(nested)).await;
        let downs = (
            nested_ref.monitor(),
            local_ref.monitor(),
            child_ref.monitor(),
        );
        home.get(0).stop();
        assert_eq!(downs.0.await.reason, ExitReason::ArbiterStopped);
        assert_eq!(downs.1.await.reason, ExitReason::ArbiterStopped);
        assert_eq!(downs.2.await.reason, ExitReason::Killed);
        child_ref.wait_until_running(1).await;
        assert_eq!(child_ref.call(Ping).await, Ok("blocker"));
        assert_eq!(local_ref.call(Ping).await, Ok("local"));
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        root.shutdown().await;
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_supervisor_that_makes_its_children_anew_does_not_double_one_that_blocks() {
    paused(async {
        let alive = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&alive);
        let thread = ArbiterPool::new(2).expect("threads");
        let latest = Arc::new(std::sync::Mutex::new(None));
        let publish = Arc::clone(&latest);
        let nested = ChildSpec::try_supervisor("nested", move || {
            let count = Arc::clone(&count);
            let child = ChildSpec::new("blocker", move || {
                assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                Blocker {
                    alive: Arc::clone(&count),
                }
            });
            let child = child.placement(Placement::Pool(thread.clone()));
            *publish.lock().expect("handle") = Some(child.child_ref());
            // Below one more supervisor, so that the place is kept from further down, too.
            let between =
                ChildSpec::supervisor("between", supervisor(Strategy::OneForOne, 9).child(child));
            Ok::<_, ExitReason>(Init::Run(supervisor(Strategy::OneForOne, 9).child(between)))
        });
        let nested_ref = nested.child_ref();
        let tree = supervisor(Strategy::OneForOne, usize::MAX).kill_timeout(KILL_TIMEOUT);
        let root = start(tree.child(nested)).await;
        let first = latest.lock().expect("handle").take().expect("made");
        let down = first.monitor();
        let hold = block(&first);
        assert_eq!(nested_ref.kill().await, ExitReason::Killed);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(which(&root).await, ["nested:restarting"]);
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        drop(hold);
        assert_eq!(down.await.reason, ExitReason::Killed);
        nested_ref.wait_until_running(1).await;
        let second = latest.lock().expect("handle").take().expect("made anew");
        assert_eq!(second.call(Ping).await, Ok("blocker"));
        root.shutdown().await;
    });
}

#[test]
fn clones_of_one_spec_started_on_two_threads_at_once_never_run_a_child_twice() {
    let threads = [(); 2].map(|()| ArbiterPool::new(1).expect("a thread"));
    for _ in 0..300 {
        let (spec, alive) = Blocker::spec(Placement::Local);
        let spec = supervisor(Strategy::OneForOne, 9)
            .kill_timeout(Duration::ZERO)
            .child(spec);
        let at_once = Arc::new(std::sync::Barrier::new(2));
        let roots = threads.each_ref().map(|thread| {
            let (sender, root) = tokio::sync::oneshot::channel();
            let (spec, at_once) = (spec.clone(), Arc::clone(&at_once));
            thread.pick().spawn_fn(move || {
                at_once.wait();
                actix_rt::spawn(async move {
                    let _ = sender.send(spec.start("root").await);
                });
            });
            root
        });
        in_real_time(async {
            let [one, other] = roots;
            let started = [one.await, other.await].map(|root| root.expect("an answer"));
            let running = started.iter().filter(|root| root.is_ok()).count();
            assert_eq!(running, 1, "{started:?}");
            assert_eq!(alive.load(Ordering::SeqCst), 1);
            for root in started.into_iter().flatten() {
                root.shutdown().await;
            }
        });
    }
}

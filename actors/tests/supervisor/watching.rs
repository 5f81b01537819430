//! Actors that hear of the end of others, or end along with them; and handles by message.

use actix::prelude::*;
use actix_otp::{
    CallError, CastError, ChildRef, ChildSpec, Down, ExitReason, MessageRef, MonitorContext,
    Restart, Strategy, SupervisorRef,
};

use crate::{
    cast::{start, supervisor},
    support::{ExitWith, Journal, Panic, Ping, Worker, crash, paused, settle},
};

/// Watches a worker from its start on.
struct Watcher {
    worker: ChildRef<Worker>,
    watch: fn(&mut Context<Watcher>, &ChildRef<Worker>) -> SpawnHandle,
    handle: Option<SpawnHandle>,
    journal: Journal,
}

impl Actor for Watcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.handle = Some((self.watch)(ctx, &self.worker));
    }
}

impl Handler<Down> for Watcher {
    type Result = ();

    fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        let Down {
            id,
            incarnation,
            reason,
            ..
        } = down;
        self.journal.note(format!("{id} {incarnation}: {reason}"));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Unwatch;

impl Handler<Unwatch> for Watcher {
    type Result = ();

    fn handle(&mut self, _: Unwatch, ctx: &mut Context<Self>) {
        ctx.cancel_future(self.handle.expect("watching"));
    }
}

type Watch = fn(&mut Context<Watcher>, &ChildRef<Worker>) -> SpawnHandle;

const MONITOR: Watch = |ctx, worker| ctx.monitor(worker);
const LINK: Watch = |ctx, worker| ctx.link(worker);

/// A worker, and who watches it; neither is started again.
async fn watched(watch: Watch) -> (SupervisorRef, ChildRef<Worker>, ChildRef<Watcher>, Journal) {
    let journal = Journal::default();
    let worker = Worker::spec("worker", &Journal::default()).restart(Restart::Temporary);
    let handle = worker.child_ref();
    let (of_watcher, notes) = (handle.clone(), journal.clone());
    let watcher = ChildSpec::new("watcher", move || Watcher {
        worker: of_watcher.clone(),
        watch,
        handle: None,
        journal: notes.clone(),
    });
    let watcher = watcher.restart(Restart::Temporary);
    let watcher_ref = watcher.child_ref();
    let root = start(
        supervisor(Strategy::OneForOne, 9)
            .child(worker)
            .child(watcher),
    )
    .await;
    (root, handle, watcher_ref, journal)
}

#[test]
fn a_monitor_delivers_the_end_of_a_child_to_the_actor_as_a_message_once() {
    paused(async {
        let (root, worker, watcher, journal) = watched(MONITOR).await;
        let _ = worker.call(Panic).await;
        settle().await;
        assert_eq!(journal.take(), ["worker 1: panicked: told to panic"]);
        assert!(watcher.is_running());
        root.shutdown().await;
    });
}

#[test]
fn monitoring_what_does_not_run_delivers_that_at_once() {
    paused(async {
        let journal = Journal::default();
        let (notes, worker) = (
            journal.clone(),
            Worker::spec("worker", &journal).child_ref(),
        );
        let watcher = ChildSpec::new("watcher", move || Watcher {
            worker: worker.clone(),
            watch: MONITOR,
            handle: None,
            journal: notes.clone(),
        });
        let root = start(supervisor(Strategy::OneForOne, 9).child(watcher)).await;
        settle().await;
        assert_eq!(journal.take(), ["worker 0: not running"]);
        root.shutdown().await;
    });
}

#[test]
fn a_monitor_that_was_cancelled_delivers_nothing() {
    paused(async {
        let (root, worker, watcher, journal) = watched(MONITOR).await;
        assert!(watcher.call(Unwatch).await.is_ok());
        worker.kill().await;
        settle().await;
        assert!(journal.take().is_empty());
        root.shutdown().await;
    });
}

#[test]
fn a_link_ends_the_actor_along_with_a_child_that_ends_abnormally_and_for_the_same_reason() {
    paused(async {
        for reason in [
            ExitReason::error("no more"),
            ExitReason::Normal,
            ExitReason::Shutdown,
        ] {
            let (root, worker, watcher, _) = watched(LINK).await;
            let down = watcher.monitor();
            let _ = worker.call(ExitWith(reason.clone())).await;
            settle().await;
            assert!(!worker.is_running());
            assert_eq!(watcher.is_running(), !reason.is_abnormal());
            if reason.is_abnormal() {
                assert_eq!(down.await.reason, reason);
            }
            root.shutdown().await;
        }
    });
}

#[test]
fn a_link_to_what_does_not_run_changes_nothing() {
    paused(async {
        let (root, worker, watcher, _) = watched(LINK).await;
        assert!(watcher.call(Unwatch).await.is_ok());
        worker.kill().await;
        let notes = Journal::default();
        let late = ChildSpec::new("late", move || Watcher {
            worker: worker.clone(),
            watch: LINK,
            handle: None,
            journal: notes.clone(),
        });
        let late = root.start_child(late).await.expect("starts");
        settle().await;
        assert!(late.is_running() && watcher.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_handle_by_message_reaches_the_child_across_restarts() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default());
        let child = spec.child_ref();
        let ping: MessageRef<Ping> = child.message_ref();
        assert_eq!(ping.call(Ping).await, Err(CallError::NotRunning(Ping)));
        assert_eq!(ping.cast(Ping), Err(CastError::NotRunning(Ping)));
        assert!(!ping.is_running());
        let root = start(supervisor(Strategy::OneForOne, 9).child(spec)).await;
        assert_eq!(ping.call(Ping).await, Ok("a"));
        crash(&child).await;
        assert!(ping.is_running());
        assert_eq!(ping.clone().call(Ping).await, Ok("a"));
        assert_eq!((ping.cast(Ping), ping.send(Ping).await), (Ok(()), Ok(())));
        let panic: MessageRef<Panic> = child.clone().into();
        assert!(matches!(panic.call(Panic).await, Err(CallError::Died(_))));
        root.shutdown().await;
    });
}

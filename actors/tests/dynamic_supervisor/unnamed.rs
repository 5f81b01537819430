//! Children without a spec: starts from any thread, a limit, a parallel stop, no orphans.

use std::time::Duration;

use actix::prelude::*;
use actix_otp::{
    ArbiterPool, DynamicSupervisorSpec, ExitReason, Init, Placement, Shutdown, StartDynamicError,
    StartError, Strategy, SupervisorSpec,
};

use crate::{
    children::start,
    support::{Journal, Panic, Ping, Worker, paused, settle},
};

fn worker(name: &'static str, journal: &Journal) -> impl FnOnce() -> Worker + Send + use<> {
    let journal = journal.clone();
    move || Worker::new(name, &journal)
}

#[test]
fn a_child_lives_until_it_ends_and_is_then_forgotten() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let child = children
            .start_child(worker("a", &Journal::default()))
            .await
            .expect("starts");
        assert_eq!(child.addr().send(Ping).await.ok(), Some("a"));
        assert_eq!(children.count(), 1);
        child.addr().do_send(Panic);
        assert_eq!(
            child.exited().await,
            ExitReason::Panicked("told to panic".into())
        );
        assert_eq!(children.count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn one_child_more_than_allowed_is_refused_and_its_place_is_free_after_an_exit() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().max_children(1)).await;
        let journal = Journal::default();
        let child = children
            .start_child(worker("a", &journal))
            .await
            .expect("starts");
        let refused = children.start_child(worker("b", &journal)).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(1)));
        child.kill().await;
        children
            .start_child(worker("b", &journal))
            .await
            .expect("there is room again");
        root.shutdown().await;
    });
}

#[test]
fn a_factory_that_panics_is_a_failed_start_and_takes_no_place() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let failed = children
            .start_child::<Worker, _>(|| panic!("no worker today"))
            .await;
        let reason = ExitReason::Panicked("no worker today".into());
        assert_eq!(
            failed.map(drop),
            Err(StartDynamicError::Start(StartError::Exited(reason.clone())))
        );
        let child = children.spawn_child::<Worker, _>(|| panic!("no worker today"));
        assert_eq!(child.expect("accepted").exited().await, reason);
        assert_eq!(children.count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn a_factory_may_fail_or_decline_and_nothing_is_kept() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().max_children(1)).await;
        let failed = children.try_start_child::<Worker, _, _>(|| Err("no worker today"));
        let reason = ExitReason::error("no worker today");
        assert_eq!(
            failed.await.map(drop),
            Err(StartError::Exited(reason).into())
        );
        let declined = children.try_start_child::<Worker, &str, _>(|| Ok(Init::Ignore));
        assert_eq!(declined.await.map(drop), Err(StartDynamicError::Ignored));
        let journal = Journal::default();
        let child = children
            .try_start_child::<_, &str, _>(move || Ok(Init::Run(Worker::new("a", &journal))));
        let child = child.await.expect("there is room");
        assert_eq!(child.addr().send(Ping).await.ok(), Some("a"));
        root.shutdown().await;
    });
}

#[test]
fn it_needs_no_actix_system_where_there_is_a_local_set() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let child = children.start_child(worker("a", &Journal::default())).await;
        let child = child.expect("starts");
        assert_eq!(child.addr().send(Ping).await.ok(), Some("a"));
        root.shutdown().await;
        assert_eq!(child.exited().await, ExitReason::Shutdown);
    });
}

#[test]
fn all_children_are_stopped_at_once() {
    paused(async {
        let limit = Duration::from_millis(500);
        let spec = DynamicSupervisorSpec::new().shutdown(Shutdown::Timeout(limit));
        let (root, children) = start(spec).await;
        let journal = Journal::default();
        for _ in 0..10 {
            let journal = journal.clone();
            let stubborn = move || {
                let mut worker = Worker::new("stubborn", &journal);
                worker.stubborn = true;
                worker
            };
            std::mem::forget(children.start_child(stubborn).await.expect("starts"));
        }
        std::mem::forget(
            children
                .start_child(worker("obedient", &journal))
                .await
                .expect("starts"),
        );
        journal.take();
        let before = tokio::time::Instant::now();
        root.shutdown().await;
        assert_eq!(
            before.elapsed(),
            limit,
            "the stubborn ones time out together"
        );
        let entries = journal.take();
        assert_eq!(entries[..2], ["obedient stopped", "obedient dropped"]);
        assert_eq!(entries.len(), 12);
    });
}

#[test]
fn a_killed_supervisor_takes_its_children_along_and_its_successor_starts_new_ones() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let journal = Journal::default();
        let child = children
            .start_child(worker("a", &journal))
            .await
            .expect("starts");
        children.supervisor().kill().await;
        assert_eq!(child.exited().await, ExitReason::Killed);
        children.supervisor().wait_until_running(1).await;
        children
            .start_child(worker("b", &journal))
            .await
            .expect("starts");
        root.shutdown().await;
        let refused = children.start_child(worker("c", &journal)).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::NoSupervisor));
    });
}

#[test]
fn a_child_whose_handle_and_address_are_gone_stops_by_itself() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let journal = Journal::default();
        drop(
            children
                .start_child(worker("a", &journal))
                .await
                .expect("starts"),
        );
        settle().await;
        assert_eq!(journal.take(), ["a started", "a stopped", "a dropped"]);
        assert_eq!(children.count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn children_are_spread_over_a_pool_and_started_from_any_thread() {
    let pool = ArbiterPool::new(2).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("one");
    runtime.block_on(async {
        let (child, children) = DynamicSupervisorSpec::new()
            .pool(pool.clone())
            .build("dynamic");
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .child(child)
            .start_on("root", Placement::Pool(pool.clone()))
            .await
            .expect("the tree starts");
        let journal = Journal::default();
        let mut started = Vec::new();
        for _ in 0..100 {
            started.push(
                children
                    .start_child(worker("a", &journal))
                    .await
                    .expect("starts"),
            );
        }
        assert_eq!(children.count(), 100);
        assert_eq!(started[7].addr().send(Ping).await.ok(), Some("a"));
        root.shutdown().await;
        assert_eq!(children.count(), 0);
    });
    pool.stop();
}

/// Makes work for itself for ever.
struct Busy;

impl Actor for Busy {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.notify(Ping);
    }
}

impl Handler<Ping> for Busy {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, _: Ping, ctx: &mut Context<Self>) -> Self::Result {
        ctx.notify(Ping);
        MessageResult("busy")
    }
}

#[test]
fn a_child_that_makes_work_for_itself_for_ever_lets_others_have_their_turn_and_can_be_ended() {
    // On a thread of its own: without a bound of its turn, it never comes back.
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        paused(async {
            let (root, children) = start(DynamicSupervisorSpec::new()).await;
            let busy = children.start_child(|| Busy).await.expect("starts");
            assert_eq!(busy.addr().send(Ping).await.ok(), Some("busy"));
            assert_eq!(busy.kill().await, ExitReason::Killed);
            let busy = children.start_child(|| Busy).await.expect("starts");
            root.shutdown().await;
            assert_eq!(busy.exited().await, ExitReason::Shutdown);
        });
        done.send(()).expect("awaited");
    });
    told.recv_timeout(Duration::from_secs(60)).expect("it ends");
}

#[test]
fn a_child_without_work_ends_with_its_last_address() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        drop(
            children
                .start_child(worker("a", &Journal::default()))
                .await
                .expect("starts"),
        );
        settle().await;
        assert_eq!(children.count(), 0);
        root.shutdown().await;
    });
}

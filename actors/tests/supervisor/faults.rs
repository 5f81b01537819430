//! Panics wherever an actor can panic, and actors that end in odd ways: each costs that actor only.

use std::time::Duration;

use actix::{fut, prelude::*};
use actix_otp::{
    CallError, ChildRef, ChildSpec, ExitContext, ExitReason, Restart, Shutdown, StartChildError,
    StartError, Strategy, SupervisorRef,
};

use crate::{
    cast::{start, supervisor, which, workers},
    support::{Journal, Panic, Ping, Worker, crash, paused, settle},
};

/// Panics in the place it is told to, and notes which hooks run.
struct Fragile {
    place: &'static str,
    journal: Journal,
}

impl Actor for Fragile {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.place {
            "started" => panic!("in started"),
            "interval" => {
                ctx.run_interval(Duration::from_millis(10), |_, _| panic!("in interval"));
            }
            "later" => {
                ctx.run_later(Duration::from_millis(10), |_, _| panic!("in later"));
            }
            "spawned" => {
                let later = async {
                    tokio::task::yield_now().await;
                    panic!("in spawned")
                };
                ctx.spawn(later.into_actor(self));
            }
            "waited" => {
                let later = tokio::task::yield_now().into_actor(self);
                ctx.wait(later.map(|(), _, _| panic!("in waited")));
            }
            "stream" => {
                ctx.add_stream(futures_util::stream::once(tokio::task::yield_now()));
            }
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.journal.note("stopping");
        assert!(self.place != "stopping", "in stopping");
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.journal.note("stopped");
        assert!(self.place != "stopped", "in stopped");
    }
}

impl StreamHandler<()> for Fragile {
    fn handle(&mut self, (): (), _: &mut Context<Self>) {
        panic!("in stream");
    }
}

/// A call whose work is done by the actor itself, over several turns.
#[derive(Message)]
#[rtype(result = "()")]
struct WorkOn;

impl Handler<WorkOn> for Fragile {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: WorkOn, _: &mut Context<Self>) -> Self::Result {
        let work = tokio::task::yield_now().into_actor(self);
        Box::pin(work.map(|(), _, _| panic!("in response")))
    }
}

impl Handler<Panic> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("in handler");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.journal.note("dropped");
        assert!(self.place != "drop", "in drop");
    }
}

fn fragile(place: &'static str, journal: &Journal) -> ChildSpec<Fragile> {
    let journal = journal.clone();
    ChildSpec::new(place, move || Fragile {
        place,
        journal: journal.clone(),
    })
}

/// A supervisor with one healthy worker.
async fn with_neighbour() -> (SupervisorRef, ChildRef<Worker>) {
    let spec = supervisor(Strategy::OneForOne, 100);
    let (spec, [healthy]) = workers(spec, &Journal::default(), ["healthy"]);
    (start(spec).await, healthy)
}

fn panicked(place: &str) -> ExitReason {
    ExitReason::Panicked(format!("in {place}").into())
}

#[test]
fn a_panic_at_work_runs_no_hook_and_is_followed_by_a_restart() {
    paused(async {
        for place in ["interval", "later", "spawned", "waited", "stream"] {
            let (root, healthy) = with_neighbour().await;
            let journal = Journal::default();
            let child = root.start_child(fragile(place, &journal)).await;
            let child = child.expect("it starts");
            if child.is_running() {
                let down = child.monitor().await;
                assert_eq!(down.reason, panicked(place));
            }
            child.wait_until_running(1).await;
            // The poisoned actor was dropped as it was.
            assert_eq!(journal.take().first().map(String::as_str), Some("dropped"));
            root.terminate_child(place).await.expect("ends");
            assert_eq!(healthy.incarnation(), Some(1));
            root.shutdown().await;
        }
    });
}

#[test]
fn a_panic_over_a_message_is_the_callers_answer_and_runs_no_hook() {
    paused(async {
        let (root, healthy) = with_neighbour().await;
        let journal = Journal::default();
        let child = root.start_child(fragile("handler", &journal)).await;
        let child = child.expect("it starts");
        assert_eq!(
            child.call(Panic).await,
            Err(CallError::Died(panicked("handler")))
        );
        child.wait_until_running(1).await;
        let answer = child.call(WorkOn).await;
        assert!(matches!(answer, Err(CallError::Died(reason)) if reason == panicked("response")));
        child.wait_until_running(2).await;
        assert_eq!(journal.take(), ["dropped", "dropped"]);
        assert_eq!(healthy.call(Ping).await, Ok("healthy"));
        root.shutdown().await;
    });
}

#[test]
fn a_panic_in_started_is_a_failed_start() {
    paused(async {
        let (root, healthy) = with_neighbour().await;
        let journal = Journal::default();
        let answer = root.start_child(fragile("started", &journal)).await;
        assert_eq!(
            answer.map(drop),
            Err(StartChildError::Start {
                id: "started".into(),
                error: StartError::Exited(panicked("started"))
            })
        );
        assert_eq!(journal.take(), ["dropped"]);
        assert_eq!(which(&root).await, ["healthy:1"]);
        assert!(healthy.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_panic_in_a_stop_hook_is_the_reason_and_does_not_hold_up_a_shutdown() {
    paused(async {
        for place in ["stopping", "stopped"] {
            let (root, healthy) = with_neighbour().await;
            let journal = Journal::default();
            let child = root.start_child(fragile(place, &journal)).await;
            let child = child.expect("it starts");
            // Stopped by itself it is restarted, for a panic is abnormal; stopped by its supervisor it is not.
            assert_eq!(child.stop().await, panicked(place));
            child.wait_until_running(1).await;
            let down = child.monitor();
            assert_eq!(root.shutdown().await, ExitReason::Shutdown);
            assert_eq!(down.await.reason, panicked(place));
            assert!(!healthy.is_running());
        }
    });
}

#[test]
fn a_panic_while_an_actor_is_dropped_changes_nothing_any_more() {
    paused(async {
        let (root, healthy) = with_neighbour().await;
        let child = root.start_child(fragile("drop", &Journal::default())).await;
        let child = child.expect("it starts");
        assert_eq!(child.stop().await, ExitReason::Normal);
        child.wait_until_running(1).await;
        // Nor does one after another panic.
        assert_eq!(
            child.call(Panic).await,
            Err(CallError::Died(panicked("handler")))
        );
        child.wait_until_running(2).await;
        assert_eq!(child.kill().await, ExitReason::Killed);
        child.wait_until_running(3).await;
        assert_eq!(healthy.incarnation(), Some(1));
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
    });
}

#[test]
fn a_factory_that_panics_at_a_restart_is_tried_again() {
    paused(async {
        let starts = std::sync::atomic::AtomicUsize::new(0);
        let spec = ChildSpec::new("a", move || {
            let start = starts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert!(start != 1, "the second start panics");
            Worker::new("a", &Journal::default())
        });
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 2).child(spec)).await;
        crash(&child).await;
        assert_eq!(child.call(Ping).await, Ok("a"));
        assert_eq!(child.incarnation(), Some(3));
        root.shutdown().await;
    });
}

/// Ends in a way that actix offers and OTP does not know.
struct Odd(&'static str);

impl Actor for Odd {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.0 {
            "terminates" => {
                ctx.run_later(Duration::from_millis(1), |_, ctx| ctx.terminate());
            }
            "terminates waiting" => {
                // Terminates in a future it waits for, which then does not end.
                ctx.wait(
                    fut::ready(()).then(|(), _: &mut Self, ctx: &mut Context<Self>| {
                        ctx.terminate();
                        async { std::future::pending().await }.into_actor(&Odd(""))
                    }),
                );
            }
            "never ready" => drop(ctx.defer_start()),
            "exits" => ctx.exit(ExitReason::error("no licence")),
            _ => {}
        }
    }
}

#[test]
fn an_actor_that_terminates_its_context_was_killed() {
    paused(async {
        for way in ["terminates", "terminates waiting"] {
            let (root, _) = with_neighbour().await;
            let spec = ChildSpec::new("odd", move || Odd(way)).restart(Restart::Temporary);
            let child = spec.child_ref();
            let answer = root.start_child(spec).await;
            if answer.is_ok() {
                let down = child.monitor().await;
                assert_eq!(down.reason, ExitReason::Killed, "{way}");
            } else {
                assert_eq!(way, "terminates waiting");
            }
            settle().await;
            assert_eq!(which(&root).await, ["healthy:1"], "{way}");
            root.shutdown().await;
        }
    });
}

#[test]
fn a_start_that_nobody_can_complete_or_that_exits_fails() {
    paused(async {
        let (root, _) = with_neighbour().await;
        for (way, reason) in [
            ("never ready", ExitReason::Killed),
            ("exits", ExitReason::error("no licence")),
        ] {
            let answer = root
                .start_child(ChildSpec::new("odd", move || Odd(way)))
                .await;
            assert_eq!(
                answer.map(drop),
                Err(StartChildError::Start {
                    id: "odd".into(),
                    error: StartError::Exited(reason)
                })
            );
        }
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_ignores_its_stop_is_killed_by_every_operation_that_ends_it() {
    paused(async {
        let journal = Journal::default();
        let time = Duration::from_millis(300);
        let spec = supervisor(Strategy::OneForAll, 9);
        let (spec, [crashing]) = workers(spec, &journal, ["crashing"]);
        let stubborn = Worker::stubborn("stubborn", &journal).shutdown(Shutdown::Timeout(time));
        let stubborn_ref = stubborn.child_ref();
        let root = start(spec.child(stubborn)).await;

        // A group restart.
        let before = tokio::time::Instant::now();
        let _ = crashing.call(Panic).await;
        stubborn_ref.wait_until_running(1).await;
        assert_eq!(before.elapsed(), time);
        // A request.
        root.terminate_child("stubborn").await.expect("is killed");
        assert_eq!(before.elapsed(), time * 2);
        root.restart_child("stubborn").await.expect("starts");
        // A shutdown.
        let down = stubborn_ref.monitor();
        root.shutdown().await;
        assert_eq!(before.elapsed(), time * 3);
        assert_eq!(down.await.reason, ExitReason::Killed);
        assert!(crate::cast::live(&journal).is_empty());
    });
}

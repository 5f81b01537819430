//! The line between a start and the work after it: what fails before `started` has returned fails the start, and what
//! fails later, be it in the same turn, is a death and calls for a restart.

use actix::{fut, prelude::*};
use actix_otp::{
    ChildSpec, ExitContext, ExitReason, StartChildError, StartError, Strategy, SupervisorSpec,
};

use crate::{
    cast::{start, supervisor, which},
    support::{ExitWith, Journal, Panic, Worker, paused},
    telemetry::note_events,
};

/// Schedules its first work where it starts, and fails at that once.
struct Eager {
    schedule: fn(&mut Context<Self>),
    fails: bool,
}

impl Eager {
    fn spec(schedule: fn(&mut Context<Self>)) -> ChildSpec<Self> {
        let fails = std::sync::atomic::AtomicBool::new(true);
        ChildSpec::new("eager", move || Self {
            schedule,
            fails: fails.swap(false, std::sync::atomic::Ordering::SeqCst),
        })
    }
}

impl Actor for Eager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.fails {
            (self.schedule)(ctx);
        }
    }
}

impl Handler<Panic> for Eager {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("in its first work");
    }
}

impl Handler<ExitWith> for Eager {
    type Result = ();

    fn handle(&mut self, ExitWith(reason): ExitWith, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}

fn panics() -> impl ActorFuture<Eager, Output = ()> {
    fut::ready(()).map(|(), _, _| panic!("in its first work"))
}

#[test]
fn what_started_has_scheduled_and_fails_at_once_is_a_death_and_not_a_failed_start() {
    let panicked = ExitReason::Panicked("in its first work".into());
    type Schedule = fn(&mut Context<Eager>);
    let cases: [(Schedule, ExitReason); 6] = [
        (|ctx| ctx.notify(Panic), panicked.clone()),
        (|ctx| ctx.address().do_send(Panic), panicked.clone()),
        (|ctx| panics().spawn(ctx), panicked.clone()),
        (|ctx| ctx.wait(panics()), panicked),
        (
            |ctx| ctx.notify(ExitWith(ExitReason::error("no work"))),
            ExitReason::error("no work"),
        ),
        (
            |ctx| {
                let exit = fut::ready(()).map(|(), _, ctx: &mut Context<Eager>| {
                    ctx.exit(ExitReason::error("no wait"));
                });
                ctx.wait(exit);
            },
            ExitReason::error("no wait"),
        ),
    ];
    paused(async {
        for (schedule, reason) in cases {
            let journal = Journal::default();
            let child = Eager::spec(schedule);
            let eager = child.child_ref();
            let tree = supervisor(Strategy::OneForOne, 1)
                .child(Worker::spec("other", &Journal::default()))
                .child(child)
                .observer(note_events(&journal));
            let root = start(tree).await;
            eager.wait_until_running(1).await;
            assert_eq!(which(&root).await, ["other:1", "eager:2"]);
            assert_eq!(
                journal.take()[1..],
                [
                    "root: eager started as 1".to_owned(),
                    format!("root: eager 1 ended, {reason}"),
                    "root: eager started as 2".to_owned(),
                    "root: eager restarted as 2".to_owned(),
                ]
            );
            root.shutdown().await;
        }
    });
}

#[test]
fn what_fails_before_started_has_returned_is_a_failed_start() {
    type Start = fn(&mut Context<Eager>);
    let cases: [(Start, ExitReason); 3] = [
        (
            |_| panic!("in started"),
            ExitReason::Panicked("in started".into()),
        ),
        (
            |ctx| ctx.exit(ExitReason::error("in started")),
            ExitReason::error("in started"),
        ),
        (|ctx| ctx.terminate(), ExitReason::Killed),
    ];
    paused(async {
        for (fail, reason) in cases {
            let root = start(SupervisorSpec::new(Strategy::OneForOne)).await;
            let error = StartError::Exited(reason);
            let id = "eager".into();
            assert_eq!(
                root.start_child(Eager::spec(fail)).await.map(drop),
                Err(StartChildError::Start { id, error })
            );
            root.shutdown().await;
        }
    });
}

#[test]
fn a_deferred_start_is_complete_from_its_acknowledgment_on_also_within_one_turn() {
    paused(async {
        let root = start(supervisor(Strategy::OneForOne, 1)).await;
        let spec = Eager::spec(|ctx| {
            let ack = ctx.defer_start();
            ctx.spawn(fut::ready(()).map(|(), _, _| {
                ack.ready();
                panic!("in its first work");
            }));
        });
        let eager = root.start_child(spec).await.expect("its start is complete");
        eager.wait_until_running(1).await;
        root.shutdown().await;
    });
}

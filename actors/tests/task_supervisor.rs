//! The contract of supervised tasks: results, reasons, and the end with their supervisor or their caller.

#[path = "support/children.rs"]
mod children;
mod support;

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_otp::{
    ArbiterPool, ChildSpec, DynamicSupervisorRef, DynamicSupervisorSpec, ExitReason, Restart,
    Shutdown, StartDynamicError, Strategy, SupervisionEvent, SupervisorRef, SupervisorSpec,
    TaskError, TaskSupervisor, TerminateDynamicError,
};
use children::{OnStop, Subject, numbers};
use support::{paused, settle};
use tokio::sync::oneshot;

async fn start(spec: DynamicSupervisorSpec) -> (SupervisorRef, TaskSupervisor) {
    let (root, supervisor): (_, DynamicSupervisorRef) = children::start(spec).await;
    (root, supervisor.into())
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Dropped {
    fn new() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

#[test]
fn it_is_built_with_defaults_and_starts_without_tasks() {
    paused(async {
        let (spec, tasks) = TaskSupervisor::build("tasks");
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
        let root = root.start("root").await.expect("starts");
        assert!(tasks.supervisor().which_children().await.is_empty());
        assert_eq!(
            numbers(tasks.supervisor().count_children().await),
            [0, 0, 0, 0]
        );
        root.shutdown().await;
        let refused = tasks.spawn(async {});
        assert_eq!(refused.map(drop), Err(StartDynamicError::NoSupervisor));
    });
}

#[test]
fn a_task_runs_without_anybody_waiting_for_it() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let (sender, receiver) = oneshot::channel();
        let task = tasks.spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = sender.send(42);
        });
        let task = task.expect("starts");
        assert_eq!(tasks.supervisor().count(), 1);
        assert!(!task.is_finished());
        assert_eq!(receiver.await, Ok(42));
        assert_eq!(task.exited().await, ExitReason::Normal);
        assert!(task.is_finished());
        assert_eq!(tasks.supervisor().count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn a_result_arrives_once_the_task_is_no_child_any_more() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let task = tasks.start(async { 42 }).expect("starts");
        assert_eq!(tasks.supervisor().count(), 1);
        assert_eq!(task.await, Ok(42));
        assert_eq!(tasks.supervisor().count(), 0);
        assert_eq!(tasks.run(async { "done" }).await, Ok("done"));
        root.shutdown().await;
    });
}

#[test]
fn a_panic_is_the_reason_for_a_missing_result_and_hurts_nobody_else() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let bystander = tasks.start(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        let died: Result<(), _> = tasks.run(async { panic!("no result today") }).await;
        let reason = ExitReason::Panicked("no result today".into());
        assert_eq!(died, Err(TaskError::Died(reason.clone())));
        let unheard = tasks.spawn(async { panic!("no result today") });
        assert_eq!(unheard.expect("starts").exited().await, reason);
        assert_eq!(bystander.expect("starts").await, Ok(()));
        assert_eq!(tasks.supervisor().supervisor().incarnation(), Some(1));
        root.shutdown().await;
    });
}

#[test]
fn an_aborted_task_is_dropped_where_it_waits() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let (luggage, dropped) = Dropped::new();
        let task = tasks.start(async move {
            let _luggage = luggage;
            pending::<()>().await;
        });
        let task = task.expect("starts");
        settle().await;
        task.handle().abort();
        assert_eq!(task.await, Err(TaskError::Died(ExitReason::Killed)));
        assert_eq!(dropped.await, Ok(()));
        root.shutdown().await;
    });
}

#[test]
fn a_task_that_panics_while_it_is_dropped_still_ends_in_order() {
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let task = tasks.spawn(async {
            let _explosive = Explosive;
            pending::<()>().await;
        });
        let task = task.expect("starts");
        settle().await;
        task.abort();
        assert_eq!(task.exited().await, ExitReason::Killed);
        assert_eq!(tasks.supervisor().count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn a_task_lives_on_when_nobody_waits_for_its_result_any_more() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let task = tasks.start(tokio::time::sleep(Duration::from_secs(1)));
        let task = task.expect("starts");
        let handle = task.handle().clone();
        let late = tokio::time::timeout(Duration::ZERO, task).await;
        assert!(late.is_err());
        assert_eq!(handle.exited().await, ExitReason::Normal);
        root.shutdown().await;
    });
}

#[test]
fn a_task_that_is_run_ends_with_its_caller() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let (luggage, dropped) = Dropped::new();
        let run = tasks.run(async move {
            let _luggage = luggage;
            pending::<()>().await;
        });
        let late = tokio::time::timeout(Duration::from_secs(1), run).await;
        assert!(late.is_err());
        assert_eq!(dropped.await, Ok(()));
        settle().await;
        assert_eq!(tasks.supervisor().count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn all_tasks_end_with_their_supervisor_as_its_rule_says() {
    paused(async {
        let rules = [
            (
                Shutdown::Timeout(Duration::from_secs(5)),
                ExitReason::Shutdown,
            ),
            (Shutdown::Infinity, ExitReason::Shutdown),
            (Shutdown::Kill, ExitReason::Killed),
        ];
        for (rule, expected) in rules {
            let (root, tasks) = start(DynamicSupervisorSpec::new().shutdown(rule)).await;
            let (luggage, dropped) = Dropped::new();
            let waiting = tasks.start(async move {
                let _luggage = luggage;
                pending::<()>().await;
            });
            let unheard = tasks.spawn(pending()).expect("starts");
            settle().await;
            let before = tokio::time::Instant::now();
            root.shutdown().await;
            assert_eq!(before.elapsed(), Duration::ZERO);
            assert_eq!(dropped.await, Ok(()));
            assert_eq!(unheard.exited().await, expected);
            let died = waiting.expect("starts").await;
            assert_eq!(died, Err(TaskError::Died(expected)));
        }
    });
}

#[test]
fn a_killed_supervisor_takes_its_tasks_along() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let task = tasks.start(pending::<()>()).expect("starts");
        tasks.supervisor().supervisor().kill().await;
        assert_eq!(task.await, Err(TaskError::Died(ExitReason::Killed)));
        tasks.supervisor().supervisor().wait_until_running(1).await;
        assert_eq!(tasks.run(async { 1 }).await, Ok(1));
        root.shutdown().await;
    });
}

#[test]
fn one_task_more_than_allowed_is_refused_before_it_runs() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new().max_children(1)).await;
        let first = tasks.spawn(pending()).expect("there is room");
        let full = StartDynamicError::MaxChildren(1);
        let never = || async { unreachable!("it was refused") };
        assert_eq!(tasks.spawn(never()).map(drop), Err(full.clone()));
        assert_eq!(tasks.start(never()).map(drop), Err(full.clone()));
        let refused: Result<(), _> = tasks.run(never()).await;
        assert_eq!(refused, Err(TaskError::Start(full)));
        first.abort();
        first.exited().await;
        assert_eq!(tasks.run(async { 1 }).await, Ok(1));
        root.shutdown().await;
    });
}

#[test]
fn a_task_is_terminated_by_its_handle_like_any_child_and_then_unknown() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let task = tasks.spawn(pending()).expect("starts");
        let supervisor = tasks.supervisor();
        assert_eq!(supervisor.terminate_child(&task).await, Ok(()));
        assert_eq!(task.exited().await, ExitReason::Shutdown);
        let again = supervisor.terminate_child(&task).await;
        assert_eq!(again, Err(TerminateDynamicError::NotFound));
        root.shutdown().await;
    });
}

#[test]
fn tasks_and_actors_live_under_one_supervisor() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let supervisor = tasks.supervisor();
        let _actor = supervisor.start_child(|| Subject::new(OnStop::Obey)).await;
        let _named = supervisor.start_spec(Subject::plain()).await;
        let _task = tasks.spawn(pending()).expect("starts");
        assert_eq!(numbers(supervisor.count_children().await), [3, 3, 0, 3]);
        root.shutdown().await;
    });
}

#[test]
fn observers_hear_of_tasks_under_the_type_of_their_future() {
    paused(async {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let spec = DynamicSupervisorSpec::new().observer(move |event: &SupervisionEvent| {
            let short = match event {
                SupervisionEvent::ChildStarted { child, .. } => format!("{child} started"),
                SupervisionEvent::ChildTerminated { child, reason, .. } => {
                    format!("{child} ended: {reason}")
                }
                other => format!("{other:?}"),
            };
            seen.lock().expect("events").push(short);
        });
        let (root, tasks) = start(spec).await;
        tasks.run(std::future::ready(1)).await.expect("a result");
        let name = std::any::type_name::<std::future::Ready<i32>>();
        assert_eq!(
            *events.lock().expect("events"),
            [format!("{name} started"), format!("{name} ended: normal")]
        );
        root.shutdown().await;
    });
}

#[test]
fn tasks_are_spread_over_a_pool_and_can_be_started_and_awaited_in_any_runtime() {
    let pool = ArbiterPool::new(2).expect("threads");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (spec, supervisor) = DynamicSupervisorSpec::new()
            .pool(pool.clone())
            .build("tasks");
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .child(spec)
            .start_on("root", actix_otp::Placement::Pool(pool.clone()))
            .await
            .expect("starts");
        let tasks = TaskSupervisor::from(supervisor);
        let caller = tokio::spawn(async move {
            let mut threads = std::collections::HashSet::new();
            for _ in 0..4 {
                let thread = tasks.run(async { std::thread::current().id() }).await;
                threads.insert(thread.expect("a result"));
            }
            threads.len()
        });
        assert_eq!(caller.await.expect("no panic"), 2);
        root.shutdown().await;
    });
    pool.stop();
}

#[test]
fn a_task_whose_arbiter_stops_ends_with_that_reason() {
    let pool = ArbiterPool::new(1).expect("a thread");
    let of_tasks = pool.clone();
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new().pool(of_tasks)).await;
        let task = tasks.start(pending::<()>()).expect("starts");
        pool.get(0).stop();
        assert_eq!(task.await, Err(TaskError::Died(ExitReason::ArbiterStopped)));
        assert_eq!(
            tasks.run(async { 1 }).await,
            Ok(1),
            "a new one took its place"
        );
        root.shutdown().await;
    });
}

#[test]
fn a_task_with_a_spec_is_made_anew_until_it_succeeds() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let spec = ChildSpec::task("third time lucky", move || {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match attempt {
                    0 => panic!("first"),
                    1 => Err("second"),
                    _ => Ok(()),
                }
            }
        });
        let spec = spec.restart(Restart::Transient);
        tasks.supervisor().start_spec(spec).await.expect("starts");
        settle().await;
        assert_eq!(attempts.load(Ordering::SeqCst), 3);
        assert_eq!(tasks.supervisor().count(), 0);
        root.shutdown().await;
    });
}

#[test]
fn a_permanent_task_runs_again_when_it_was_ended_and_a_temporary_one_is_the_default() {
    paused(async {
        let (root, tasks) = start(DynamicSupervisorSpec::new()).await;
        let forever = || {
            ChildSpec::task("forever", || async {
                pending::<()>().await;
                Ok::<_, Infallible>(())
            })
        };
        assert_eq!(forever().info().restart, Restart::Temporary);
        let permanent = forever().restart(Restart::Permanent);
        let supervisor = tasks.supervisor();
        let permanent = supervisor.start_spec(permanent).await.expect("starts");
        let temporary = supervisor.start_spec(forever()).await.expect("starts");
        permanent.stop().await;
        temporary.stop().await;
        assert_eq!(permanent.wait_until_running(1).await, 2);
        assert_eq!(supervisor.count(), 1);
        root.shutdown().await;
    });
}

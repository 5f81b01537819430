//! Pauses between restarts: how long they are, who runs meanwhile, and what ends them.

use std::time::Duration;

use actix_otp::{
    Backoff, ChildRef, ChildSpec, ChildState, DynamicSupervisorSpec, ExitReason, RestartChildError,
    Strategy, SupervisorRef, TerminateDynamicError,
};
use tokio::time::{Instant, sleep};

use crate::{
    cast::{Act, Switch, scripted, start, supervisor, which, workers},
    support::{Journal, Panic, Ping, Worker, paused, settle},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Pauses of 1, 2, 4, 8, 10 seconds; a child that has run for a minute starts anew.
fn backoff() -> Backoff {
    Backoff::new(seconds(1))
        .longest(seconds(10))
        .resets_after(seconds(60))
}

/// How long it takes until the child serves again after a panic.
async fn pause_after_panic(child: &ChildRef<Worker>) -> Duration {
    let old = child.incarnation().expect("running");
    let _ = child.call(Panic).await;
    let ended = Instant::now();
    child.wait_until_running(old).await;
    ended.elapsed()
}

async fn state_of(root: &SupervisorRef, id: &str) -> ChildState {
    let children = root.which_children().await;
    let child = children.iter().find(|child| &*child.id == id);
    child.expect("known").state
}

/// The clock of tokio counts in milliseconds, and timers never ring early.
fn about(pause: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_millis(5)).contains(&pause)
}

#[test]
fn a_child_waits_longer_before_each_restart_until_it_has_run_for_a_while() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).backoff(backoff());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 99).child(spec)).await;
        for expected in [1, 2, 4, 8, 10, 10] {
            let pause = pause_after_panic(&child).await;
            assert!(about(pause, seconds(expected)), "{pause:?}");
        }
        sleep(seconds(59)).await;
        assert!(about(pause_after_panic(&child).await, seconds(10)));
        sleep(seconds(61)).await;
        assert!(about(pause_after_panic(&child).await, seconds(1)));
        root.shutdown().await;
    });
}

#[test]
fn a_start_that_goes_on_failing_is_tried_after_growing_pauses() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let spec = switch.spec("a", &journal).backoff(backoff());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 99).child(spec)).await;
        switch.fail(true);
        let _ = child.call(Panic).await;
        settle().await;
        for (wait, starts) in [(0, 1), (1, 2), (2, 3), (4, 4), (8, 5), (10, 6)] {
            sleep(seconds(wait) + Duration::from_millis(2)).await;
            assert_eq!(switch.starts(), starts);
        }
        root.shutdown().await;
    });
}

#[test]
fn while_a_child_waits_its_supervisor_shows_for_how_long_and_serves_others() {
    paused(async {
        let (spec, [other]) = workers(
            supervisor(Strategy::OneForOne, 99),
            &Journal::default(),
            ["other"],
        );
        let waiting = Worker::spec("a", &Journal::default()).backoff(backoff());
        let child = waiting.child_ref();
        let root = start(spec.child(waiting)).await;
        let _ = child.call(Panic).await;
        sleep(Duration::from_millis(400)).await;
        let ChildState::Waiting { left } = state_of(&root, "a").await else {
            panic!("it waits");
        };
        assert!(left <= Duration::from_millis(600) && left > Duration::from_millis(500));
        assert!(
            root.tree()
                .await
                .to_string()
                .contains("a (Worker): restarting in ")
        );
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::Restarting("a".into()))
        );
        assert!(!child.is_running());
        let _ = other.call(Panic).await;
        assert_eq!(other.wait_until_running(1).await, 2);
        root.shutdown().await;
    });
}

#[test]
fn terminating_a_child_and_stopping_its_supervisor_end_a_wait_at_once() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default())
            .backoff(Backoff::new(seconds(3600)).longest(seconds(3600)));
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 99).child(spec)).await;
        let before = Instant::now();
        let _ = child.call(Panic).await;
        assert_eq!(root.terminate_child("a").await, Ok(()));
        assert_eq!(which(&root).await, ["a:stopped"]);
        assert_eq!(root.restart_child("a").await, Ok(()));
        assert_eq!(child.call(Ping).await, Ok("a"));
        let _ = child.call(Panic).await;
        settle().await;
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert!(before.elapsed() < seconds(1));
    });
}

#[test]
fn a_wait_that_was_ended_by_hand_cuts_no_later_one_short() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).backoff(backoff());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 99).child(spec)).await;
        let _ = child.call(Panic).await;
        sleep(Duration::from_millis(900)).await;
        root.terminate_child("a").await.expect("ends the wait");
        root.restart_child("a").await.expect("starts");
        assert!(about(pause_after_panic(&child).await, seconds(2)));
        root.shutdown().await;
    });
}

#[test]
fn who_is_restarted_along_is_ended_before_the_wait_and_started_after_it() {
    paused(async {
        let journal = Journal::default();
        let (spec, [first]) = workers(supervisor(Strategy::OneForAll, 99), &journal, ["first"]);
        let waiting = Worker::spec("a", &Journal::default()).backoff(backoff());
        let child = waiting.child_ref();
        let root = start(spec.child(waiting)).await;
        let _ = child.call(Panic).await;
        settle().await;
        assert!(!first.is_running());
        assert_eq!(
            journal.take(),
            ["first started", "first stopped", "first dropped"]
        );
        child.wait_until_running(1).await;
        assert_eq!(which(&root).await, ["first:2", "a:2"]);
        root.shutdown().await;
    });
}

#[test]
fn a_child_of_a_dynamic_supervisor_waits_too_and_can_be_terminated_meanwhile() {
    paused(async {
        let (spec, dynamic) = DynamicSupervisorSpec::new().build("dynamic");
        let root = start(supervisor(Strategy::OneForOne, 99).child(spec)).await;
        let spec = scripted("a", &Journal::default(), &[Act::Run]).backoff(backoff());
        let child = dynamic.start_spec(spec).await.expect("starts");
        assert!(about(pause_after_panic(&child).await, seconds(1)));
        let _ = child.call(Panic).await;
        settle().await;
        assert_eq!(dynamic.count(), 1);
        assert_eq!(dynamic.terminate_child(&child).await, Ok(()));
        let gone = Err(TerminateDynamicError::NotFound);
        assert_eq!(dynamic.terminate_child(&child).await, gone);
        assert_eq!(dynamic.count(), 0);
        sleep(seconds(10)).await;
        assert!(!child.is_running());
        root.shutdown().await;
    });
}

#[test]
fn each_restart_after_a_wait_is_charged_to_the_budget() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).backoff(backoff());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        pause_after_panic(&child).await;
        let down = root.monitor();
        let _ = child.call(Panic).await;
        assert_eq!(down.await.reason, ExitReason::Shutdown);
    });
}

#[test]
fn a_spec_tells_its_backoff() {
    let spec: ChildSpec<Worker> = Worker::spec("a", &Journal::default());
    assert_eq!(spec.info().backoff, None);
    assert_eq!(spec.backoff(backoff()).info().backoff, Some(backoff()));
}

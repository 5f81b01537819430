//! Restarts that fail: tried again at once, each try charged, while the supervisor stays controllable.

use std::time::Duration;

use actix_otp::{
    DeleteChildError, ExitReason, Intensity, RestartChildError, Shutdown, StartChildError,
    Strategy, SupervisorSpec,
};
use tokio::time::{Instant, sleep};

use crate::{
    cast::{Switch, counts, panic_and_settle, start, supervisor, which, workers},
    support::{Journal, Panic, Ping, Worker, paused, settle},
};

#[test]
fn a_restart_that_fails_is_tried_again_until_it_succeeds() {
    paused(async {
        let script = [
            crate::cast::Act::Run,
            crate::cast::Act::Fail,
            crate::cast::Act::Fail,
        ];
        let spec = crate::cast::scripted("a", &Journal::default(), &script);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 3).child(spec)).await;
        panic_and_settle(&child).await;
        assert_eq!(child.call(Ping).await, Ok("a"));
        // Three charges: the first try and two more. There is room for no other restart.
        panic_and_settle(&child).await;
        assert!(!root.is_running());
    });
}

#[test]
fn an_intensity_of_n_makes_exactly_n_tries_before_the_supervisor_gives_up() {
    paused(async {
        for strategy in [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ] {
            for intensity in [0, 1, 4] {
                let (switch, journal) = (Switch::default(), Journal::default());
                let (spec, [other]) = workers(supervisor(strategy, intensity), &journal, ["a"]);
                let failing = switch.spec("b", &journal);
                let failing_ref = failing.child_ref();
                let root = start(spec.child(failing)).await;
                switch.fail(true);
                let down = root.monitor();
                panic_and_settle(&failing_ref).await;
                assert_eq!(down.await.reason, ExitReason::Shutdown);
                assert_eq!(switch.starts(), 1 + intensity, "{strategy:?}");
                assert!(!other.is_running());
            }
        }
    });
}

#[test]
fn a_bystander_that_cannot_be_started_again_uses_up_the_budget_too() {
    paused(async {
        for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
            let (switch, journal) = (Switch::default(), Journal::default());
            let (spec, [crashing]) = workers(supervisor(strategy, 4), &journal, ["a"]);
            let root = start(spec.child(switch.spec("b", &journal))).await;
            switch.fail(true);
            panic_and_settle(&crashing).await;
            assert!(!root.is_running(), "{strategy:?}");
            assert!(!crashing.is_running());
            assert_eq!(switch.starts(), 1 + 4);
        }
    });
}

/// Eight restarts in ten seconds: attempts that take two seconds each never exhaust them.
fn eight_in_ten(strategy: Strategy) -> SupervisorSpec {
    SupervisorSpec::new(strategy).intensity(Intensity::new(8, Duration::from_secs(10)))
}

/// Long enough for the loop below to be in the middle of an attempt, which takes two seconds.
const WITHIN_AN_ATTEMPT: Duration = Duration::from_secs(3);

#[test]
fn a_supervisor_that_keeps_failing_to_restart_stays_controllable() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let again = || switch.slow_spec("a", &journal).shutdown(Shutdown::Kill);
        let spec = again();
        let child = spec.child_ref();
        let root = start(eight_in_ten(Strategy::OneForOne).child(spec)).await;
        switch.fail(true);
        let _ = child.call(Panic).await;
        sleep(WITHIN_AN_ATTEMPT).await;

        assert_eq!(
            root.start_child(again()).await.map(drop),
            Err(StartChildError::AlreadyPresent("a".into()))
        );
        assert_eq!(
            root.restart_child("a").await,
            Err(RestartChildError::Restarting("a".into()))
        );
        assert_eq!(
            root.delete_child("a").await,
            Err(DeleteChildError::Restarting("a".into()))
        );
        assert_eq!(which(&root).await, ["a:restarting"]);
        assert_eq!(counts(&root).await, [1, 0, 0, 1]);

        root.terminate_child("a").await.expect("ends the attempts");
        assert_eq!(which(&root).await, ["a:stopped"]);
        let tried = switch.starts();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(switch.starts(), tried);

        switch.fail(false);
        root.restart_child("a").await.expect("starts again");
        switch.fail(true);
        let _ = child.call(Panic).await;
        sleep(WITHIN_AN_ATTEMPT).await;
        // The attempt under way is given up: nobody has to wait for it.
        let before = Instant::now();
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert!(before.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn the_children_behind_one_that_cannot_be_restarted_stay_stopped_until_asked_for() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let (spec, [first]) = workers(eight_in_ten(Strategy::RestForOne), &journal, ["a"]);
        let middle = switch.slow_spec("b", &journal);
        let middle_ref = middle.child_ref();
        let root = start(spec.child(middle).child(Worker::spec("c", &journal))).await;
        switch.fail(true);
        let _ = middle_ref.call(Panic).await;
        sleep(WITHIN_AN_ATTEMPT).await;

        assert_eq!(which(&root).await, ["a:1", "b:restarting", "c:stopped"]);
        assert_eq!(counts(&root).await, [3, 1, 0, 3]);
        assert_eq!(
            root.restart_child("b").await,
            Err(RestartChildError::Restarting("b".into()))
        );
        root.terminate_child("b").await.expect("ends the attempts");
        assert_eq!(which(&root).await, ["a:1", "b:stopped", "c:stopped"]);

        // Only what is named is started.
        switch.fail(false);
        root.restart_child("b").await.expect("starts again");
        let listed = which(&root).await;
        assert_eq!((&*listed[0], &*listed[2]), ("a:1", "c:stopped"));
        assert!(middle_ref.is_running());

        switch.fail(true);
        let _ = middle_ref.call(Panic).await;
        sleep(WITHIN_AN_ATTEMPT).await;
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
        assert!(!first.is_running());
    });
}

#[test]
fn a_request_made_during_an_attempt_is_answered_before_the_next_one() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let spec = switch.slow_spec("a", &journal);
        let child = spec.child_ref();
        let root = start(eight_in_ten(Strategy::OneForOne).child(spec)).await;
        switch.fail(true);
        let _ = child.call(Panic).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(switch.starts(), 2);
        root.terminate_child("a").await.expect("ends the attempts");
        assert_eq!(switch.starts(), 2);
        root.shutdown().await;
    });
}

#[test]
fn attempts_that_fail_at_once_leave_others_their_turn() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let spec = switch.spec("a", &journal);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, usize::MAX).child(spec)).await;
        switch.fail(true);
        let _ = child.call(Panic).await;
        while switch.starts() < 10 {
            tokio::task::yield_now().await;
        }
        let tried = switch.starts();
        assert_eq!(which(&root).await, ["a:restarting"]);
        assert!(switch.starts() - tried < 10);
        switch.fail(false);
        child.wait_until_running(1).await;
        root.shutdown().await;
    });
}

#[test]
fn the_order_to_try_again_is_void_once_the_child_runs() {
    paused(async {
        let (switch, journal) = (Switch::default(), Journal::default());
        let (spec, [a]) = workers(supervisor(Strategy::OneForAll, 9), &journal, ["a"]);
        let failing = switch.slow_spec("b", &journal);
        let b = failing.child_ref();
        let root = start(spec.child(failing)).await;
        switch.fail(true);
        let _ = b.call(Panic).await;
        sleep(Duration::from_secs(1)).await;
        // While `b` fails, `a` crashes: its restart takes the whole group along, before `b` is tried again.
        a.cast(Panic).expect("running");
        switch.fail(false);
        sleep(Duration::from_secs(10)).await;
        settle().await;
        assert!(a.is_running() && b.is_running());
        assert_eq!(which(&root).await, ["a:3", "b:3"]);
        root.shutdown().await;
    });
}

//! Restart types: which exits are followed by a restart, and what stays known afterwards.

use std::time::Duration;

use actix_otp::{ExitReason, Restart, Strategy};

use crate::{
    cast::{Act, Leaver, counts, exit_and_settle, scripted, start, supervisor, which, workers},
    support::{ExitWith, Journal, Panic, Worker, paused, settle},
};

/// What is listed after a child of this type ended with this reason.
async fn after(restart: Restart, reason: &ExitReason) -> (Vec<String>, [usize; 4]) {
    let spec = Worker::spec("a", &Journal::default()).restart(restart);
    let child = spec.child_ref();
    let root = start(supervisor(Strategy::OneForOne, 2).child(spec)).await;
    match reason {
        ExitReason::Killed => {
            child.kill().await;
            settle().await;
        }
        ExitReason::Panicked(_) => {
            let _ = child.call(Panic).await;
            settle().await;
        }
        reason => exit_and_settle(&child, reason.clone()).await,
    }
    let seen = (which(&root).await, counts(&root).await);
    root.shutdown().await;
    seen
}

fn wanted() -> [ExitReason; 3] {
    [
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::shutdown_with("upgrade"),
    ]
}

fn abnormal() -> [ExitReason; 3] {
    [
        ExitReason::error("disk full"),
        ExitReason::Killed,
        ExitReason::Panicked("told to panic".into()),
    ]
}

#[test]
fn a_permanent_child_is_restarted_after_every_exit() {
    paused(async {
        for reason in wanted().iter().chain(&abnormal()) {
            let seen = after(Restart::Permanent, reason).await;
            assert_eq!(seen, (vec!["a:2".into()], [1, 1, 0, 1]), "{reason}");
        }
    });
}

#[test]
fn a_transient_child_is_restarted_after_abnormal_exits_only_and_stays_known() {
    paused(async {
        for reason in &abnormal() {
            let seen = after(Restart::Transient, reason).await;
            assert_eq!(seen, (vec!["a:2".into()], [1, 1, 0, 1]), "{reason}");
        }
        for reason in &wanted() {
            let seen = after(Restart::Transient, reason).await;
            assert_eq!(seen, (vec!["a:stopped".into()], [1, 0, 0, 1]), "{reason}");
        }
    });
}

#[test]
fn a_temporary_child_is_forgotten_after_every_exit() {
    paused(async {
        for reason in wanted().iter().chain(&abnormal()) {
            let seen = after(Restart::Temporary, reason).await;
            assert_eq!(seen, (vec![], [0; 4]), "{reason}");
        }
    });
}

#[test]
fn a_transient_child_that_ended_well_can_be_restarted_on_request() {
    paused(async {
        let spec = Worker::spec("a", &Journal::default()).restart(Restart::Transient);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 0).child(spec)).await;
        for reason in wanted() {
            exit_and_settle(&child, reason).await;
            assert_eq!(which(&root).await, ["a:stopped"]);
            root.restart_child("a").await.expect("starts again");
        }
        assert_eq!(which(&root).await, ["a:4"]);
        root.shutdown().await;
    });
}

#[test]
fn a_temporary_child_can_be_started_again_under_its_id() {
    paused(async {
        let journal = Journal::default();
        let root = start(supervisor(Strategy::OneForOne, 0)).await;
        for reason in wanted().into_iter().chain(abnormal()) {
            let spec = Worker::spec("a", &journal).restart(Restart::Temporary);
            let child = root.start_child(spec).await.expect("the id is free");
            exit_and_settle(&child, reason).await;
            assert!(which(&root).await.is_empty());
        }
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_stops_in_its_first_turn_has_started_and_ended() {
    paused(async {
        struct Brief;
        impl actix::Actor for Brief {
            type Context = actix::Context<Self>;
            fn started(&mut self, ctx: &mut Self::Context) {
                actix::ActorContext::stop(ctx);
            }
        }
        let root = start(supervisor(Strategy::OneForOne, 0)).await;
        let spec = actix_otp::ChildSpec::new("brief", || Brief).restart(Restart::Transient);
        root.start_child(spec).await.expect("it did start");
        settle().await;
        assert_eq!(which(&root).await, ["brief:stopped"]);
        root.shutdown().await;
    });
}

#[test]
fn a_restart_at_which_the_child_declines_is_one_charge_and_leaves_it_stopped() {
    paused(async {
        let script = [Act::Run, Act::Ignore];
        let spec = scripted("a", &Journal::default(), &script);
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        exit_and_settle(&child, ExitReason::error("x")).await;
        assert_eq!(which(&root).await, ["a:stopped"]);
        root.restart_child("a").await.expect("starts again");
        // The budget of one is spent.
        exit_and_settle(&child, ExitReason::error("x")).await;
        assert!(!root.is_running());
    });
}

#[test]
fn the_last_word_about_the_reason_counts() {
    paused(async {
        let unclean = Some(ExitReason::error("unclean"));
        let spec = Leaver::spec("a", unclean, None, &Journal::default());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        assert_eq!(child.stop().await, ExitReason::error("unclean"));
        child.wait_until_running(1).await;
        root.shutdown().await;
    });
}

#[test]
fn an_actor_that_refuses_to_stop_takes_its_reason_back() {
    paused(async {
        // It refuses the first time, and would stop by itself only after ages.
        let ages = Some(Duration::from_secs(1 << 30));
        let spec = Leaver::spec("a", None, ages, &Journal::default());
        let child = spec.child_ref();
        let root = start(supervisor(Strategy::OneForOne, 1).child(spec)).await;
        let exit = child.call(ExitWith(ExitReason::error("changed its mind")));
        assert_eq!(exit.await, Ok(()));
        assert_eq!(child.incarnation(), Some(1));
        assert_eq!(child.stop().await, ExitReason::Normal);
        root.shutdown().await;
    });
}

#[test]
fn the_exit_of_an_earlier_incarnation_is_no_news() {
    paused(async {
        let journal = Journal::default();
        let (spec, [a, b]) = workers(supervisor(Strategy::OneForAll, 1), &journal, ["a", "b"]);
        let root = start(spec).await;
        // Both notices are on their way; the restart after the first one makes the second one stale.
        a.cast(Panic).expect("running");
        b.cast(Panic).expect("running");
        settle().await;
        assert_eq!(which(&root).await, ["a:2", "b:2"]);
        root.shutdown().await;
    });
}

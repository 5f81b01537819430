//! Where a dynamic supervisor stands, how children with a spec start there, and how many there may be.

use std::sync::Arc;

use actix_otp::{
    BadSpec, ChildKind, ChildSpec, DynamicSupervisorSpec, ExitReason, Restart, Shutdown,
    StartDynamicError, StartError, Strategy, SupervisorSpec,
};

use crate::{
    children::{OnStop, Start, Subject, counts, start},
    support::{Panic, Ping, paused, settle},
};

#[test]
fn it_starts_without_children_under_any_supervisor_which_gives_it_all_the_time_to_stop() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        assert!(children.which_children().await.is_empty());
        assert_eq!(counts(&children).await, [0, 0, 0, 0]);
        let spec = root.get_child_spec("dynamic").await.expect("known");
        assert_eq!(spec.kind, ChildKind::Supervisor);
        assert_eq!(spec.shutdown, Shutdown::Infinity);
        root.shutdown().await;
    });
}

#[test]
fn several_stand_under_one_supervisor_as_long_as_their_ids_differ() {
    paused(async {
        let (a, a_ref) = DynamicSupervisorSpec::new().build("a");
        let (b, b_ref) = DynamicSupervisorSpec::new().build("b");
        let (a_again, _) = DynamicSupervisorSpec::new().build("a");
        let spec = SupervisorSpec::new(Strategy::OneForOne).child(a).child(b);
        let root = spec.start("root").await.expect("starts");
        a_ref.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!((a_ref.count(), b_ref.count()), (1, 0));
        let refused = root.start_child(a_again).await;
        assert_eq!(
            refused.map(drop),
            Err(actix_otp::StartChildError::AlreadyStarted("a".into()))
        );
        root.shutdown().await;
    });
}

#[test]
fn a_start_answers_what_the_factory_answered_and_keeps_nothing_unless_it_runs() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let (ignoring, _) = Subject::scripted(&[Start::Ignore]);
        let ignored = children.start_spec(ignoring).await;
        assert_eq!(ignored.map(drop), Err(StartDynamicError::Ignored));
        let (failing, attempts) = Subject::scripted(&[Start::Fail]);
        let failed = children.start_spec(failing).await;
        let reason = ExitReason::error("no subject today");
        assert_eq!(failed.map(drop), Err(StartError::Exited(reason).into()));
        let panicking = ChildSpec::<Subject>::new("panicking", || panic!("no subject today"));
        let failed = children.start_spec(panicking).await;
        let reason = ExitReason::Panicked("no subject today".into());
        assert_eq!(failed.map(drop), Err(StartError::Exited(reason).into()));
        settle().await;
        assert_eq!(attempts.count(), 1, "a failed first start is not retried");
        assert_eq!(counts(&children).await, [0, 0, 0, 0]);

        let child = children.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!(child.call(Ping).await, Ok("subject"));
        root.shutdown().await;
    });
}

#[test]
fn ids_need_not_be_unique() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let first = children.start_spec(Subject::plain()).await.expect("starts");
        let second = children.start_spec(Subject::plain()).await.expect("starts");
        assert_eq!(first.id(), second.id());
        children.terminate_child(&first).await.expect("a child");
        assert!(second.is_running());
        root.shutdown().await;
    });
}

#[test]
fn a_significant_child_is_refused_before_the_supervisor_is_asked() {
    paused(async {
        let (_never_started, children) = DynamicSupervisorSpec::new().build("dynamic");
        let spec = Subject::plain()
            .restart(Restart::Transient)
            .significant(true);
        let refused = children.start_spec(spec).await;
        let reason = BadSpec::SignificantWithoutAuto("subject".into());
        assert_eq!(refused.map(drop), Err(StartDynamicError::BadSpec(reason)));
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::NoSupervisor));
    });
}

#[test]
fn the_limit_counts_children_of_both_kinds_and_is_checked_before_the_factory_runs() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new().max_children(0)).await;
        let (spec, attempts) = Subject::scripted(&[Start::Run]);
        let refused = children.start_spec(spec).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(0)));
        assert_eq!(attempts.count(), 0);
        root.shutdown().await;

        let (root, children) = start(DynamicSupervisorSpec::new().max_children(2)).await;
        let with_spec = children.start_spec(Subject::plain()).await.expect("room");
        let unnamed = children
            .start_child(|| Subject::new(OnStop::Obey))
            .await
            .expect("room");
        let refused = children.start_spec(Subject::plain()).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(2)));
        let refused = children.start_child(|| Subject::new(OnStop::Obey)).await;
        assert_eq!(refused.map(drop), Err(StartDynamicError::MaxChildren(2)));
        unnamed.stop().await;
        let other = children.start_spec(Subject::plain()).await.expect("room");
        children.terminate_child(&with_spec).await.expect("a child");
        assert_eq!(children.count(), 1);
        children.start_spec(Subject::plain()).await.expect("room");
        drop(other);
        root.shutdown().await;
    });
}

#[test]
fn the_start_closure_of_an_unnamed_child_is_dropped_after_its_start() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let luggage = Arc::new(());
        for _ in 0..2 {
            let carried = Arc::clone(&luggage);
            let child = children.start_child(move || {
                let _carried = carried;
                Subject::new(OnStop::Obey)
            });
            let child = child.await.expect("starts");
            assert_eq!(Arc::strong_count(&luggage), 1);
            child.addr().do_send(Panic);
            child.exited().await;
        }
        root.shutdown().await;
    });
}

#[test]
fn the_factory_of_a_temporary_spec_is_dropped_after_its_start_and_others_are_kept() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let luggage = Arc::new(());
            let carried = Arc::clone(&luggage);
            let spec = ChildSpec::new("subject", move || {
                let _carried = &carried;
                Subject::new(OnStop::Obey)
            });
            let spec = spec.restart(restart);
            children.start_spec(spec).await.expect("starts");
            let kept = Arc::strong_count(&luggage) > 1;
            assert_eq!(kept, restart != Restart::Temporary, "{restart:?}");
        }
        root.shutdown().await;
    });
}

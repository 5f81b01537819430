//! What a dynamic supervisor tells of its children: counts, lists, specs, the tree, and events.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use actix_otp::{
    ChildKind, ChildSpec, ChildState, DynamicSupervisorRef, DynamicSupervisorSpec, ExitReason,
    Intensity, Restart, Shutdown, Strategy, SupervisionEvent, SupervisorSpec,
};

use crate::{
    children::{OnStop, Start, Subject, numbers, start},
    support::{Panic, paused, settle},
};

const SUBJECT: &str = "dynamic_supervisor::children::Subject";

#[test]
fn counts_tell_supervisors_from_workers_and_take_in_children_without_a_spec() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        assert_eq!(numbers(children.count_children().await), [0, 0, 0, 0]);
        let below = ChildSpec::supervisor("below", SupervisorSpec::new(Strategy::OneForOne));
        children.start_spec(below).await.expect("starts");
        let _named = children.start_spec(Subject::plain()).await.expect("starts");
        let _unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
        assert_eq!(numbers(children.count_children().await), [3, 3, 1, 2]);
        assert_eq!(children.count(), 3);
        root.shutdown().await;
        assert_eq!(numbers(children.count_children().await), [0, 0, 0, 0]);
        assert_eq!(children.count(), 0);
    });
}

#[test]
fn the_list_holds_children_with_a_spec_in_start_order_and_then_the_others_by_type() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let _unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
        for id in ["b", "a"] {
            let spec = ChildSpec::new(id, || Subject::new(OnStop::Obey));
            children.start_spec(spec).await.expect("starts");
        }
        let list = children.which_children().await;
        let ids: Vec<_> = list.iter().map(|child| &*child.id).collect();
        assert_eq!(ids, ["b", "a", SUBJECT]);
        for child in &list {
            assert_eq!(child.state, ChildState::Running { incarnation: 1 });
            assert_eq!((child.kind, child.actor), (ChildKind::Worker, SUBJECT));
        }
        root.shutdown().await;
        assert!(children.which_children().await.is_empty());
    });
}

#[test]
fn a_spec_is_found_by_the_handle_of_the_child() {
    paused(async {
        let rule = Shutdown::Timeout(Duration::from_secs(7));
        let (root, children) = start(DynamicSupervisorSpec::new().shutdown(rule)).await;
        let child = children.start_spec(Subject::plain()).await.expect("starts");
        let spec = children.get_child_spec(&child).await.expect("a child");
        assert_eq!((&*spec.id, spec.actor), ("subject", SUBJECT));
        assert_eq!(spec.restart, Restart::Permanent);
        assert_eq!(spec.shutdown, Shutdown::Timeout(Duration::from_secs(5)));
        assert_eq!((spec.kind, spec.significant), (ChildKind::Worker, false));

        let unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
        let unnamed = unnamed.expect("starts");
        let spec = children.get_child_spec(&unnamed).await.expect("a child");
        assert_eq!((&*spec.id, spec.restart), (SUBJECT, Restart::Temporary));
        assert_eq!(spec.shutdown, rule);
        root.shutdown().await;
    });
}

#[test]
fn the_tree_lists_children_with_a_spec_and_counts_the_others() {
    paused(async {
        let (root, children) = start(DynamicSupervisorSpec::new()).await;
        let below = SupervisorSpec::new(Strategy::OneForOne).child(Subject::plain());
        children
            .start_spec(ChildSpec::supervisor("below", below))
            .await
            .expect("starts");
        let mut unnamed = Vec::new();
        for _ in 0..3 {
            unnamed.push(children.start_child(|| Subject::new(OnStop::Obey)).await);
        }
        let tree = root.tree().await;
        assert_eq!(tree.children[0].child_count, 4);
        assert_eq!(tree.children[0], children.tree().await);
        assert_eq!(
            tree.to_string(),
            "root (Supervisor): running, incarnation 1\n  \
             dynamic (DynamicSupervisor): running, incarnation 1, 4 children\n    \
             below (Supervisor): running, incarnation 1\n      \
             subject (Subject): running, incarnation 1\n"
        );
        root.shutdown().await;
        assert_eq!(children.tree().await.state, ChildState::Stopped);
    });
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<SupervisionEvent>>>);

impl Events {
    fn observer(&self) -> impl Fn(&SupervisionEvent) + Send + Sync + 'static {
        let Self(events) = self.clone();
        move |event| events.lock().expect("events").push(event.clone())
    }

    /// What happened under the dynamic supervisor since the last look, in short.
    fn take(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.0.lock().expect("events"));
        let short = |event: &SupervisionEvent| match event {
            SupervisionEvent::ChildStarted { child, .. } => Some(format!("{child} started")),
            SupervisionEvent::ChildRestarted { child, .. } => Some(format!("{child} restarted")),
            SupervisionEvent::ChildTerminated { child, reason, .. } => {
                Some(format!("{child} ended: {reason}"))
            }
            SupervisionEvent::GaveUp { child, .. } => Some(format!("gave up over {child}")),
            _ => None,
        };
        let under_dynamic = |event: &&SupervisionEvent| match event {
            SupervisionEvent::ChildStarted { supervisor, .. }
            | SupervisionEvent::ChildRestarted { supervisor, .. }
            | SupervisionEvent::ChildTerminated { supervisor, .. }
            | SupervisionEvent::GaveUp { supervisor, .. } => &**supervisor == "root/dynamic",
            _ => false,
        };
        let events = events.iter().filter(under_dynamic);
        events.filter_map(short).collect()
    }
}

#[test]
fn the_observer_of_the_supervisor_above_hears_of_every_start_end_and_restart() {
    paused(async {
        let events = Events::default();
        let spec =
            DynamicSupervisorSpec::new().intensity(Intensity::new(1, Duration::from_secs(5)));
        let (child, children) = spec.build("dynamic");
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .observer(events.observer())
            .child(child)
            .start("root")
            .await
            .expect("starts");
        let child = children.start_spec(Subject::plain()).await.expect("starts");
        child.cast(Panic).expect("running");
        settle().await;
        let panicked = "subject ended: panicked: told to panic";
        assert_eq!(
            events.take(),
            [
                "subject started",
                panicked,
                "subject started",
                "subject restarted"
            ]
        );

        let unnamed = children.start_child(|| Subject::new(OnStop::Obey)).await;
        unnamed.expect("starts").stop().await;
        assert_eq!(
            events.take(),
            [
                format!("{SUBJECT} started"),
                format!("{SUBJECT} ended: normal")
            ]
        );

        let _other = children.start_spec(Subject::plain()).await.expect("starts");
        child.cast(Panic).expect("running");
        settle().await;
        assert_eq!(
            events.take(),
            [
                "subject started",
                panicked,
                "gave up over subject",
                "subject ended: shutdown"
            ]
        );
        root.shutdown().await;
    });
}

#[test]
fn a_child_that_never_ran_makes_no_event() {
    paused(async {
        let events = Events::default();
        let (root, children) =
            start(DynamicSupervisorSpec::new().observer(events.observer())).await;
        let (failing, _) = Subject::scripted(&[Start::Fail]);
        children.start_spec(failing).await.expect_err("fails");
        let failed = children
            .start_child::<Subject, _>(|| panic!("no subject today"))
            .await;
        failed.expect_err("fails");
        assert!(events.take().is_empty());
        let child = children
            .start_child(|| Subject::new(OnStop::With(ExitReason::Normal)))
            .await;
        child.expect("starts").stop().await;
        assert_eq!(events.take().len(), 2);
        root.shutdown().await;
    });
}

#[test]
fn a_child_whose_first_message_ends_it_in_its_first_turn_is_told_as_started_and_terminated() {
    paused(async {
        let events = Events::default();
        let (root, children) =
            start(DynamicSupervisorSpec::new().observer(events.observer())).await;
        let child = children.spawn_child(|| Subject::new(OnStop::Obey));
        child.expect("admitted").addr().do_send(Panic);
        settle().await;
        assert_eq!(
            events.take(),
            [
                format!("{SUBJECT} started"),
                format!("{SUBJECT} ended: panicked: told to panic")
            ]
        );
        root.shutdown().await;
    });
}

#[test]
fn an_observer_may_ask_about_the_children_and_start_others() {
    let children = Arc::new(OnceLock::<DynamicSupervisorRef>::new());
    let counts = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (children, counts) = (Arc::clone(&children), Arc::clone(&counts));
        move |_: &SupervisionEvent| {
            let children = children.get().expect("built");
            let mut counts = counts.lock().expect("counts");
            counts.push(children.count());
            if counts.len() == 1 {
                let started = children.spawn_child(|| Subject::new(OnStop::Obey));
                std::mem::forget(started.expect("admitted"));
            }
        }
    };
    // On a thread of its own: where the table is locked meanwhile, it never comes back.
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        paused(async {
            let (root, handle) = start(DynamicSupervisorSpec::new().observer(observer)).await;
            children.set(handle.clone()).expect("set once");
            let child = handle.start_child(|| Subject::new(OnStop::Obey)).await;
            settle().await;
            child.expect("starts").kill().await;
            root.shutdown().await;
        });
        done.send(()).expect("awaited");
    });
    told.recv_timeout(Duration::from_secs(60)).expect("it ends");
    assert_eq!(*counts.lock().expect("counts"), [1, 2, 1, 0]);
}

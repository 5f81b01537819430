//! Telemetry: the events of a tree, in order, for its observers. `tests/tracing.rs` has those for `tracing`.

use actix_otp::{ChildSpec, ExitReason, Strategy, SupervisionEvent};

use crate::{
    cast::{exit_and_settle, panic_and_settle, start, supervisor, workers},
    support::{Journal, paused},
};

/// One line for each event.
pub(crate) fn note_events(journal: &Journal) -> impl Fn(&SupervisionEvent) + Send + Sync + 'static {
    let journal = journal.clone();
    move |event| {
        journal.note(match event {
            SupervisionEvent::ChildStarted {
                supervisor,
                child,
                incarnation,
            } => format!("{supervisor}: {child} started as {incarnation}"),
            SupervisionEvent::ChildTerminated {
                supervisor,
                child,
                incarnation,
                reason,
            } => format!("{supervisor}: {child} {incarnation} ended, {reason}"),
            SupervisionEvent::ChildRestarted {
                supervisor,
                child,
                incarnation,
            } => format!("{supervisor}: {child} restarted as {incarnation}"),
            SupervisionEvent::GaveUp {
                supervisor,
                child,
                reason,
            } => format!("{supervisor}: gave up over {child}, {reason}"),
            other => format!("unexpected: {other:?}"),
        });
    }
}

#[test]
fn an_observer_hears_of_everything_below_it_in_order() {
    paused(async {
        let events = Journal::default();
        let (spec, [leaf]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["leaf"],
        );
        let root = supervisor(Strategy::OneForOne, 1)
            .observer(note_events(&events))
            .child(ChildSpec::supervisor("inner", spec));
        let root = start(root).await;
        assert_eq!(
            events.take(),
            ["root/inner: leaf started as 1", "root: inner started as 1"]
        );
        panic_and_settle(&leaf).await;
        assert_eq!(
            events.take(),
            [
                "root/inner: leaf 1 ended, panicked: told to panic",
                "root/inner: leaf started as 2",
                "root/inner: leaf restarted as 2"
            ]
        );
        exit_and_settle(&leaf, ExitReason::error("one too many")).await;
        assert_eq!(
            events.take(),
            [
                "root/inner: leaf 2 ended, error: one too many",
                "root/inner: gave up over leaf, error: one too many",
                "root: inner 1 ended, shutdown",
                "root/inner: leaf started as 3",
                "root: inner started as 2",
                "root: inner restarted as 2"
            ]
        );
        root.shutdown().await;
        assert_eq!(
            events.take(),
            [
                "root/inner: leaf 3 ended, shutdown",
                "root: inner 2 ended, shutdown"
            ]
        );
    });
}

#[test]
fn a_nested_observer_takes_the_place_of_the_one_above() {
    paused(async {
        let (above, below) = (Journal::default(), Journal::default());
        let (spec, _) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["leaf"],
        );
        let inner = ChildSpec::supervisor("inner", spec.observer(note_events(&below)));
        let root = supervisor(Strategy::OneForOne, 1).observer(note_events(&above));
        let root = start(root.child(inner)).await;
        assert_eq!(above.take(), ["root: inner started as 1"]);
        assert_eq!(below.take(), ["root/inner: leaf started as 1"]);
        root.shutdown().await;
    });
}

#[test]
fn an_observer_that_panics_harms_nobody() {
    paused(async {
        let (spec, [a]) = workers(
            supervisor(Strategy::OneForOne, 1),
            &Journal::default(),
            ["a"],
        );
        let spec = spec.observer(|_: &SupervisionEvent| panic!("a bad observer"));
        let root = start(spec).await;
        panic_and_settle(&a).await;
        assert_eq!(a.incarnation(), Some(2));
        assert_eq!(root.shutdown().await, ExitReason::Shutdown);
    });
}

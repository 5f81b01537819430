//! What a tree tells `tracing`. A binary of its own: a subscriber concerns all threads of a process.

mod support;

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_otp::{Intensity, Strategy, SupervisorSpec};
use support::{Journal, Panic, Ping, Worker, crash, paused, settle};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Collects this crate's `tracing` events as `LEVEL message field=value ..`.
struct Collector(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("actix_otp")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut fields = Fields(format!("span {}", span.metadata().name()));
        span.record(&mut fields);
        self.0.lock().expect("collector").push(fields.0);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().expect("collector").push(fields.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(Level::DEBUG.into())
    }
}

#[test]
fn starts_are_debug_events_and_abnormal_exits_warnings() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collector = Collector(Arc::clone(&lines));
    tracing::subscriber::with_default(collector, || {
        paused(async {
            let spec = Worker::spec("a", &Journal::default());
            let child = spec.child_ref();
            let tree = SupervisorSpec::new(Strategy::OneForOne)
                .intensity(Intensity::new(1, Duration::from_secs(5)));
            let root = tree.child(spec).start("root").await.expect("it starts");
            crash(&child).await;
            let _ = child.call(Panic).await;
            settle().await;
            assert!(!root.is_running());
        });
    });
    let seen: Vec<_> = std::mem::take(&mut *lines.lock().expect("collector"));
    let expected = [
        ("DEBUG", "child started", "incarnation=1", "child=\"a\""),
        (
            "WARN",
            "child terminated",
            "incarnation=1",
            "reason=\"panicked: told to panic\"",
        ),
        ("DEBUG", "child started", "incarnation=2", "supervisor=root"),
        ("WARN", "child terminated", "incarnation=2", "child=\"a\""),
        ("ERROR", "gives up", "child=\"a\"", "supervisor=root"),
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (line, (level, message, one, other)) in seen.iter().zip(expected) {
        assert!(line.starts_with(level), "{line}");
        assert!(
            [message, one, other].iter().all(|part| line.contains(part)),
            "{line}"
        );
    }
}

#[test]
fn a_child_that_traces_its_messages_has_a_span_for_each() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collector = Collector(Arc::clone(&lines));
    tracing::subscriber::with_default(collector, || {
        paused(async {
            let quiet = Worker::spec("quiet", &Journal::default());
            let traced = Worker::spec("traced", &Journal::default()).trace_messages();
            let (first, second) = (quiet.child_ref(), traced.child_ref());
            let tree = SupervisorSpec::new(Strategy::OneForOne);
            let root = tree.child(quiet).child(traced).start("root").await;
            let root = root.expect("it starts");
            first.call(Ping).await.expect("it serves");
            second.call(Ping).await.expect("it serves");
            root.shutdown().await;
        });
    });
    let lines = lines.lock().expect("collector");
    let spans: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("span"))
        .collect();
    let expected =
        "span message child=\"traced\" incarnation=1 message_type=\"tracing::support::Ping\"";
    assert_eq!(spans, [expected]);
}

//! The spans and log events that a `tracing` subscriber gets.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use gen_api::{
    GenApi,
    clock::ManualClock,
    function::{FunctionError, Functions},
    model::FunConfig,
    telemetry::{Event, Family},
};
use tokio::sync::mpsc;
use tracing::{Metadata, Subscriber, field, span};
use tracing_core::span::Current;

use crate::fixture::{config, engine, request, start};

/// A subscriber that notes spans with their fields, the threads that enter them, and events.
#[derive(Clone, Default)]
struct Notes {
    ids: Arc<AtomicU64>,
    spans: Arc<Mutex<Vec<NotedSpan>>>,
    events: Arc<Mutex<Vec<String>>>,
    /// A target of which it wants nothing.
    unwanted: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct NotedSpan {
    id: u64,
    metadata: Option<&'static Metadata<'static>>,
    fields: String,
    entered_on: Vec<ThreadId>,
}

struct Words<'a>(&'a mut String);

impl field::Visit for Words<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        write!(self.0, "{}={value:?};", field.name()).expect("a String takes it");
    }
}

impl Notes {
    fn change(&self, id: &span::Id, change: impl FnOnce(&mut NotedSpan)) {
        let mut spans = self.spans.lock().expect("no note panics");
        change(
            spans
                .iter_mut()
                .find(|span| span.id == id.into_u64())
                .expect("a span that was made"),
        );
    }

    fn requests(&self) -> Vec<NotedSpan> {
        let spans = self.spans.lock().expect("no note panics");
        let requests = spans.iter().filter(|span| {
            let name = span.metadata.map(Metadata::name);
            name == Some("gen_api.request")
        });
        requests.cloned().collect()
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.unwanted != Some(metadata.target())
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let mut span = NotedSpan {
            id,
            metadata: Some(attributes.metadata()),
            ..NotedSpan::default()
        };
        attributes.record(&mut Words(&mut span.fields));
        self.spans.lock().expect("no note panics").push(span);
        span::Id::from_u64(id)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        self.change(id, |span| values.record(&mut Words(&mut span.fields)));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut words = format!("{} ", event.metadata().level());
        event.record(&mut Words(&mut words));
        self.events.lock().expect("no note panics").push(words);
    }

    fn enter(&self, id: &span::Id) {
        self.change(id, |span| span.entered_on.push(thread::current().id()));
        ENTERED.with_borrow_mut(|entered| entered.push(id.clone()));
    }

    fn exit(&self, _: &span::Id) {
        ENTERED.with_borrow_mut(Vec::pop);
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().cloned()) else {
            return Current::none();
        };
        let mut metadata = None;
        self.change(&id, |span| metadata = span.metadata);
        metadata.map_or_else(Current::none, |metadata| Current::new(id, metadata))
    }
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<span::Id>> = const { RefCell::new(Vec::new()) };
}

async fn with_subscriber<F: Future>(notes: &Notes, future: F) -> F::Output {
    let _default = tracing::subscriber::set_default(notes.clone());
    future.await
}

async fn ping_engine() -> (GenApi, mpsc::UnboundedReceiver<ThreadId>) {
    let (sender, called) = mpsc::unbounded_channel();
    let ping = move || {
        let sent = sender.send(thread::current().id());
        async move { sent.map_err(|_| "nobody listens") }
    };
    let functions = Functions::new().register("T", "ping", ping);
    let configs = [
        config("ping"),
        FunConfig::builder("svc", "later")
            .call("T", "ping")
            .local()
            .asynchronous(),
    ];
    (start(engine(functions, configs)).await, called)
}

#[tokio::test]
async fn a_request_runs_in_a_span_with_its_fields_and_outcome() {
    let (api, mut called) = ping_engine().await;
    let notes = Notes::default();
    let asked = request("ping");
    let _ = with_subscriber(&notes, api.execute(asked)).await;
    let [span] = &notes.requests()[..] else {
        panic!("one request, one span")
    };
    assert_eq!(
        span.fields,
        "service=\"svc\";request_type=\"ping\";request_id=\"r\";response_mode=\"sync\";outcome=\"success\";"
    );
    let called_on = called.recv().await.expect("the call was made");
    assert!(span.entered_on.contains(&called_on));
    api.stop().await;
}

#[tokio::test]
async fn the_span_goes_with_the_call_after_the_acknowledgement() {
    let (api, mut called) = ping_engine().await;
    let notes = Notes::default();
    let reply = with_subscriber(&notes, api.execute(request("later"))).await;
    assert_eq!(reply.collect().await.len(), 2);
    let called_on = called.recv().await.expect("the call was made");
    assert_ne!(called_on, thread::current().id());
    let [span] = &notes.requests()[..] else {
        panic!("one request, one span")
    };
    assert!(span.fields.contains("response_mode=\"async\""));
    assert!(span.entered_on.contains(&called_on));
    api.stop().await;
}

#[tokio::test]
async fn a_span_that_the_subscriber_does_not_want_is_not_made() {
    let (api, _called) = ping_engine().await;
    let notes = Notes {
        unwanted: Some("gen_api::request"),
        ..Notes::default()
    };
    let reply = with_subscriber(&notes, api.execute(request("ping"))).await;
    assert!(reply.response.is_some_and(|response| response.success));
    assert!(notes.requests().is_empty());
    api.stop().await;
}

#[tokio::test]
async fn calls_that_fail_are_warnings_bounded_in_time_for_each_api_and_business_answers_are_none() {
    async fn fails() -> Result<(), FunctionError> {
        Err(FunctionError::failed("the disk is full"))
    }
    async fn says_no() -> Result<(), FunctionError> {
        Err(FunctionError::public("no such user"))
    }
    let functions = Functions::new()
        .register("T", "fails", fails)
        .register("T", "fails_too", fails)
        .register("T", "says_no", says_no);
    let configs = ["fails", "fails_too", "says_no"].map(config);
    let clock = ManualClock::new();
    let api = start(engine(functions, configs).clock(Arc::new(clock.clone()))).await;
    let notes = Notes::default();
    let warnings = |request_type: &str| {
        let mut events = notes.events.lock().expect("no note panics");
        let name = format!("request_type=\"{request_type}\";");
        let lines: Vec<_> = events
            .extract_if(.., |words| words.contains(&name))
            .collect();
        let warnings = lines.into_iter().filter(|words| words.starts_with("WARN"));
        warnings.collect::<Vec<_>>()
    };
    let call = async |name, times| {
        for _ in 0..times {
            let reply = with_subscriber(&notes, api.execute(request(name))).await;
            assert!(reply.response.is_some_and(|response| !response.success));
        }
    };
    call("fails", 100).await;
    call("fails_too", 1).await;
    call("says_no", 1).await;
    let written = warnings("fails");
    assert_eq!(written.len(), 10);
    assert!(written[0].contains("the disk is full"), "{written:?}");
    assert_eq!(warnings("fails_too").len(), 1);
    assert_eq!(warnings("says_no"), [""; 0]);
    clock.advance(Duration::from_secs(1));
    call("fails", 1).await;
    let written = warnings("fails");
    assert_eq!(written.len(), 1);
    assert!(written[0].contains("left_out=90"), "{written:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_is_logged_with_its_id_and_the_engine_goes_on() {
    let (api, _called) = ping_engine().await;
    let careless = |_: &Event<'_>| panic!("careless");
    api.telemetry()
        .attach("my handler", Family::Executor, careless)
        .expect("a free id");
    let notes = Notes::default();
    let reply = with_subscriber(&notes, api.execute(request("ping"))).await;
    assert!(reply.response.is_some_and(|response| response.success));
    assert!(api.telemetry().handlers().is_empty());
    let events = notes.events.lock().expect("no note panics").clone();
    let logged = |words: &String| {
        words.contains("handler=\"my handler\"")
            && words.contains("gen_api.request.start")
            && words.contains("careless")
    };
    assert_eq!(events.iter().filter(|words| logged(words)).count(), 1);
    api.stop().await;
}

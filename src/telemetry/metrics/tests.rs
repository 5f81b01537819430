use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use parking_lot::Mutex;

use super::super::{Filter, Telemetry, tests::with_every_event};

/// Adds up what it is told, each metric under its name and labels.
#[derive(Default)]
pub(crate) struct Sums {
    values: Arc<Mutex<BTreeMap<String, f64>>>,
    described: Mutex<BTreeSet<String>>,
}

struct Sum {
    key: String,
    values: Arc<Mutex<BTreeMap<String, f64>>>,
}

impl Sums {
    fn sum(&self, key: &Key) -> Arc<Sum> {
        let labels = key.labels().map(|l| format!("{}={}", l.key(), l.value()));
        let labels: Vec<_> = labels.collect();
        let key = format!("{}{{{}}}", key.name(), labels.join(","));
        let values = Arc::clone(&self.values);
        Arc::new(Sum { key, values })
    }

    /// What the metric with this name and these labels holds.
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        self.values.lock().get(key).copied()
    }
}

impl Sum {
    fn add(&self, value: f64) {
        *self.values.lock().entry(self.key.clone()).or_default() += value;
    }
}

impl CounterFn for Sum {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        unreachable!("the handler only counts up");
    }
}

impl GaugeFn for Sum {
    fn increment(&self, _: f64) {
        unreachable!("the handler only sets gauges");
    }

    fn decrement(&self, _: f64) {
        unreachable!("the handler only sets gauges");
    }

    fn set(&self, value: f64) {
        self.values.lock().insert(self.key.clone(), value);
    }
}

impl HistogramFn for Sum {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Sums {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.sum(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.sum(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.sum(key))
    }
}

/// What the recorder holds after one event of every kind.
fn after_every_event() -> (BTreeMap<String, f64>, BTreeSet<String>) {
    let sums = Sums::default();
    with_local_recorder(&sums, || {
        let telemetry = Telemetry::new();
        let attached = telemetry.attach("metrics", Filter::all(), super::handler());
        attached.expect("a free id");
        with_every_event(|event| telemetry.emit(event.family(), || event));
        assert_eq!(telemetry.handlers().len(), 1, "the handler panicked");
    });
    let values = sums.values.lock().clone();
    (values, sums.described.into_inner())
}

#[test]
fn events_become_metrics_with_labels() {
    let (values, _) = after_every_event();
    let expected = [
        (
            "gen_api_requests_total{service=s,request_type=t,outcome=success}",
            1.0,
        ),
        (
            "gen_api_requests_total{service=s,request_type=t,outcome=exception}",
            1.0,
        ),
        (
            "gen_api_request_duration_seconds{service=s,request_type=t}",
            0.006,
        ),
        (
            "gen_api_request_exceptions_total{service=s,request_type=t,kind=timeout}",
            1.0,
        ),
        ("gen_api_retries_total{service=s,request_type=t}", 1.0),
        (
            "gen_api_retries_exhausted_total{service=s,request_type=t}",
            1.0,
        ),
        ("gen_api_rate_limit_checks_total{result=refused}", 1.0),
        (
            "gen_api_rate_limit_refusals_total{key=user_id,scope=global}",
            1.0,
        ),
        ("gen_api_rate_limit_keys{}", 7.0),
        (
            "gen_api_hook_duration_seconds{phase=before,module=M,function=f}",
            0.003 + 0.003 + 0.003,
        ),
        (
            "gen_api_hook_failures_total{phase=after,module=M,function=f,kind=panic}",
            1.0,
        ),
        ("gen_api_pool_tasks_total{pool=async,outcome=success}", 1.0),
        ("gen_api_pool_tasks_total{pool=async,outcome=panic}", 1.0),
        ("gen_api_pool_task_duration_seconds{pool=async}", 0.006),
        ("gen_api_pool_queue_seconds{pool=async}", 0.003),
        (
            "gen_api_pool_rejections_total{pool=async,reason=queue_full}",
            1.0,
        ),
        // Open, half-open and closed came in this order.
        ("gen_api_circuit_state{pool=async}", 0.0),
        ("gen_api_config_changes_total{change=batch_add}", 1.0),
        ("gen_api_config_changes_total{change=clear}", 1.0),
        ("gen_api_config_pulls_total{service=s,outcome=failure}", 1.0),
        ("gen_api_config_pull_duration_seconds{service=s}", 0.003),
        ("gen_api_config_pushes_total{outcome=success}", 1.0),
        ("gen_api_open_streams{}", 3.0),
        (
            "gen_api_streams_total{service=s,request_type=t,end=complete}",
            1.0,
        ),
        (
            "gen_api_stream_duration_seconds{service=s,request_type=t}",
            0.003,
        ),
        ("gen_api_stream_chunks_total{service=s,request_type=t}", 5.0),
        (
            "gen_api_actor_restarts_total{supervisor=root,child=worker}",
            1.0,
        ),
        ("gen_api_supervisors_gave_up_total{supervisor=root}", 1.0),
        ("gen_api_relay_groups{}", 6.0),
        ("gen_api_relay_changes_total{change=created}", 1.0),
        ("gen_api_relay_changes_total{change=left}", 2.0),
        ("gen_api_relay_messages_total{}", 1.0),
        ("gen_api_relay_deliveries_total{result=delivered}", 3.0),
        ("gen_api_relay_deliveries_total{result=missed}", 1.0),
    ];
    for (key, value) in expected {
        assert_eq!(values.get(key), Some(&value), "{key} in {values:#?}");
    }
}

#[test]
fn names_that_a_client_made_up_become_no_labels() {
    let (values, _) = after_every_event();
    let key = "gen_api_requests_total{service=unknown,request_type=unknown,outcome=unsupported}";
    assert_eq!(values.get(key), Some(&1.0));
    let unsupported = values.keys().filter(|key| key.contains("unsupported"));
    assert_eq!(unsupported.count(), 1);
}

#[test]
fn every_metric_is_described_and_stands_in_the_docs() {
    let (values, described) = after_every_event();
    let docs = include_str!("../metrics.rs");
    for key in values.keys() {
        let name = key.split('{').next().unwrap_or_default();
        assert!(described.contains(name), "{name} is not described");
        let row = format!("//! | `{name}` |");
        assert!(docs.contains(&row), "{name} does not stand in the docs");
    }
    let recorded = values.keys().filter_map(|key| key.split('{').next());
    assert_eq!(described, recorded.map(str::to_owned).collect());
}

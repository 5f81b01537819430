//! Counters, gauges and histograms for the recorder of the [`metrics`](https://docs.rs/metrics) crate (feature `metrics`).
//!
//! All of it is one handler: attach it, and detach it again, like any other.
//!
//! ```
//! use gen_api::telemetry::{Filter, Telemetry, metrics};
//!
//! // Install a recorder first, such as that of `metrics-exporter-prometheus`.
//! let telemetry = Telemetry::new();
//! telemetry.attach("metrics", Filter::all(), metrics::handler())?;
//! # Ok::<(), gen_api::telemetry::AlreadyAttached>(())
//! ```
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `gen_api_requests_total` | counter | `service`, `request_type`, `outcome` |
//! | `gen_api_request_duration_seconds` | histogram | `service`, `request_type` |
//! | `gen_api_request_exceptions_total` | counter | `service`, `request_type`, `kind` |
//! | `gen_api_retries_total` | counter | `service`, `request_type` |
//! | `gen_api_retries_exhausted_total` | counter | `service`, `request_type` |
//! | `gen_api_rate_limit_checks_total` | counter | `result` |
//! | `gen_api_rate_limit_refusals_total` | counter | `key`, `scope` |
//! | `gen_api_rate_limit_keys` | gauge, set by each sweep | |
//! | `gen_api_hook_duration_seconds` | histogram | `phase`, `module`, `function` |
//! | `gen_api_hook_failures_total` | counter | `phase`, `module`, `function`, `kind` |
//! | `gen_api_pool_tasks_total` | counter | `pool`, `outcome` |
//! | `gen_api_pool_task_duration_seconds` | histogram | `pool` |
//! | `gen_api_pool_queue_seconds` | histogram | `pool` |
//! | `gen_api_pool_rejections_total` | counter | `pool`, `reason` |
//! | `gen_api_circuit_state` | gauge: 0 closed, 1 half-open, 2 open | `pool` |
//! | `gen_api_config_changes_total` | counter | `change` |
//! | `gen_api_config_pulls_total` | counter | `service`, `outcome` |
//! | `gen_api_config_pull_duration_seconds` | histogram | `service` |
//! | `gen_api_config_pushes_total` | counter | `outcome` |
//! | `gen_api_open_streams` | gauge | |
//! | `gen_api_streams_total` | counter | `service`, `request_type`, `end` |
//! | `gen_api_stream_duration_seconds` | histogram | `service`, `request_type` |
//! | `gen_api_stream_chunks_total` | counter | `service`, `request_type` |
//! | `gen_api_actor_restarts_total` | counter | `supervisor`, `child` |
//! | `gen_api_supervisors_gave_up_total` | counter | `supervisor` |
//! | `gen_api_relay_groups` | gauge | |
//! | `gen_api_relay_changes_total` | counter | `change` |
//! | `gen_api_relay_messages_total` | counter | |
//! | `gen_api_relay_deliveries_total` | counter | `result` |
//!
//! No label holds what a client made up: where no config was found, `service` and `request_type` are `unknown`. Label
//! values are copied for each event, as the `metrics` crate wants it; that is the cost of this handler.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics::{gauge, histogram};

use super::event::{
    ConfigEvent, Event, ExecutorEvent, HookCall, HookEvent, Outcome, RateLimiterEvent, RelayEvent,
    RequestTags, StreamEvent, SupervisorEvent, WorkerPoolEvent,
};

/// The handler that turns events into metrics of the recorder that is installed.
///
/// Descriptions and units are given to that recorder now, so install it before.
pub fn handler() -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    describe();
    |event| match event {
        Event::Executor(event) => executor(event),
        Event::RateLimiter(event) => rate_limiter(event),
        Event::Hook(event) => hook(event),
        Event::WorkerPool(event) => worker_pool(event),
        Event::Config(event) => config(event),
        Event::Stream(event) => stream(event),
        Event::Supervisor(event) => supervisor(event),
        Event::Relay(event) => relay(event),
    }
}

fn describe() {
    let counters = [
        ("gen_api_requests_total", "Requests answered, by outcome."),
        (
            "gen_api_request_exceptions_total",
            "Requests whose way broke, by kind.",
        ),
        ("gen_api_retries_total", "Calls made once more."),
        (
            "gen_api_retries_exhausted_total",
            "Requests whose last retry failed.",
        ),
        ("gen_api_rate_limit_checks_total", "Rate limit checks."),
        (
            "gen_api_rate_limit_refusals_total",
            "Requests refused by a rate limit.",
        ),
        ("gen_api_hook_failures_total", "Hooks that broke, by kind."),
        (
            "gen_api_pool_tasks_total",
            "Tasks of the worker pools, by outcome.",
        ),
        (
            "gen_api_pool_rejections_total",
            "Tasks the worker pools did not take.",
        ),
        (
            "gen_api_config_changes_total",
            "Changes of the configs by its verbs.",
        ),
        ("gen_api_config_pulls_total", "Pulls of a service."),
        ("gen_api_config_pushes_total", "Pushes of service nodes."),
        ("gen_api_streams_total", "Streams closed, by their end."),
        (
            "gen_api_stream_chunks_total",
            "Chunks handed on by closed streams.",
        ),
        (
            "gen_api_actor_restarts_total",
            "Restarts of the engine's actors.",
        ),
        (
            "gen_api_supervisors_gave_up_total",
            "Supervisors with too many restarts.",
        ),
        (
            "gen_api_relay_changes_total",
            "Changes of relay groups and their members.",
        ),
        (
            "gen_api_relay_messages_total",
            "Messages sent to relay groups.",
        ),
        (
            "gen_api_relay_deliveries_total",
            "Members that a relay message was for.",
        ),
    ];
    for (name, text) in counters {
        describe_counter!(name, Unit::Count, text);
    }
    let histograms = [
        (
            "gen_api_request_duration_seconds",
            "From a request to its answer.",
        ),
        ("gen_api_hook_duration_seconds", "The run of a hook."),
        (
            "gen_api_pool_task_duration_seconds",
            "The run of a task in a worker pool.",
        ),
        (
            "gen_api_pool_queue_seconds",
            "How long tasks waited in the queue.",
        ),
        (
            "gen_api_config_pull_duration_seconds",
            "The pull of a service.",
        ),
        (
            "gen_api_stream_duration_seconds",
            "How long streams were open.",
        ),
    ];
    for (name, text) in histograms {
        describe_histogram!(name, Unit::Seconds, text);
    }
    describe_gauge!("gen_api_open_streams", Unit::Count, "Streams open now.");
    describe_gauge!(
        "gen_api_rate_limit_keys",
        Unit::Count,
        "Keys the rate limiter knows."
    );
    describe_gauge!("gen_api_relay_groups", Unit::Count, "Relay groups now.");
    describe_gauge!("gen_api_circuit_state", "0 closed, 1 half-open, 2 open.");
}

fn executor(event: &ExecutorEvent<'_>) {
    let (request, response_type, duration, outcome) = match *event {
        ExecutorEvent::RequestStop {
            request,
            response_type,
            duration,
            outcome,
        } => (request, response_type, duration, outcome),
        ExecutorEvent::RequestException {
            request,
            response_type,
            duration,
            kind,
            ..
        } => {
            let [service, request_type] = api_labels(request, response_type.is_some());
            let kind = ("kind", kind.as_str().to_owned());
            counter!(
                "gen_api_request_exceptions_total",
                &[service, request_type, kind]
            )
            .increment(1);
            (request, response_type, duration, Outcome::Exception)
        }
        ExecutorEvent::RequestCancelled {
            request,
            response_type,
            duration,
        } => (request, response_type, duration, Outcome::Cancelled),
        ExecutorEvent::Retry { request, .. } => {
            counter!("gen_api_retries_total", &api_labels(request, true)).increment(1);
            return;
        }
        ExecutorEvent::RetryExhausted { request, .. } => {
            counter!(
                "gen_api_retries_exhausted_total",
                &api_labels(request, true)
            )
            .increment(1);
            return;
        }
        // Both are part of what the stop tells.
        ExecutorEvent::RequestStart { .. } | ExecutorEvent::PermissionDenied { .. } => return,
    };
    let api = api_labels(request, response_type.is_some());
    histogram!("gen_api_request_duration_seconds", &api).record(duration);
    let [service, request_type] = api;
    let outcome = ("outcome", outcome.as_str().to_owned());
    counter!("gen_api_requests_total", &[service, request_type, outcome]).increment(1);
}

type Label = (&'static str, String);

/// Only names that a config has become labels, or clients could make up as many as they like.
fn api_labels(request: RequestTags<'_>, known: bool) -> [Label; 2] {
    let text = |name: &str| if known { name } else { "unknown" }.to_owned();
    [
        ("service", text(request.service)),
        ("request_type", text(request.request_type)),
    ]
}

fn rate_limiter(event: &RateLimiterEvent<'_>) {
    match *event {
        RateLimiterEvent::Check { passed, .. } => {
            let result = if passed { "passed" } else { "refused" };
            counter!("gen_api_rate_limit_checks_total", "result" => result).increment(1);
        }
        RateLimiterEvent::Exceeded { key, service, .. } => {
            let scope = if service.is_some() { "api" } else { "global" };
            let key = key.to_owned();
            counter!("gen_api_rate_limit_refusals_total", "key" => key, "scope" => scope)
                .increment(1);
        }
        RateLimiterEvent::Cleanup { remaining, .. } => {
            gauge!("gen_api_rate_limit_keys").set(remaining as f64);
        }
        RateLimiterEvent::Reset { .. } => {}
    }
}

fn hook(event: &HookEvent<'_>) {
    let HookCall {
        phase,
        module,
        function,
        ..
    } = *event.hook();
    let labels = [
        ("phase", phase.as_str().to_owned()),
        ("module", module.to_owned()),
        ("function", function.to_owned()),
    ];
    match *event {
        HookEvent::Start { .. } => {}
        HookEvent::Stop { duration, .. } | HookEvent::Cancelled { duration, .. } => {
            histogram!("gen_api_hook_duration_seconds", &labels).record(duration);
        }
        HookEvent::Exception { duration, kind, .. } => {
            histogram!("gen_api_hook_duration_seconds", &labels).record(duration);
            let [phase, module, function] = labels;
            let kind = ("kind", kind.as_str().to_owned());
            counter!(
                "gen_api_hook_failures_total",
                &[phase, module, function, kind]
            )
            .increment(1);
        }
    }
}

fn worker_pool(event: &WorkerPoolEvent<'_>) {
    let done = |pool: &str, duration: Duration, outcome: &'static str| {
        let pool = pool.to_owned();
        histogram!("gen_api_pool_task_duration_seconds", "pool" => pool.clone()).record(duration);
        counter!("gen_api_pool_tasks_total", "pool" => pool, "outcome" => outcome).increment(1);
    };
    let circuit = |pool: &str, state: f64| {
        gauge!("gen_api_circuit_state", "pool" => pool.to_owned()).set(state);
    };
    match *event {
        WorkerPoolEvent::TaskStart { pool, waited } => {
            histogram!("gen_api_pool_queue_seconds", "pool" => pool.to_owned()).record(waited);
        }
        WorkerPoolEvent::TaskStop {
            pool,
            duration,
            outcome,
        } => done(pool, duration, outcome.as_str()),
        WorkerPoolEvent::TaskException {
            pool,
            duration,
            kind,
        } => done(pool, duration, kind.as_str()),
        WorkerPoolEvent::TaskRejected { pool, rejection } => {
            let (pool, reason) = (pool.to_owned(), rejection.as_str());
            counter!("gen_api_pool_rejections_total", "pool" => pool, "reason" => reason)
                .increment(1);
        }
        WorkerPoolEvent::CircuitClose { pool } => circuit(pool, 0.0),
        WorkerPoolEvent::CircuitHalfOpen { pool } => circuit(pool, 1.0),
        WorkerPoolEvent::CircuitOpen { pool, .. } => circuit(pool, 2.0),
    }
}

fn config(event: &ConfigEvent<'_>) {
    let outcome = |failed: bool| if failed { "failure" } else { "success" };
    let change = match *event {
        ConfigEvent::PullStart { .. } => return,
        ConfigEvent::PullStop {
            service,
            duration,
            error,
            ..
        } => {
            let service = service.to_owned();
            histogram!("gen_api_config_pull_duration_seconds", "service" => service.clone())
                .record(duration);
            let outcome = outcome(error.is_some());
            counter!("gen_api_config_pulls_total", "service" => service, "outcome" => outcome)
                .increment(1);
            return;
        }
        ConfigEvent::Push { error, .. } => {
            let outcome = outcome(error.is_some());
            counter!("gen_api_config_pushes_total", "outcome" => outcome).increment(1);
            return;
        }
        ConfigEvent::Add { .. } => "add",
        ConfigEvent::BatchAdd { .. } => "batch_add",
        ConfigEvent::Delete { .. } => "delete",
        ConfigEvent::Clear => "clear",
        ConfigEvent::Enable { .. } => "enable",
        ConfigEvent::Disable { .. } => "disable",
    };
    counter!("gen_api_config_changes_total", "change" => change).increment(1);
}

fn stream(event: &StreamEvent<'_>) {
    match *event {
        StreamEvent::Start { open, .. } => gauge!("gen_api_open_streams").set(open as f64),
        StreamEvent::Stop {
            service,
            request_type,
            duration,
            chunks,
            end,
            open,
            ..
        } => {
            gauge!("gen_api_open_streams").set(open as f64);
            let api = [
                ("service", service.to_owned()),
                ("request_type", request_type.to_owned()),
            ];
            histogram!("gen_api_stream_duration_seconds", &api).record(duration);
            counter!("gen_api_stream_chunks_total", &api).increment(chunks);
            let [service, request_type] = api;
            let end = ("end", end.as_str().to_owned());
            counter!("gen_api_streams_total", &[service, request_type, end]).increment(1);
        }
    }
}

fn supervisor(event: &SupervisorEvent<'_>) {
    match *event {
        SupervisorEvent::ChildRestarted {
            supervisor, child, ..
        } => {
            let (supervisor, child) = (supervisor.to_owned(), child.to_owned());
            counter!("gen_api_actor_restarts_total", "supervisor" => supervisor, "child" => child)
                .increment(1);
        }
        SupervisorEvent::GaveUp { supervisor, .. } => {
            let supervisor = supervisor.to_owned();
            counter!("gen_api_supervisors_gave_up_total", "supervisor" => supervisor).increment(1);
        }
        SupervisorEvent::ChildStarted { .. } | SupervisorEvent::ChildTerminated { .. } => {}
    }
}

fn relay(event: &RelayEvent<'_>) {
    let groups = |count: usize| gauge!("gen_api_relay_groups").set(count as f64);
    let change = match *event {
        RelayEvent::Created { groups: count, .. } => {
            groups(count);
            "created"
        }
        RelayEvent::Deleted { groups: count, .. } => {
            groups(count);
            "deleted"
        }
        RelayEvent::Cleanup { remaining, .. } => {
            groups(remaining);
            return;
        }
        RelayEvent::Sent {
            recipients, missed, ..
        } => {
            counter!("gen_api_relay_messages_total").increment(1);
            let deliveries = |result: &'static str, count: usize| {
                counter!("gen_api_relay_deliveries_total", "result" => result)
                    .increment(count as u64);
            };
            deliveries("delivered", recipients.saturating_sub(missed));
            deliveries("missed", missed);
            return;
        }
        RelayEvent::Joined { .. } => "joined",
        RelayEvent::Left { .. } => "left",
        RelayEvent::Accepted { .. } => "accepted",
        RelayEvent::Muted { .. } => "muted",
        RelayEvent::Unmuted { .. } => "unmuted",
    };
    counter!("gen_api_relay_changes_total", "change" => change).increment(1);
}

#[cfg(test)]
pub(crate) mod tests;

//! What telemetry costs: an event with no, one and five handlers, and a request with as many.
//!
//! `cargo bench -p gen_api-benches --bench telemetry`

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use actix_otp::SupervisionEvent;
use gen_api::telemetry::{Event, Family, Filter, SupervisorEvent, Telemetry};
use gen_api_benches::{Comparison, echo_engine, echo_request, timed};

fn main() {
    // `cargo test --benches` runs this too; a comparison beside other tests would mean nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let happened = SupervisionEvent::ChildStarted {
        supervisor: "root".into(),
        child: "child".into(),
        incarnation: 1,
    };
    let (happened, handlers) = (&happened, [0, 1, 5]);
    let emitted = handlers.map(|count| {
        let telemetry = Telemetry::new();
        attach(&telemetry, count);
        move |times: u64| {
            let event = SupervisorEvent::from_supervision(happened).expect("a known event");
            let start = Instant::now();
            for _ in 0..times {
                black_box(&telemetry).emit(Family::Supervisor, || event);
            }
            start.elapsed()
        }
    });
    let mut comparison = Comparison::default();
    for (count, run) in handlers.iter().zip(emitted) {
        comparison = comparison.with(format!("Telemetry::emit, {count} handlers"), run);
    }
    comparison.print("One event");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("one");
    let engines = handlers.map(|count| {
        let api = echo_engine();
        attach(api.telemetry(), count);
        api
    });
    let mut comparison = Comparison::default();
    for (count, api) in handlers.iter().zip(&engines) {
        let runtime = &runtime;
        let name = format!("GenApi::execute, sync echo, {count} handlers of every event");
        comparison = comparison.with(name, move |times| {
            timed(runtime, times, || async {
                let reply = api.execute(echo_request()).await;
                assert!(reply.response.is_some_and(|response| response.success));
            })
        });
    }
    comparison.print("One request at a time, on the caller's thread");
    for api in engines {
        runtime.block_on(api.stop());
    }
}

/// Handlers that count, as the cheapest useful ones do.
fn attach(telemetry: &Telemetry, count: usize) {
    for number in 0..count {
        let heard = Arc::new(AtomicU64::new(0));
        let handler = move |_: &Event<'_>| {
            heard.fetch_add(1, Ordering::Relaxed);
        };
        telemetry
            .attach(format!("handler {number}"), Filter::all(), handler)
            .expect("a free id");
    }
}

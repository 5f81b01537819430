//! What telemetry costs: an event with no, one and five handlers, and a request with as many.
//!
//! `cargo bench -p gen_api-benches --bench telemetry`

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_otp::SupervisionEvent;
use gen_api::telemetry::{Event, Family, Filter, SupervisorEvent, Telemetry};
use gen_api_benches::{
    Comparison,
    engines::{guarded_engine, owned_request},
    is_wanted, on_this_thread, one_thread, timed_with,
};

const HANDLERS: [usize; 3] = [0, 1, 5];

fn main() {
    if !is_wanted() {
        return;
    }
    let happened = SupervisionEvent::ChildStarted {
        supervisor: "root".into(),
        child: "child".into(),
        incarnation: 1,
    };
    let event = SupervisorEvent::from_supervision(&happened).expect("a known event");
    let mut comparison = Comparison::default();
    for count in HANDLERS {
        let telemetry = Telemetry::new();
        attach(&telemetry, count);
        comparison = comparison.with(with_handlers("`Telemetry::emit`", count), move |times| {
            on_this_thread(|| {
                for _ in 0..times {
                    black_box(&telemetry).emit(Family::Supervisor, || event);
                }
            })
        });
    }
    comparison.print("An event");

    let runtime = one_thread();
    let engines = HANDLERS.map(|count| {
        let api = runtime.block_on(guarded_engine());
        attach(api.telemetry(), count);
        (count, api)
    });
    let mut comparison = Comparison::default();
    for (count, api) in &engines {
        let runtime = &runtime;
        let mut users = (0..).map(owned_request);
        comparison = comparison.with(with_handlers("`GenApi::execute`", *count), move |times| {
            let user = || users.next().expect("there is no end");
            runtime.block_on(timed_with(times, user, async |request| {
                let reply = api.execute(request).await;
                assert!(reply.response.is_some_and(|response| response.success));
            }))
        });
    }
    comparison.print("A sync request: permission by argument, one rate limit, an echo");
    for (_, api) in engines {
        runtime.block_on(api.stop());
    }
}

fn with_handlers(what: &str, count: usize) -> String {
    match count {
        0 => format!("{what}, nobody listens"),
        1 => format!("{what}, 1 handler of every event"),
        _ => format!("{what}, {count} handlers of every event"),
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

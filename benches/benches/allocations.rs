//! How often a request allocates: counted by divan's allocator, not guessed.
//!
//! `cargo bench -p gen_api-benches --bench allocations`

use actix_otp::SupervisionEvent;
use divan::{AllocProfiler, Bencher};
use gen_api::telemetry::{Family, SupervisorEvent, Telemetry};
use gen_api_benches::{echo_engine, echo_request};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A sync echo of one string argument; the request itself is made outside of the measurement.
#[divan::bench]
fn execute_sync_echo(bencher: Bencher<'_, '_>) {
    let api = echo_engine();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("one");
    bencher
        .with_inputs(echo_request)
        .bench_local_values(|request| runtime.block_on(api.execute(request)));
    runtime.block_on(api.stop());
}

/// An event with one handler; with none it is not even made.
#[divan::bench(args = [0, 1])]
fn emit_an_event(bencher: Bencher<'_, '_>, handlers: usize) {
    let telemetry = Telemetry::new();
    for number in 0..handlers {
        telemetry
            .attach(number.to_string(), Family::Supervisor, |_| {})
            .expect("a free id");
    }
    let happened = SupervisionEvent::ChildStarted {
        supervisor: "root".into(),
        child: "child".into(),
        incarnation: 1,
    };
    let event = SupervisorEvent::from_supervision(&happened).expect("a known event");
    bencher.bench_local(|| telemetry.emit(Family::Supervisor, || event));
}

//! How often a request allocates: counted by divan's allocator, not guessed.
//!
//! `cargo bench -p gen_api-benches --bench allocations`

use divan::{AllocProfiler, Bencher};
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

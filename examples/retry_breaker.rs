//! A failed call is tried again after growing pauses; a pool whose calls keep failing refuses them for a while.
//!
//! Run it with `cargo run --example retry_breaker`.

use std::sync::{Arc, atomic::AtomicU32, atomic::Ordering::Relaxed};
use std::time::Duration;

use gen_api::telemetry::{Event, ExecutorEvent, Filter};
use gen_api::worker_pool::{CircuitSettings, PoolSettings};
use gen_api::{model::Retry, prelude::*};

/// How many calls are still to go wrong.
#[derive(Clone, Default)]
struct Faults(Arc<AtomicU32>);

impl Faults {
    fn next(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.0.try_update(Relaxed, Relaxed, one_less).is_ok()
    }
}

async fn fetch(State(faults): State<Faults>) -> Result<&'static str, FunctionError> {
    let lost = || FunctionError::failed("no connection");
    (!faults.next()).then_some("fetched").ok_or_else(lost)
}

async fn pay(State(faults): State<Faults>) -> Result<&'static str, FunctionError> {
    let hang = if faults.next() { 60_000 } else { 10 };
    tokio::time::sleep(Duration::from_millis(hang)).await;
    Ok("paid")
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let faults = Faults::default();
    let functions = Functions::new().register("Bank", "fetch", fetch);
    let config = |name: &str| FunConfig::builder("bank", name).call("Bank", name).local();
    let pay_config = config("pay").timeout(Duration::from_millis(100));
    // Two calls in a row that panic or time out open the circuit for 300 ms.
    let calls = PoolSettings::new(8, 8).with_circuit(CircuitSettings::new(2, 300));
    let api = GenApi::builder()
        .functions(functions.state(faults.clone()).register("Bank", "pay", pay))
        .config(config("fetch").retry(Retry::SameNode(3)).build()?)
        .config(pay_config.asynchronous().build()?)
        .settings(Settings::default().with_pools(calls, PoolSettings::STREAM));
    let api = api.start().await?;
    let on_retry = |event: &Event<'_>| {
        if let Event::Executor(ExecutorEvent::Retry { attempt, delay, .. }) = event {
            println!("retry {attempt} after {delay:.0?}");
        }
    };
    api.telemetry().attach("retries", Filter::all(), on_retry)?;
    for (call, name) in (1..).zip(["fetch", "pay", "pay", "pay", "pay", "pay"]) {
        match call {
            1 | 2 => faults.0.store(2, Relaxed), // The next two calls go wrong.
            5 => tokio::time::sleep(Duration::from_millis(350)).await, // The pause is over.
            _ => {}
        }
        let reply = api.execute(Request::new(format!("r-{call}"), "bank", name));
        let (reply, pools) = (reply.await, api.pool_status());
        println!("{name}, circuit {}:", pools.async_pool.circuit);
        for response in reply.collect().await {
            println!("  {}", serde_json::to_string(&response)?);
        }
    }
    println!("{}", api.pool_status());
    api.stop().await;
    Ok(())
}

//! What overload does to those who are served: the latency of sync calls while ten times the capacity of the async pool is
//! offered beside them, and the memory over the rounds.
//!
//! `cargo bench -p gen_api-benches --bench load`
//!
//! Rounds without and with load take turns, so that a slow moment of the machine meets both.

use std::{
    convert::Infallible,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gen_api::{GenApi, Settings, prelude::*, worker_pool::PoolSettings};
use tokio::{
    runtime::{Builder, Runtime},
    time::MissedTickBehavior,
};

/// Places of the async pool, each held for `HELD`: 10 000 calls a second.
const PLACES: usize = 100;
const QUEUE: usize = 100;
const HELD: Duration = Duration::from_millis(10);
/// So many calls are offered each `TICK`: 100 000 a second, ten times the capacity.
const TICK: Duration = Duration::from_millis(1);
const OFFERED: usize = 100;

const ROUNDS: usize = 12;
const CALLS: usize = 200_000;

fn main() {
    // `cargo test --benches` runs this too; a latency beside other tests would mean nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let api = start();
    let runtime = current_thread();
    measure(&runtime, &api);

    println!("\nSync calls beside ten times the capacity of the async pool (times in ns)");
    println!(
        "{:>5} {:>8} {:>8} {:>8} {:>8} {:>6} {:>9} {:>9} {:>9} {:>11} {:>8}",
        "round",
        "p50",
        "p99",
        "p50 load",
        "p99 load",
        "ratio",
        "offered/s",
        "accepted",
        "refused",
        "refusal p99",
        "RSS MiB"
    );
    let mut ratios = Vec::new();
    let mut memory = Vec::new();
    for round in 1..=ROUNDS {
        let calm = measure(&runtime, &api);
        let flood = Flood::start(&api);
        let loaded = measure(&runtime, &api);
        let flood = flood.stop();
        let ratio = loaded.p99 as f64 / calm.p99 as f64;
        let resident = resident_mib();
        println!(
            "{round:>5} {:>8} {:>8} {:>8} {:>8} {ratio:>6.2} {:>9.0} {:>9} {:>9} {:>11} {resident:>8.1}",
            calm.p50,
            calm.p99,
            loaded.p50,
            loaded.p99,
            (flood.accepted + flood.refused) as f64 / flood.lasted.as_secs_f64(),
            flood.accepted,
            flood.refused,
            flood.refusal.p99,
        );
        ratios.push(ratio);
        memory.push(resident);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    let verdict = if ratio <= 2.0 { "kept" } else { "missed" };
    println!("\nmedian of p99 under load / p99 without: {ratio:.2} (budget 2: {verdict})");
    println!(
        "resident memory: {:.1} MiB after round 2, {:.1} MiB after round {ROUNDS}",
        memory[1],
        memory[ROUNDS - 1]
    );
    println!("{}", api.pool_status());
    api.block_on(api.stop());
}

fn start() -> GenApi {
    async fn echo(value: String) -> Result<String, Infallible> {
        Ok(value)
    }
    async fn waits() -> Result<(), Infallible> {
        tokio::time::sleep(HELD).await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "waits", waits);
    let configs = [
        FunConfig::builder("svc", "echo")
            .call("T", "echo")
            .arg("value", ArgType::String)
            .local(),
        FunConfig::builder("svc", "waits")
            .call("T", "waits")
            .asynchronous()
            .local(),
    ];
    let settings = Settings::default()
        .with_threads(1)
        .with_pools(PoolSettings::new(PLACES, QUEUE), PoolSettings::STREAM);
    GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("a valid config")))
        .settings(settings)
        .start_blocking()
        .expect("the engine starts")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Percentiles in nanoseconds.
struct Latency {
    p50: u64,
    p99: u64,
}

impl Latency {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |percent: usize| {
            let last = nanoseconds.len().saturating_sub(1);
            nanoseconds.get(last * percent / 100).copied().unwrap_or(0)
        };
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

/// The latency of sync calls, one after another on this thread.
fn measure(runtime: &Runtime, api: &GenApi) -> Latency {
    runtime.block_on(async {
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let request = Request::new("r", "svc", "echo")
                .with_user_id("user")
                .with_arg("value", "hello");
            let start = Instant::now();
            let reply = api.execute(request).await;
            times.push(start.elapsed().as_nanos() as u64);
            assert!(reply.response.is_some_and(|response| response.success));
        }
        Latency::of(times)
    })
}

/// A client on a thread of its own that offers far too much, and takes every response.
struct Flood {
    running: Arc<AtomicBool>,
    client: JoinHandle<Flooded>,
}

/// What became of all that was offered.
struct Flooded {
    accepted: usize,
    refused: usize,
    refusal: Latency,
    lasted: Duration,
}

impl Flood {
    fn start(api: &GenApi) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let client = thread::spawn({
            let (api, running) = (api.clone(), Arc::clone(&running));
            move || current_thread().block_on(offer(&api, &running))
        });
        Self { running, client }
    }

    fn stop(self) -> Flooded {
        self.running.store(false, Ordering::Relaxed);
        self.client.join().expect("the client lives")
    }
}

async fn offer(api: &GenApi, running: &AtomicBool) -> Flooded {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut accepted = Vec::new();
    let mut refusals = Vec::new();
    while running.load(Ordering::Relaxed) {
        ticks.tick().await;
        for _ in 0..OFFERED {
            let request = Request::new("flood", "svc", "waits");
            let asked = Instant::now();
            let reply = api.execute(request).await;
            if reply.later.is_some() {
                accepted.push(tokio::spawn(reply.collect()));
            } else {
                refusals.push(asked.elapsed().as_nanos() as u64);
                assert!(reply.response.is_some_and(|response| response.can_retry));
            }
        }
    }
    let lasted = start.elapsed();
    let taken = accepted.len();
    for responses in accepted {
        let responses = responses.await.expect("it ends");
        assert_eq!(responses.len(), 2, "an acknowledgement and a result");
    }
    Flooded {
        accepted: taken,
        refused: refusals.len(),
        refusal: Latency::of(refusals),
        lasted,
    }
}

/// The resident memory of this process; 0 where there is no `/proc`.
fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1_024.0
}

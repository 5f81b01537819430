//! Comparing costs on a noisy machine: contenders take turns in short rounds, and the medians over the rounds count.
//!
//! A ratio is the median of the ratios within each round, so a slow moment of the machine meets both sides. Criterion and
//! divan measure one thing after another, which is why the comparisons here have this small runner of their own.

use std::time::{Duration, Instant};

use gen_api::{GenApi, Settings, prelude::*};

/// One side of a comparison.
pub struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
    batch: u64,
    per_op: Vec<f64>,
}

/// A table of contenders; the first one is what the others are compared to.
#[derive(Default)]
pub struct Comparison<'a> {
    contenders: Vec<Contender<'a>>,
}

/// How long one turn of a contender takes, about.
const TURN: Duration = Duration::from_millis(20);

/// How many turns each contender gets.
const ROUNDS: usize = 25;

impl<'a> Comparison<'a> {
    /// Adds a contender; `run` does its work the given number of times and returns how long that took.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, run: impl FnMut(u64) -> Duration + 'a) -> Self {
        let run = Box::new(run);
        self.contenders.push(Contender {
            name: name.into(),
            run,
            batch: 1,
            per_op: Vec::new(),
        });
        self
    }

    /// Measures all contenders in turn and prints the table.
    pub fn print(mut self, title: &str) {
        for contender in &mut self.contenders {
            contender.calibrate();
        }
        for _ in 0..ROUNDS {
            for contender in &mut self.contenders {
                let elapsed = (contender.run)(contender.batch);
                contender
                    .per_op
                    .push(elapsed.as_nanos() as f64 / contender.batch as f64);
            }
        }
        println!("\n{title}\n{:<58} {:>12} {:>8}", "", "median", "ratio");
        let Some(base) = self.contenders.first().map(|first| first.per_op.clone()) else {
            return;
        };
        for contender in &self.contenders {
            let ratios = contender
                .per_op
                .iter()
                .zip(&base)
                .map(|(own, base)| own / base);
            println!(
                "{:<58} {:>9.0} ns {:>8.2}",
                contender.name,
                median(contender.per_op.iter().copied()),
                median(ratios)
            );
        }
    }
}

impl Contender<'_> {
    /// Finds the batch that fills a turn.
    fn calibrate(&mut self) {
        while (self.run)(self.batch) < TURN / 2 {
            self.batch *= 2;
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs `work` the given number of times on a runtime and measures it.
pub fn timed<F: Future<Output = ()>>(
    runtime: &tokio::runtime::Runtime,
    times: u64,
    mut work: impl FnMut() -> F,
) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..times {
            work().await;
        }
        start.elapsed()
    })
}

/// An engine with the function `svc/echo`, which takes one string and returns it, in the response mode sync.
#[must_use]
pub fn echo_engine() -> GenApi {
    async fn echo(value: String) -> Result<String, std::convert::Infallible> {
        Ok(value)
    }
    let config = FunConfig::builder("svc", "echo")
        .call("T", "echo")
        .arg("value", ArgType::String)
        .local()
        .build()
        .expect("a valid config");
    GenApi::builder()
        .functions(Functions::new().register("T", "echo", echo))
        .config(config)
        .settings(Settings::default().with_threads(1))
        .start_blocking()
        .expect("the engine starts")
}

/// A request for [`echo_engine`].
#[must_use]
pub fn echo_request() -> Request {
    Request::new("request-1", "svc", "echo")
        .with_user_id("user-1")
        .with_arg("value", "hello")
}

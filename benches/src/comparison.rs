//! Comparing costs on a noisy machine: contenders take turns in short rounds, and the medians over the rounds count.
//!
//! A ratio is the median of the ratios within each round, so a slow moment of the machine meets both sides. Criterion and
//! divan measure one thing after another, which is why the comparisons here have this small runner of their own. Work on one
//! thread is measured in the time that this thread has the processor, so the machine's other work does not count at all.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use cpu_time::ThreadTime;

use crate::table::{Table, grouped, time};

/// A table of contenders; the first one is what the others are compared to.
pub struct Comparison<'a> {
    contenders: Vec<Contender<'a>>,
    rounds: usize,
    rates: bool,
}

/// One side of a comparison.
struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
    batch: u64,
    per_op: Vec<f64>,
}

/// How long one turn of a contender takes, about.
const TURN: Duration = Duration::from_millis(20);

/// How many turns each contender gets, unless told otherwise.
const ROUNDS: usize = 25;

impl Default for Comparison<'_> {
    fn default() -> Self {
        Self {
            contenders: Vec::new(),
            rounds: ROUNDS,
            rates: false,
        }
    }
}

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

    /// Gives each contender this number of turns, where one takes long.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Also shows how often a second each contender does its work.
    #[must_use]
    pub fn rates(mut self) -> Self {
        self.rates = true;
        self
    }

    /// Measures all contenders in turn and prints the table.
    pub fn print(mut self, title: &str) {
        for contender in &mut self.contenders {
            contender.calibrate();
        }
        for _ in 0..self.rounds {
            for contender in &mut self.contenders {
                contender.take_turn();
            }
        }
        let Some(base) = self.contenders.first().map(|first| first.per_op.clone()) else {
            return;
        };
        let mut columns = vec!["median", "middle half", "ratio"];
        if self.rates {
            columns.push("a second");
        }
        let mut table = Table::new(title, columns);
        for contender in self.contenders {
            let ratios = contender
                .per_op
                .iter()
                .zip(&base)
                .map(|(own, base)| own / base);
            let ratio = format!("{:.2}", median(ratios));
            let mut per_op = contender.per_op;
            per_op.sort_by(f64::total_cmp);
            let middle = median(per_op.iter().copied());
            let half = format!(
                "{} to {}",
                time(per_op[per_op.len() / 4]),
                time(per_op[per_op.len() * 3 / 4])
            );
            let mut cells = vec![time(middle), half, ratio];
            if self.rates {
                cells.push(grouped(1e9 / middle));
            }
            table.row(contender.name, cells);
        }
        table.print();
    }
}

impl Contender<'_> {
    /// Finds the batch that fills a turn.
    fn calibrate(&mut self) {
        while (self.run)(self.batch) < TURN / 2 {
            self.batch *= 2;
        }
    }

    fn take_turn(&mut self) {
        let elapsed = (self.run)(self.batch);
        self.per_op
            .push(elapsed.as_nanos() as f64 / self.batch as f64);
    }
}

/// The value in the middle; of an even number of values the upper one.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs `work` the given number of times, one after the other; the processor time of this thread.
pub async fn timed(times: u64, mut work: impl AsyncFnMut()) -> Duration {
    let start = ThreadTime::now();
    for _ in 0..times {
        work().await;
    }
    start.elapsed()
}

/// Like [`timed`], with an input for each run that is made outside of the measurement.
pub async fn timed_with<I>(
    times: u64,
    mut input: impl FnMut() -> I,
    mut work: impl AsyncFnMut(I),
) -> Duration {
    // Few enough that the inputs are still in the processor's cache when they are used.
    const AT_A_TIME: u64 = 256;
    let mut inputs = Vec::new();
    let mut elapsed = Duration::ZERO;
    let mut left = times;
    while left > 0 {
        let now = left.min(AT_A_TIME);
        left -= now;
        inputs.extend((0..now).map(|_| input()));
        let start = ThreadTime::now();
        for input in inputs.drain(..) {
            work(input).await;
        }
        elapsed += start.elapsed();
    }
    elapsed
}

/// The processor time that `work` takes on this thread.
pub fn on_this_thread(work: impl FnOnce()) -> Duration {
    let start = ThreadTime::now();
    work();
    start.elapsed()
}

/// Runs `work(thread, times)` on several threads at once; returns the time of the slowest one, by the clock on the wall.
///
/// # Panics
///
/// When `work` panics.
pub fn on_threads(threads: usize, times: u64, work: impl Fn(usize, u64) + Sync) -> Duration {
    let (work, barrier) = (&work, &Barrier::new(threads));
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    work(thread, times);
                    start.elapsed()
                })
            })
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().expect("the work does not panic"))
            .max()
            .unwrap_or_default()
    })
}

//! What a pool does and has done, as data and as a table.

use std::fmt;

use serde::Serialize;

use super::circuit_breaker::CircuitState;
use crate::text_table::TextTable;

/// A pool at one moment; all numbers are of the same moment (specification, section 14).
///
/// Every accepted task is in exactly one of `queued`, `busy`, `executed` and `cancelled`. Prints as a table of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// The name of the pool.
    pub pool: String,
    /// How many tasks may run at a time.
    pub places: usize,
    /// How many places are free.
    pub idle: usize,
    /// How many places are taken; more than `places` for a while after the pool was made smaller.
    pub busy: usize,
    /// How many tasks may wait.
    pub queue: usize,
    /// How many tasks wait.
    pub queued: usize,
    /// How many tasks ran to their end, whichever end.
    pub executed: u64,
    /// How many of those panicked or timed out.
    pub failed: u64,
    /// How many of those ended with an error of the function's own, which is no failure of the pool.
    pub errors: u64,
    /// How many accepted tasks did not run to their end: killed, or dropped while they waited.
    pub cancelled: u64,
    /// How many tasks were refused.
    pub rejected: u64,
    /// The state of the circuit.
    pub circuit: CircuitState,
    /// How many tasks in a row have panicked or timed out; zero unless the circuit is closed.
    pub failures_in_a_row: u32,
    /// How many milliseconds the circuit goes on to reject: until its cooldown is over, or its trial has had its time.
    pub retry_after_ms: u64,
}

impl PoolStatus {
    fn cells(&self) -> [String; 12] {
        let circuit = match self.circuit {
            CircuitState::Open => format!("open for {} ms", self.retry_after_ms),
            other => other.to_string(),
        };
        [
            self.pool.clone(),
            self.places.to_string(),
            self.idle.to_string(),
            self.busy.to_string(),
            self.queue.to_string(),
            self.queued.to_string(),
            self.executed.to_string(),
            self.failed.to_string(),
            self.errors.to_string(),
            self.cancelled.to_string(),
            self.rejected.to_string(),
            circuit,
        ]
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table([self]).fmt(f)
    }
}

/// The pools at one moment; prints as a table of a row each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolsStatus {
    /// The pool of the async and none calls.
    #[serde(rename = "async")]
    pub async_pool: PoolStatus,
    /// The pool of the open streams.
    #[serde(rename = "stream")]
    pub stream_pool: PoolStatus,
    /// The pool of the threads of blocking functions.
    #[serde(rename = "blocking")]
    pub blocking_pool: PoolStatus,
}

impl fmt::Display for PoolsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table([&self.async_pool, &self.stream_pool, &self.blocking_pool]).fmt(f)
    }
}

fn table<'a>(pools: impl IntoIterator<Item = &'a PoolStatus>) -> TextTable {
    let numbers = [
        "places",
        "idle",
        "busy",
        "queue",
        "queued",
        "executed",
        "failed",
        "errors",
        "cancelled",
        "rejected",
    ];
    let table = TextTable::new().text("pool");
    let mut table = numbers
        .into_iter()
        .fold(table, TextTable::number)
        .text("circuit");
    for pool in pools {
        table.row(pool.cells());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pool: &str) -> PoolStatus {
        PoolStatus {
            pool: pool.into(),
            places: 1_000,
            idle: 998,
            busy: 2,
            queue: 10_000,
            queued: 0,
            executed: 123_456_789,
            failed: 3,
            errors: 41,
            cancelled: 1,
            rejected: 0,
            circuit: CircuitState::Closed,
            failures_in_a_row: 2,
            retry_after_ms: 0,
        }
    }

    #[test]
    fn the_pools_print_as_one_aligned_table() {
        let mut stream_pool = status("stream");
        stream_pool.circuit = CircuitState::Open;
        stream_pool.retry_after_ms = 4_250;
        let pools = PoolsStatus {
            async_pool: status("async"),
            stream_pool,
            blocking_pool: status("blocking"),
        };
        let expected = "\
pool      places  idle  busy  queue  queued   executed  failed  errors  cancelled  rejected  circuit
async       1000   998     2  10000       0  123456789       3      41          1         0  closed
stream      1000   998     2  10000       0  123456789       3      41          1         0  open for 4250 ms
blocking    1000   998     2  10000       0  123456789       3      41          1         0  closed";
        assert_eq!(pools.to_string(), expected);
    }

    #[test]
    fn one_pool_prints_as_a_header_and_a_row() {
        let text = status("ein_längerer_name").to_string();
        let lines: Vec<_> = text.lines().collect();
        let [header, row] = lines[..] else {
            panic!("two lines expected: {text}");
        };
        let column_of = |line: &str, text: &str| {
            let at = line.find(text).expect("the text is there");
            line[..at].chars().count()
        };
        assert_eq!(column_of(header, "circuit"), column_of(row, "closed"));
    }

    #[test]
    fn the_status_serializes_under_the_names_of_the_pools() {
        let pools = PoolsStatus {
            async_pool: status("async"),
            stream_pool: status("stream"),
            blocking_pool: status("blocking"),
        };
        let value = serde_json::to_value(&pools).unwrap();
        assert_eq!(value["async"]["executed"], 123_456_789);
        assert_eq!(value["stream"]["circuit"], "closed");
        assert_eq!(value["stream"]["pool"], "stream");
    }
}

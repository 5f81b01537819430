//! What can be set of a pool, with the defaults of specification, section 14.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// How much a pool takes at a time, and when its circuit opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolSettings {
    /// How many tasks run at a time; at least 1. A running pool may be resized to none, which pauses it: it queues what
    /// fits, and runs nothing until it gets places again.
    pub places: usize,
    /// How many accepted tasks may wait for a place.
    pub queue: usize,
    /// When the circuit opens, and for how long.
    #[serde(flatten)]
    pub circuit: CircuitSettings,
}

impl PoolSettings {
    /// 1 000 places and a queue of 10 000.
    pub const ASYNC: Self = Self::new(1_000, 10_000);
    /// 10 000 places and no queue.
    pub const STREAM: Self = Self::new(10_000, 0);

    /// 256 threads and a queue of 1 000, without a circuit: a thread counts as busy until it is free, so what hangs bounds itself.
    pub const BLOCKING: Self = Self::new(256, 1_000).with_circuit(CircuitSettings::new(0, 5_000));

    /// So many places, so much room in the queue, and the default circuit breaker.
    #[must_use]
    pub const fn new(places: usize, queue: usize) -> Self {
        Self {
            places,
            queue,
            circuit: CircuitSettings::DEFAULT,
        }
    }

    /// When the circuit opens, and for how long.
    #[must_use]
    pub const fn with_circuit(mut self, circuit: CircuitSettings) -> Self {
        self.circuit = circuit;
        self
    }
}

/// When a pool's circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CircuitSettings {
    /// How many panics or timeouts in a row open the circuit; the default is 10. With zero it never opens.
    pub failures_to_open: u32,
    /// How long an open circuit rejects every call, in milliseconds; the default is 5 000.
    pub cooldown_ms: u64,
}

impl CircuitSettings {
    const DEFAULT: Self = Self::new(10, 5_000);

    /// Opens after so many failures in a row, for so many milliseconds.
    #[must_use]
    pub const fn new(failures_to_open: u32, cooldown_ms: u64) -> Self {
        Self {
            failures_to_open,
            cooldown_ms,
        }
    }

    pub(super) const fn cooldown(self) -> Duration {
        Duration::from_millis(self.cooldown_ms)
    }
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A pool's settings as far as a configuration names them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Given {
    places: Option<usize>,
    queue: Option<usize>,
    failures_to_open: Option<u32>,
    cooldown_ms: Option<u64>,
}

impl Given {
    fn over(self, default: PoolSettings) -> PoolSettings {
        let PoolSettings {
            places,
            queue,
            circuit,
        } = default;
        PoolSettings {
            places: self.places.unwrap_or(places),
            queue: self.queue.unwrap_or(queue),
            circuit: CircuitSettings {
                failures_to_open: self.failures_to_open.unwrap_or(circuit.failures_to_open),
                cooldown_ms: self.cooldown_ms.unwrap_or(circuit.cooldown_ms),
            },
        }
    }
}

pub(crate) fn async_pool<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PoolSettings, D::Error> {
    Ok(Given::deserialize(deserializer)?.over(PoolSettings::ASYNC))
}

pub(crate) fn stream_pool<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PoolSettings, D::Error> {
    Ok(Given::deserialize(deserializer)?.over(PoolSettings::STREAM))
}

pub(crate) fn blocking_pool<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<PoolSettings, D::Error> {
    Ok(Given::deserialize(deserializer)?.over(PoolSettings::BLOCKING))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_specification() {
        let (calls, streams) = (PoolSettings::ASYNC, PoolSettings::STREAM);
        assert_eq!((calls.places, calls.queue), (1_000, 10_000));
        assert_eq!((streams.places, streams.queue), (10_000, 0));
        for pool in [calls, streams] {
            assert_eq!(pool.circuit.failures_to_open, 10);
            assert_eq!(pool.circuit.cooldown(), Duration::from_secs(5));
        }
    }

    #[test]
    fn settings_survive_a_round_trip_and_keep_the_defaults_of_what_is_not_given() {
        let pool = PoolSettings::new(5, 6).with_circuit(CircuitSettings::new(3, 250));
        let json = serde_json::to_value(pool).unwrap();
        assert_eq!(async_pool(json).unwrap(), pool);
        let only_places = stream_pool(json!({"places": 7})).unwrap();
        assert_eq!(only_places, PoolSettings::new(7, 0));
    }

    #[test]
    fn an_unknown_key_and_a_negative_number_are_errors() {
        let error = async_pool(json!({"sync": 5})).unwrap_err().to_string();
        assert!(error.contains("`sync`"), "{error}");
        assert!(stream_pool(json!({"places": -1})).is_err());
    }
}

//! What can be set of a pool, with the defaults of SPEC section 14.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// The settings of both pools.
///
/// What a configuration leaves out keeps the default of its own pool:
///
/// ```
/// use gen_api::worker_pool::{PoolSettings, PoolsSettings};
///
/// let settings: PoolsSettings = serde_json::from_str(r#"{"stream": {"places": 50}}"#)?;
/// assert_eq!(settings.stream_pool.places, 50);
/// assert_eq!(settings.stream_pool.queue, 0);
/// assert_eq!(settings.async_pool, PoolSettings::ASYNC);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolsSettings {
    /// The pool of the async and none calls, `async` in a configuration; the default is [`PoolSettings::ASYNC`].
    #[serde(rename = "async", deserialize_with = "async_pool")]
    pub async_pool: PoolSettings,
    /// The pool of the open streams, `stream` in a configuration; the default is [`PoolSettings::STREAM`].
    #[serde(rename = "stream", deserialize_with = "stream_pool")]
    pub stream_pool: PoolSettings,
}

impl PoolsSettings {
    /// These settings for the two pools.
    #[must_use]
    pub const fn new(async_pool: PoolSettings, stream_pool: PoolSettings) -> Self {
        Self {
            async_pool,
            stream_pool,
        }
    }
}

impl Default for PoolsSettings {
    fn default() -> Self {
        Self::new(PoolSettings::ASYNC, PoolSettings::STREAM)
    }
}

/// How much a pool takes at a time, and when its circuit opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolSettings {
    /// How many tasks run at a time. A pool without places queues what fits and runs nothing until it is resized.
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
#[serde(deny_unknown_fields)]
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

fn async_pool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PoolSettings, D::Error> {
    Ok(Given::deserialize(deserializer)?.over(PoolSettings::ASYNC))
}

fn stream_pool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PoolSettings, D::Error> {
    Ok(Given::deserialize(deserializer)?.over(PoolSettings::STREAM))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<PoolsSettings, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn the_defaults_are_those_of_the_specification() {
        let defaults = read(json!({})).unwrap();
        assert_eq!(defaults, PoolsSettings::default());
        let pool = defaults.async_pool;
        assert_eq!((pool.places, pool.queue), (1_000, 10_000));
        let pool = defaults.stream_pool;
        assert_eq!((pool.places, pool.queue), (10_000, 0));
        for pool in [defaults.async_pool, defaults.stream_pool] {
            assert_eq!(pool.circuit.failures_to_open, 10);
            assert_eq!(pool.circuit.cooldown(), Duration::from_secs(5));
        }
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let circuit = CircuitSettings::new(3, 250);
        let async_pool = PoolSettings::new(5, 6).with_circuit(circuit);
        let settings = PoolsSettings::new(async_pool, PoolSettings::new(7, 8));
        assert_eq!(
            read(serde_json::to_value(settings).unwrap()).unwrap(),
            settings
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for bad in [
            json!({"sync": {}}),
            json!({"async": {"sync": 5}}),
            json!({"stream": {"sync": 5}}),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("`sync`"), "{error}");
        }
    }

    #[test]
    fn a_negative_number_of_places_is_an_error() {
        assert!(read(json!({"async": {"places": -1}})).is_err());
    }
}

//! The worker pools and their circuit breakers (SPEC section 14).

use serde::{Deserialize, Deserializer, Serialize};

/// One worker pool: how many calls run, how many wait, and when it stops taking calls.
///
/// The two pools have different defaults, [`ASYNC`](Self::ASYNC) and [`STREAM`](Self::STREAM), so there is no general
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolSettings {
    /// How many calls run at a time; at least 1.
    pub size: usize,
    /// How many more may wait for a place; 0 refuses what finds none.
    pub queue: usize,
    /// When it refuses calls because too many have failed.
    pub circuit_breaker: CircuitBreakerSettings,
}

impl PoolSettings {
    /// The default for async and none calls: 1 000 places, a queue of 10 000.
    pub const ASYNC: Self = Self {
        size: 1_000,
        queue: 10_000,
        circuit_breaker: CircuitBreakerSettings::DEFAULT,
    };

    /// The default for streams, which hold their place until they end: 10 000 places, no queue.
    pub const STREAM: Self = Self {
        size: 10_000,
        queue: 0,
        circuit_breaker: CircuitBreakerSettings::DEFAULT,
    };

    pub(super) fn read_async<'de, D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        PartialPool::deserialize(source).map(|given| given.over(Self::ASYNC))
    }

    pub(super) fn read_stream<'de, D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        PartialPool::deserialize(source).map(|given| given.over(Self::STREAM))
    }
}

/// What a source says of a pool; the rest has the pool's own defaults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct PartialPool {
    size: Option<usize>,
    queue: Option<usize>,
    circuit_breaker: Option<CircuitBreakerSettings>,
}

impl PartialPool {
    fn over(self, default: PoolSettings) -> PoolSettings {
        PoolSettings {
            size: self.size.unwrap_or(default.size),
            queue: self.queue.unwrap_or(default.queue),
            circuit_breaker: self.circuit_breaker.unwrap_or(default.circuit_breaker),
        }
    }
}

/// When a pool refuses calls, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct CircuitBreakerSettings {
    /// After how many panics or timeouts in a row it opens; at least 1, and 10 by default.
    pub failures: u32,
    /// How long it then refuses calls before it lets one through as a trial, in milliseconds; at least 1, and 5 000 by
    /// default.
    pub cooldown_ms: u64,
}

impl CircuitBreakerSettings {
    const DEFAULT: Self = Self {
        failures: 10,
        cooldown_ms: 5_000,
    };
}

impl Default for CircuitBreakerSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

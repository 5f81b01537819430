//! Every setting of the engine with its default.
//!
//! ```
//! use gen_api::Settings;
//!
//! let settings = Settings::default().with_detail_error(true);
//! assert_eq!(settings.max_payload_bytes, 1_000_000);
//! ```

use std::thread;

use serde::{Deserialize, Serialize};

use crate::{
    arguments::Limits, config::Allowlist, model::DEFAULT_MAX_PAYLOAD_BYTES,
    rate_limiter::RateLimitConfig, worker_pool::PoolsSettings,
};

/// The settings of one engine (SPEC section 18).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The threads of the engine's own, which run its actors and its async and stream calls. The default is the number
    /// of processors, at most 4; zero counts as one. Sync calls run on the threads of their callers.
    pub threads: usize,
    /// How many requests may be worked on at a time; one more is answered at once with `Service temporarily
    /// unavailable` and can be tried again. The default is no limit.
    pub max_in_flight: Option<usize>,
    /// How large a JSON request may be, in bytes; the default is 1 000 000.
    pub max_payload_bytes: usize,
    /// How large arguments may be where their declaration does not say.
    pub argument_limits: Limits,
    /// Whether clients are told the reason of an internal error; the default is false.
    pub detail_error: bool,
    /// The functions that configs may name; the default allows all.
    pub function_allowlist: Allowlist,
    /// The rate limits that hold from the start; the default is none.
    pub rate_limiter: RateLimitConfig,
    /// How many chunks of a stream may wait for a slow receiver before its producer has to wait; the default is 16.
    pub stream_buffer: usize,
    /// How many async calls and streams may run and wait at a time, and when a pool stops taking work for a while.
    pub worker_pools: PoolsSettings,
}

impl Settings {
    /// Whether clients are told the reason of an internal error.
    #[must_use]
    pub fn with_detail_error(mut self, detail_error: bool) -> Self {
        self.detail_error = detail_error;
        self
    }

    /// How many threads the engine has of its own.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How many requests may be worked on at a time.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = Some(requests);
        self
    }

    /// How large a JSON request may be, in bytes.
    #[must_use]
    pub fn with_max_payload_bytes(mut self, bytes: usize) -> Self {
        self.max_payload_bytes = bytes;
        self
    }

    /// The rate limits that hold from the start.
    #[must_use]
    pub fn with_rate_limiter(mut self, config: RateLimitConfig) -> Self {
        self.rate_limiter = config;
        self
    }

    /// The sizes of the worker pools; the stream pool's places are the limit of open streams.
    #[must_use]
    pub fn with_worker_pools(mut self, pools: PoolsSettings) -> Self {
        self.worker_pools = pools;
        self
    }

    /// The functions that configs may name.
    #[must_use]
    pub fn with_function_allowlist(mut self, allowlist: Allowlist) -> Self {
        self.function_allowlist = allowlist;
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, |cores| cores.get().min(4)),
            max_in_flight: None,
            max_payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
            argument_limits: Limits::default(),
            detail_error: false,
            function_allowlist: Allowlist::default(),
            rate_limiter: RateLimitConfig::default(),
            stream_buffer: 16,
            worker_pools: PoolsSettings::default(),
        }
    }
}

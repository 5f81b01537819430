//! Rate limits.

use std::time::Duration;

/// What happened at the rate limits (specification, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimiterEvent<'a> {
    /// A request, or a key by itself, was held against the limits.
    #[non_exhaustive]
    Check {
        /// The service; none where a key was checked in the global scope.
        service: Option<&'a str>,
        /// The function; none where a key was checked in the global scope.
        request_type: Option<&'a str>,
        /// Whether all limits that apply let it pass.
        passed: bool,
    },
    /// A limit refused; follows its `Check`.
    #[non_exhaustive]
    Exceeded {
        /// The kind of key: `user_id`, `device_id`, `ip_address`, or the name of an argument.
        key: &'a str,
        /// The service of the API whose limit it is; none for a global limit.
        service: Option<&'a str>,
        /// The function of the API whose limit it is; none for a global limit.
        request_type: Option<&'a str>,
        /// How many requests the limit admits in its window.
        max_requests: u32,
        /// How many it has counted.
        current_requests: u32,
        /// The window of the limit.
        window: Duration,
        /// When the next request would pass.
        retry_after: Duration,
    },
    /// The history of a key was forgotten on request.
    #[non_exhaustive]
    Reset {
        /// The kind of key.
        key: &'a str,
        /// The value of the key.
        value: &'a str,
        /// The service of the scope; none for the global one.
        service: Option<&'a str>,
        /// The function of the scope; none for the global one.
        request_type: Option<&'a str>,
    },
    /// Idle keys were swept away, or all were cleared.
    #[non_exhaustive]
    Cleanup {
        /// How many keys went.
        removed: usize,
        /// How many stayed.
        remaining: usize,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.rate_limiter.check",
    "gen_api.rate_limiter.exceeded",
    "gen_api.rate_limiter.reset",
    "gen_api.rate_limiter.cleanup",
];

impl RateLimiterEvent<'_> {
    /// Its name, such as `gen_api.rate_limiter.exceeded`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Check { .. } => "gen_api.rate_limiter.check",
            Self::Exceeded { .. } => "gen_api.rate_limiter.exceeded",
            Self::Reset { .. } => "gen_api.rate_limiter.reset",
            Self::Cleanup { .. } => "gen_api.rate_limiter.cleanup",
        }
    }
}

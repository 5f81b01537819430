//! The limits that the rate limiter starts with (SPEC section 6).

use serde::{Deserialize, Serialize};

/// The rate limiter: whether it works, and the limits it starts with. Without limits everything passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct RateLimiterSettings {
    /// Whether anything is limited at all; true by default.
    pub enabled: bool,
    /// Whether a request passes when the limiter itself cannot answer; true by default.
    pub fail_open: bool,
    /// The pause between two sweeps of idle keys, in milliseconds; at least 1, and 60 000 by default.
    pub sweep_interval_ms: u64,
    /// Limits across all APIs, judged in this order and before the others.
    pub global_limits: Vec<GlobalLimitSettings>,
    /// Limits of single APIs, judged in this order.
    pub api_limits: Vec<ApiLimitSettings>,
}

impl Default for RateLimiterSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            fail_open: true,
            sweep_interval_ms: 60_000,
            global_limits: Vec::new(),
            api_limits: Vec::new(),
        }
    }
}

/// A limit across all APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct GlobalLimitSettings {
    /// What requests are counted by: `user_id`, `device_id`, `ip_address`, or the name of an argument. Not empty.
    pub key: String,
    /// How many pass within the window; at least 1.
    pub max_requests: u32,
    /// The length of the window in milliseconds; at least 1.
    pub window_ms: u64,
}

impl GlobalLimitSettings {
    /// At most `max_requests` of one value of `key` in any `window_ms` milliseconds.
    #[must_use]
    pub fn new(key: impl Into<String>, max_requests: u32, window_ms: u64) -> Self {
        Self {
            key: key.into(),
            max_requests,
            window_ms,
        }
    }
}

/// A limit of one API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ApiLimitSettings {
    /// The service of the API. Not empty.
    pub service: String,
    /// Its request type. Not empty.
    pub request_type: String,
    /// As in [`GlobalLimitSettings::key`].
    pub key: String,
    /// As in [`GlobalLimitSettings::max_requests`].
    pub max_requests: u32,
    /// As in [`GlobalLimitSettings::window_ms`].
    pub window_ms: u64,
}

impl ApiLimitSettings {
    /// `limit`, for one API only.
    #[must_use]
    pub fn new(
        service: impl Into<String>,
        request_type: impl Into<String>,
        limit: GlobalLimitSettings,
    ) -> Self {
        Self {
            service: service.into(),
            request_type: request_type.into(),
            key: limit.key,
            max_requests: limit.max_requests,
            window_ms: limit.window_ms,
        }
    }
}

//! The whole configuration of the rate limiter, and a change to a part of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limit::{self, ApiLimit, InvalidLimit, LimitKey, RateLimit};
use crate::text_table::TextTable;

/// Everything the rate limiter can be told (specification, section 6). Without limits everything passes.
///
/// ```
/// use gen_api::rate_limiter::{LimitKey, RateLimit, RateLimitConfig};
///
/// let mut config = RateLimitConfig::default();
/// config.global_limits = vec![RateLimit::new(LimitKey::UserId, 100, 60_000)];
/// assert!(config.enabled && config.fail_open);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimitConfig {
    /// Whether anything is limited at all; default true. While it is false nothing is recorded.
    pub enabled: bool,
    /// Whether a request passes when the limiter itself cannot answer; default true.
    pub fail_open: bool,
    /// Limits across all APIs, judged in this order and before the others.
    pub global_limits: Vec<RateLimit>,
    /// Limits for single APIs, judged in this order.
    pub api_limits: Vec<ApiLimit>,
    /// The pause between two sweeps of idle keys, in milliseconds; 1 to a year, default 60 000.
    pub sweep_interval_ms: u64,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            fail_open: true,
            global_limits: Vec::new(),
            api_limits: Vec::new(),
            sweep_interval_ms: 60_000,
        }
    }
}

impl fmt::Display for RateLimitConfig {
    /// The switches in a line, and a table of the limits in the order in which they are judged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = if self.enabled { "on" } else { "off" };
        let fail = if self.fail_open { "open" } else { "closed" };
        let sweep = self.sweep_interval_ms;
        writeln!(
            f,
            "rate limiting {on}, fails {fail}, sweeps every {sweep} ms"
        )?;
        let mut table = TextTable::new()
            .text("scope")
            .text("key")
            .number("requests")
            .number("window ms");
        let mut row = |scope: &str, key: &LimitKey, max: u32, window: u64| {
            table.row([scope, key.as_str(), &max.to_string(), &window.to_string()]);
        };
        for limit in &self.global_limits {
            row("global", &limit.key, limit.max_requests, limit.window_ms);
        }
        for limit in &self.api_limits {
            let scope = format!("{}/{}", limit.service, limit.request_type);
            row(&scope, &limit.key, limit.max_requests, limit.window_ms);
        }
        table.fmt(f)
    }
}

impl RateLimitConfig {
    /// Judges the configuration.
    ///
    /// # Errors
    ///
    /// The first field at fault.
    pub fn validate(&self) -> Result<(), InvalidLimit> {
        limit::first_of(self.faults())
    }

    /// Everything that is wrong with it. Settings are judged by this as well, so that each configuration that was taken
    /// loads again.
    pub(crate) fn faults(&self) -> Vec<InvalidLimit> {
        let mut faults = Vec::new();
        for (index, limit) in self.global_limits.iter().enumerate() {
            faults.extend(limit.faults(&format!("global_limits[{index}]")));
        }
        for (index, limit) in self.api_limits.iter().enumerate() {
            faults.extend(limit.faults(&format!("api_limits[{index}]")));
        }
        faults.extend(limit::time("sweep_interval_ms", self.sweep_interval_ms));
        faults
    }
}

/// A change of the configuration: what is `None`, or absent in the JSON form, stays as it is.
///
/// A whole [`RateLimitConfig`] is a change too, of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimitUpdate {
    /// The new [`RateLimitConfig::enabled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The new [`RateLimitConfig::fail_open`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<bool>,
    /// The new [`RateLimitConfig::global_limits`], all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_limits: Option<Vec<RateLimit>>,
    /// The new [`RateLimitConfig::api_limits`], all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_limits: Option<Vec<ApiLimit>>,
    /// The new [`RateLimitConfig::sweep_interval_ms`]; the pause under way still ends at its old moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep_interval_ms: Option<u64>,
}

impl RateLimitUpdate {
    /// A change of nothing, to set single fields of.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn apply(self, config: &mut RateLimitConfig) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut config.enabled, self.enabled);
        set(&mut config.fail_open, self.fail_open);
        set(&mut config.global_limits, self.global_limits);
        set(&mut config.api_limits, self.api_limits);
        set(&mut config.sweep_interval_ms, self.sweep_interval_ms);
    }
}

impl From<RateLimitConfig> for RateLimitUpdate {
    fn from(config: RateLimitConfig) -> Self {
        Self {
            enabled: Some(config.enabled),
            fail_open: Some(config.fail_open),
            global_limits: Some(config.global_limits),
            api_limits: Some(config.api_limits),
            sweep_interval_ms: Some(config.sweep_interval_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rate_limiter::LimitKey;

    fn sample() -> RateLimitConfig {
        let limit = RateLimit::new(LimitKey::IpAddress, 5, 1_000);
        RateLimitConfig {
            enabled: false,
            fail_open: false,
            global_limits: vec![limit.clone()],
            api_limits: vec![ApiLimit::new("svc", "op", limit)],
            sweep_interval_ms: 500,
        }
    }

    #[test]
    fn an_empty_object_is_the_default_configuration() {
        let config: RateLimitConfig = serde_json::from_value(json!({})).unwrap();
        assert_eq!(config, RateLimitConfig::default());
        assert!(config.enabled && config.fail_open);
        assert_eq!(config.sweep_interval_ms, 60_000);
    }

    #[test]
    fn a_configuration_survives_its_json_form() {
        let form = serde_json::to_value(sample()).unwrap();
        assert_eq!(
            form["api_limits"],
            json!([{"service": "svc", "request_type": "op", "key": "ip_address",
                    "max_requests": 5, "window_ms": 1000}])
        );
        assert_eq!(
            serde_json::from_value::<RateLimitConfig>(form).unwrap(),
            sample()
        );
    }

    #[test]
    fn an_unknown_field_is_an_error_that_names_it() {
        let error = serde_json::from_value::<RateLimitConfig>(json!({"enable": true})).unwrap_err();
        assert!(error.to_string().contains("enable"));
        assert!(serde_json::from_value::<RateLimitUpdate>(json!({"enable": true})).is_err());
    }

    #[test]
    fn a_sweep_without_pause_is_invalid() {
        let mut config = sample();
        assert!(config.validate().is_ok());
        config.sweep_interval_ms = 0;
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "sweep_interval_ms must be 1 to 31536000000, but is 0"
        );
    }

    #[test]
    fn an_update_changes_what_it_names_and_a_whole_configuration_everything() {
        let mut config = sample();
        let update: RateLimitUpdate = serde_json::from_value(json!({"api_limits": []})).unwrap();
        update.apply(&mut config);
        assert!(config.api_limits.is_empty());
        assert_eq!(config.global_limits, sample().global_limits);
        assert!(!config.enabled && !config.fail_open);

        RateLimitUpdate::from(RateLimitConfig::default()).apply(&mut config);
        assert_eq!(config, RateLimitConfig::default());
    }
}

//! What is limited, and how much of it is used.

use std::fmt;

use serde::Serialize;

use crate::{
    rate_limiter::{InvalidLimit, LimitKey, LimitStatus, RateLimit, RateLimiter, Scope},
    text_table::TextTable,
};

/// The limits across all APIs, to look at and to change; prints as a table of those in force.
#[derive(Clone, Debug)]
pub struct GlobalLimits {
    limiter: RateLimiter,
}

impl GlobalLimits {
    pub(crate) fn new(limiter: RateLimiter) -> Self {
        Self { limiter }
    }

    /// The limits in force, in the order in which they are judged.
    #[must_use]
    pub fn view(&self) -> Vec<RateLimit> {
        self.limiter.global_limits()
    }

    /// Replaces all of them; see [`RateLimiter::set_global_limits`].
    ///
    /// # Errors
    ///
    /// The first field at fault; then nothing has changed.
    pub fn set(&self, limits: Vec<RateLimit>) -> Result<(), InvalidLimit> {
        self.limiter.set_global_limits(limits)
    }

    /// Adds one in place of those on the same kind of key; see [`RateLimiter::add_global_limit`].
    ///
    /// # Errors
    ///
    /// The field at fault; then nothing has changed.
    pub fn add(&self, limit: RateLimit) -> Result<(), InvalidLimit> {
        self.limiter.add_global_limit(limit)
    }

    /// Removes those on one kind of key; whether there were any.
    pub fn remove(&self, key: &LimitKey) -> bool {
        self.limiter.remove_global_limit(key)
    }
}

impl fmt::Display for GlobalLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("key")
            .number("requests")
            .number("window ms");
        for limit in self.view() {
            table.row([
                limit.key.as_str(),
                &limit.max_requests.to_string(),
                &limit.window_ms.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

/// How much one key has used of every limit that counts by it, in all scopes; prints as a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The kind of key.
    pub key: LimitKey,
    /// The value of the key.
    pub value: String,
    /// The limits: global ones first, then those of each API.
    pub limits: Vec<LimitStatus>,
}

impl KeyStatus {
    pub(crate) fn new(limiter: &RateLimiter, key: LimitKey, value: &str) -> Self {
        let mut scopes = vec![Scope::Global];
        for limit in limiter.config().api_limits {
            let scope = Scope::api(limit.service, limit.request_type);
            if limit.key == key && !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let limits = scopes
            .iter()
            .flat_map(|scope| limiter.status(value, scope, &key));
        Self {
            limits: limits.collect(),
            key,
            value: value.to_owned(),
        }
    }
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("key")
            .text("value")
            .text("scope")
            .number("used")
            .number("remaining")
            .number("requests")
            .number("window ms");
        for limit in &self.limits {
            table.row([
                self.key.as_str().to_owned(),
                self.value.clone(),
                limit.scope.to_string(),
                limit.current_requests.to_string(),
                limit.remaining.to_string(),
                limit.max_requests.to_string(),
                limit.window_ms.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

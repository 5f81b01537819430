//! What the rate limiter answers.

use serde::Serialize;

use super::{
    limit::{LimitKey, Scope},
    rules::Refusal,
};

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateLimitError {
    /// A limit has no room.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The limiter itself could not answer, and [`fail_open`](super::RateLimitConfig::fail_open) is off.
    #[error("rate limiter unavailable")]
    Unavailable,
}

/// A limit that had no room for a request. Its text is made for the client (specification, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("Rate limit exceeded. Please retry after {} seconds.", self.retry_after_secs())]
#[non_exhaustive]
pub struct Limited {
    /// What the limit counts by.
    pub key: LimitKey,
    /// How many requests the limit admits within its window.
    pub max_requests: u32,
    /// How many lie within the window now; more than `max_requests` after the limit was tightened.
    pub current_requests: u32,
    /// The length of the window in milliseconds.
    pub window_ms: u64,
    /// When the limit has room again, in milliseconds from now; at least 1, rounded up.
    pub retry_after_ms: u64,
    /// Where the limit counts.
    pub scope: Scope,
}

impl Limited {
    /// [`retry_after_ms`](Self::retry_after_ms) in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_secs(&self) -> u64 {
        self.retry_after_ms.div_ceil(1_000)
    }
}

impl From<Refusal<'_>> for RateLimitError {
    fn from(refusal: Refusal<'_>) -> Self {
        Self::Limited(Limited {
            key: refusal.group.key.clone(),
            max_requests: refusal.limit.max,
            current_requests: refusal.current,
            window_ms: refusal.limit.window_ms,
            retry_after_ms: refusal.wait.div_ceil(1_000_000),
            scope: refusal.group.scope.clone(),
        })
    }
}

/// How much of one limit a key has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitStatus {
    /// What the limit counts by.
    pub key: LimitKey,
    /// Where the limit counts.
    pub scope: Scope,
    /// How many requests the limit admits within its window.
    pub max_requests: u32,
    /// How many lie within the window now.
    pub current_requests: u32,
    /// How many more the limit would admit now.
    pub remaining: u32,
    /// The length of the window in milliseconds.
    pub window_ms: u64,
}

/// What a sweep of idle keys did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Swept {
    /// How many keys were forgotten.
    pub removed: usize,
    /// How many are left.
    pub remaining: usize,
}

//! Every setting of the engine with its default, from a TOML file and from environment variables (specification, section 18).
//!
//! ```
//! use gen_api::Settings;
//!
//! let settings = Settings::from_toml("
//!     [requests]
//!     max_payload_bytes = 500_000
//!     [[rate_limiter.global_limits]]
//!     key = 'user_id'
//!     max_requests = 100
//!     window_ms = 60_000
//! ")?;
//! assert_eq!(settings.requests.max_payload_bytes, 500_000);
//! assert_eq!(settings.streams.buffer, 128);
//!
//! let error = Settings::from_toml("[engine]\ntreads = 4").unwrap_err();
//! assert!(error.to_string().starts_with("invalid settings: engine.treads: unknown field `treads`"));
//! # Ok::<(), gen_api::settings::SettingsError>(())
//! ```
//!
//! # Every key
//!
//! A variable `GEN_API__SECTION__KEY` overrides a key: `GEN_API__ASYNC_POOL__FAILURES_TO_OPEN=5`. This file holds
//! every key with its default; what begins with `#` and no space is an example of a key that has none.
//!
//! ```toml
#![doc = include_str!("../gen_api.toml")]
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    arguments::Limits,
    config::{Allowlist, PusherSettings},
    node::NodeSettings,
    rate_limiter::RateLimitConfig,
    relay::RelaySettings,
    worker_pool::{self, PoolSettings},
};

mod channel;
mod cluster;
mod engine;
mod error;
mod grpc;
mod loader;
mod origin;
mod read;
mod security;
mod validity;

#[cfg(feature = "channel")]
pub(crate) use self::origin::OriginParts;
pub use self::{
    channel::ChannelSettings,
    cluster::{PullerSettings, ReceiverSettings},
    engine::{EngineSettings, RequestSettings, StreamSettings},
    error::{InvalidSettings, SettingFault, SettingsError},
    grpc::{ClusterSecret, GrpcSettings, TlsSettings},
    loader::SettingsLoader,
    security::{AdminAction, SecuritySettings},
};

/// The settings of one engine, a field a section.
///
/// [`load`](Self::load) reads them from a file and the environment; a program can also set the fields itself:
///
/// ```
/// use gen_api::Settings;
///
/// let mut settings = Settings::default().with_threads(2);
/// settings.puller.pull_interval_ms = 10_000;
/// settings.async_pool.queue = 0;
/// assert!(settings.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct Settings {
    /// The engine's threads, and how much it takes on.
    pub engine: EngineSettings,
    /// What is held to before a request is looked at.
    pub requests: RequestSettings,
    /// How large arguments may be where their declaration does not say (specification, section 4).
    pub arguments: Limits,
    /// What holds for each stream.
    pub streams: StreamSettings,
    /// The pool of async and none calls; [`PoolSettings::ASYNC`] by default.
    #[serde(deserialize_with = "worker_pool::settings::async_pool")]
    pub async_pool: PoolSettings,
    /// The pool of streams, and so how many may be open at a time; [`PoolSettings::STREAM`] by default.
    #[serde(deserialize_with = "worker_pool::settings::stream_pool")]
    pub stream_pool: PoolSettings,
    /// The pool of the threads of blocking functions; [`PoolSettings::BLOCKING`] by default.
    #[serde(deserialize_with = "worker_pool::settings::blocking_pool")]
    pub blocking_pool: PoolSettings,
    /// The limits the rate limiter starts with.
    pub rate_limiter: RateLimitConfig,
    /// Which services' configs are pulled, and how often.
    pub puller: PullerSettings,
    /// What becomes of accepted pushes.
    pub receiver: ReceiverSettings,
    /// How a service node pushes its configs to gateways.
    pub pusher: PusherSettings,
    /// How nodes are found and chosen.
    pub nodes: NodeSettings,
    /// How gateways and service nodes talk.
    pub grpc: GrpcSettings,
    /// How much relay groups may hold, and how long they stand empty.
    pub relay: RelaySettings,
    /// The channel gateway (specification, section 20).
    pub channel: ChannelSettings,
    /// Who may do what, and what clients are told.
    pub security: SecuritySettings,
}

impl Settings {
    /// The settings of a TOML file, with the environment's `GEN_API__SECTION__KEY` variables over it.
    ///
    /// # Errors
    ///
    /// See [`SettingsLoader::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        Self::loader().file(path).environment().load()
    }

    /// The defaults with the environment's `GEN_API__SECTION__KEY` variables over them.
    ///
    /// # Errors
    ///
    /// See [`SettingsLoader::load`].
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::loader().environment().load()
    }

    /// The settings of a TOML text, and of nothing else.
    ///
    /// # Errors
    ///
    /// See [`SettingsLoader::load`].
    pub fn from_toml(text: impl Into<String>) -> Result<Self, SettingsError> {
        Self::loader().toml(text).load()
    }

    /// Begins to load settings from sources of your own choice.
    pub fn loader() -> SettingsLoader {
        SettingsLoader::default()
    }

    /// Sets whether clients are told the reason of an internal error.
    #[must_use]
    pub fn with_detail_error(mut self, detail_error: bool) -> Self {
        self.security.detail_error = detail_error;
        self
    }

    /// Sets how many threads the engine has of its own; 0 for as many as there are processors, at most 4.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.engine.threads = threads;
        self
    }

    /// Sets how large a JSON request may be, in bytes.
    #[must_use]
    pub fn with_max_payload_bytes(mut self, bytes: usize) -> Self {
        self.requests.max_payload_bytes = bytes;
        self
    }

    /// Sets how many requests may be worked on at a time.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize) -> Self {
        self.engine.max_in_flight = Some(requests);
        self
    }

    /// Sets the rate limits that hold from the start.
    #[must_use]
    pub fn with_rate_limiter(mut self, config: RateLimitConfig) -> Self {
        self.rate_limiter = config;
        self
    }

    /// Sets the pools: of async and none calls, and of streams, whose places are the limit of open streams.
    #[must_use]
    pub fn with_pools(mut self, async_pool: PoolSettings, stream_pool: PoolSettings) -> Self {
        self.async_pool = async_pool;
        self.stream_pool = stream_pool;
        self
    }

    /// Sets how many threads blocking functions may take at a time, and how many calls may wait for one.
    #[must_use]
    pub fn with_blocking_pool(mut self, blocking_pool: PoolSettings) -> Self {
        self.blocking_pool = blocking_pool;
        self
    }

    /// Sets the functions that configs may name.
    #[must_use]
    pub fn with_function_allowlist(mut self, allowlist: Allowlist) -> Self {
        self.security.function_allowlist = allowlist;
        self
    }

    fn from_table(table: Table) -> Result<Self, SettingFault> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| SettingFault::new("settings", error.message()))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: EngineSettings::default(),
            requests: RequestSettings::default(),
            arguments: Limits::default(),
            streams: StreamSettings::default(),
            async_pool: PoolSettings::ASYNC,
            stream_pool: PoolSettings::STREAM,
            blocking_pool: PoolSettings::BLOCKING,
            rate_limiter: RateLimitConfig::default(),
            puller: PullerSettings::default(),
            receiver: ReceiverSettings::default(),
            pusher: PusherSettings::default(),
            nodes: NodeSettings::default(),
            grpc: GrpcSettings::default(),
            relay: RelaySettings::default(),
            channel: ChannelSettings::default(),
            security: SecuritySettings::default(),
        }
    }
}

#[cfg(test)]
mod tests;

//! The channel gateway: who may connect, how much a connection may ask for, and what is kept for a slow one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The channel endpoint (specification, section 20). It needs the feature `channel`; without it nothing asks for these.
///
/// An endpoint takes those of its engine unless it is given others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ChannelSettings {
    /// The origins whose pages may connect, as browsers name them: `https://example.com`, `//example.com` for any scheme,
    /// `//*.example.com` for every host below, `*` for all. Empty, the default: only pages from the host and port that is
    /// connected to. Clients that name no origin are no browsers and always pass.
    pub origins: Vec<String>,
    /// The event that carries requests; not empty, and `phoenix_gen_api` by default.
    pub request_event: String,
    /// Whether a request's user id is the one of the verified session, also where that has none; on by default. Off: the
    /// payload's user id is used. Roles always come from the session.
    pub override_user_id: bool,
    /// Whether requests of a connection without a verified user are refused; on by default.
    pub require_verified_user_id: bool,
    /// The largest message of a client, in bytes; at least 1, and 1 048 576 by default. A larger one closes the connection
    /// with 1009.
    pub max_frame_bytes: usize,
    /// How many frames of a connection are read in a second; at least 1, and 1 000 by default. The others wait, so that
    /// the client is slowed down.
    pub max_frames_per_second: u32,
    /// How many channels a connection may have joined; at least 1, and 100 by default.
    pub max_channels: usize,
    /// How many events of a connection may be under way, async calls and streams until they end; at least 1, and 256 by
    /// default. A request that exceeds it is answered with `Service temporarily unavailable` and `can_retry`, another event with the reason `too many events`.
    pub max_in_flight: usize,
    /// How many bytes the frames of the events under way may have, and those that a client of the long-poll transport has
    /// posted and that wait; at least 1, and 4 194 304 by default. One event is always taken; those beyond are refused
    /// as with [`max_in_flight`](Self::max_in_flight), and posts with 429.
    pub incoming_bytes: usize,
    /// How many connections there may be in all; at least 1, and 100 000 by default. What a process may have is bounded
    /// by the handles that the system gives it, so a lower number belongs here where those are few.
    pub max_connections: usize,
    /// How many TCP connections an address may have open, whatever is said through them; at least 1, and 2 000 by default.
    /// Those beyond are cut as they come, where the server is
    /// [`http_server`](../channel/struct.ChannelEndpointRef.html#method.http_server). 64 bits of an IPv6 address count as
    /// one address; behind a proxy all clients may have one.
    pub max_connections_per_address: usize,
    /// How many sockets of clients an address may have, of both transports; at least 1, and 1 000 by default. A client that
    /// exceeds it gets HTTP 429.
    pub max_sockets_per_address: usize,
    /// How long a connection may take for the head of its first request, in milliseconds; at least 1, and 5 000 by default.
    /// It counts where the server is [`http_server`](../channel/struct.ChannelEndpointRef.html#method.http_server).
    pub handshake_timeout_ms: u64,
    /// How long the connect, join and leave callbacks may take, in milliseconds; at least 1, and 10 000 by default.
    pub join_timeout_ms: u64,
    /// After how long without a frame a connection is closed, in milliseconds; at least 1, and 60 000 by default. The
    /// heartbeat of the JavaScript client comes every 30 s. The body of a post may take as long.
    pub idle_timeout_ms: u64,
    /// How many bytes may wait for a slow client before responses and streams have to wait; at least 1, and 262 144 by
    /// default. Pushes and broadcasts, which cannot wait, may use as much again.
    pub outgoing_bytes: usize,
    /// For how long that may be exceeded, in milliseconds; at least 1, and 10 000 by default. Then the connection is closed
    /// with 1013.
    pub slow_client_ms: u64,
    /// How long a poll of the long-poll transport is held while there is nothing to tell, in milliseconds; at least 1, and
    /// 10 000 by default.
    pub long_poll_ms: u64,
}

impl ChannelSettings {
    /// The same with the origins that may connect.
    #[must_use]
    pub fn with_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// The same for anonymous clients too: requests without a verified user are let through, to functions that let them.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.require_verified_user_id = false;
        self
    }

    /// [`handshake_timeout_ms`](Self::handshake_timeout_ms).
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// [`join_timeout_ms`](Self::join_timeout_ms).
    #[must_use]
    pub fn join_timeout(&self) -> Duration {
        Duration::from_millis(self.join_timeout_ms)
    }

    /// [`idle_timeout_ms`](Self::idle_timeout_ms).
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// [`slow_client_ms`](Self::slow_client_ms).
    #[must_use]
    pub fn slow_client_timeout(&self) -> Duration {
        Duration::from_millis(self.slow_client_ms)
    }

    /// [`long_poll_ms`](Self::long_poll_ms).
    #[must_use]
    pub fn long_poll_window(&self) -> Duration {
        Duration::from_millis(self.long_poll_ms)
    }
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            request_event: "phoenix_gen_api".to_owned(),
            override_user_id: true,
            require_verified_user_id: true,
            max_frame_bytes: 1_048_576,
            max_frames_per_second: 1_000,
            max_channels: 100,
            max_in_flight: 256,
            incoming_bytes: 4_194_304,
            max_connections: 100_000,
            max_connections_per_address: 2_000,
            max_sockets_per_address: 1_000,
            handshake_timeout_ms: 5_000,
            join_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            outgoing_bytes: 262_144,
            slow_client_ms: 10_000,
            long_poll_ms: 10_000,
        }
    }
}

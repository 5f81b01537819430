//! How gateways and service nodes talk: the door, its secret, TLS, and how a dead node is noticed.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

/// The gRPC transport (specification, section 19), for gateways and service nodes alike. It needs the feature `grpc`; without it
/// nothing asks for these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct GrpcSettings {
    /// Where this process takes calls: a service node those of gateways, a gateway pushes. By default nowhere.
    pub listen: Option<SocketAddr>,
    /// The secret that every caller and every node of the cluster knows. Not empty. Without it nothing is served and nothing is called.
    pub cluster_secret: Option<ClusterSecret>,
    /// Further secrets that a door takes, so that the secret can be changed without an outage: first every process takes the
    /// new one here, then every process shows it as its `cluster_secret` and takes the old one here, then the old one goes.
    /// Each not empty; none by default. Where there is no `cluster_secret`, the first of these is the one to show.
    pub cluster_secrets: Vec<ClusterSecret>,
    /// Encryption; off by default.
    pub tls: Option<TlsSettings>,
    /// How long a connection may take to be made, in milliseconds; at least 1, and 1 000 by default.
    pub connect_timeout_ms: u64,
    /// The pause between two signs of life that an open connection asks for, in milliseconds; at least 1, and 1 000 by
    /// default.
    pub keepalive_interval_ms: u64,
    /// How long a sign of life may take before the node counts as dead, in milliseconds; at least 1, and 2 000 by default.
    pub keepalive_timeout_ms: u64,
    /// The pause between two trials to reach a node that is known dead, in milliseconds; at least 1, and 500 by default.
    pub trial_interval_ms: u64,
    /// After how long the addresses behind a `dns://` name are asked again, in milliseconds; at least 1, and 5 000 by
    /// default.
    pub dns_interval_ms: u64,
    /// How long calls that run may take to end when this process stops, in milliseconds; then they are cut. At least 1, and
    /// 5 000 by default.
    pub stop_timeout_ms: u64,
    /// The largest message, in bytes; at least 1, and 16 777 216 by default. A config list has to fit into one.
    pub max_message_bytes: usize,
    /// How long a connection may take to show the secret, from the moment it is taken, in milliseconds: TLS, the beginning of
    /// HTTP/2 and the first call. Then it is closed. At least 1, and 10 000 by default.
    pub first_call_timeout_ms: u64,
    /// How many connections the door has at a time; more are closed at once. At least 1, and 1 000 by default.
    pub max_connections: usize,
    /// How many of these one address may have, or one /64 network of IPv6. At least 1, and 100 by default.
    pub max_connections_per_address: usize,
}

/// TLS with certificates in PEM files. They are read again when they change: a connection that begins a second later has the
/// new ones, and files that cannot be used leave the old ones in force, with a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct TlsSettings {
    /// The certificates that sign those of the other side. A caller needs it; a door that has it asks its callers for a
    /// certificate too (mutual TLS).
    pub ca: Option<PathBuf>,
    /// The certificate of this process, then those between it and the authority. A door needs it; a caller only for mutual
    /// TLS.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate.
    pub key: Option<PathBuf>,
    /// The name that a node's certificate has to carry; by default the host of its address.
    pub domain: Option<String>,
}

/// The secret of a cluster. `Debug` hides it; the serialized form holds it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClusterSecret(String);

impl ClusterSecret {
    /// The secret itself, for a comparison in constant time.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ClusterSecret {
    fn from(secret: T) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(hidden)")
    }
}

impl<'de> Deserialize<'de> for ClusterSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of a derive would repeat what it found, and what it found may be the secret.
        match Value::deserialize(deserializer)? {
            Value::String(secret) => Ok(Self(secret)),
            _ => Err(D::Error::custom("must be a string")),
        }
    }
}

impl GrpcSettings {
    /// Sets where this process takes calls.
    #[must_use]
    pub fn with_listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Sets the secret of the cluster.
    #[must_use]
    pub fn with_cluster_secret(mut self, secret: impl Into<ClusterSecret>) -> Self {
        self.cluster_secret = Some(secret.into());
        self
    }

    /// Sets the further secrets that a door takes.
    #[must_use]
    pub fn with_cluster_secrets<S: Into<ClusterSecret>>(
        mut self,
        secrets: impl IntoIterator<Item = S>,
    ) -> Self {
        self.cluster_secrets = secrets.into_iter().map(Into::into).collect();
        self
    }

    /// The secrets that a door takes, the one to show first.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &ClusterSecret> {
        self.cluster_secret.iter().chain(&self.cluster_secrets)
    }

    /// Sets the encryption.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsSettings) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how a dead node is noticed: a sign of life every `interval`, each within `timeout`, in whole milliseconds.
    #[must_use]
    pub fn with_keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive_interval_ms = millis(interval);
        self.keepalive_timeout_ms = millis(timeout);
        self
    }

    /// Sets how long calls that run may take to end at a stop, in whole milliseconds.
    #[must_use]
    pub fn with_stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout_ms = millis(timeout);
        self
    }

    /// Sets how long a connection may take to show the secret, in whole milliseconds.
    #[must_use]
    pub fn with_first_call_timeout(mut self, timeout: Duration) -> Self {
        self.first_call_timeout_ms = millis(timeout);
        self
    }

    /// Sets how many connections the door has at a time, in all and from one address.
    #[must_use]
    pub fn with_max_connections(mut self, in_all: usize, per_address: usize) -> Self {
        self.max_connections = in_all;
        self.max_connections_per_address = per_address;
        self
    }

    /// Sets how large a message may be, in bytes.
    #[must_use]
    pub fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            listen: None,
            cluster_secret: None,
            cluster_secrets: Vec::new(),
            tls: None,
            connect_timeout_ms: 1_000,
            keepalive_interval_ms: 1_000,
            keepalive_timeout_ms: 2_000,
            trial_interval_ms: 500,
            dns_interval_ms: 5_000,
            stop_timeout_ms: 5_000,
            max_message_bytes: 16 * 1024 * 1024,
            first_call_timeout_ms: 10_000,
            max_connections: 1_000,
            max_connections_per_address: 100,
        }
    }
}

impl TlsSettings {
    /// Trusts certificates that this authority has signed.
    #[must_use]
    pub fn with_ca(mut self, ca: impl Into<PathBuf>) -> Self {
        self.ca = Some(ca.into());
        self
    }

    /// Shows this certificate, with its private key.
    #[must_use]
    pub fn with_identity(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.certificate = Some(certificate.into());
        self.key = Some(key.into());
        self
    }

    /// Sets the name that a node's certificate has to carry.
    #[must_use]
    pub fn with_domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

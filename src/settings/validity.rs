//! Which values make sense. The types admit more: a pool without places, a pause without length.

use std::collections::HashSet;

use super::{
    ChannelSettings, Settings,
    error::{InvalidSettings, SettingFault},
    origin::OriginParts,
};
use crate::{clock::LONGEST_MS, config::AllowedFunction, worker_pool::PoolSettings};

/// The most of anything that is counted: beyond it no machine has the memory.
const MOST: u64 = u32::MAX as u64;
const MOST_THREADS: u64 = 1_024;
const MOST_CHUNKS: u64 = 1_000_000;

impl Settings {
    /// Whether the settings can be used. Loading does this, and so does the start of an engine.
    ///
    /// # Errors
    ///
    /// Every fault at once, each with the full path of its key.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let mut faults = Faults::default();
        faults.range("engine.threads", self.engine.threads, 0, MOST_THREADS);
        let patience = self.engine.stop_timeout_ms;
        faults.range("engine.stop_timeout_ms", patience, 0, LONGEST_MS);
        if let Some(requests) = self.engine.max_in_flight {
            faults.count("engine.max_in_flight", requests);
        }
        let (requests, limits) = (&self.requests, &self.arguments);
        faults.count("requests.max_payload_bytes", requests.max_payload_bytes);
        faults.count("arguments.string_max_bytes", limits.string_max_bytes);
        faults.count("arguments.list_max_items", limits.list_max_items);
        faults.count("arguments.map_max_items", limits.map_max_items);
        faults.range("streams.buffer", self.streams.buffer, 1, MOST_CHUNKS);
        faults.count("streams.buffer_bytes", self.streams.buffer_bytes);
        faults.pool("async_pool", &self.async_pool);
        faults.pool("stream_pool", &self.stream_pool);
        faults.pool("blocking_pool", &self.blocking_pool);
        for fault in self.rate_limiter.faults() {
            faults.add(&format!("rate_limiter.{}", fault.field), fault.reason);
        }
        self.cluster_faults(&mut faults);
        self.grpc_faults(&mut faults);
        self.relay_faults(&mut faults);
        self.channel.faults(&mut faults);
        self.security_faults(&mut faults);
        InvalidSettings::unless_empty(faults.0)
    }

    fn cluster_faults(&self, faults: &mut Faults) {
        let (puller, nodes) = (&self.puller, &self.nodes);
        faults.time("puller.pull_interval_ms", puller.pull_interval_ms);
        faults.time("puller.pull_timeout_ms", puller.pull_timeout_ms);
        let mut names = HashSet::new();
        for (index, service) in puller.services.iter().enumerate() {
            let place = format!("puller.services[{index}]");
            for fault in service.validate().err().into_iter().flat_map(|e| e.faults) {
                faults.add(&format!("{place}.{}", fault.field), fault.reason);
            }
            let known = !names.insert(&service.service);
            faults.add_if(known, &format!("{place}.service"), "is named twice");
        }
        let directory = self.receiver.state_directory.as_ref();
        let empty = directory.is_some_and(|directory| directory.as_os_str().is_empty());
        faults.add_if(empty, "receiver.state_directory", OMIT_INSTEAD);
        let pusher = &self.pusher;
        for (key, millis) in [
            ("pusher.push_timeout_ms", pusher.push_timeout_ms),
            ("pusher.backoff_min_ms", pusher.backoff_min_ms),
            ("pusher.backoff_max_ms", pusher.backoff_max_ms),
            ("pusher.verify_interval_ms", pusher.verify_interval_ms),
        ] {
            faults.time(key, millis);
        }
        let cache = nodes.resolver_cache_ms;
        faults.range("nodes.resolver_cache_ms", cache, 0, LONGEST_MS);
        faults.time("nodes.resolver_timeout_ms", nodes.resolver_timeout_ms);
    }

    fn grpc_faults(&self, faults: &mut Faults) {
        let grpc = &self.grpc;
        let secret = grpc.cluster_secret.as_ref();
        let empty = secret.is_some_and(|secret| secret.expose().is_empty());
        faults.add_if(empty, "grpc.cluster_secret", OMIT_INSTEAD);
        for (index, secret) in grpc.cluster_secrets.iter().enumerate() {
            faults.name(&format!("grpc.cluster_secrets[{index}]"), secret.expose());
        }
        let unsafe_door = grpc.listen.is_some() && grpc.secrets().next().is_none();
        faults.add_if(unsafe_door, "grpc.cluster_secret", NEEDED_TO_LISTEN);
        for (key, millis) in [
            ("grpc.connect_timeout_ms", grpc.connect_timeout_ms),
            ("grpc.keepalive_interval_ms", grpc.keepalive_interval_ms),
            ("grpc.keepalive_timeout_ms", grpc.keepalive_timeout_ms),
            ("grpc.trial_interval_ms", grpc.trial_interval_ms),
            ("grpc.dns_interval_ms", grpc.dns_interval_ms),
            ("grpc.stop_timeout_ms", grpc.stop_timeout_ms),
            ("grpc.first_call_timeout_ms", grpc.first_call_timeout_ms),
        ] {
            faults.time(key, millis);
        }
        faults.count("grpc.max_message_bytes", grpc.max_message_bytes);
        faults.count("grpc.max_connections", grpc.max_connections);
        faults.count(
            "grpc.max_connections_per_address",
            grpc.max_connections_per_address,
        );
        let Some(tls) = &grpc.tls else { return };
        let identity = (tls.certificate.is_some(), tls.key.is_some());
        faults.add_if(identity == (true, false), "grpc.tls.key", BOTH_OR_NONE);
        faults.add_if(
            identity == (false, true),
            "grpc.tls.certificate",
            BOTH_OR_NONE,
        );
        let bare_door = grpc.listen.is_some() && identity == (false, false);
        faults.add_if(bare_door, "grpc.tls.certificate", NEEDED_TO_LISTEN);
    }

    fn relay_faults(&self, faults: &mut Faults) {
        let relay = &self.relay;
        faults.time("relay.empty_group_ttl_ms", relay.empty_group_ttl_ms);
        faults.time("relay.sweep_interval_ms", relay.sweep_interval_ms);
        faults.count("relay.max_groups", relay.max_groups);
        faults.count("relay.max_members", relay.max_members);
        faults.count("relay.max_connections", relay.max_connections);
        faults.count("relay.max_memberships", relay.max_memberships);
        faults.count("relay.max_message_bytes", relay.max_message_bytes);
        faults.count("relay.max_id_bytes", relay.max_id_bytes);
    }

    fn security_faults(&self, faults: &mut Faults) {
        let security = &self.security;
        if let Some(token) = &security.push_token {
            let empty = token.expose().is_empty();
            faults.add_if(empty, "security.push_token", OMIT_INSTEAD);
        }
        for (index, entry) in security.function_allowlist.entries().iter().enumerate() {
            let place = format!("security.function_allowlist[{index}]");
            match entry {
                AllowedFunction::Module(module) => faults.name(&place, module),
                AllowedFunction::Function(module, function) => {
                    faults.name(&format!("{place}[0]"), module);
                    faults.name(&format!("{place}[1]"), function);
                }
            }
        }
    }
}

impl ChannelSettings {
    /// The same for an endpoint that has settings of its own.
    ///
    /// # Errors
    ///
    /// Every fault at once, each with the full path of its key.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let mut faults = Faults::default();
        self.faults(&mut faults);
        InvalidSettings::unless_empty(faults.0)
    }

    fn faults(&self, faults: &mut Faults) {
        for (index, origin) in self.origins.iter().enumerate() {
            let faulty = origin != "*" && OriginParts::parse(origin).is_none();
            faults.add_if(faulty, &format!("channel.origins[{index}]"), NO_ORIGIN);
        }
        faults.name("channel.request_event", &self.request_event);
        let frames = u64::from(self.max_frames_per_second);
        faults.count("channel.max_frames_per_second", frames);
        for (key, count) in [
            ("channel.max_frame_bytes", self.max_frame_bytes),
            ("channel.max_channels", self.max_channels),
            ("channel.max_in_flight", self.max_in_flight),
            ("channel.incoming_bytes", self.incoming_bytes),
            ("channel.max_connections", self.max_connections),
            (
                "channel.max_connections_per_address",
                self.max_connections_per_address,
            ),
            (
                "channel.max_sockets_per_address",
                self.max_sockets_per_address,
            ),
            ("channel.outgoing_bytes", self.outgoing_bytes),
        ] {
            faults.count(key, count);
        }
        for (key, millis) in [
            ("channel.handshake_timeout_ms", self.handshake_timeout_ms),
            ("channel.join_timeout_ms", self.join_timeout_ms),
            ("channel.idle_timeout_ms", self.idle_timeout_ms),
            ("channel.slow_client_ms", self.slow_client_ms),
            ("channel.long_poll_ms", self.long_poll_ms),
        ] {
            faults.time(key, millis);
        }
    }
}

const NO_ORIGIN: &str =
    "must be `*`, or an origin such as `https://example.com` or `//*.example.com`";
const EMPTY: &str = "must not be empty";
const NEEDED_TO_LISTEN: &str = "is needed to listen";
const BOTH_OR_NONE: &str = "a certificate and its key belong together";
const OMIT_INSTEAD: &str = "must not be empty; leave the key out to have none";

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<SettingFault>);

impl Faults {
    fn add(&mut self, key: &str, reason: impl Into<String>) {
        self.0.push(SettingFault::new(key, reason));
    }

    fn add_if(&mut self, faulty: bool, key: &str, reason: &str) {
        if faulty {
            self.add(key, reason);
        }
    }

    fn name(&mut self, key: &str, name: &str) {
        self.add_if(name.is_empty(), key, EMPTY);
    }

    /// Something that there must be at least one of.
    fn count(&mut self, key: &str, value: impl TryInto<u64>) {
        self.range(key, value, 1, MOST);
    }

    /// A time in milliseconds.
    fn time(&mut self, key: &str, millis: u64) {
        self.range(key, millis, 1, LONGEST_MS);
    }

    fn range(&mut self, key: &str, value: impl TryInto<u64>, least: u64, most: u64) {
        let value = value.try_into().unwrap_or(u64::MAX);
        if !(least..=most).contains(&value) {
            self.add(key, format!("must be {least} to {most}, but is {value}"));
        }
    }

    fn pool(&mut self, section: &str, pool: &PoolSettings) {
        let circuit = &pool.circuit;
        self.count(&format!("{section}.places"), pool.places);
        self.range(&format!("{section}.queue"), pool.queue, 0, MOST);
        self.range(
            &format!("{section}.failures_to_open"),
            circuit.failures_to_open,
            0,
            MOST,
        );
        self.time(&format!("{section}.cooldown_ms"), circuit.cooldown_ms);
    }
}

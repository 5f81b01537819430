//! The reasons that the protocol itself gives to clients; what requests are told is written by the engine.

use serde_json::{Value, json};

/// No channel for this topic, or none that is joined.
pub(super) const UNMATCHED_TOPIC: &str = "unmatched topic";
/// The join callback panicked.
pub(super) const JOIN_CRASHED: &str = "join crashed";
/// The join callback took too long.
pub(super) const JOIN_TIMEOUT: &str = "join timeout";
/// A callback panicked.
pub(super) const CHANNEL_CRASH: &str = "channel_crash";
/// The connection has as many channels as it may have.
pub(super) const TOO_MANY_CHANNELS: &str = "too many channels";
/// The connection has as many events under way as it may have.
pub(super) const TOO_MANY_EVENTS: &str = "too many events";
/// The callback's answer has no form that this client can receive.
pub(super) const UNWRITABLE: &str = "answer cannot be sent";
/// Nobody answers this event.
pub(super) const UNKNOWN_EVENT: &str = "unknown event";
/// The payload is nested too deeply.
pub(super) const INVALID_PAYLOAD: &str = "invalid payload";
/// The server cannot take the join at the moment.
pub(super) const UNAVAILABLE: &str = "unavailable";

/// The form in which clients get a reason.
pub(super) fn reason(reason: &str) -> Value {
    json!({ "reason": reason })
}

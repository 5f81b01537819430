//! The frames of the channel protocol: what a client's bytes mean, and the bytes that go back.
//!
//! Pure functions without a connection. Text frames come in two versions, an object (version 1) and an array (version 2);
//! binary frames belong to version 2. Reading never panics: what is no frame is a [`FrameError`].

mod binary;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// The version of the protocol that a client speaks, its parameter `vsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    /// Reads `vsn`; a client that sends none speaks version 1.
    pub(crate) fn parse(vsn: Option<&str>) -> Option<Self> {
        let Some(vsn) = vsn else {
            return Some(Self::V1);
        };
        let vsn = semver::Version::parse(vsn).ok()?;
        match (vsn.major, vsn.minor) {
            (1, 0) => Some(Self::V1),
            (2, 0) => Some(Self::V2),
            _ => None,
        }
    }
}

/// A client's number for a frame, or for a join. It is echoed in the form in which it came: the clients compare texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ref {
    #[default]
    Null,
    Text(Box<str>),
    /// As it was written.
    Number(Box<str>),
}

impl Ref {
    fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// What binary frames hold of it.
    fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Text(text) | Self::Number(text) => text,
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Number(number) => out.extend_from_slice(number.as_bytes()),
            Self::Text(text) => text::write_string(out, text),
        }
    }
}

/// A frame of a client, borrowed from its bytes.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) join_ref: Ref,
    pub(crate) reference: Ref,
    pub(crate) topic: Cow<'a, str>,
    pub(crate) event: Cow<'a, str>,
    pub(crate) payload: RawPayload<'a>,
}

/// How many bytes refs, topic and event may have: the client chooses them, and the server keeps them.
const MAX_NAME: usize = 1_024;

/// The payload of a client's frame, not looked into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawPayload<'a> {
    Json(&'a RawValue),
    Binary(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// Reads a text frame.
    pub(crate) fn text(version: Version, bytes: &'a [u8]) -> Result<Self, FrameError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FrameError::NotUtf8)?;
        let frame = match version {
            Version::V1 => text::decode_v1(text)?,
            Version::V2 => text::decode_v2(text)?,
        };
        for (field, text) in [
            ("join ref", frame.join_ref.as_str()),
            ("ref", frame.reference.as_str()),
            ("topic", &frame.topic),
            ("event", &frame.event),
        ] {
            let bytes = text.len();
            if bytes > MAX_NAME {
                return Err(FrameError::TooLong { field, bytes });
            }
        }
        Ok(frame)
    }

    /// Reads a binary frame.
    pub(crate) fn binary(version: Version, bytes: &'a [u8]) -> Result<Self, FrameError> {
        match version {
            Version::V1 => Err(FrameError::BinaryInVersion1),
            Version::V2 => binary::decode(bytes),
        }
    }
}

/// Why bytes are no frame of a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("the frame cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a ref must be a text, a number or null")]
    Ref,
    #[error("the {field} of the binary frame is not UTF-8")]
    FieldNotUtf8 { field: &'static str },
    #[error("the {field} has {bytes} bytes, more than {MAX_NAME}")]
    TooLong { field: &'static str, bytes: usize },
    #[error("version 1 of the protocol has no binary frames")]
    BinaryInVersion1,
    #[error("the binary frame ends within its header")]
    Truncated,
    #[error("a binary frame of the unknown kind {0}")]
    Kind(u8),
}

/// What a push or a reply carries.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// JSON.
    Json(Value),
    /// Bytes, which travel in a binary frame. Clients of version 1 cannot receive them.
    Binary(Bytes),
}

impl Payload {
    /// The JSON, if it is that.
    #[must_use]
    pub fn as_json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, if it is that.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Json(_) => None,
            Self::Binary(bytes) => Some(bytes),
        }
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

/// Whether a reply says yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Error,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// In which kind of WebSocket frame the written bytes have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// Why a frame for a client could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("the payload is no JSON: {0}")]
    Payload(#[from] serde_json::Error),
    #[error("a client of version 1 cannot receive a binary payload")]
    BinaryInVersion1,
    #[error("a client of the long-poll transport cannot receive a binary payload")]
    BinaryInLongPoll,
    #[error("the {field} of a binary frame has {bytes} bytes, more than 255")]
    TooLong { field: &'static str, bytes: usize },
}

/// The head of a frame for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) version: Version,
    pub(crate) join_ref: &'a Ref,
    pub(crate) reference: &'a Ref,
    pub(crate) topic: &'a str,
    pub(crate) event: &'a str,
}

/// The event of every reply.
const REPLY: &str = "phx_reply";

impl Head<'_> {
    /// Writes a frame with a JSON payload after what `out` holds.
    pub(crate) fn write_json(
        &self,
        out: &mut Vec<u8>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), EncodeError> {
        match self.version {
            Version::V1 => text::encode_v1(out, self, payload),
            Version::V2 => text::encode_v2(out, self, payload),
        }
    }
}

/// Writes a server's push: for one channel where it has a join ref, else a broadcast.
pub(crate) fn write_push(
    out: &mut Vec<u8>,
    version: Version,
    join_ref: Option<&Ref>,
    topic: &str,
    event: &str,
    payload: &Payload,
) -> Result<Kind, EncodeError> {
    match payload {
        Payload::Json(value) => {
            write_json_push(out, version, join_ref, topic, event, value).map(|()| Kind::Text)
        }
        Payload::Binary(_) if version == Version::V1 => Err(EncodeError::BinaryInVersion1),
        Payload::Binary(bytes) => {
            binary::encode_push(out, join_ref, topic, event, bytes).map(|()| Kind::Binary)
        }
    }
}

/// The same for anything that serde can write.
pub(crate) fn write_json_push(
    out: &mut Vec<u8>,
    version: Version,
    join_ref: Option<&Ref>,
    topic: &str,
    event: &str,
    payload: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    let head = Head {
        version,
        join_ref: join_ref.unwrap_or(&Ref::Null),
        reference: &Ref::Null,
        topic,
        event,
    };
    head.write_json(out, payload)
}

/// What a reply answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyTo<'a> {
    pub(crate) version: Version,
    pub(crate) join_ref: &'a Ref,
    pub(crate) reference: &'a Ref,
    pub(crate) topic: &'a str,
}

/// Writes a reply.
pub(crate) fn write_reply(
    out: &mut Vec<u8>,
    to: ReplyTo<'_>,
    status: Status,
    response: &Payload,
) -> Result<Kind, EncodeError> {
    match response {
        Payload::Json(value) => write_json_reply(out, to, status, value).map(|()| Kind::Text),
        Payload::Binary(_) if to.version == Version::V1 => Err(EncodeError::BinaryInVersion1),
        Payload::Binary(bytes) => {
            binary::encode_reply(out, to, status, bytes).map(|()| Kind::Binary)
        }
    }
}

/// The same for anything that serde can write.
pub(crate) fn write_json_reply(
    out: &mut Vec<u8>,
    to: ReplyTo<'_>,
    status: Status,
    response: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    #[derive(Serialize)]
    struct Reply<'a, T: ?Sized> {
        status: &'static str,
        response: &'a T,
    }
    let head = Head {
        version: to.version,
        join_ref: to.join_ref,
        reference: to.reference,
        topic: to.topic,
        event: REPLY,
    };
    let status = status.as_str();
    head.write_json(out, &Reply { status, response })
}

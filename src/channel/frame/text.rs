//! Text frames: `{"topic","event","payload","ref"}` (version 1) and `[join_ref, ref, topic, event, payload]` (version 2).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{EncodeError, Frame, FrameError, Head, RawPayload, Ref};

/// A text without a copy where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    join_ref: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

pub(super) fn decode_v1(text: &str) -> Result<Frame<'_>, FrameError> {
    // A derived struct can also be read from a list, which is no frame of this version.
    if !text.trim_start().starts_with('{') {
        let error = <serde_json::Error as serde::de::Error>::custom("expected an object");
        return Err(FrameError::Json(error));
    }
    let message: Message<'_> = serde_json::from_str(text)?;
    Ok(Frame {
        join_ref: message.join_ref.map_or(Ok(Ref::Null), read_ref)?,
        reference: message.reference.map_or(Ok(Ref::Null), read_ref)?,
        topic: message.topic.0,
        event: message.event.0,
        payload: RawPayload::Json(message.payload),
    })
}

pub(super) fn decode_v2(text: &str) -> Result<Frame<'_>, FrameError> {
    type Message<'a> = (&'a RawValue, &'a RawValue, Text<'a>, Text<'a>, &'a RawValue);
    let (join_ref, reference, topic, event, payload): Message<'_> = serde_json::from_str(text)?;
    Ok(Frame {
        join_ref: read_ref(join_ref)?,
        reference: read_ref(reference)?,
        topic: topic.0,
        event: event.0,
        payload: RawPayload::Json(payload),
    })
}

fn read_ref(raw: &RawValue) -> Result<Ref, FrameError> {
    let raw = raw.get();
    match raw.as_bytes().first() {
        Some(b'n') => Ok(Ref::Null),
        Some(b'"') => {
            let text: Text<'_> = serde_json::from_str(raw)?;
            Ok(Ref::Text(text.0.into()))
        }
        Some(b'-' | b'0'..=b'9') => Ok(Ref::Number(raw.into())),
        _ => Err(FrameError::Ref),
    }
}

pub(super) fn encode_v1(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    payload: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"topic\":");
    write_string(out, head.topic);
    out.extend_from_slice(b",\"event\":");
    write_string(out, head.event);
    out.extend_from_slice(b",\"payload\":");
    serde_json::to_writer(&mut *out, payload)?;
    out.extend_from_slice(b",\"ref\":");
    head.reference.write_json(out);
    out.push(b'}');
    Ok(())
}

pub(super) fn encode_v2(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    payload: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    out.push(b'[');
    head.join_ref.write_json(out);
    out.push(b',');
    head.reference.write_json(out);
    out.push(b',');
    write_string(out, head.topic);
    out.push(b',');
    write_string(out, head.event);
    out.push(b',');
    serde_json::to_writer(&mut *out, payload)?;
    out.push(b']');
    Ok(())
}

pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a text into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

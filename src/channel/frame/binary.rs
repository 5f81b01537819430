//! Binary frames: one kind byte, one length byte a field, the fields, then the raw payload to the end.

use super::{EncodeError, Frame, FrameError, RawPayload, Ref, ReplyTo, Status};

const PUSH: u8 = 0;
const REPLY: u8 = 1;
const BROADCAST: u8 = 2;

pub(super) fn decode(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (&kind, rest) = bytes.split_first().ok_or(FrameError::Truncated)?;
    if kind != PUSH {
        return Err(FrameError::Kind(kind));
    }
    let (lengths, mut rest) = rest.split_first_chunk::<4>().ok_or(FrameError::Truncated)?;
    let [join_ref, reference, topic, event] = *lengths;
    let mut field = |field: &'static str, length: u8| {
        let (text, left) = rest
            .split_at_checked(length.into())
            .ok_or(FrameError::Truncated)?;
        rest = left;
        std::str::from_utf8(text).map_err(|_| FrameError::FieldNotUtf8 { field })
    };
    let join_ref = read_ref(field("join ref", join_ref)?);
    let reference = read_ref(field("ref", reference)?);
    let (topic, event) = (field("topic", topic)?, field("event", event)?);
    Ok(Frame {
        join_ref,
        reference,
        topic: topic.into(),
        event: event.into(),
        payload: RawPayload::Binary(rest),
    })
}

fn read_ref(text: &str) -> Ref {
    if text.is_empty() {
        Ref::Null
    } else {
        Ref::text(text)
    }
}

pub(super) fn encode_push(
    out: &mut Vec<u8>,
    join_ref: Option<&Ref>,
    topic: &str,
    event: &str,
    payload: &[u8],
) -> Result<(), EncodeError> {
    match join_ref {
        Some(join_ref) => {
            let fields = [
                ("join ref", join_ref.as_str()),
                ("topic", topic),
                ("event", event),
            ];
            encode(out, PUSH, &fields, payload)
        }
        None => encode(
            out,
            BROADCAST,
            &[("topic", topic), ("event", event)],
            payload,
        ),
    }
}

pub(super) fn encode_reply(
    out: &mut Vec<u8>,
    to: ReplyTo<'_>,
    status: Status,
    payload: &[u8],
) -> Result<(), EncodeError> {
    let fields = [
        ("join ref", to.join_ref.as_str()),
        ("ref", to.reference.as_str()),
        ("topic", to.topic),
        ("status", status.as_str()),
    ];
    encode(out, REPLY, &fields, payload)
}

fn encode(
    out: &mut Vec<u8>,
    kind: u8,
    fields: &[(&'static str, &str)],
    payload: &[u8],
) -> Result<(), EncodeError> {
    let begin = out.len();
    out.push(kind);
    for (field, text) in fields {
        let Ok(length) = u8::try_from(text.len()) else {
            out.truncate(begin);
            let bytes = text.len();
            return Err(EncodeError::TooLong { field, bytes });
        };
        out.push(length);
    }
    for (_, text) in fields {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(payload);
    Ok(())
}

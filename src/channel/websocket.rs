//! The WebSocket below the protocol: reading a client's messages, and writing frames into a buffer.
//!
//! Several frames that are ready go into one buffer, and so to the network in one write.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_http::ws::{CloseCode, Codec, Frame, Item, OpCode, ProtocolError};
use actix_web::dev;
use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use tokio_util::codec::Decoder;

/// The longest header of a frame, in bytes.
const MAX_HEADER: usize = 14;

/// A message of a client, put together from its fragments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// With the code that the client gives.
    Close(Option<u16>),
}

impl Message {
    /// How much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) | Self::Ping(bytes) => bytes.len(),
            Self::Pong | Self::Close(_) => 0,
        }
    }
}

/// Why a client can be read no further.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// The connection is gone.
    Gone,
    /// A message exceeds the limit.
    TooLarge,
    /// What came is no WebSocket.
    Protocol(ProtocolError),
}

/// Reads the messages of one client.
pub(super) struct Reader {
    payload: dev::Payload,
    codec: Codec,
    buffer: BytesMut,
    /// The fragments so far, and whether they are text.
    partial: Option<(bool, BytesMut)>,
    max_bytes: usize,
}

impl Reader {
    pub(super) fn new(payload: dev::Payload, max_bytes: usize) -> Self {
        Self {
            payload,
            codec: Codec::new().max_size(max_bytes),
            buffer: BytesMut::new(),
            partial: None,
            max_bytes,
        }
    }

    /// Ready once the client has gone. What it sends meanwhile is kept, and no more is looked at than a little.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        /// A client has nothing to say before its handshake is answered.
        const AHEAD: usize = 65_536;
        while self.buffer.len() < AHEAD {
            match ready!(Pin::new(&mut self.payload).poll_next(cx)) {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// The next message.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, ReadEnd>> {
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(frame)) => {
                    if let Some(message) = self.take(frame)? {
                        return Poll::Ready(Ok(message));
                    }
                    continue;
                }
                // The codec judges a frame's length once it is whole; one that announces too much must not be gathered.
                Ok(None) => self.judge_announced()?,
                Err(ProtocolError::Overflow) => return Poll::Ready(Err(ReadEnd::TooLarge)),
                Err(error) => return Poll::Ready(Err(ReadEnd::Protocol(error))),
            }
            let polled = Pin::new(&mut self.payload).poll_next(cx);
            if polled.is_pending() && self.buffer.is_empty() {
                // An idle connection keeps no memory of its last messages.
                self.buffer = BytesMut::new();
            }
            match ready!(polled) {
                Some(Ok(chunk)) if self.buffer.is_empty() => self.buffer = BytesMut::from(chunk),
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(_)) | None => return Poll::Ready(Err(ReadEnd::Gone)),
            }
        }
    }

    /// Looks at the length that the frame to come announces, if so much of it is there.
    fn judge_announced(&self) -> Result<(), ReadEnd> {
        /// What a frame about the connection itself may have (RFC 6455, section 5.5).
        const MAX_CONTROL: u64 = 125;
        /// The bit that tells such frames from data.
        const CONTROL: u8 = 0x08;
        let Some(length) = announced(&self.buffer) else {
            return Ok(());
        };
        if self.buffer[0] & CONTROL != 0 {
            if length > MAX_CONTROL {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return Err(ReadEnd::Protocol(ProtocolError::InvalidLength(length)));
            }
            return Ok(());
        }
        let before = self.partial.as_ref().map_or(0, |(_, whole)| whole.len());
        if length > self.max_bytes.saturating_sub(before) as u64 {
            return Err(ReadEnd::TooLarge);
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Message>, ReadEnd> {
        Ok(Some(match frame {
            Frame::Text(bytes) => Message::Text(bytes),
            Frame::Binary(bytes) => Message::Binary(bytes),
            Frame::Ping(bytes) => Message::Ping(bytes),
            Frame::Pong(_) => Message::Pong,
            Frame::Close(reason) => Message::Close(reason.map(|reason| reason.code.into())),
            Frame::Continuation(Item::FirstText(bytes)) => return self.begin(true, &bytes),
            Frame::Continuation(Item::FirstBinary(bytes)) => return self.begin(false, &bytes),
            Frame::Continuation(Item::Continue(bytes)) => return self.go_on(&bytes),
            Frame::Continuation(Item::Last(bytes)) => {
                self.go_on(&bytes)?;
                return Ok(self.partial.take().map(|(is_text, whole)| {
                    if is_text {
                        Message::Text(whole.freeze())
                    } else {
                        Message::Binary(whole.freeze())
                    }
                }));
            }
        }))
    }

    fn begin(&mut self, is_text: bool, bytes: &[u8]) -> Result<Option<Message>, ReadEnd> {
        self.partial = Some((is_text, BytesMut::from(bytes)));
        Ok(None)
    }

    fn go_on(&mut self, bytes: &[u8]) -> Result<Option<Message>, ReadEnd> {
        if let Some((_, whole)) = &mut self.partial {
            if whole.len() + bytes.len() > self.max_bytes {
                return Err(ReadEnd::TooLarge);
            }
            whole.extend_from_slice(bytes);
        }
        Ok(None)
    }
}

/// The length that the header of a client's frame announces, once that is there.
fn announced(buffer: &[u8]) -> Option<u64> {
    const LENGTH: u8 = 0x7f;
    let (&[_, second], rest) = buffer.split_first_chunk::<2>()?;
    Some(match second & LENGTH {
        126 => u16::from_be_bytes(*rest.first_chunk()?).into(),
        127 => u64::from_be_bytes(*rest.first_chunk()?),
        short => short.into(),
    })
}

/// Writes a whole frame of the server, which is not masked.
pub(super) fn write_frame(buffer: &mut BytesMut, opcode: OpCode, payload: &[u8]) {
    const FINAL: u8 = 0x80;
    buffer.reserve(payload.len() + MAX_HEADER);
    let first = FINAL | u8::from(opcode);
    match payload.len() {
        length @ ..126 => buffer.put_slice(&[first, length as u8]),
        length @ 126..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            buffer.put_slice(&[first, 126, high, low]);
        }
        length => {
            buffer.put_slice(&[first, 127]);
            buffer.put_u64(length as u64);
        }
    }
    buffer.put_slice(payload);
}

/// Writes the frame that closes a connection.
pub(super) fn write_close(buffer: &mut BytesMut, code: CloseCode, reason: &str) {
    // What a control frame can hold.
    const MAX_REASON: usize = 123;
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let payload = [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat();
    write_frame(buffer, OpCode::Close, &payload);
}

/// How many of the bytes make whole frames of the server that fit into `limit`; the first one even where it does not.
pub(super) fn whole_frames(buffer: &[u8], limit: usize) -> usize {
    let mut end = 0;
    while let Some(length) = first_frame(&buffer[end..]) {
        if end > 0 && end + length > limit {
            break;
        }
        end += length;
    }
    end
}

/// The length of the first frame, its header included.
fn first_frame(buffer: &[u8]) -> Option<usize> {
    let (&[_, short], rest) = buffer.split_first_chunk::<2>()?;
    Some(match short {
        126 => 4 + usize::from(u16::from_be_bytes(*rest.first_chunk()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?,
        short => 2 + usize::from(short),
    })
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use actix_http::ws;
    use futures_util::{StreamExt, stream};
    use tokio_util::codec::Encoder;

    use super::*;

    fn frames(lengths: &[usize]) -> BytesMut {
        let mut buffer = BytesMut::new();
        for length in lengths {
            write_frame(&mut buffer, OpCode::Text, &vec![b'x'; *length]);
        }
        buffer
    }

    fn masked(messages: impl IntoIterator<Item = ws::Message>) -> Bytes {
        let mut buffer = BytesMut::new();
        let mut client = Codec::new().client_mode();
        for message in messages {
            client.encode(message, &mut buffer).unwrap();
        }
        buffer.freeze()
    }

    fn reader(chunks: Vec<Bytes>, max_bytes: usize) -> Reader {
        let chunks = stream::iter(chunks.into_iter().map(Ok)).chain(stream::pending());
        let payload = Box::pin(chunks);
        Reader::new(dev::Payload::Stream { payload }, max_bytes)
    }

    fn next(reader: &mut Reader) -> Option<Result<Message, ReadEnd>> {
        match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => Some(message),
            Poll::Pending => None,
        }
    }

    fn text(text: &'static str) -> Message {
        Message::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn messages_are_read_wherever_the_network_cuts_them() {
        let bytes = masked([
            ws::Message::Text("one".into()),
            ws::Message::Ping(Bytes::from_static(b"p")),
            ws::Message::Binary(Bytes::from_static(b"\x00")),
            ws::Message::Close(Some(CloseCode::Away.into())),
        ]);
        for size in 1..=bytes.len() {
            let chunks = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
            let mut reader = reader(chunks, 100);
            let messages: Vec<_> = std::iter::from_fn(|| next(&mut reader))
                .map(Result::unwrap)
                .collect();
            let expected = [
                text("one"),
                Message::Ping(Bytes::from_static(b"p")),
                Message::Binary(Bytes::from_static(b"\x00")),
                Message::Close(Some(1001)),
            ];
            assert_eq!(messages, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn fragments_are_put_together_around_control_frames() {
        let bytes = masked([
            ws::Message::Continuation(Item::FirstText(Bytes::from_static(b"a"))),
            ws::Message::Continuation(Item::Continue(Bytes::from_static(b"b"))),
            ws::Message::Pong(Bytes::new()),
            ws::Message::Continuation(Item::Last(Bytes::from_static(b"c"))),
        ]);
        let mut reader = reader(vec![bytes], 3);
        assert_eq!(next(&mut reader).unwrap().unwrap(), Message::Pong);
        assert_eq!(next(&mut reader).unwrap().unwrap(), text("abc"));
        assert!(next(&mut reader).is_none());
    }

    #[test]
    fn a_message_over_the_limit_ends_reading_whole_announced_or_in_fragments() {
        let whole = masked([ws::Message::Text("12345".into())]);
        let fragments = masked([
            ws::Message::Continuation(Item::FirstText(Bytes::from_static(b"123"))),
            ws::Message::Continuation(Item::Last(Bytes::from_static(b"45"))),
        ]);
        for bytes in [whole, fragments] {
            let read = next(&mut reader(vec![bytes.clone()], 4)).unwrap();
            assert!(matches!(read, Err(ReadEnd::TooLarge)), "{read:?}");
            assert!(next(&mut reader(vec![bytes], 5)).unwrap().is_ok());
        }
    }

    #[test]
    fn a_header_that_announces_too_much_ends_reading_before_anything_follows_it() {
        let too_large = |chunks: Vec<&'static [u8]>| {
            let chunks = chunks.into_iter().map(Bytes::from_static).collect();
            let mut reader = reader(chunks, 100);
            let end = std::iter::from_fn(|| next(&mut reader)).find_map(Result::err);
            matches!(end, Some(ReadEnd::TooLarge))
        };
        assert!(too_large(vec![b"\x81\xff\x0f\0\0\0\0\0\0\0"]));
        assert!(too_large(vec![b"\x81\xfe\0\x65"]));
        assert!(too_large(vec![b"\x82", b"\xe5"]));
        assert!(!too_large(vec![b"\x82\xe4"]));
        // Together with the fragment before.
        let first = b"\x01\x82\0\0\0\0ab";
        assert!(too_large(vec![first, b"\x80\xe3"]));
        assert!(!too_large(vec![first, b"\x80\xe2"]));
    }

    #[test]
    fn a_control_frame_that_announces_more_than_125_bytes_is_a_protocol_error() {
        for header in [
            b"\x89\xfe\0\x7e" as &[u8],
            b"\x8a\xff\0\0\0\0\0\0\xff\xff",
            b"\x88\xfe\0\xff",
        ] {
            let read = next(&mut reader(vec![Bytes::from_static(header)], 1_000)).unwrap();
            assert!(matches!(read, Err(ReadEnd::Protocol(_))), "{read:?}");
        }
    }

    #[test]
    fn what_is_no_websocket_ends_reading() {
        for odd in [b"\x81\x01a" as &[u8], b"\xf1\x80abcd", b"\x83\x80abcd"] {
            let read = next(&mut reader(vec![Bytes::from_static(odd)], 100)).unwrap();
            assert!(matches!(read, Err(ReadEnd::Protocol(_))), "{read:?}");
        }
    }

    #[test]
    fn a_client_reads_what_is_written() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut buffer = frames(&[length]);
            let mut client = Codec::new().client_mode().max_size(100_000);
            let frame = client.decode(&mut buffer).unwrap();
            let expected = Bytes::from(vec![b'x'; length]);
            assert_eq!(frame, Some(Frame::Text(expected)));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_close_frame_has_its_code_and_a_reason_that_fits() {
        let mut buffer = BytesMut::new();
        write_close(&mut buffer, CloseCode::Again, &"ä".repeat(100));
        let mut client = Codec::new().client_mode();
        let Some(Frame::Close(Some(reason))) = client.decode(&mut buffer).unwrap() else {
            panic!("no close frame");
        };
        assert_eq!(reason.code, CloseCode::Again);
        assert_eq!(reason.description, Some("ä".repeat(61)));
    }

    #[test]
    fn only_whole_frames_are_handed_over() {
        let buffer = frames(&[10, 200, 70_000]);
        assert_eq!(whole_frames(&buffer, 1), 12);
        assert_eq!(whole_frames(&buffer, 215), 12);
        assert_eq!(whole_frames(&buffer, 216), 216);
        assert_eq!(whole_frames(&buffer, 100_000), buffer.len());
        assert_eq!(whole_frames(&[], 10), 0);
    }
}

//! A light WebSocket client, the same for all servers: frames are masked once and sent again and again, and of what comes only
//! the headers are read.

use std::{io, net::SocketAddr};

use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How many connections are opened at a time.
const AT_A_TIME: usize = 64;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    received: BytesMut,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut received = BytesMut::new();
        loop {
            const END: &[u8] = b"\r\n\r\n";
            if let Some(at) = received.windows(END.len()).position(|bytes| bytes == END) {
                let head = received.split_to(at + END.len());
                if !head.starts_with(b"HTTP/1.1 101") {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&head).into_owned(),
                    ));
                }
                return Ok(Self { stream, received });
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Opens many connections, and does with each what is to be done first.
    pub(crate) async fn connect_many(
        address: SocketAddr,
        count: usize,
        path: impl Fn(usize) -> String,
        begin: impl AsyncFn(&mut Self) -> io::Result<()>,
    ) -> Vec<Self> {
        let connect = async |index| {
            let mut client = Self::connect(address, &path(index)).await?;
            begin(&mut client).await?;
            io::Result::Ok(client)
        };
        let clients = stream::iter((0..count).map(connect)).buffer_unordered(AT_A_TIME);
        clients
            .try_collect()
            .await
            .expect("the server takes the connections")
    }

    /// Sends frames as [`masked`] has made them.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames).await
    }

    /// Waits for at least one frame, and shows the payloads of all that have come.
    pub(crate) async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut any = false;
        loop {
            while let Some((header, length)) = first_frame(&self.received)
                && self.received.len() >= header + length
            {
                self.received.advance(header);
                each(&self.received.split_to(length));
                any = true;
            }
            if any {
                return Ok(());
            }
            self.received.reserve(16_384);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Receives until a payload holds this text.
    pub(crate) async fn receive_until(&mut self, text: &str) -> io::Result<()> {
        let mut found = false;
        while !found {
            self.receive(|payload| found |= contains(payload, text))
                .await?;
        }
        Ok(())
    }
}

/// Whether a payload holds a text.
pub(crate) fn contains(payload: &[u8], text: &str) -> bool {
    payload
        .windows(text.len())
        .any(|bytes| bytes == text.as_bytes())
}

/// A text frame of a client.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    const MASK: [u8; 4] = *b"mask";
    const TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    let mut frame = vec![TEXT];
    match u8::try_from(text.len()) {
        Ok(length @ ..126) => frame.push(MASKED | length),
        _ => {
            let length = u16::try_from(text.len()).expect("a short text");
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        text.bytes()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The lengths of the first frame's header and payload. It is a server's, so not masked.
fn first_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (&[_, short], rest) = bytes.split_first_chunk::<2>()?;
    Some(match short {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?,
        ),
        short => (2, usize::from(short)),
    })
}

//! A small client of its own: WebSocket frames over a TCP connection, and plain HTTP requests.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use actix_http::ws::{Codec, Frame, Message};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::codec::{Encoder, Framed};

/// How long a test waits before it fails; nothing takes as long when all is well.
const GUARD: Duration = Duration::from_secs(20);

/// A connected client.
pub(crate) struct Client {
    framed: Framed<TcpStream, Codec>,
    /// The headers of the answer to its handshake.
    pub(crate) headers: String,
}

/// What a client connects with.
#[derive(Clone, Copy, Default)]
pub(crate) struct How<'a> {
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// How many bytes the network holds for it; `None` for as many as the machine likes.
    pub(crate) receive_buffer: Option<u32>,
}

impl Client {
    /// Connects with version 2 of the protocol.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let how = How {
            query: "vsn=2.0.0",
            ..How::default()
        };
        Self::connect_with(address, how).await.expect("status 101")
    }

    /// Connects; the error is the HTTP status instead of 101.
    pub(crate) async fn connect_with(address: SocketAddr, how: How<'_>) -> Result<Self, u16> {
        let mut stream = Self::ask(address, how).await;
        let headers = guarded(read_head(&mut stream)).await;
        match status(&headers) {
            101 => Ok(Self {
                framed: Framed::new(stream, Codec::new().client_mode().max_size(10_000_000)),
                headers,
            }),
            status => Err(status),
        }
    }

    /// Asks for a connection, and leaves the answer to whoever reads it.
    pub(crate) async fn ask(address: SocketAddr, how: How<'_>) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = how.receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a small buffer");
        }
        let mut stream = socket.connect(address).await.expect("a server");
        let mut request = format!(
            "GET /socket/websocket?{} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            how.query
        );
        for (name, value) in how.headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<String>) {
        self.send_message(Message::Text(text.into().into())).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        let mut bytes = BytesMut::new();
        let encoded = self.framed.codec_mut().encode(message, &mut bytes);
        encoded.expect("a message");
        self.send_raw(&bytes).await;
    }

    /// The same where the connection may end; it waits for as long as the server reads nothing.
    pub(crate) async fn try_send_text(&mut self, text: &str) -> std::io::Result<()> {
        let mut bytes = BytesMut::new();
        let message = Message::Text(text.into());
        let encoded = self.framed.codec_mut().encode(message, &mut bytes);
        encoded.expect("a message");
        self.framed.get_mut().write_all(&bytes).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let stream = self.framed.get_mut();
        guarded(stream.write_all(bytes)).await.expect("sent");
    }

    /// The next frame, of any kind.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        guarded(self.framed.next())
            .await
            .map(|frame| frame.expect("a frame"))
    }

    /// The next text frame as JSON.
    pub(crate) async fn receive(&mut self) -> Value {
        match self.frame().await {
            Some(Frame::Text(text)) => serde_json::from_slice(&text).expect("JSON"),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    pub(crate) async fn receive_binary(&mut self) -> Bytes {
        match self.frame().await {
            Some(Frame::Binary(bytes)) => bytes,
            other => panic!("expected a binary frame, got {other:?}"),
        }
    }

    /// The next frames are exactly these.
    pub(crate) async fn expect(&mut self, frames: impl IntoIterator<Item = Value>) {
        for frame in frames {
            assert_eq!(self.receive().await, frame);
        }
    }

    /// Nothing has come before the answer to a heartbeat.
    pub(crate) async fn expect_nothing(&mut self) {
        self.send(json!([null, "hb", "phoenix", "heartbeat", {}]))
            .await;
        let answer = reply(json!(null), "hb", "phoenix", "ok", json!({}));
        self.expect([answer]).await;
    }

    /// The code that the server closes with, after whatever came before; `None` where it just ends.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            match guarded(self.framed.next()).await {
                Some(Ok(Frame::Close(reason))) => return reason.map(|reason| reason.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Joins a topic and has the reply.
    pub(crate) async fn join(&mut self, join_ref: &str, topic: &str) {
        self.send(json!([join_ref, join_ref, topic, "phx_join", {}]))
            .await;
        let answer = reply(json!(join_ref), join_ref, topic, "ok", json!({}));
        self.expect([answer]).await;
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}

/// A reply of version 2.
pub(crate) fn reply(
    join_ref: Value,
    reference: &str,
    topic: &str,
    status: &str,
    response: Value,
) -> Value {
    let payload = json!({"status": status, "response": response});
    json!([join_ref, reference, topic, "phx_reply", payload])
}

/// The status, the head and the body of the answer to a plain HTTP request.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    answer(said(address, &format!("{request}\r\n{body}")).await).await
}

/// A connection on which this is said.
pub(crate) async fn said(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    stream.write_all(text.as_bytes()).await.expect("written");
    stream
}

/// The status, the head and the body of the answer, after which the server ends the connection.
pub(crate) async fn answer(mut stream: TcpStream) -> (u16, String, String) {
    let head = guarded(read_head(&mut stream)).await;
    let mut body = String::new();
    guarded(stream.read_to_string(&mut body))
        .await
        .expect("a body");
    (status(&head), head, body)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("a text")
}

fn status(head: &str) -> u16 {
    let status = head.split(' ').nth(1);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

pub(crate) async fn guarded<F: Future>(future: F) -> F::Output {
    timeout(GUARD, future).await.expect("in time")
}

//! A gateway for browsers that is told to end by a signal, as service managers do.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

struct Gateway {
    child: Child,
    at: SocketAddr,
}

impl Gateway {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_channel_server"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let at = line
            .trim()
            .strip_prefix("listening on ")
            .expect("its address");
        let at = at.parse().expect("an address");
        Self { child, at }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("it runs").success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the gateway's channels, as raw as can be.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(at: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(at).expect("it listens");
        let head = format!(
            "GET /public/websocket?vsn=2.0.0 HTTP/1.1\r\nhost: {at}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it is read");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status");
        assert!(line.starts_with("HTTP/1.1 101"), "{line}");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).expect("a header");
        }
        Self(reader)
    }

    /// Sends a text, under a mask of zeros.
    fn send(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("a short text");
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        // Whether it is still read shows in what comes back.
        let _ = self.0.get_mut().write_all(&frame);
    }

    /// The opcode and payload of the next frame.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut bytes = [0; 2];
            self.0.read_exact(&mut bytes).expect("a length");
            length = usize::from(u16::from_be_bytes(bytes));
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("a payload");
        (head[0] & 0x0f, payload)
    }

    fn text(&mut self) -> String {
        let (opcode, payload) = self.receive();
        assert_eq!(opcode, 1, "{payload:?}");
        String::from_utf8(payload).expect("text")
    }
}

const CLOSE: u8 = 8;

fn is_refusal(text: &str) -> bool {
    text.contains("Service temporarily unavailable") && text.contains(r#""can_retry":true"#)
}

#[test]
fn a_signal_lets_calls_end_tells_clients_that_the_server_goes_away_and_ends_the_process() {
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start();
        let mut idle = Client::connect(gateway.at);
        let mut busy = Client::connect(gateway.at);
        busy.send(r#"["1","1","api:main","phx_join",{}]"#);
        assert!(busy.text().contains("phx_reply"));
        let request = |id: &str, what: &str, args: &str| {
            format!(
                r#"["1","{id}","api:main","phoenix_gen_api",{{"service":"svc","request_type":"{what}","request_id":"{id}","args":{args}}}]"#
            )
        };
        // It ends once another request was refused.
        busy.send(&request("2", "until_refused", "{}"));
        assert!(busy.text().contains(r#""async":true"#));
        assert!(busy.text().contains("phx_reply"));
        gateway.signal(signal);
        let mut texts: Vec<String> = Vec::new();
        busy.send(&request("3", "sync_ok", r#"{"a":"b"}"#));
        loop {
            let (opcode, payload) = busy.receive();
            if opcode == CLOSE {
                assert_eq!(payload[..2], 1001_u16.to_be_bytes());
                break;
            }
            let text = String::from_utf8(payload).expect("text");
            if text.contains(r#""3","api:main","phx_reply""#)
                && !texts.iter().any(|text| is_refusal(text))
            {
                busy.send(&request("3", "sync_ok", r#"{"a":"b"}"#));
            }
            texts.push(text);
        }
        let ended = |text: &String| text.contains(r#""request_id":"2""#) && text.contains("ended");
        assert!(texts.iter().any(|text| is_refusal(text)), "{texts:?}");
        assert!(texts.iter().any(ended), "{texts:?}");
        let (opcode, payload) = idle.receive();
        assert_eq!(
            (opcode, &payload[..2]),
            (CLOSE, &1001_u16.to_be_bytes()[..])
        );
        drop((idle, busy));
        assert!(gateway.child.wait().expect("it ends").success());
    }
}

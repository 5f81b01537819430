//! The long-poll transport: docs/channels.md, "Client facts worth a test".

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpServer, rt};
use bytes::Bytes;
use gen_api::channel::{ChannelSettings, Connect, Denied, Session};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    client::{answer, guarded, http, reply, said},
    gateway::Gateway,
};

struct Poller {
    address: SocketAddr,
    token: String,
}

async fn get(address: SocketAddr, query: &str) -> Value {
    let path = format!("/socket/longpoll?{query}");
    let (status, _, body) = http(address, "GET", &path, &[], "").await;
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

impl Poller {
    async fn connect(address: SocketAddr) -> Self {
        let answer = get(address, "vsn=2.0.0").await;
        let token = answer["token"].as_str().unwrap().to_owned();
        assert_eq!(
            answer,
            json!({"status": 410, "token": token, "messages": []})
        );
        Self { address, token }
    }

    async fn poll(&self) -> Value {
        get(self.address, &format!("vsn=2.0.0&token={}", self.token)).await
    }

    /// Begins a poll, and leaves the answer to whoever reads it.
    async fn ask(&self) -> TcpStream {
        let token = &self.token;
        let poll = format!(
            "GET /socket/longpoll?vsn=2.0.0&token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        said(self.address, &poll).await
    }

    /// The frames of one poll.
    async fn frames(&self) -> Vec<Value> {
        let answer = self.poll().await;
        assert_eq!(
            (&answer["status"], &answer["token"]),
            (&json!(200), &json!(self.token))
        );
        let texts = answer["messages"].as_array().unwrap().iter();
        texts
            .map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap())
            .collect()
    }

    async fn post(&self, frames: &[Value]) -> Value {
        let lines: Vec<_> = frames.iter().map(ToString::to_string).collect();
        self.post_text(&lines.join("\n")).await
    }

    async fn post_text(&self, body: &str) -> Value {
        let path = format!("/socket/longpoll?vsn=2.0.0&token={}", self.token);
        let (status, _, body) = http(self.address, "POST", &path, &[], body).await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }
}

#[actix_web::test]
async fn a_client_joins_calls_and_hears_by_polling() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    let request = json!({"service": "svc", "request_type": "sync_ok", "request_id": "r1", "args": {"a": "hi"}});
    let posted = poller
        .post(&[
            json!(["1", "1", "room:1", "phx_join", {}]),
            json!(["1", "2", "room:1", "phoenix_gen_api", request]),
        ])
        .await;
    assert_eq!(posted, json!({"status": 200}));
    let mut frames = poller.frames().await;
    while frames.len() < 3 {
        frames.extend(poller.frames().await);
    }
    assert_eq!(frames[0], reply(json!("1"), "1", "room:1", "ok", json!({})));
    assert_eq!(frames[1][4]["result"], json!({"echo": "hi"}));
    assert_eq!(
        frames[2],
        reply(json!("1"), "2", "room:1", "ok", json!("sync_ok"))
    );
    let sent = gateway
        .endpoint
        .broadcast("room:1", "bcast", json!({"v": 1}));
    assert_eq!(sent, Ok(1));
    let broadcast = json!([null, null, "room:1", "bcast", {"v": 1}]);
    assert_eq!(poller.frames().await, [broadcast]);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_poll_is_held_while_there_is_nothing_to_tell() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    let advancing = async {
        // That of the socket for its silence, and that of the poll.
        gateway.timers(2).await;
        gateway.clock.advance(Duration::from_secs(10));
    };
    let (answer, ()) = futures_util::future::join(poller.poll(), advancing).await;
    let expected = json!({"status": 204, "token": poller.token, "messages": []});
    assert_eq!(answer, expected);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_token_that_is_not_known_gets_410_and_a_new_one() {
    let gateway = Gateway::start().await;
    let lost = Poller {
        address: gateway.address,
        token: "lost".to_owned(),
    };
    assert_eq!(lost.post(&[]).await, json!({"status": 410}));
    let answer = lost.poll().await;
    assert_eq!(answer["status"], 410);
    assert_ne!(answer["token"], "lost");
    gateway.stop().await;
}

#[actix_web::test]
async fn a_silent_client_is_forgotten() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    gateway.timers(1).await;
    gateway.clock.advance(Duration::from_secs(60));
    while gateway.endpoint.counts().sockets > 0 {
        tokio::task::yield_now().await;
    }
    while poller.post(&[]).await == json!({"status": 200}) {}
    assert_eq!(poller.post(&[]).await, json!({"status": 410}));
    gateway.stop().await;
}

#[actix_web::test]
async fn more_than_a_hundred_frames_and_bodies_too_large_are_refused() {
    let mut settings = ChannelSettings::default();
    settings.max_frame_bytes = 100_000;
    let gateway = Gateway::with(settings).await;
    let poller = Poller::connect(gateway.address).await;
    let beat = json!([null, "1", "phoenix", "heartbeat", {}]);
    let many = vec![beat.clone(); 101];
    assert_eq!(poller.post(&many).await, json!({"status": 413}));
    assert_eq!(poller.post(&many[..100]).await, json!({"status": 200}));
    let large = format!("[\"{}\"]", "x".repeat(100_000));
    assert_eq!(poller.post_text(&large).await, json!({"status": 413}));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_malformed_frame_ends_the_connection() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    assert_eq!(poller.post_text("[5]").await, json!({"status": 200}));
    while gateway.endpoint.counts().sockets > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(poller.poll().await["status"], 410);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_denied_client_and_one_of_another_origin_get_403() {
    let verify = async |connect: Connect| match connect.token.as_deref() {
        Some("good") => Ok(Session::user("ann")),
        _ => Err(Denied::reason("unauthorized")),
    };
    let gateway = Gateway::connecting(ChannelSettings::default(), verify).await;
    let path = "/socket/longpoll?vsn=2.0.0";
    for (headers, status) in [
        (&[("X-Phoenix-AuthToken", "good")][..], 410),
        (&[("X-Phoenix-AuthToken", "bad")], 403),
        (&[], 403),
        (
            &[
                ("X-Phoenix-AuthToken", "good"),
                ("Origin", "http://evil.com"),
            ],
            403,
        ),
    ] {
        let (_, _, body) = http(gateway.address, "GET", path, headers, "").await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["status"], status, "{headers:?}");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_page_of_a_listed_origin_may_read_the_answers() {
    let settings = ChannelSettings::default().with_origins(["https://example.com"]);
    let gateway = Gateway::with(settings).await;
    let path = "/socket/longpoll?vsn=2.0.0";
    for (method, origin, allowed) in [
        ("GET", "https://example.com", true),
        ("OPTIONS", "https://example.com", true),
        ("GET", "https://evil.com", false),
        ("OPTIONS", "https://evil.com", false),
    ] {
        let headers = [("Origin", origin)];
        let (_, head, _) = http(gateway.address, method, path, &headers, "").await;
        let header = format!("access-control-allow-origin: {origin}\r\n");
        assert_eq!(
            head.to_ascii_lowercase().contains(&header),
            allowed,
            "{method} {origin}"
        );
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn what_is_posted_and_waits_has_no_more_bytes_than_it_may() {
    let mut settings = ChannelSettings::default();
    settings.incoming_bytes = 10_000;
    settings.max_frames_per_second = 1;
    let gateway = Gateway::with(settings).await;
    let poller = Poller::connect(gateway.address).await;
    let beat = |bytes: usize| json!([null, "1", "phoenix", "heartbeat", {"x": "x".repeat(bytes)}]);
    let taken = json!({"status": 200});
    // The post itself counts as the frame of this second.
    assert_eq!(poller.post(&[beat(20_000)]).await, taken);
    assert_eq!(poller.post(&[beat(1)]).await, json!({"status": 429}));
    while gateway.endpoint.counts().sockets == 1 {
        gateway.clock.advance(Duration::from_secs(1));
        if poller.post(&[beat(6_000)]).await == taken {
            break;
        }
    }
    assert_eq!(poller.post(&[beat(6_000)]).await, json!({"status": 429}));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_message_stays_until_a_poller_that_is_alive_has_taken_it() {
    let gateway = Gateway::start().await;
    // One that knows nothing of clients that go away while their request is served.
    let mounted = gateway.endpoint.clone();
    let plain = HttpServer::new(move || App::new().configure(mounted.mount("/socket")))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let plain_address = plain.addrs()[0];
    let plain = plain.run();
    let handle = plain.handle();
    rt::spawn(plain);
    for address in [gateway.address, plain_address] {
        let poller = Poller::connect(address).await;
        poller
            .post(&[json!(["1", "1", "room:1", "phx_join", {}])])
            .await;
        assert_eq!(poller.frames().await.len(), 1);
        let gone = poller.ask().await;
        // That of the socket for its silence, and that of the poll.
        gateway.timers(2).await;
        drop(gone);
        let broadcast = |n: u32| json!([null, null, "room:1", "bcast", {"n": n}]);
        for n in 0..2 {
            let payload = json!({"n": n});
            assert_eq!(
                gateway.endpoint.broadcast("room:1", "bcast", payload),
                Ok(1)
            );
            // Whoever was woken by that has had its turn before this is answered.
            poller.post(&[]).await;
        }
        assert_eq!(poller.frames().await, [broadcast(0), broadcast(1)]);
        poller
            .post(&[json!(["1", "2", "room:1", "phx_leave", {}])])
            .await;
        assert_eq!(poller.frames().await.len(), 2);
        while gateway.endpoint.counts().sockets > 0 {
            gateway.clock.advance(Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    }
    gateway.stop().await;
    handle.stop(false).await;
}

#[actix_web::test]
async fn a_poll_is_over_when_the_client_polls_anew() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    let first = poller.ask().await;
    gateway.timers(2).await;
    let second = poller.ask().await;
    let (_, _, body) = answer(first).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], 204);
    poller
        .post(&[json!([null, "1", "phoenix", "heartbeat", {}])])
        .await;
    let (_, _, body) = answer(second).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_post_that_dribbles_is_given_up() {
    let gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    let post = format!(
        "POST /socket/longpoll?vsn=2.0.0&token={} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[null,",
        poller.token
    );
    let dribbling = said(gateway.address, &post).await;
    gateway.timers(2).await;
    gateway.clock.advance(Duration::from_secs(60));
    let (_, _, body) = answer(dribbling).await;
    assert_eq!(body, r#"{"status":408}"#);
    gateway.stop().await;
}

#[actix_web::test]
async fn bytes_cannot_be_polled_and_those_who_send_them_are_told() {
    let mut gateway = Gateway::start().await;
    let poller = Poller::connect(gateway.address).await;
    poller
        .post(&[json!(["1", "1", "room:1", "phx_join", {}])])
        .await;
    let membership = guarded(gateway.joined.recv()).await.unwrap();
    assert_eq!(poller.frames().await.len(), 1);
    let bytes = Bytes::from_static(b"raw");
    assert!(membership.push("news", bytes.clone()).is_err());
    assert_eq!(gateway.endpoint.broadcast("room:1", "news", bytes), Ok(0));
    poller
        .post(&[json!(["1", "2", "room:1", "bytes", {}])])
        .await;
    let reason = json!({"reason": "answer cannot be sent"});
    let error = reply(json!("1"), "2", "room:1", "error", reason);
    assert_eq!(poller.frames().await, [error]);
    gateway.stop().await;
}

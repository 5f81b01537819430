//! Floods, stalled clients and slow handshakes: memory and places stay bounded, and the others are served on.

use std::{pin::pin, time::Duration};

use actix_http::ws::{Item, Message};
use bytes::Bytes;
use futures_util::future::{join_all, select};
use gen_api::channel::{ChannelSettings, LeaveReason};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Client, How, guarded, reply},
    gateway::Gateway,
};

fn settings(change: impl FnOnce(&mut ChannelSettings)) -> ChannelSettings {
    let mut settings = ChannelSettings::default();
    change(&mut settings);
    settings
}

fn request(reference: &str, request_type: &str) -> Value {
    let payload = json!({"service": "svc", "request_type": request_type, "request_id": reference, "args": {"a": "x"}});
    json!(["1", reference, "room:1", "phoenix_gen_api", payload])
}

/// The client asks and is answered.
async fn is_served(client: &mut Client, reference: &str) {
    client.send(request(reference, "sync_ok")).await;
    let push = client.receive().await;
    assert_eq!(push[4]["result"], json!({"echo": "x"}), "{push}");
    let ok = reply(json!("1"), reference, "room:1", "ok", json!("sync_ok"));
    client.expect([ok]).await;
}

/// Waits until no connection is left but these.
async fn until_sockets_are(gateway: &Gateway, count: usize) {
    let waiting = async {
        while gateway.endpoint.counts().sockets != count {
            tokio::task::yield_now().await;
        }
    };
    guarded(waiting).await;
}

#[actix_web::test]
async fn a_client_that_asks_and_never_reads_is_heard_no_further_and_closed() {
    let gateway = Gateway::with(settings(|it| {
        it.outgoing_bytes = 10_000;
        it.max_frames_per_second = u32::MAX;
        it.idle_timeout_ms = 1_000_000_000;
    }))
    .await;
    let mut good = Client::connect(gateway.address).await;
    good.join("1", "room:1").await;
    let how = How {
        query: "vsn=2.0.0",
        receive_buffer: Some(65_536),
        ..How::default()
    };
    let mut deaf = Client::connect_with(gateway.address, how)
        .await
        .expect("status 101");
    deaf.join("1", "room:1").await;
    let mut asked = 0_u64;
    let flood = async {
        // As large as a text may be, so that few answers fill what the network itself holds.
        let mut frame = request("2", "sync_ok");
        frame[4]["args"]["a"] = json!("x".repeat(2_900));
        let frame = frame.to_string();
        while deaf.try_send_text(frame.as_str()).await.is_ok() {
            asked += 1;
            tokio::task::yield_now().await;
        }
    };
    let closing = async {
        let mut n = 0;
        while gateway.endpoint.counts().sockets > 1 {
            is_served(&mut good, &n.to_string()).await;
            n += 1;
            gateway.clock.advance(Duration::from_secs(1));
        }
    };
    // The flood waits while nobody reads it, so the connection's end need not end it. It comes second: it would take all
    // the turns.
    guarded(select(pin!(closing), pin!(flood))).await;
    assert!(asked > 0);
    assert_eq!(deaf.closed().await, Some(1013));
    is_served(&mut good, "last").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_peer_that_is_gone_without_a_word_is_forgotten() {
    let mut gateway = Gateway::start().await;
    let mut gone = Client::connect(gateway.address).await;
    gone.join("1", "room:1").await;
    gateway.timers(1).await;
    gateway.clock.advance(Duration::from_secs(60));
    let left = guarded(gateway.left.recv()).await;
    assert_eq!(left, Some(("room:1".to_owned(), LeaveReason::Disconnected)));
    // It does not answer the close, so the connection is cut after a while.
    let cutting = async {
        while gateway.endpoint.counts().sockets > 0 {
            gateway.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    guarded(cutting).await;
    assert_eq!(gone.closed().await, Some(1008));
    assert_eq!(gone.closed().await, None);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_flood_of_topics_gets_as_many_channels_as_a_connection_may_have() {
    const FLOOD: usize = 500;
    const MOST: usize = 20;
    let gateway = Gateway::with(settings(|it| it.max_channels = MOST)).await;
    let mut good = Client::connect(gateway.address).await;
    good.join("1", "room:1").await;
    let mut flooding = Client::connect(gateway.address).await;
    for n in 0..FLOOD {
        let topic = format!("room:flood-{n}");
        flooding
            .send(json!(["1", "1", topic, "phx_join", {}]))
            .await;
    }
    is_served(&mut good, "2").await;
    for n in 0..FLOOD {
        let answer = flooding.receive().await;
        let status = if n < MOST { "ok" } else { "error" };
        assert_eq!(answer[4]["status"], status, "{answer}");
    }
    assert_eq!(gateway.endpoint.counts().channels, MOST + 1);
    flooding.vanish();
    until_sockets_are(&gateway, 1).await;
    is_served(&mut good, "3").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn joining_and_leaving_over_and_over_leaves_nothing_behind() {
    const TIMES: usize = 300;
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    for n in 0..TIMES {
        let (n, topic) = (n.to_string(), format!("room:{n}"));
        client.send(json!([n, n, topic, "phx_join", {}])).await;
        client
            .send(json!([n, "leave", topic, "phx_leave", {}]))
            .await;
    }
    for n in 0..TIMES {
        let (n, topic) = (n.to_string(), format!("room:{n}"));
        client
            .expect([
                reply(json!(n), &n, &topic, "ok", json!({})),
                reply(json!(n), "leave", &topic, "ok", json!({})),
                json!([n, n, topic, "phx_close", {}]),
            ])
            .await;
    }
    let counts = gateway.endpoint.counts();
    assert_eq!((counts.sockets, counts.channels, counts.topics), (1, 0, 0));
    gateway.stop().await;
}

#[actix_web::test]
async fn fragments_without_end_are_too_large_a_message() {
    let gateway = Gateway::with(settings(|it| it.max_frame_bytes = 100_000)).await;
    let mut client = Client::connect(gateway.address).await;
    let piece = Bytes::from(vec![b'x'; 10_000]);
    let first = Message::Continuation(Item::FirstText(piece.clone()));
    client.send_message(first).await;
    for _ in 0..10 {
        let more = Message::Continuation(Item::Continue(piece.clone()));
        client.send_message(more).await;
    }
    assert_eq!(client.closed().await, Some(1009));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_flood_of_connections_from_one_address_gets_as_many_as_it_may_have() {
    const MOST: usize = 5;
    let gateway = Gateway::with(settings(|it| it.max_sockets_per_address = MOST)).await;
    let how = How {
        query: "vsn=2.0.0",
        ..How::default()
    };
    let attempts = (0..60).map(|_| Client::connect_with(gateway.address, how));
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for attempt in join_all(attempts).await {
        match attempt {
            Ok(client) => accepted.push(client),
            Err(status) => {
                assert_eq!(status, 429);
                refused += 1;
            }
        }
    }
    assert_eq!((accepted.len(), refused), (MOST, 60 - MOST));
    for client in &mut accepted {
        client.join("1", "room:1").await;
        is_served(client, "2").await;
    }
    // Whoever leaves makes room.
    for client in accepted {
        client.vanish();
    }
    until_sockets_are(&gateway, 0).await;
    let again = async {
        loop {
            match Client::connect_with(gateway.address, how).await {
                Ok(client) => return client,
                Err(status) => assert_eq!(status, 429),
            }
        }
    };
    let mut client = guarded(again).await;
    client.join("1", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn handshakes_that_dribble_are_cut_by_the_http_server_and_keep_nobody_out() {
    let gateway = Gateway::with(settings(|it| it.handshake_timeout_ms = 200)).await;
    let address = gateway.address;
    let mut dribbling = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.expect("a server");
        let begun = b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nUpg";
        stream.write_all(begun).await.expect("written");
        dribbling.push(stream);
    }
    let mut good = Client::connect(address).await;
    good.join("1", "room:1").await;
    assert_eq!(gateway.endpoint.counts().sockets, 1);
    for stream in dribbling {
        let (mut reading, mut writing) = stream.into_split();
        let dribble = async {
            // A byte now and then, until that fails.
            while writing.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let cut = async {
            let mut answer = Vec::new();
            // Cut with or without an answer.
            let _ = reading.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 101"));
        };
        guarded(futures_util::future::select(
            Box::pin(cut),
            Box::pin(dribble),
        ))
        .await;
    }
    is_served(&mut good, "2").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn connections_beyond_those_of_an_address_are_cut_as_they_come() {
    let gateway = Gateway::with(settings(|it| it.max_connections_per_address = 3)).await;
    let connect = || async { TcpStream::connect(gateway.address).await.expect("a server") };
    let mut silent = [connect().await, connect().await, connect().await];
    let is_cut = async |stream: &mut TcpStream| {
        // Cut ends the reading, with or without an error; one that has its place is silent.
        let read = guarded(stream.read_u8());
        read.await.is_err()
    };
    assert!(is_cut(&mut connect().await).await);
    // The first three have their places, and can still use them.
    for stream in &mut silent {
        stream
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .await
            .expect("written");
        assert!(!is_cut(stream).await);
    }
    // Whoever leaves makes room.
    drop(silent);
    let how = How {
        query: "vsn=2.0.0",
        ..How::default()
    };
    let again = async {
        loop {
            if let Ok(client) = Client::connect_with(gateway.address, how).await {
                return client;
            }
        }
    };
    let mut client = guarded(again).await;
    client.join("1", "room:1").await;
    gateway.stop().await;
}

#[actix_web::test]
async fn a_channel_that_crashes_mid_traffic_costs_the_others_nothing() {
    let gateway = Gateway::start().await;
    let mut bad = Client::connect(gateway.address).await;
    bad.join("1", "room:1").await;
    bad.join("2", "room:2").await;
    let mut good = Client::connect(gateway.address).await;
    good.join("1", "room:1").await;
    good.send(request("2", "held")).await;
    for n in 0..20 {
        bad.send(json!(["1", "c", "room:1", "crash", {}])).await;
        let crash = json!({"reason": "channel_crash"});
        bad.expect([json!(["1", "1", "room:1", "phx_error", crash])])
            .await;
        // The other channel of the same connection, and the same topic of another one.
        bad.send(json!(["2", "e", "room:2", "echo", {"n": n}]))
            .await;
        bad.expect([reply(json!("2"), "e", "room:2", "ok", json!({"n": n}))])
            .await;
        is_served(&mut good, "3").await;
        bad.join("1", "room:1").await;
    }
    gateway.gate.notify_waiters();
    assert_eq!(good.receive().await[4]["request_id"], "2");
    gateway.stop().await;
}

#[actix_web::test]
async fn streams_end_with_their_killed_channels_and_those_of_other_topics_start_anew() {
    let mut gateway = Gateway::start().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(gateway.address).await;
        client.join("1", "room:1").await;
        client.send(request("2", "stream")).await;
        client.receive().await;
        client.receive().await;
        let stream = guarded(gateway.streams.recv()).await.expect("a stream");
        stream.send_result(1).await.expect("it is open");
        client.receive().await;
        clients.push((client, stream));
    }
    let [_, channels] = gateway.endpoint.supervisors();
    let incarnation = channels.supervisor().incarnation().expect("it runs");
    channels.supervisor().kill().await;
    guarded(channels.supervisor().wait_until_running(incarnation)).await;
    let crash = json!({"reason": "channel_crash"});
    for (client, stream) in &mut clients {
        client
            .expect([json!(["1", "1", "room:1", "phx_error", crash])])
            .await;
        let closed = async { while stream.send_result(2).await.is_ok() {} };
        guarded(closed).await;
        client.join("1", "room:1").await;
        is_served(client, "3").await;
    }
    gateway.stop().await;
}

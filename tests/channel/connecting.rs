//! Connecting and being told to go: docs/channels.md, "Connecting".

use std::pin::pin;

use futures_util::FutureExt;
use gen_api::{
    channel::{ChannelEndpoint, ChannelSettings, Connect, Denied, Session, StartEndpointError},
    model::Request,
};
use serde_json::json;

use crate::{
    client::{Client, How, answer, guarded, said},
    gateway::Gateway,
};

fn query(query: &str) -> How<'_> {
    How {
        query,
        ..How::default()
    }
}

#[actix_web::test]
async fn an_unknown_version_and_a_denied_client_get_403() {
    let deny = async |connect: Connect| match connect.params.text("token") {
        Some("good") => Ok(Session::user("ann")),
        Some("breaks") => panic!("the connect callback breaks"),
        _ => Err(Denied::reason("unauthorized")),
    };
    let gateway = Gateway::connecting(ChannelSettings::default(), deny).await;
    for (asked, status) in [
        ("vsn=2.0.0&token=good", None),
        ("token=good", None),
        ("vsn=3.0.0&token=good", Some(403)),
        ("vsn=x&token=good", Some(403)),
        ("vsn=2.0.0&token=bad", Some(403)),
        ("vsn=2.0.0", Some(403)),
        ("vsn=2.0.0&token=breaks", Some(500)),
    ] {
        let connected = Client::connect_with(gateway.address, query(asked)).await;
        assert_eq!(connected.err(), status, "{asked}");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn the_callback_sees_parameters_token_headers_and_address() {
    let verify = async |connect: Connect| {
        assert_eq!(connect.params.get("user"), Some(&json!({"name": "Ann"})));
        assert_eq!(connect.header("x-device"), Some("phone"));
        assert!(
            connect
                .peer_addr
                .is_some_and(|peer| peer.ip().is_loopback())
        );
        match connect.token.as_deref() {
            Some("secret?>") => Ok(Session::user("ann").with_assign("a", 1)),
            token => Err(Denied::reason(format!("{token:?}"))),
        }
    };
    let mut gateway = Gateway::connecting(ChannelSettings::default(), verify).await;
    for token in ["c2VjcmV0Pz4", "c2VjcmV0Pz4="] {
        let protocols = format!("phoenix, base64url.bearer.phx.{token}");
        let how = How {
            query: "vsn=2.0.0&user[name]=Ann",
            headers: &[
                ("X-Device", "phone"),
                ("Sec-WebSocket-Protocol", &protocols),
            ],
            ..How::default()
        };
        let mut client = Client::connect_with(gateway.address, how).await.unwrap();
        let headers = client.headers.to_ascii_lowercase();
        assert!(
            headers.contains("sec-websocket-protocol: phoenix\r\n"),
            "{headers}"
        );
        client.join("1", "room:1").await;
        let membership = guarded(gateway.joined.recv()).await.unwrap();
        assert_eq!(membership.session().assigns()["a"], 1);
        assert_eq!(membership.session().ip_address(), Some("127.0.0.1"));
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_page_of_another_origin_gets_403() {
    let settings = ChannelSettings::default().with_origins(["https://example.com"]);
    let gateway = Gateway::with(settings).await;
    for (origin, status) in [
        ("https://example.com", None),
        ("https://evil.com", Some(403)),
        ("null", Some(403)),
    ] {
        let how = How {
            query: "vsn=2.0.0",
            headers: &[("Origin", origin)],
            ..How::default()
        };
        let connected = Client::connect_with(gateway.address, how).await;
        assert_eq!(connected.err(), status, "{origin}");
    }
    gateway.stop().await;
    let gateway = Gateway::start().await;
    let own = format!("http://{}", gateway.address);
    for (origin, status) in [(own.as_str(), None), ("http://evil.com", Some(403))] {
        let how = How {
            query: "vsn=2.0.0",
            headers: &[("Origin", origin)],
            ..How::default()
        };
        let connected = Client::connect_with(gateway.address, how).await;
        assert_eq!(connected.err(), status, "{origin}");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn connections_are_ended_by_their_id_so_that_they_come_back_or_not() {
    let named = async |connect: Connect| {
        let id = connect.params.text("id").unwrap_or_default();
        Ok(Session::user("ann").with_socket_id(id))
    };
    let gateway = Gateway::connecting(ChannelSettings::default(), named).await;
    let connect = async |asked| {
        let connected = Client::connect_with(gateway.address, query(asked)).await;
        connected.expect("status 101")
    };
    let mut two = [
        connect("vsn=2.0.0&id=a").await,
        connect("vsn=2.0.0&id=a").await,
    ];
    let mut other = connect("vsn=2.0.0&id=b").await;
    assert_eq!(gateway.endpoint.counts().sockets, 3);
    assert_eq!(gateway.endpoint.disconnect("a"), 2);
    for client in &mut two {
        assert_eq!(client.closed().await, Some(1008));
    }
    other.expect_nothing().await;
    assert_eq!(gateway.endpoint.dismiss("b"), 1);
    assert_eq!(other.closed().await, Some(1000));
    gateway.stop().await;
}

#[actix_web::test]
async fn an_endpoint_stops_alone_and_its_name_is_free_then() {
    let gateway = Gateway::start().await;
    let mut client = Client::connect(gateway.address).await;
    client.join("1", "room:1").await;
    let again = || ChannelEndpoint::new(&gateway.api).start();
    assert!(matches!(again().await, Err(StartEndpointError::Actors(_))));
    gateway.endpoint.stop().await;
    assert_eq!(client.closed().await, Some(1001));
    let connected = Client::connect_with(gateway.address, query("vsn=2.0.0")).await;
    assert_eq!(connected.err(), Some(503));
    again().await.expect("the name is free");
    gateway.stop().await;
}

#[actix_web::test]
async fn nobody_connects_to_an_engine_that_only_lets_end_what_runs() {
    let gateway = Gateway::start().await;
    let held = Request::new("r", "svc", "held").with_arg("a", "x");
    let api = gateway.api.clone();
    let mut held = pin!(api.execute(held));
    assert!(held.as_mut().now_or_never().is_none());
    let mut stopping = pin!(api.stop());
    assert!(stopping.as_mut().now_or_never().is_none());
    let connected = Client::connect_with(gateway.address, query("vsn=2.0.0")).await;
    assert_eq!(connected.err(), Some(503));
    gateway.gate.notify_one();
    let ended = held.await.response.expect("a response");
    assert!(ended.success, "{ended:?}");
    stopping.await;
    gateway.stop().await;
}

#[actix_web::test]
async fn after_the_stop_of_the_engine_nobody_connects() {
    let gateway = Gateway::start().await;
    gateway.api.stop().await;
    let connected = Client::connect_with(gateway.address, query("vsn=2.0.0")).await;
    assert_eq!(connected.err(), Some(503));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_connect_that_is_given_up_frees_its_place_at_once() {
    let verify = async |connect: Connect| {
        if connect.params.text("hang").is_some() {
            std::future::pending::<()>().await;
        }
        Ok(Session::user("ann"))
    };
    let mut settings = ChannelSettings::default();
    settings.max_sockets_per_address = 1;
    let gateway = Gateway::connecting(settings, verify).await;
    let long_poll = "GET /socket/longpoll?vsn=2.0.0&hang=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    for transport in ["websocket", "longpoll"] {
        let waiting = match transport {
            "websocket" => Client::ask(gateway.address, query("vsn=2.0.0&hang=1")).await,
            _ => said(gateway.address, long_poll).await,
        };
        // The callback is under way once its time is counted.
        gateway.timers(1).await;
        let taken = Client::connect_with(gateway.address, query("vsn=2.0.0")).await;
        assert_eq!(taken.err(), Some(429));
        drop(waiting);
        let again = async {
            loop {
                match Client::connect_with(gateway.address, query("vsn=2.0.0")).await {
                    Ok(client) => return client,
                    Err(status) => assert_eq!(status, 429),
                }
            }
        };
        let client = guarded(again).await;
        client.vanish();
        while gateway.endpoint.counts().sockets > 0 {
            tokio::task::yield_now().await;
        }
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn an_upgrade_over_http_1_0_is_refused() {
    let gateway = Gateway::start().await;
    let request = "GET /socket/websocket?vsn=2.0.0 HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (status, ..) = answer(said(gateway.address, request).await).await;
    assert_eq!(status, 400);
    gateway.stop().await;
}

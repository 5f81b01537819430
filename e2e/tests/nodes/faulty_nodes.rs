//! Nodes that are slow, that speak something else, and that may not be trusted.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use gen_api::{
    GenApi,
    model::Response,
    settings::{Settings, TlsSettings},
};
use gen_api_e2e::{Authority, Identity};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::fixture::{
    Folder, Process, ask, config, door, echo, gateway, listening, node_of, noted, request,
    settings, until,
};

/// What a liar does with each connection.
#[derive(Clone, Copy, Debug)]
enum Lie {
    RandomBytes,
    Http1,
    /// It takes connections and says nothing.
    Silence,
    HangsUp,
    /// HTTP/2 as it should be, and in it gRPC whose message is none.
    BadProtobuf,
    /// HTTP/2 as it should be, without any gRPC in it.
    PlainHttp2,
    /// A message that is announced as longer than any that there is.
    EndlessMessage,
}

/// Listens, and lies to whoever connects.
async fn liar(lie: Lie) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let at: SocketAddr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(tell(lie, stream));
        }
    });
    format!("http://{at}")
}

async fn tell(lie: Lie, mut stream: TcpStream) {
    match lie {
        Lie::RandomBytes => {
            let mut state = 0x2545_f491_u32;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .take(4_096)
            .collect();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Lie::Http1 => {
            let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Lie::Silence => {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Lie::HangsUp => {}
        Lie::BadProtobuf => {
            http2(stream, "application/grpc", b"\0\0\0\0\x04\xff\xff\xff\xff").await;
        }
        Lie::PlainHttp2 => http2(stream, "text/html", b"<h1>Hello</h1>").await,
        Lie::EndlessMessage => http2(stream, "application/grpc", b"\0\xff\xff\xff\xffx").await,
    }
}

async fn http2(stream: TcpStream, content_type: &'static str, body: &'static [u8]) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let answer = tonic::codegen::http::Response::builder()
            .header("content-type", content_type)
            .body(())
            .expect("an answer");
        let _ = respond
            .send_response(answer, false)
            .and_then(|mut send| send.send_data(Bytes::from_static(body), true));
    }
}

/// Its answers to this many requests.
async fn echoes(api: &GenApi, count: usize) -> Vec<Response> {
    let mut responses = Vec::new();
    for index in 0..count {
        responses.push(echo(api, format!("r-{index}")).await);
    }
    responses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_no_http2_is_passed_over() {
    let node = Process::node(["--name", "good"]);
    for lie in [Lie::RandomBytes, Lie::Http1, Lie::Silence, Lie::HangsUp] {
        let liar = liar(lie).await;
        let api = gateway(settings(), [config("echo", [liar, node.url()])]).await;
        for response in echoes(&api, 10).await {
            assert_eq!(node_of(&response), "good", "{lie:?}: {response:?}");
        }
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_speaks_garbage_alone_is_an_error_and_not_more() {
    for lie in [
        Lie::RandomBytes,
        Lie::Http1,
        Lie::Silence,
        Lie::HangsUp,
        Lie::BadProtobuf,
        Lie::PlainHttp2,
        Lie::EndlessMessage,
    ] {
        let liar = liar(lie).await;
        let configs = [config("echo", [liar.clone()]), config("numbers", [liar])];
        let api = gateway(settings(), configs).await;
        for response in echoes(&api, 3).await {
            assert!(
                !response.success && response.result.is_null(),
                "{lie:?}: {response:?}"
            );
        }
        let stream = request("s", "numbers", &json!({ "count": 3, "ms": 1 }));
        let responses = api.execute(stream).await.collect().await;
        let failed = responses.iter().filter(|response| !response.success);
        assert_eq!(failed.count(), 1, "{lie:?}: {responses:?}");
        assert!(responses.iter().all(|response| response.result != json!(0)));
        assert!(
            responses
                .last()
                .is_some_and(|last| !last.success && !last.has_more)
        );
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_may_have_run_the_function_is_not_passed_over() {
    let folder = Folder::new();
    let ledger = folder.path("ledger");
    let node = Process::node(["--ledger", ledger.to_str().expect("a path")]);
    let liar = liar(Lie::BadProtobuf).await;
    let api = gateway(settings(), [config("echo", [liar, node.url()])]).await;
    let responses = echoes(&api, 10).await;
    // In turn, every other went to the liar, as far as it could be reached. What it answered is not asked elsewhere.
    let served = responses.iter().filter(|response| response.success).count();
    assert!((5..10).contains(&served), "{responses:?}");
    assert_eq!(noted(&ledger, "ran").len(), served);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_runs_into_its_timeout_and_holds_nobody_else_up() {
    let node = Process::node(["--name", "slow"]);
    let slow = config("slow", [node.url()]).timeout(Duration::from_millis(500));
    let api = gateway(settings(), [slow, config("echo", [node.url()])]).await;
    assert!(echo(&api, "first").await.success);
    let begun = std::time::Instant::now();
    let hanging: Vec<_> = (0..50)
        .map(|index| {
            let api = api.clone();
            let late = request(format!("late-{index}"), "slow", &json!({ "ms": 3_600_000 }));
            tokio::spawn(async move { ask(&api, late).await })
        })
        .collect();
    // On the same connection, beside those that hang.
    for response in echoes(&api, 20).await {
        assert!(response.success, "{response:?}");
    }
    for late in hanging {
        let response = late.await.expect("an answer");
        let said = response.error.as_deref().unwrap_or_default();
        assert!(said.contains("timed out after 500 ms"), "{response:?}");
    }
    let took = begun.elapsed();
    let expected = Duration::from_millis(500)..Duration::from_secs(10);
    assert!(expected.contains(&took), "{took:?}");
    // The connection has outlived the timeouts.
    assert!(echo(&api, "last").await.success);
    let quick = ask(&api, request("quick", "slow", &json!({ "ms": 1 }))).await;
    assert!(quick.success, "{quick:?}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_secret_serves_nobody_and_pushes_to_nobody() {
    let folder = Folder::new();
    let ledger = folder.path("ledger");
    let api = gateway(listening(), []).await;
    let gateway_door = door(&api);
    let mut node = Process::node([
        "--secret",
        "another",
        "--ledger",
        ledger.to_str().expect("a path"),
        "--push-to",
        &gateway_door,
    ]);
    until("its push is refused", async || {
        let status = node.ask("status");
        let error = &status["targets"][0]["last_error"];
        error
            .as_str()
            .is_some_and(|error| error.contains("grpc.cluster_secret"))
    })
    .await;
    assert!(api.receiver().pushed_services().is_empty());
    assert_eq!(api.config_db().count(), 0);
    api.stop().await;

    let api = gateway(settings(), [config("echo", [node.url()])]).await;
    for response in echoes(&api, 3).await {
        assert!(!response.success, "{response:?}");
    }
    assert!(noted(&ledger, "ran").is_empty());
    api.stop().await;

    // Beside one with the right secret it costs nothing.
    let other = Process::node(["--name", "other"]);
    let api = gateway(settings(), [config("echo", [node.url(), other.url()])]).await;
    for response in echoes(&api, 20).await {
        assert!(response.success, "{response:?}");
        assert_eq!(node_of(&response), "other");
    }
    let view = api.cluster_view();
    let up = |node: &Process| view.nodes.iter().find(|line| line.node == node.url());
    assert_eq!(up(&node).expect("a line").up, Some(false), "{view}");
    assert_eq!(up(&other).expect("a line").up, Some(true), "{view}");
    api.stop().await;
}

/// A node that shows this certificate, and where an authority is given asks for one.
fn over_tls(name: &str, shown: &Identity, authority: Option<&Authority>) -> Process {
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let mut arguments = vec!["--name".to_owned(), name.to_owned()];
    arguments.extend(["--certificate".to_owned(), path(&shown.certificate)]);
    arguments.extend(["--key".to_owned(), path(&shown.key)]);
    if let Some(authority) = authority {
        arguments.extend(["--ca".to_owned(), path(&authority.file())]);
    }
    Process::node(arguments)
}

fn with_tls(tls: TlsSettings) -> Settings {
    let mut settings = settings();
    settings.grpc.tls = Some(tls);
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_an_expired_certificate_is_passed_over() {
    let authority = Authority::new();
    let good = over_tls("good", &authority.sign("127.0.0.1"), None);
    let expired = over_tls("expired", &authority.sign_until("127.0.0.1", 2020), None);
    let trusting = || with_tls(TlsSettings::default().with_ca(authority.file()));
    let both = [expired.url_over_tls(), good.url_over_tls()];
    let api = gateway(trusting(), [config("echo", both)]).await;
    for response in echoes(&api, 10).await {
        assert_eq!(node_of(&response), "good", "{response:?}");
    }
    api.stop().await;

    let api = gateway(trusting(), [config("echo", [expired.url_over_tls()])]).await;
    let response = echo(&api, "r-1").await;
    let said = response.error.clone().unwrap_or_default();
    assert!(said.contains("expired"), "{response:?}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_mutual_tls_serves_gateways_with_a_valid_certificate_alone() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let node = over_tls("mutual", &authority.sign("127.0.0.1"), Some(&authority));
    let trusting = || TlsSettings::default().with_ca(authority.file());
    let showing =
        |identity: &Identity| trusting().with_identity(&identity.certificate, &identity.key);
    for (tls, is_let_in) in [
        (showing(&authority.sign("gateway")), true),
        (showing(&authority.sign_until("gateway", 2020)), false),
        (showing(&stranger.sign("gateway")), false),
        (trusting(), false),
    ] {
        let shown = tls.clone();
        let api = gateway(with_tls(tls), [config("echo", [node.url_over_tls()])]).await;
        for response in echoes(&api, 3).await {
            assert_eq!(response.success, is_let_in, "{shown:?}: {response:?}");
        }
        api.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_callback_on_a_node_decides_and_without_the_node_nobody_may() {
    let api = gateway(listening(), []).await;
    let gateway_door = door(&api);
    let mut node = Process::node(["--push-to", &gateway_door]);
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    let args: Value = json!({ "value": 1 });
    let by = |user: &str| request(format!("of-{user}"), "for_ann", &args).with_user_id(user);
    assert!(ask(&api, by("ann")).await.success);
    assert!(!ask(&api, by("bob")).await.success);
    node.kill();
    assert!(!ask(&api, by("ann")).await.success);
    api.stop().await;
}

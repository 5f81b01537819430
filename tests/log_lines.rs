//! What a client or a node writes into a log: a quoted, escaped and cut value, whatever it sends (specification, section 24).
//!
//! One test in a binary of its own, since its subscriber is that of the whole process.
#![cfg(feature = "grpc")]

#[cfg(feature = "channel")]
#[allow(dead_code)]
#[path = "channel/client.rs"]
mod client;

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use gen_api::{
    GenApi, Settings,
    function::{FunctionError, Functions},
    grpc::proto::{
        InvokeRequest, PushRequest, gateway_client::GatewayClient, node_client::NodeClient,
    },
    model::{CheckPermission, FunConfig, Nodes, PushConfig, Request},
    settings::GrpcSettings,
};
use tonic::transport::{Channel, Endpoint};
use tracing::{Metadata, Subscriber, field, span};

/// Writes lines as `tracing_subscriber::fmt` does: strings quoted, everything else as it prints itself.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl field::Visit for Line {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a String takes it");
    }
}

impl Lines {
    fn add(&self, record: impl FnOnce(&mut Line)) {
        let mut line = Line(String::new());
        record(&mut line);
        self.0.lock().expect("no line panics").push(line.0);
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gen_api")
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        self.add(|line| attributes.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        self.add(|line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.add(|line| {
            line.0.push_str(event.metadata().level().as_str());
            event.record(line);
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

const SECRET: &str = "s3cret";

/// A forged line, a colour, and more than a line has room for.
fn nasty() -> String {
    let forged = "x\n2026-01-01T00:00:00Z ERROR forged: all is lost\r\x1b[31mred\x1b[0m";
    forged.to_owned() + &"A".repeat(100_000)
}

fn shown<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let secret = format!("Bearer {SECRET}").parse().expect("a header");
    request.metadata_mut().insert("authorization", secret);
    request
}

async fn connect(url: String) -> Channel {
    let endpoint = Endpoint::from_shared(url).expect("an address");
    endpoint.connect().await.expect("a connection")
}

fn grpc() -> GrpcSettings {
    GrpcSettings::default()
        .with_listen("127.0.0.1:0".parse().expect("an address"))
        .with_cluster_secret(SECRET)
}

async fn gateway() -> GenApi {
    let fails = || async { Err::<(), _>(FunctionError::failed(nasty())) };
    let functions = Functions::new().register("T", "fails", fails);
    let config = |name: &str| FunConfig::builder("svc", name).call("T", "fails").local();
    let configs = [
        config("sync"),
        config("async").asynchronous(),
        config("none").no_response(),
        config("stream").stream(),
        config("denied").check_permission(CheckPermission::AnyAuthenticated),
    ];
    let mut settings = Settings::default().with_threads(1);
    settings.grpc = grpc();
    settings.security.push_token = Some("token".into());
    let api = GenApi::builder().functions(functions).settings(settings);
    let configs = configs.map(|config| config.build().expect("a valid config"));
    api.configs(configs).start().await.expect("an engine")
}

/// A push that is refused; its texts are in the lines and notes about it.
fn push(token: &str) -> PushRequest {
    let mut function = FunConfig::builder(nasty(), nasty())
        .call("T", "x")
        .local()
        .build()
        .expect("a valid config");
    function.version = Some(nasty());
    function.hook_timeout = 0;
    let push = PushConfig::new(nasty(), Nodes::list([nasty()]), nasty(), [function]);
    PushRequest {
        config: serde_json::to_vec(&push.with_token(token))
            .expect("JSON")
            .into(),
        ..PushRequest::default()
    }
}

/// A client of the channel gateway, which puts such texts wherever it may write one.
#[cfg(feature = "channel")]
async fn channel_client() {
    use client::{Client, How};
    use gen_api::channel::{Channel, ChannelEndpoint, Connect, Denied, Session};
    use serde_json::json;

    let api = gateway().await;
    let connect = async |connect: Connect| match connect.params.text("as") {
        Some("nobody") => Err(Denied::reason(nasty())),
        Some("broken") => panic!("{}", nasty()),
        _ => Ok(Session::user(nasty())),
    };
    let rooms = Channel::new()
        .on_join(async |join| match join.membership.topic().len() {
            ..10 => Ok(json!({})),
            _ => panic!("{}", join.membership.topic()),
        })
        .on("crash", async |event| {
            panic!("{:?}", event.payload.as_json())
        });
    let endpoint = ChannelEndpoint::new(&api).on_connect(connect);
    let endpoint = endpoint
        .channel("room:*", rooms)
        .channel("api:*", Channel::new());
    let endpoint = endpoint.start().await.expect("an endpoint");
    let mounted = endpoint.clone();
    let server = move || actix_web::App::new().configure(mounted.mount("/socket"));
    let server = actix_web::HttpServer::new(server)
        .workers(1)
        .disable_signals();
    let server = server.bind(("127.0.0.1", 0)).expect("a port");
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", &nasty()[..1_000])
        .append_pair("vsn", &nasty()[..100])
        .finish();
    for query in ["vsn=2.0.0&as=nobody", "vsn=2.0.0&as=broken", &query] {
        let how = How {
            query,
            ..How::default()
        };
        assert!(Client::connect_with(address, how).await.is_err(), "{query}");
    }
    let foreign = [("Origin", "https://evil.example/\\x1b[31m%0a\"quoted\"")];
    let how = How {
        query: "vsn=2.0.0",
        headers: &foreign,
        ..How::default()
    };
    let _ = Client::connect_with(address, how).await;

    let mut client = Client::connect(address).await;
    let request = |request_type: &str| {
        json!({
            "service": "svc", "request_type": request_type, "request_id": nasty(), "device_id": nasty(),
            "version": nasty(), "args": {(nasty()): nasty()},
        })
    };
    // Longer refs, topics and events are no frame at all.
    let name = &nasty()[..1_000];
    for frame in [
        json!(["1", "1", "room:1", "phx_join", {}]),
        json!(["2", "2", "api:1", "phx_join", {"token": nasty()}]),
        json!(["3", "3", format!("room:{name}"), "phx_join", {}]),
        json!(["4", "4", name, "phx_join", {}]),
        json!([name, name, name, name, nasty()]),
        json!(["1", "5", "room:1", name, {}]),
        json!(["1", "6", "room:1", "crash", nasty()]),
        json!(["2", "7", "api:1", "phoenix_gen_api", request("sync")]),
        json!(["2", "8", "api:1", "phoenix_gen_api", request("async")]),
        json!(["2", "9", "api:1", "phoenix_gen_api", request("denied")]),
        json!(["2", "10", "api:1", "phoenix_gen_api", request(&nasty())]),
        json!(["2", "11", "api:1", "stop_stream", {"request_id": nasty()}]),
        json!(["1", "last", "room:1", "phx_leave", {}]),
    ] {
        client.send(frame).await;
    }
    while client.receive().await[1] != "last" {}
    client.send_text(nasty()).await;
    while client
        .frame()
        .await
        .is_some_and(|frame| !matches!(frame, actix_http::ws::Frame::Close(_)))
    {}
    api.stop().await;
    handle.stop(false).await;
}

#[test]
fn no_text_of_a_client_or_node_forges_a_line_or_makes_one_long() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).expect("no other subscriber");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let api = gateway().await;
        for request_type in ["sync", "async", "none", "stream", "denied", &nasty()] {
            let mut request = Request::new(nasty(), "svc", request_type);
            request.version = Some(nasty());
            let _ = api.execute(request.clone()).await.collect().await;
            request.version = None;
            let _ = api.execute(request).await.collect().await;
        }
        let url = format!("http://{}", api.grpc_address().expect("a door"));
        let mut pushing = GatewayClient::new(connect(url).await);
        for token in ["token", "wrong"] {
            let _ = pushing.push(shown(push(token))).await;
            let mut valid = push(token);
            let mut config: serde_json::Value =
                serde_json::from_slice(&valid.config).expect("JSON");
            config["fun_configs"][0]["hook_timeout"] = 5_000.into();
            valid.config = config.to_string().into();
            let _ = pushing.push(shown(valid)).await;
        }
        for number in 0..1_000 {
            let request = Request::new(number.to_string(), "svc", "denied");
            let _ = api.execute(request).await;
        }
        api.stop().await;

        let node = gen_api::ServiceNode::builder().grpc(grpc());
        let node = node.start().await.expect("a node");
        let url = format!("http://{}", node.address());
        let mut calling = NodeClient::new(connect(url).await);
        let invoke = InvokeRequest {
            module: nasty(),
            function: nasty(),
            request_id: nasty(),
            args: b"[]".as_slice().into(),
            ..InvokeRequest::default()
        };
        let _ = calling.invoke(shown(invoke.clone())).await;
        let _ = calling.invoke_stream(shown(invoke)).await;
        node.stop().await;
    });
    #[cfg(feature = "channel")]
    actix_web::rt::System::new().block_on(channel_client());
    let lines = lines.0.lock().expect("no line panics");
    let about = |word: &str| lines.iter().any(|line| line.contains(word));
    for word in [
        "a request failed",
        "permission denied",
        "refused a push with a wrong token",
        "refused a config",
        "accepted a push",
        #[cfg(feature = "channel")]
        "a client was denied",
        #[cfg(feature = "channel")]
        "the connect callback panicked",
    ] {
        assert!(about(word), "nothing was said of {word:?}");
    }
    for mode in ["sync", "async", "none", "stream"] {
        let name = format!("request_type=\"{mode}\"");
        let told = |line: &&String| line.starts_with("WARN") && line.contains(&name);
        let told: Vec<_> = lines.iter().filter(told).collect();
        let failed = |line: &&&String| line.contains("message=a request failed");
        assert_eq!(
            told.iter().filter(failed).count(),
            1,
            "{mode}: {}",
            told.len()
        );
    }
    let denials = lines
        .iter()
        .filter(|line| line.contains("message=permission denied"));
    // Ten at once and one each second, and no machine takes this long for a thousand requests.
    assert!(denials.count() < 500);
    for line in lines.iter() {
        let start: String = line.chars().take(300).collect();
        assert!(!line.contains(['\n', '\r', '\x1b']), "forged: {start:?}");
        assert!(line.len() < 10_000, "{} bytes: {start}", line.len());
    }
}

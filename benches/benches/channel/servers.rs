//! The servers: the gateway, jsonrpsee's WebSocket server, and a bare actix-ws connection. The first two have as many threads.

use std::convert::Infallible;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::Message;
use gen_api::{
    GenApi, Settings,
    channel::{Answer, Channel, ChannelEndpoint, ChannelSettings, Connect, Session},
    function::{StreamClosed, StreamHandle},
    prelude::*,
};
use gen_api_benches::requests::rpc_module;
use jsonrpsee::server::{ServerBuilder, ServerConfig};
use tokio::runtime::Builder;

use crate::process::announce;

/// How many threads answer requests.
const THREADS: usize = 2;

/// More connections than are ever opened.
const CONNECTIONS: usize = 20_000;

pub(crate) const GATEWAY: &str = "gateway";
pub(crate) const JSONRPSEE: &str = "jsonrpsee";
pub(crate) const BARE: &str = "bare";

/// Serves until the process ends.
pub(crate) fn serve(name: &str) {
    // It inherits the limit of its parent, which has raised it.
    match name {
        GATEWAY => rt::System::new().block_on(gateway()),
        JSONRPSEE => jsonrpsee(),
        BARE => rt::System::new().block_on(bare()),
        other => panic!("there is no server {other:?}"),
    }
}

async fn gateway() {
    async fn echo(value: String) -> Result<String, Infallible> {
        Ok(value)
    }
    async fn count(to: u64, stream: StreamHandle) -> Result<(), StreamClosed> {
        for number in 1..to {
            stream.send_result(number).await?;
        }
        stream.send_last_result(to).await
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "count", count);
    let configs = [
        FunConfig::builder("svc", "echo")
            .call("T", "echo")
            .arg("value", ArgType::String),
        FunConfig::builder("svc", "count")
            .call("T", "count")
            .arg("to", ArgType::Num)
            .stream()
            .no_timeout(),
    ];
    let mut settings = Settings::default().with_threads(1);
    settings.stream_pool.places = CONNECTIONS;
    settings.relay.max_members = CONNECTIONS;
    let api = GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.local().build().expect("a valid config")))
        .relay("chat")
        .settings(settings)
        .start()
        .await
        .expect("the engine starts");
    let mut settings = ChannelSettings::default();
    settings.max_frames_per_second = u32::MAX;
    settings.max_sockets_per_address = CONNECTIONS;
    let main = Channel::new().on("shout", async |event| {
        match event.membership.broadcast("shout", event.payload) {
            Ok(_) => Answer::none(),
            Err(error) => Answer::error(serde_json::json!(error.to_string())),
        }
    });
    // The user is whoever the client says it is.
    let verified =
        async |connect: Connect| Ok(Session::user(connect.params.text("user").unwrap_or("user")));
    let endpoint = ChannelEndpoint::new(&api)
        .settings(settings)
        .on_connect(verified)
        .channel("api:main", main)
        .start()
        .await
        .expect("the endpoint starts");
    let server = HttpServer::new(move || App::new().configure(endpoint.mount("/socket")))
        .workers(THREADS)
        .tcp_nodelay(true)
        .bind(("127.0.0.1", 0))
        .expect("a port");
    announce(server.addrs()[0]);
    server.run().await.expect("it runs");
}

/// Sends back every text.
async fn bare() {
    async fn connect(
        request: HttpRequest,
        payload: web::Payload,
    ) -> actix_web::Result<HttpResponse> {
        let (response, mut session, mut messages) = actix_ws::handle(&request, payload)?;
        rt::spawn(async move {
            while let Some(Ok(message)) = messages.recv().await {
                let sent = match message {
                    Message::Text(text) => session.text(text).await,
                    Message::Close(_) => break,
                    _ => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
            // The client may be gone.
            let _ = session.close(None).await;
        });
        Ok(response)
    }
    let server = HttpServer::new(|| App::new().route("/", web::get().to(connect)))
        .workers(THREADS)
        .tcp_nodelay(true)
        .bind(("127.0.0.1", 0))
        .expect("a port");
    announce(server.addrs()[0]);
    server.run().await.expect("it runs");
}

fn jsonrpsee() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let config = ServerConfig::builder()
            .ws_only()
            .max_connections(CONNECTIONS as u32)
            .build();
        let server = ServerBuilder::with_config(config)
            .build("127.0.0.1:0")
            .await
            .expect("a port");
        let address = server.local_addr().expect("an address");
        let handle = server.start(rpc_module());
        announce(address);
        handle.stopped().await;
    });
}

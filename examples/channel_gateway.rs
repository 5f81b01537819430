//! A gateway with a page. Start it, and open <http://127.0.0.1:4000> in two windows:
//!
//! ```sh
//! cargo run --features channel --example channel_gateway
//! ```
//!
//! A person logs in, calls a function, watches a stream and stops it, and chats in a relay group. Stop the program and start it
//! again: the pages come back by themselves. `page/client.js` is the protocol in a few lines of JavaScript.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use gen_api::{
    channel::{Channel, ChannelEndpoint, Connect, Denied, Session},
    model::CheckPermission,
    prelude::*,
};
use parking_lot::Mutex;

/// What the functions and the HTTP routes share.
#[derive(Default)]
struct Desk {
    /// Who was given which token; real programs sign theirs, see `examples/hosts/src/bin/jwt.rs`.
    tokens: Mutex<HashMap<String, String>>,
    /// Each user's latest stream, by its request id.
    streams: Mutex<HashMap<String, String>>,
    api: OnceLock<GenApi>,
}

async fn reverse(text: String) -> Result<String, FunctionError> {
    Ok(text.chars().rev().collect())
}

/// Sends percents, until it is done or nobody listens any more.
async fn count(
    info: RequestInfo,
    stream: StreamHandle,
    State(desk): State<Arc<Desk>>,
) -> Result<(), FunctionError> {
    let user = info.user_id.unwrap_or_default();
    desk.streams.lock().insert(user, info.request_id);
    for percent in 1..=100 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.send_result(percent).await?;
    }
    stream.complete().await?;
    Ok(())
}

/// Stops the caller's own stream.
async fn stop(info: RequestInfo, State(desk): State<Arc<Desk>>) -> Result<(), FunctionError> {
    let user = info.user_id.unwrap_or_default();
    let stream = desk.streams.lock().remove(&user);
    match (desk.api.get(), stream) {
        (Some(api), Some(id)) => api.stop_stream(&id).map_err(FunctionError::public),
        _ => Err(FunctionError::public("you have no stream")),
    }
}

async fn start_engine(desk: &Arc<Desk>) -> Result<GenApi, Box<dyn Error>> {
    let functions = Functions::new()
        .state(Arc::clone(desk))
        .register("Demo", "reverse", reverse)
        .register("Demo", "count", count)
        .register("Demo", "stop", stop);
    let offer = |name: &str| {
        let config = FunConfig::builder("demo", name).call("Demo", name).local();
        config.check_permission(CheckPermission::AnyAuthenticated)
    };
    let api = GenApi::builder()
        .functions(functions)
        .config(offer("reverse").arg("text", ArgType::String).build()?)
        .config(offer("count").stream().no_timeout().build()?)
        .config(offer("stop").build()?)
        .relay("demo")
        .start()
        .await?;
    desk.api.get_or_init(|| api.clone());
    Ok(api)
}

/// Gives a token to whoever has a name.
async fn login(name: String, desk: web::Data<Desk>) -> impl Responder {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 40 {
        return HttpResponse::BadRequest().body("a name of at most 40 letters, please");
    }
    let token = uuid::Uuid::from_u128(rand::random()).to_string();
    desk.tokens.lock().insert(token.clone(), name.to_owned());
    HttpResponse::Ok().body(token)
}

fn asset(path: &str, mime: &'static str, text: &'static str) -> actix_web::Resource {
    let serve = move || async move { HttpResponse::Ok().content_type(mime).body(text) };
    web::resource(path).route(web::get().to(serve))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args()
        .nth(1)
        .map_or(Ok(4000), |port| port.parse())?;
    let desk = Arc::new(Desk::default());
    let api = start_engine(&desk).await?;

    let tokens = Arc::clone(&desk);
    let verify = move |connect: Connect| {
        let token = connect.params.text("token").unwrap_or_default();
        let user = tokens.tokens.lock().get(token).cloned();
        async move {
            user.map(Session::user)
                .ok_or(Denied::reason("log in first"))
        }
    };
    let endpoint = ChannelEndpoint::new(&api)
        .on_connect(verify)
        .channel("api:*", Channel::new())
        .start()
        .await?;

    let html = include_str!("page/index.html");
    let (client, page) = (include_str!("page/client.js"), include_str!("page/page.js"));
    let desk = web::Data::from(desk);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(desk.clone())
            .route("/login", web::post().to(login))
            .service(asset("/", "text/html; charset=utf-8", html))
            .service(asset(
                "/client.js",
                "text/javascript; charset=utf-8",
                client,
            ))
            .service(asset("/page.js", "text/javascript; charset=utf-8", page))
            .configure(endpoint.mount("/socket"))
    });
    let server = server.bind(("127.0.0.1", port))?.shutdown_timeout(2);
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    server.run().await?;
    api.stop().await;
    Ok(())
}

//! A gateway with a page. Start it, and open <http://127.0.0.1:4000> in two windows:
//!
//! ```sh
//! cargo run --features channel --example channel_gateway
//! ```
//!
//! Pages of other origins may connect with `GEN_API__CHANNEL__ORIGINS='["http://localhost:5173"]'`, and so for all settings.
//!
//! A person logs in, calls a function, watches a stream and stops it, and chats in a relay group, in as many windows as they
//! like. Stop the program and start it again: the pages come back by themselves. `page/client.js` is the protocol in a few
//! lines of JavaScript.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{App, HttpResponse, Responder, web};
use gen_api::{
    channel::{Channel, ChannelEndpoint, Connect, Denied, Join, Session},
    model::CheckPermission,
    prelude::*,
    relay::{GroupType, RelayError, RelayRef},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// How many people may be logged in.
const MOST_TOKENS: usize = 10_000;

/// What the functions and the HTTP routes share.
#[derive(Default)]
struct Desk {
    /// Who was given which token; real programs sign theirs, see `examples/hosts/src/bin/jwt.rs`.
    tokens: Mutex<HashMap<String, String>>,
    api: OnceLock<GenApi>,
}

async fn reverse(text: String) -> Result<String, FunctionError> {
    Ok(text.chars().rev().collect())
}

/// Sends percents, until it is done or nobody listens any more.
async fn count(stream: StreamHandle) -> Result<(), FunctionError> {
    for percent in 1..=100 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.send_result(percent).await?;
    }
    stream.complete().await?;
    Ok(())
}

/// Stops a stream of the caller, in whichever window: its request id says which.
async fn stop(
    id: String,
    info: RequestInfo,
    State(desk): State<Arc<Desk>>,
) -> Result<(), FunctionError> {
    let api = desk.api.get().ok_or("it has not started")?;
    let stopped = api.stop_stream_of(info.user_id.as_deref(), &id);
    stopped.map_err(FunctionError::public)
}

/// Has everybody who joins a room hear the relay group of its name, in each of their windows. Who comes first opens it.
async fn enter(relay: RelayRef, join: Join) -> Result<Value, Denied> {
    let room = join.membership;
    let user = room.session().user_id().ok_or("log in first")?;
    let hears = || room.connection().clone();
    let public = GroupType::Public;
    let entered = match relay.create(room.topic(), public, user, hears()).await {
        Err(RelayError::AlreadyExists) => relay.attach(room.topic(), user, hears()).await.map(drop),
        created => created,
    };
    entered.map_err(|error| error.code())?;
    Ok(json!({}))
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
        .settings(Settings::from_env()?)
        .functions(functions)
        .config(offer("reverse").arg("text", ArgType::String).build()?)
        .config(offer("count").stream().no_timeout().build()?)
        .config(offer("stop").arg("id", ArgType::String).build()?)
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
    let mut tokens = desk.tokens.lock();
    if tokens.len() >= MOST_TOKENS {
        return HttpResponse::ServiceUnavailable()
            .body("too many people are here, please come later");
    }
    let token = uuid::Uuid::from_u128(rand::random()).to_string();
    tokens.insert(token.clone(), name.to_owned());
    HttpResponse::Ok().body(token)
}

/// Forgets a token.
async fn logout(token: String, desk: web::Data<Desk>) -> impl Responder {
    desk.tokens.lock().remove(&token);
    HttpResponse::NoContent()
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
        // Clients before Phoenix 1.8 can give it as a parameter only.
        let token = connect.token.as_deref();
        let token = token.or(connect.params.text("token")).unwrap_or_default();
        let user = tokens.tokens.lock().get(token).cloned();
        async move {
            user.map(Session::user)
                .ok_or(Denied::reason("log in first"))
        }
    };
    let relay = api.relay().clone();
    let room = Channel::new().on_join(move |join| enter(relay.clone(), join));
    let endpoint = ChannelEndpoint::new(&api)
        .on_connect(verify)
        .channel("api:*", Channel::new())
        .channel("room:*", room)
        .start()
        .await?;

    let html = include_str!("page/index.html");
    let css = include_str!("page/style.css");
    let (client, page) = (include_str!("page/client.js"), include_str!("page/page.js"));
    let desk = web::Data::from(desk);
    let mounted = endpoint.clone();
    let server = endpoint.http_server(move || {
        App::new()
            .app_data(desk.clone())
            .route("/login", web::post().to(login))
            .route("/logout", web::post().to(logout))
            .service(asset("/", "text/html; charset=utf-8", html))
            .service(asset("/style.css", "text/css; charset=utf-8", css))
            .service(asset(
                "/client.js",
                "text/javascript; charset=utf-8",
                client,
            ))
            .service(asset("/page.js", "text/javascript; charset=utf-8", page))
            .configure(mounted.mount("/socket"))
    });
    let server = server.disable_signals().bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    // Until Ctrl-C or SIGTERM.
    api.serve(server.run()).await?;
    Ok(())
}

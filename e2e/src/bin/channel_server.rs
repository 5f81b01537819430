//! What the tests in `e2e/js/` talk to: `channel_server [PORT]`, with settings from the environment.
//!
//! Three endpoints of one engine, all with the same channels: `/socket`, `/public`, which lets requests of nobody through, and
//! `/trusting`, which takes the payload's user id.

use std::{
    collections::HashMap,
    error::Error,
    future::pending,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use actix_web::{
    App,
    error::{ErrorBadRequest, ErrorNotFound},
    web::{self, Bytes, Data, Query},
};
use futures_util::{Stream, stream};
use gen_api::{
    channel::{
        Answer, Channel, ChannelEndpoint, ChannelEndpointRef, ChannelSettings, Connect, Denied,
        Join, Payload, Session, StartEndpointError,
    },
    model::CheckPermission,
    prelude::*,
    relay::RelayRef,
    telemetry::Outcome::Unavailable,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What the functions share.
#[derive(Clone, Default)]
struct Shared {
    api: Arc<OnceLock<GenApi>>,
    /// What `wait_for` waits for and `release` gives; also how many streams hold a key.
    keys: Arc<Mutex<HashMap<String, Key>>>,
}

#[derive(Clone)]
struct Key {
    gate: Arc<Semaphore>,
    holders: Arc<()>,
}

impl Shared {
    fn key(&self, key: String) -> Key {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Key {
            gate: Arc::new(Semaphore::new(0)),
            holders: Arc::default(),
        };
        keys.entry(key).or_insert_with(new).clone()
    }
}

type Outcome<T> = Result<T, FunctionError>;

async fn echo(a: String) -> Outcome<Value> {
    Ok(json!({ "echo": a }))
}

async fn fail() -> Outcome<()> {
    Err(FunctionError::public("no such thing"))
}

async fn fail_inside() -> Outcome<()> {
    Err(FunctionError::failed("a secret of the server"))
}

async fn panic_inside() -> Outcome<()> {
    panic!("on purpose")
}

async fn welcome() -> Outcome<&'static str> {
    Ok("welcome")
}

async fn whoami(info: RequestInfo) -> Outcome<RequestInfo> {
    Ok(info)
}

async fn numbers(n: u32) -> Outcome<impl Stream<Item = Outcome<u32>>> {
    Ok(stream::iter((1..=n).map(Ok)))
}

async fn two(stream: StreamHandle) -> Outcome<()> {
    stream.send_result("first").await?;
    stream.send_last_result("last").await?;
    Ok(())
}

async fn break_off(stream: StreamHandle) -> Outcome<()> {
    stream.send_result(1).await?;
    stream.fail(FunctionError::public("no such thing")).await?;
    Ok(())
}

async fn count(stream: StreamHandle) -> Outcome<()> {
    let mut n = 0_u64;
    while stream.send_result(n).await.is_ok() {
        n += 1;
    }
    Ok(())
}

/// Holds its key for as long as the stream is open.
async fn hold(key: String, stream: StreamHandle, State(shared): State<Shared>) -> Outcome<()> {
    let _held = shared.key(key).holders;
    stream.send_result("held").await?;
    stream.closed().await;
    Ok(())
}

async fn is_held(key: String, State(shared): State<Shared>) -> Outcome<bool> {
    let key = shared.key(key);
    // The table's and this one are no holders.
    Ok(Arc::strong_count(&key.holders) > 2)
}

async fn wait_for(key: String, State(shared): State<Shared>) -> Outcome<()> {
    shared.key(key).gate.acquire().await?.forget();
    Ok(())
}

async fn release(key: String, State(shared): State<Shared>) -> Outcome<()> {
    shared.key(key).gate.add_permits(1);
    Ok(())
}

async fn stop(id: String, State(shared): State<Shared>) -> Outcome<()> {
    let api = shared.api.get().ok_or("it has not started")?;
    api.stop_stream(&id).map_err(FunctionError::public)
}

/// Runs until another request was refused.
async fn until_refused(State(shared): State<Shared>) -> Outcome<&'static str> {
    let api = shared.api.get().ok_or("it has not started")?;
    while api.statistics().requests(Unavailable) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok("ended")
}

async fn start_engine(settings: Settings) -> Result<GenApi, Box<dyn Error>> {
    let shared = Shared::default();
    let functions = Functions::new()
        .state(shared.clone())
        .register("T", "echo", echo)
        .register("T", "fail", fail)
        .register("T", "fail_inside", fail_inside)
        .register("T", "panic_inside", panic_inside)
        .register("T", "welcome", welcome)
        .register("T", "whoami", whoami)
        .register_stream("T", "numbers", numbers)
        .register("T", "two", two)
        .register("T", "break_off", break_off)
        .register("T", "count", count)
        .register("T", "hold", hold)
        .register("T", "is_held", is_held)
        .register("T", "wait_for", wait_for)
        .register("T", "release", release)
        .register("T", "stop", stop)
        .register("T", "until_refused", until_refused);
    let offer = |request_type: &str, function: &str| {
        let config = FunConfig::builder("svc", request_type);
        config.call("T", function).local().no_timeout()
    };
    let text = |request_type: &str, function: &str, arg: &str| {
        offer(request_type, function).arg(arg, ArgType::String)
    };
    let admins = CheckPermission::Role(vec!["admin".to_owned()]);
    let configs = [
        text("sync_ok", "echo", "a"),
        offer("sync_fail", "fail"),
        offer("sync_internal", "fail_inside"),
        offer("sync_panic", "panic_inside"),
        offer("admins_only", "welcome").check_permission(admins),
        offer("users_only", "welcome").check_permission(CheckPermission::AnyAuthenticated),
        offer("whoami", "whoami"),
        text("async_ok", "echo", "a").asynchronous(),
        offer("async_fail", "fail").asynchronous(),
        text("none_ok", "echo", "a").no_response(),
        offer("stream_ok", "numbers")
            .arg("n", ArgType::Num)
            .stream(),
        offer("stream_last", "two").stream(),
        offer("stream_fail", "break_off").stream(),
        offer("stream_panic", "panic_inside").stream(),
        offer("stream_endless", "count").stream(),
        text("stream_held", "hold", "key").stream(),
        text("is_held", "is_held", "key"),
        text("wait_for", "wait_for", "key"),
        text("release", "release", "key"),
        text("stop", "stop", "id"),
        offer("until_refused", "until_refused").asynchronous(),
    ];
    let mut builder = GenApi::builder()
        .settings(settings)
        .functions(functions)
        .relay("svc");
    for config in configs {
        builder = builder.config(config.build()?);
    }
    let api = builder.start().await?;
    shared.api.get_or_init(|| api.clone());
    Ok(api)
}

/// Tokens are `user:NAME:ROLE`, with an empty role for none. Without a token the client is nobody.
async fn verify(connect: Connect) -> Result<Session, Denied> {
    let params = Value::Object(connect.params.as_map().clone());
    let token = connect.params.text("token").or(connect.token.as_deref());
    let session = match token.map(|token| token.split(':').collect::<Vec<_>>()) {
        None => Session::anonymous(),
        Some(parts) => match parts[..] {
            ["user", name, role] => {
                let session = Session::user(name).with_roles([role]);
                session.with_socket_id(format!("user:{name}"))
            }
            _ => return Err(Denied::reason("unknown token")),
        },
    };
    Ok(session.with_assign("params", params))
}

/// A channel with an event for everything that a channel can do.
fn channel(relay: &RelayRef) -> Channel {
    let (hung, relay) = (Shared::default(), relay.clone());
    let join = move |join: Join| {
        let (hung, relay) = (hung.clone(), relay.clone());
        async move {
            let Some(payload) = join.payload.as_json() else {
                return Ok(json!({}));
            };
            if let Some(group) = payload["enrol"].as_str() {
                let user = join.membership.session().user_id().unwrap_or_default();
                let connection = join.membership.connection().clone();
                let joined = relay.attach(group, user, connection).await;
                joined.map_err(|error| error.code())?;
            }
            if let Some(key) = payload["hang"].as_str() {
                // The first join with this key hangs for ever.
                let key = hung.key(key.to_owned());
                if key.gate.try_acquire().is_err() {
                    key.gate.add_permits(1);
                    pending::<()>().await;
                }
            }
            let answer = payload.get("answer").cloned();
            Ok(answer.unwrap_or_else(|| json!({})))
        }
    };
    Channel::new()
        .on_join(join)
        .on("echo", async |event| Answer::ok(event.payload))
        .on("refuse", async |event| Answer::error(event.payload))
        .on("quiet", async |_| Answer::none())
        .on("boom", async |_| panic!("on purpose"))
        .on("end", async |event| {
            event.membership.close();
            Answer::none()
        })
        .on("push", async |event| {
            let pushed = event.membership.push("pushed", event.payload);
            pushed.map_or_else(refuse, |_| Answer::ok(json!({})))
        })
        .on("bcast", async |event| {
            let sent = event.membership.broadcast("bcast", event.payload);
            sent.map_or_else(refuse, |_| Answer::ok(json!({})))
        })
        .on("whoami", async |event| {
            let session = event.membership.session();
            Answer::ok(json!({
                "user_id": session.user_id(),
                "roles": session.roles(),
                "params": session.assigns()["params"],
            }))
        })
}

fn refuse(error: impl ToString) -> Answer {
    Answer::error(json!({ "reason": error.to_string() }))
}

async fn start_endpoint(
    api: &GenApi,
    name: &str,
    settings: ChannelSettings,
) -> Result<ChannelEndpointRef, StartEndpointError> {
    let deny = Channel::new().on_join(async |_| Err("unauthorized".into()));
    let crash = Channel::new().on_join(async |_| panic!("on purpose"));
    ChannelEndpoint::new(api)
        .name(name)
        .settings(settings)
        .on_connect(verify)
        .channel("api:deny", deny)
        .channel("api:crash", crash)
        .channel("api:*", channel(api.relay()))
        .start()
        .await
}

/// What the program around the endpoint does: a broadcast, a push to a user, or the end of a user's connections.
async fn act(
    endpoint: Data<ChannelEndpointRef>,
    action: web::Path<String>,
    query: Query<HashMap<String, String>>,
    body: Bytes,
) -> actix_web::Result<web::Json<usize>> {
    let of = |name: &str| query.get(name).map_or("", String::as_str);
    let (topic, socket) = (of("topic"), format!("user:{}", of("user")));
    let payload = || serde_json::from_slice(&body).map(Payload::Json);
    let reached = match action.as_str() {
        "broadcast" => endpoint.broadcast(topic, "bcast", payload()?),
        "push" => endpoint.push(&socket, topic, "pushed", payload()?),
        "disconnect" => Ok(endpoint.disconnect(&socket)),
        "dismiss" => Ok(endpoint.dismiss(&socket)),
        _ => return Err(ErrorNotFound("no such action")),
    };
    reached.map(web::Json).map_err(ErrorBadRequest)
}

async fn sockets(endpoint: Data<ChannelEndpointRef>) -> web::Json<usize> {
    web::Json(endpoint.counts().sockets)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let settings = Settings::from_env()?;
    let api = start_engine(settings.clone()).await?;
    let endpoint = start_endpoint(&api, "socket", settings.channel.clone()).await?;
    let public = settings.channel.public();
    let mut trusting = public.clone();
    trusting.override_user_id = false;
    let public = start_endpoint(&api, "public", public).await?;
    let trusting = start_endpoint(&api, "trusting", trusting).await?;
    let server = endpoint
        .http_server({
            let endpoint = endpoint.clone();
            move || {
                App::new()
                    .app_data(Data::new(endpoint.clone()))
                    .configure(endpoint.mount("/socket"))
                    .configure(public.mount("/public"))
                    .configure(trusting.mount("/trusting"))
                    .route("/act/{action}", web::post().to(act))
                    .route("/sockets", web::get().to(sockets))
            }
        })
        .workers(2)
        .disable_signals()
        .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on {address}");
    }
    api.serve(server.run()).await?;
    Ok(())
}

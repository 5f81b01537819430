//! The server under test: an engine with a few functions, and an endpoint with a few channels.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use actix_web::{App, dev::ServerHandle, rt};
use bytes::Bytes;
use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    channel::{
        Answer, Channel, ChannelEndpoint, ChannelEndpointRef, ChannelSettings, Connect, Denied,
        LeaveReason, Membership, Session,
    },
    clock::ManualClock,
    function::{FunctionError, Functions, RequestInfo, State, StreamHandle},
    model::{CheckPermission, FunConfig, FunConfigBuilder},
    relay::{GroupType, RelayError, RelayRef},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::client::guarded;

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) api: GenApi,
    pub(crate) endpoint: ChannelEndpointRef,
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    /// How many timers the engine has of its own.
    own_timers: usize,
    /// The handles of the streams that `feed` was asked for.
    pub(crate) streams: mpsc::UnboundedReceiver<StreamHandle>,
    /// The channels that were joined, by the order of their joins.
    pub(crate) joined: mpsc::UnboundedReceiver<Membership>,
    /// The channels that ended.
    pub(crate) left: mpsc::UnboundedReceiver<(String, LeaveReason)>,
    /// Lets a held function or callback go on.
    pub(crate) gate: Arc<Notify>,
    server: ServerHandle,
}

/// The functions' way to the test.
#[derive(Clone)]
struct Desk {
    streams: mpsc::UnboundedSender<StreamHandle>,
    gate: Arc<Notify>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(ChannelSettings::default()).await
    }

    /// Everybody connects as `ann`, with the role `user`.
    pub(crate) async fn with(settings: ChannelSettings) -> Self {
        let ann = async |_: Connect| Ok(Session::user("ann").with_roles(["user"]));
        Self::connecting(settings, ann).await
    }

    pub(crate) async fn connecting<F, Fut>(settings: ChannelSettings, connect: F) -> Self
    where
        F: Fn(Connect) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Session, Denied>> + Send + 'static,
    {
        let clock = ManualClock::new();
        let gate = Arc::new(Notify::new());
        let (streams_in, streams) = mpsc::unbounded_channel();
        let desk = Desk {
            streams: streams_in,
            gate: Arc::clone(&gate),
        };
        let api = GenApi::builder()
            .functions(functions(desk))
            .configs(
                configs()
                    .into_iter()
                    .map(|config| config.build().expect("valid")),
            )
            .relay("chat")
            .settings(Settings::default().with_threads(1))
            .clock(Arc::new(clock.clone()))
            .start()
            .await
            .expect("the engine starts");
        let (joined_in, joined) = mpsc::unbounded_channel();
        let (left_in, left) = mpsc::unbounded_channel();
        let endpoint = ChannelEndpoint::new(&api)
            .settings(settings)
            .on_connect(connect)
            .channel("api:*", Channel::new())
            .channel("room:*", room(joined_in, left_in, Arc::clone(&gate)))
            .channel("quiet:*", Channel::new().without_requests())
            .channel("group:*", group(api.relay(), Arc::clone(&gate)))
            .start()
            .await
            .expect("the endpoint starts");
        let mounted = endpoint.clone();
        let server = endpoint
            .http_server(move || App::new().configure(mounted.mount("/socket")))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Self {
            own_timers: clock.sleepers(),
            api,
            endpoint,
            address,
            clock,
            streams,
            joined,
            left,
            gate,
            server: handle,
        }
    }

    /// Waits until connections and callbacks have armed this many timers, so that the clock can be moved.
    pub(crate) async fn timers(&self, count: usize) {
        let armed = async {
            while self.clock.sleepers() < self.own_timers + count {
                tokio::task::yield_now().await;
            }
        };
        guarded(armed).await;
    }

    pub(crate) async fn stop(self) {
        self.api.stop().await;
        self.server.stop(false).await;
    }
}

fn room(
    joined: mpsc::UnboundedSender<Membership>,
    left: mpsc::UnboundedSender<(String, LeaveReason)>,
    gate: Arc<Notify>,
) -> Channel {
    let held = Arc::clone(&gate);
    Channel::new()
        .on_join(move |join| {
            let (joined, gate) = (joined.clone(), Arc::clone(&held));
            async move {
                match join.membership.topic() {
                    "room:forbidden" => return Err(Denied::reason("unauthorized")),
                    "room:crash" => panic!("the join callback breaks"),
                    "room:slow" => gate.notified().await,
                    "room:hangs" => std::future::pending().await,
                    _ => {}
                }
                let _ = joined.send(join.membership);
                Ok(match join.payload.as_json() {
                    Some(payload) if *payload == json!({}) => json!({}),
                    payload => json!({"sent": payload}),
                })
            }
        })
        .on_leave(move |leave| {
            let _ = left.send((leave.membership.topic().to_owned(), leave.reason));
            async {}
        })
        .on("echo", async |event| Answer::ok(event.payload))
        .on("bytes", async |_| Answer::ok(Bytes::from_static(b"raw")))
        .on("refuse", async |_| Answer::error(json!({"reason": "no"})))
        .on("note", async |_| Answer::none())
        .on("crash", async |_| panic!("the event callback breaks"))
        .on("shout", async |event| {
            let sent = event.membership.broadcast("shout", event.payload);
            Answer::ok(json!({"members": sent.expect("a payload that can be written")}))
        })
        .on("whisper", async |event| {
            let sent = event.membership.broadcast_from("whisper", event.payload);
            Answer::ok(json!({"members": sent.expect("a payload that can be written")}))
        })
        .on("slow", move |event| {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Answer::ok(event.payload)
            }
        })
}

/// Has everybody who joins hear the relay group of the topic's name.
fn group(relay: &RelayRef, gate: Arc<Notify>) -> Channel {
    let relay = relay.clone();
    Channel::new().on_join(move |join| {
        let (relay, gate) = (relay.clone(), Arc::clone(&gate));
        async move {
            let room = join.membership;
            let user = room.session().user_id().ok_or("nobody")?;
            let hears = || room.connection().clone();
            let public = GroupType::Public;
            let entered = match relay.create(room.topic(), public, user, hears()).await {
                Err(RelayError::AlreadyExists) => {
                    relay.attach(room.topic(), user, hears()).await.map(drop)
                }
                created => created,
            };
            entered.map_err(|error| error.code())?;
            match join.payload.as_json().map(|payload| &payload["then"]) {
                Some(then) if then == "wait" => gate.notified().await,
                Some(then) if then == "refuse" => return Err("not today".into()),
                _ => {}
            }
            Ok(json!({}))
        }
    })
}

fn functions(desk: Desk) -> Functions {
    async fn echo(a: String) -> Result<Value, Infallible> {
        Ok(json!({"echo": a}))
    }
    async fn fail() -> Result<(), FunctionError> {
        Err(FunctionError::public("no such thing"))
    }
    async fn break_() -> Result<(), FunctionError> {
        panic!("kaboom")
    }
    async fn hold(a: String, State(desk): State<Desk>) -> Result<Value, Infallible> {
        desk.gate.notified().await;
        Ok(json!({"echo": a}))
    }
    async fn feed(stream: StreamHandle, State(desk): State<Desk>) -> Result<(), Infallible> {
        let _ = desk.streams.send(stream);
        Ok(())
    }
    async fn flood(stream: StreamHandle) -> Result<(), FunctionError> {
        let chunk = "x".repeat(10_000);
        while stream.send_result(chunk.as_str()).await.is_ok() {}
        Ok(())
    }
    async fn say(
        group_id: String,
        message: Value,
        info: RequestInfo,
        State(relay): State<RelayRef>,
        State(desk): State<Desk>,
    ) -> Result<(), FunctionError> {
        let user = info.user_id.unwrap_or_default();
        let sent = relay.send(&group_id, &user, message, &info.request_id);
        sent.await.map_err(FunctionError::public)?;
        desk.gate.notified().await;
        Ok(())
    }
    async fn who(info: RequestInfo) -> Result<Value, Infallible> {
        Ok(json!(info.user_id))
    }
    Functions::new()
        .register("T", "echo", echo)
        .register("T", "fail", fail)
        .register("T", "break", break_)
        .register("T", "hold", hold)
        .register("T", "feed", feed)
        .register("T", "flood", flood)
        .register("T", "say", say)
        .register("T", "who", who)
        .state(desk)
}

fn configs() -> Vec<FunConfigBuilder> {
    let config = |request_type: &str, function: &str| {
        FunConfig::builder("svc", request_type)
            .call("T", function)
            .local()
    };
    let text = ArgType::String;
    let admin = CheckPermission::Role(vec!["admin".to_owned()]);
    vec![
        config("sync_ok", "echo").arg("a", text),
        config("fails", "fail"),
        config("breaks", "break"),
        config("held", "hold").arg("a", text).no_timeout(),
        config("async_ok", "echo").arg("a", text).asynchronous(),
        config("async_held", "hold")
            .arg("a", text)
            .no_timeout()
            .asynchronous(),
        config("none_ok", "echo").arg("a", text).no_response(),
        config("stream", "feed").stream().no_timeout(),
        config("flood", "flood").stream().no_timeout(),
        config("say", "say")
            .arg("group_id", text)
            .arg("message", ArgType::Any)
            .no_timeout(),
        config("who", "who").request_info(),
        config("members", "who")
            .request_info()
            .check_permission(CheckPermission::AnyAuthenticated),
        config("admins", "echo")
            .arg("a", text)
            .check_permission(admin),
    ]
}

//! The channel gateway: browsers and apps call functions, watch streams and hear broadcasts over one WebSocket (specification,
//! section 20).
//!
//! It speaks the Phoenix Channels protocol, so the official JavaScript client (npm `phoenix`) works with it unmodified.
//! An endpoint is mounted into any actix-web application:
//!
//! ```
//! use actix_web::App;
//! use gen_api::{
//!     channel::{Answer, Channel, ChannelEndpoint, Connect, Denied, Session},
//!     prelude::*,
//! };
//! use serde_json::json;
//!
//! async fn greet(name: String) -> Result<String, std::convert::Infallible> {
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! /// Who connects: here everybody who names himself; see [`Connect::token`] for a signed token.
//! async fn verify(connect: Connect) -> Result<Session, Denied> {
//!     let user = connect.params.text("user").ok_or("who are you?")?;
//!     Ok(Session::user(user).with_roles(["member"]))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let functions = Functions::new().register("Greeter", "greet", greet);
//!     let config = FunConfig::builder("greeter", "greet")
//!         .call("Greeter", "greet")
//!         .arg("name", ArgType::String)
//!         .local()
//!         .build()?;
//!     let api = GenApi::builder().functions(functions).config(config).start().await?;
//!
//!     let room = Channel::new().on("shout", async |event| {
//!         let heard = event.membership.broadcast("shout", event.payload);
//!         Answer::ok(json!({"heard_by": heard.unwrap_or(0)}))
//!     });
//!     let endpoint = ChannelEndpoint::new(&api)
//!         .on_connect(verify)
//!         .channel("api:*", Channel::new())
//!         .channel("room:*", room)
//!         .start()
//!         .await?;
//!
//!     let mounted = endpoint.clone();
//!     let server = endpoint.http_server(move || App::new().configure(mounted.mount("/socket")));
//!     let server = server.disable_signals().bind(("127.0.0.1", 0))?.run();
//!     # let handle = server.handle();
//!     # actix_web::rt::spawn(async move { handle.stop(false).await });
//!     endpoint.broadcast("room:lobby", "news", json!({"text": "open"}))?;
//!     api.serve(server).await?;
//!     Ok(())
//! }
//! ```
//!
//! ```js
//! import { Socket } from "phoenix"
//! const socket = new Socket("/socket", { params: { user: "ann" } })
//! socket.connect()
//! const channel = socket.channel("api:main")
//! channel.on("phoenix_gen_api", response => console.log(response.result))   // "Hello, Ann!"
//! channel.join()
//! channel.push("phoenix_gen_api",
//!     { service: "greeter", request_type: "greet", request_id: "r-1", args: { name: "Ann" } })
//! ```
//!
//! # Requests
//!
//! A request is an event, `phoenix_gen_api` unless [the settings](ChannelSettings::request_event) say otherwise. Its
//! responses are pushed on the same event; then the reply carries the request's type. The reply says `ok` also where the
//! function failed, and `error` where there was no request, or no verified user. User id, roles and address come from the
//! [`Session`], whatever the payload says. Up to [`max_in_flight`](ChannelSettings::max_in_flight) requests of a
//! connection are served at a time, so responses come in the order in which they are done. Those beyond are refused at once,
//! and so are events of one's own.
//!
//! A message that the client sends to a relay group comes to itself after the reply, and to a client whose join callback
//! [enrols](Membership::connection) it after the reply to the join.
//!
//! What is open of a client, streams, async results and relay memberships, ends with its channel; a connection that
//! ends takes all its channels along.
//!
//! # What a client is told
//!
//! | when | what |
//! |---|---|
//! | an upgrade over HTTP/1.0 | HTTP 400 |
//! | an unknown `vsn`, another origin, a denied connect | HTTP 403 |
//! | too many sockets of an address; in all | HTTP 429, 503 |
//! | the connect callback panicked, or took too long; the engine has stopped | HTTP 500, 503, 503 |
//! | a malformed frame, or the connection's actor was killed | close 1011 |
//! | no WebSocket; text that is not UTF-8; a message too large | close 1002, 1007, 1009 |
//! | nothing heard for [`idle_timeout_ms`](ChannelSettings::idle_timeout_ms); [`disconnect`](ChannelEndpointRef::disconnect) | close 1008 |
//! | too slow for too long | close 1013 |
//! | the server stops | close 1001 |
//! | [`dismiss`](ChannelEndpointRef::dismiss), the only case in which clients do not come back | close 1000 |
//! | a topic without a channel, or not joined | reply `unmatched topic` |
//! | a refused join | reply with the callback's reason, `join crashed`, `join timeout` or `too many channels` |
//! | an event of one's own | reply of the callback, `unknown event`, `too many events` or `invalid payload` |
//! | an answer in bytes that has no binary frame | reply `answer cannot be sent` |
//! | a callback panicked | `phx_error` with `channel_crash`; the client joins anew |
//!
//! # Slow clients
//!
//! What waits for a client is bounded in bytes ([`outgoing_bytes`](ChannelSettings::outgoing_bytes)). Responses and streams
//! wait for room, so a stream's producer is slowed down; no further frames of that client are read meanwhile. Pushes and
//! broadcasts cannot wait: they may use as much again. A client that uses it up, or that does not catch up within
//! [`slow_client_ms`](ChannelSettings::slow_client_ms), is closed: it never loses a message without knowing, and no other
//! client waits for it.
//!
//! # Actors
//!
//! Each connection and each channel is an actor under the engine's supervision tree, on the thread of the HTTP connection.
//! A panic in a callback ends one channel. [`GenApi::serve`](crate::GenApi::serve) runs the HTTP server until the process is
//! told to end; then running requests end, clients are told that the server goes away, and the server ends. A server that
//! handles signals itself waits for its connections first, and they do not end by themselves.
//!
//! # Strangers
//!
//! What comes before a client is known takes little: [`http_server`](ChannelEndpointRef::http_server) makes an HTTP server
//! that bounds connections, in all and by address, and the time that they may stay silent. A client that is turned away
//! leaves a warning with its address, its origin, the host and the list, once a minute for each address and reason.
//!
//! # Long polling
//!
//! Clients without WebSockets use `PATH/longpoll` (the JavaScript client's option `longPollFallbackMs`). Everything is the
//! same there, but for binary frames to the client, which that transport does not have. Messages stay until the answer to
//! a poll is on its way to a client that is still there; the latest poll of a client is the one that counts.

mod callbacks;
mod endpoint;
mod frame;
mod http;
mod http_server;
mod joined;
mod long_poll;
mod members;
mod membership;
mod origin;
mod outbox;
mod outlet;
mod params;
mod reasons;
mod refusals;
mod request;
mod respond;
mod session;
mod socket;
mod sockets;
mod token;
mod topic;
mod websocket;

pub use self::{
    callbacks::{Answer, Channel, Event, Join, Leave, LeaveReason},
    endpoint::{ChannelCounts, ChannelEndpoint, ChannelEndpointRef, StartEndpointError},
    frame::Payload,
    membership::{InvalidPush, Membership},
    params::Params,
    request::{RequestAnswer, RequestEvent},
    session::{Connect, Denied, Session},
    topic::InvalidTopic,
};
pub use crate::settings::ChannelSettings;

//! **gen_api turns plain functions into a live API: a gateway routes each request by service, type and version to a
//! function, and configs change at runtime without a restart.**
//!
//! You embed the engine in your program, register functions, and hand it requests from whatever door you have: a
//! WebSocket, an HTTP route, a queue. A *function config* says which function answers which request, with which arguments,
//! and in which mode. Every part of the engine is an actix actor under a supervision tree
//! ([`actix_otp`]), so what crashes is restarted and requests go on.
//!
//! # The smallest embedding
//!
//! ```
#![doc = include_str!("../examples/minimal.rs")]
//! ```
//!
//! # How it fits together
//!
//! ```text
//!  request --> GenApi::execute -----> admission       max_in_flight
//!         \--> Executor (message) --^ find config     ConfigDb: by service, type and version
//!                                     before hook     may change the request, or end it
//!                                     permission      a mode of the config, or a callback
//!                                     rate limits     exact sliding windows, global and per API
//!                                     arguments       checked, converted, put in order
//!                                     call            under its timeout, with its retries:
//!                                       |               sync on the caller's thread, async and none in the
//!                                       |               async pool, a StreamCall actor in the stream pool
//!                                     after hook      may change the response
//!                                       `----------> response
//! ```
//!
//! | you want to | look at |
//! |---|---|
//! | start, embed and stop the engine | [`GenApi`], [`GenApiBuilder`], [`Settings`] |
//! | set limits, pools and secrets, from a file or the environment | [`settings`] |
//! | offer a function with one annotation, `#[gen_api::function]` | [`ApiFunction`](function::ApiFunction) |
//! | register functions: async, blocking, streaming, with shared state | [`function`](mod@function) |
//! | say which function answers what | [`FunConfig`](model::FunConfig), [`config`] |
//! | change configs while requests run | [`GenApi::config_db`] |
//! | declare and check arguments | [`arguments`] |
//! | say who asks, as you have verified it | [`Identity`](model::Identity), [`GenApi::execute_json`] |
//! | say who may call | [`permission`], [`CheckPermission`](model::CheckPermission) |
//! | limit how often clients call | [`rate_limiter`], [`GenApi::rate_limiter`] |
//! | see and change requests and responses on their way | [`hooks`] |
//! | try failed calls again | [`Retry`](model::Retry), [`call::retry`] |
//! | bound what runs at a time, and break circuits | [`worker_pool`], [`GenApi::pool_status`] |
//! | stream results, stop a stream | [`function::StreamHandle`], [`stream`], [`GenApi::stop_stream`] |
//! | push to a client's connection from a function | [`connection`], [`RequestInfo::connection`](function::RequestInfo::connection) |
//! | let groups of users send each other messages | [`relay`], [`GenApi::relay`] |
//! | serve browsers and apps over WebSocket, with broadcasts | `channel` (feature `channel`) |
//! | choose among service nodes | [`node`] |
//! | pull configs from services, take pushed ones | [`config::PullerRef`], [`config::ReceiverRef`] |
//! | hear what happens: events, spans, metrics | [`telemetry`], [`GenApi::telemetry`] |
//! | see what runs, and how it is doing, as tables | [`diagnostics`], [`GenApi::health_check`], [`GenApi::call_flow`] |
//! | serve functions to gateways elsewhere, or write a transport | [`service_node`] |
//! | send requests as typed messages | [`Execute`] and [`StartStream`] to [`GenApi::executor`] |
//! | find what had another name in PhoenixGenApi | [`old_names`] |
//!
//! The features: `macros`, on by default, is the attribute `#[gen_api::function]`; `metrics` adds the module
//! `telemetry::metrics` for the recorders of the `metrics` crate; `channel` adds the module `channel`, the Phoenix Channels
//! protocol for actix-web applications; `grpc` adds `ServiceNode` and the module `grpc`: service nodes, and the door for their
//! pushes.
//!
//! # Response modes
//!
//! A config's `response_type` decides what comes back ([`Reply`]): `sync` answers with the result; `async` acknowledges at
//! once and sends the result later; `stream` acknowledges and sends chunks; `none` sends nothing once the call is accepted.
//! A request that is refused before its call gets the error itself in every mode.
//!
//! Every accepted request ends in exactly one terminal response, whatever crashes on the way: a function that panics, an
//! actor that is killed, a producer that vanishes, a thread that dies.
//!
//! # Errors that clients see
//!
//! Texts are short and carry no internals: `Internal Server Error`, unless the setting
//! [`detail_error`](settings::SecuritySettings::detail_error) is on. A function that wants to tell its caller something returns
//! [`FunctionError::public`](function::FunctionError::public). Mistakes of the caller name the argument.
//!
//! # Where it runs
//!
//! The engine has threads of its own, so it works under `#[actix::main]`, under `#[tokio::main]` and in a plain
//! `fn main` ([`GenApiBuilder::start_blocking`], [`GenApi::block_on`]). Sync calls run on the thread of the caller. With
//! `panic = "abort"` in the profile nothing can be caught or restarted: leave it at `unwind`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

#[cfg_attr(
    not(feature = "grpc"),
    allow(dead_code, reason = "only doors have connections")
)]
mod admission;
#[cfg(test)]
mod any_json;
mod api;
pub mod arguments;
mod background;
pub mod call;
#[cfg(feature = "channel")]
pub mod channel;
pub mod clock;
pub mod config;
pub mod diagnostics;
mod executor;
mod failure_log;
pub mod function;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod hooks;
mod lifecycle;
mod log_text;
pub mod model;
pub mod node;
pub mod old_names;
mod owner;
pub mod permission;
pub mod rate_limiter;
pub mod relay;
mod request_error;
mod respond;
mod response_sink;
pub mod service_node;
pub mod settings;
#[cfg(feature = "signal")]
mod shutdown_signal;
pub mod stream;
pub mod telemetry;
mod text_table;
pub mod worker_pool;

pub use self::{
    api::{GenApi, GenApiBuilder, StartApiError, WeakGenApi},
    executor::{Execute, Executor, Reply, StartStream, StartStreamError, StartedStream},
    model::connection,
    owner::Unavailable,
    response_sink::Responses,
    settings::Settings,
};

#[cfg(feature = "grpc")]
pub use self::grpc::{ServiceNode, ServiceNodeBuilder, StartServiceNodeError};

#[cfg(feature = "signal")]
pub use self::shutdown_signal::shutdown_signal;

#[cfg(feature = "macros")]
pub use gen_api_macros::function;

/// What most programs need: `use gen_api::prelude::*`.
pub mod prelude {
    #[cfg(feature = "grpc")]
    pub use crate::ServiceNode;
    pub use crate::{
        Execute, GenApi, Reply, Settings, WeakGenApi,
        arguments::{ArgDeclaration, ArgType},
        function::{FunctionError, Functions, RequestInfo, State, StreamHandle},
        model::{CheckPermission, FunConfig, Identity, Request, Response, Retry},
        rate_limiter::{LimitKey, RateLimit},
        telemetry::Filter,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

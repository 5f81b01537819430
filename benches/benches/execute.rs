//! What a request costs: through `GenApi::execute` and as a message to the executor actor, beside a bare actix message.
//!
//! `cargo bench -p gen_api-benches --bench execute`

use actix::prelude::*;
use actix_rt::{Arbiter, System};
use futures_util::future::join_all;
use gen_api::Execute;
use gen_api_benches::{Comparison, echo_engine, echo_request, timed};

struct Echo;

impl Actor for Echo {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "String")]
struct Text(String);

impl Handler<Text> for Echo {
    type Result = String;

    fn handle(&mut self, Text(text): Text, _: &mut Context<Self>) -> String {
        text
    }
}

fn main() {
    // `cargo test --benches` runs this too; a comparison beside other tests would mean nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("one");
    let system = System::new();
    let same_thread = system.block_on(async { Echo.start() });
    let arbiter = system.block_on(async { Arbiter::new() });
    let other_thread = Echo::start_in_arbiter(&arbiter.handle(), |_| Echo);
    let api = echo_engine();

    Comparison::default()
        .with("bare Addr::send, same thread", |times| {
            let start = std::time::Instant::now();
            system.block_on(async {
                for _ in 0..times {
                    same_thread
                        .send(Text("hello".into()))
                        .await
                        .expect("it lives");
                }
            });
            start.elapsed()
        })
        .with(
            "GenApi::execute, sync echo of one string argument",
            |times| {
                timed(&runtime, times, || async {
                    let reply = api.execute(echo_request()).await;
                    assert!(reply.response.is_some_and(|response| response.success));
                })
            },
        )
        .with("  of which: making the request", |times| {
            timed(&runtime, times, || async {
                std::hint::black_box(echo_request());
            })
        })
        .print("One request at a time, on the caller's thread");

    Comparison::default()
        .with("bare Addr::send, other thread", |times| {
            timed(&runtime, times, || async {
                other_thread
                    .send(Text("hello".into()))
                    .await
                    .expect("it lives");
            })
        })
        .with("Execute to the executor actor, other thread", |times| {
            timed(&runtime, times, || async {
                let reply = api.executor(0).call(Execute::new(echo_request())).await;
                assert!(reply.is_ok_and(|reply| reply.response.is_some()));
            })
        })
        .print("One message at a time, to another thread");

    const IN_FLIGHT: u64 = 64;
    Comparison::default()
        .with("bare Addr::send, other thread", |times| {
            timed(&runtime, times.div_ceil(IN_FLIGHT), || async {
                let sends = (0..IN_FLIGHT).map(|_| other_thread.send(Text("hello".into())));
                join_all(sends).await;
            })
        })
        .with("Execute to the executor actor, other thread", |times| {
            timed(&runtime, times.div_ceil(IN_FLIGHT), || async {
                let calls =
                    (0..IN_FLIGHT).map(|_| api.executor(0).call(Execute::new(echo_request())));
                join_all(calls).await;
            })
        })
        .print("64 messages in flight, to another thread (cost of one)");

    runtime.block_on(api.stop());
    arbiter.stop();
}

//! What a request costs: through `GenApi::execute` and as a message to the executor actor, beside a bare actix message.
//!
//! `cargo bench -p gen_api-benches --bench execute`

use actix::Actor as _;
use actix_rt::{Arbiter, System};
use futures_util::future::join_all;
use gen_api::Execute;
use gen_api_benches::{
    Comparison,
    actors::actix::{Add, Adder},
    engines::{echo_engine, owned_request},
    is_wanted, one_thread, timed,
};

fn main() {
    if !is_wanted() {
        return;
    }
    let tokio = one_thread();
    let system = System::new();
    let same_thread = system.block_on(async { Adder::new().start() });
    let arbiter = system.block_on(async { Arbiter::new() });
    let other_thread = Adder::start_in_arbiter(&arbiter.handle(), |_| Adder::new());
    let api = tokio.block_on(echo_engine());

    Comparison::default()
        .with("bare actix, `Addr::send`", |times| {
            system.block_on(timed(times, async || {
                assert_eq!(same_thread.send(Add(1)).await.ok(), Some(2));
            }))
        })
        .with(
            "`GenApi::execute`, the request made anew each time",
            |times| {
                tokio.block_on(timed(times, async || {
                    let reply = api.execute(owned_request(1)).await;
                    assert!(reply.response.is_some_and(|response| response.success));
                }))
            },
        )
        .with("of which: making the request", |times| {
            tokio.block_on(timed(times, async || {
                std::hint::black_box(owned_request(1));
            }))
        })
        .print("A sync echo on the caller's thread");

    Comparison::default()
        .with("bare actix, `Addr::send`", |times| {
            tokio.block_on(timed(times, async || {
                assert_eq!(other_thread.send(Add(1)).await.ok(), Some(2));
            }))
        })
        .with("`Execute` to the executor actor", |times| {
            tokio.block_on(timed(times, async || {
                let reply = api.executor(0).call(Execute::new(owned_request(1))).await;
                assert!(reply.is_ok_and(|reply| reply.response.is_some()));
            }))
        })
        .print("One message at a time, to another thread");

    const IN_FLIGHT: u64 = 64;
    Comparison::default()
        .with("bare actix, `Addr::send`", |times| {
            tokio.block_on(timed(times.div_ceil(IN_FLIGHT), async || {
                join_all((0..IN_FLIGHT).map(|_| other_thread.send(Add(1)))).await;
            }))
        })
        .with("`Execute` to the executor actor", |times| {
            tokio.block_on(timed(times.div_ceil(IN_FLIGHT), async || {
                let execute = |_| api.executor(0).call(Execute::new(owned_request(1)));
                join_all((0..IN_FLIGHT).map(execute)).await;
            }))
        })
        .print("One of 64 messages in flight, to another thread");

    tokio.block_on(api.stop());
    arbiter.stop();
}

//! Chunks of a stream, from the function to the receiver, beside bare actix messages that nobody waits for.
//!
//! A message takes no account of its receiver, a chunk does: a slow one makes the producer wait. Measured is the processor
//! time of all threads together, the changes between them included, so what else the machine does counts little. Where two
//! processors are free, both ends of a stream work at once, and it is faster than this says.
//!
//! `cargo bench -p gen_api-benches --bench streams`

use std::time::Duration;

use actix::prelude::*;
use actix_otp::{ChildSpec, StartChild};
use actix_rt::System;
use cpu_time::ProcessTime;
use gen_api::{GenApi, model::Response, settings::StreamSettings};
use gen_api_benches::{
    Comparison,
    actors::Tally,
    engines::{stream_request, streaming_engine},
    is_wanted, one_thread,
};

/// What the [`Receiver`] got.
static RECEIVED: Tally = Tally::new();

struct Receiver;

impl Actor for Receiver {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Chunk(u64);

impl Handler<Chunk> for Receiver {
    type Result = ();

    fn handle(&mut self, Chunk(number): Chunk, _: &mut Context<Self>) {
        std::hint::black_box(number);
        RECEIVED.count();
    }
}

impl Handler<Response> for Receiver {
    type Result = ();

    fn handle(&mut self, response: Response, _: &mut Context<Self>) {
        assert!(response.success);
        RECEIVED.count();
    }
}

fn main() {
    if !is_wanted() {
        return;
    }
    let system = System::new();
    let same_thread = system.block_on(async { Receiver.start() });
    let arbiter = system.block_on(async { Arbiter::new() });
    let other_thread = Receiver::start_in_arbiter(&arbiter.handle(), |_| Receiver);
    let buffer = StreamSettings::default().buffer;
    let api = system.block_on(streaming_engine(buffer));
    let narrow = system.block_on(streaming_engine(16));
    let with_a_narrow = format!("the same with a buffer of 16 instead of {buffer}");
    // The root runs on the engine's one thread, and so do its children.
    let receiver = ChildSpec::new("chunk-receiver", || Receiver);
    let receiver = one_thread().block_on(api.root().call(StartChild(receiver)));
    let receiver = receiver.expect("the root runs").expect("a new child");
    let receiver = receiver.addr().expect("it runs").recipient::<Response>();

    Comparison::default()
        .rates()
        .with("bare `do_send`, same thread", |times| {
            system.block_on(do_send(times, &same_thread))
        })
        .with("bare `do_send`, other thread", |times| {
            system.block_on(do_send(times, &other_thread))
        })
        .with("`StreamHandle`, receiver on the same thread", |times| {
            system.block_on(async {
                // The acknowledgement comes first.
                RECEIVED.expect(times + 1);
                let start = ProcessTime::now();
                let request = stream_request(0, "handle", times);
                api.execute_to(request, receiver.clone()).await;
                RECEIVED.reached().await;
                start.elapsed()
            })
        })
        .with("`StreamHandle`, receiver on another thread", |times| {
            system.block_on(receive(times, &api, "handle"))
        })
        .with(with_a_narrow.clone(), |times| {
            system.block_on(receive(times, &narrow, "handle"))
        })
        .with("Rust `Stream`, receiver on another thread", |times| {
            system.block_on(receive(times, &api, "stream"))
        })
        .with(with_a_narrow.clone(), |times| {
            system.block_on(receive(times, &narrow, "stream"))
        })
        .print("A chunk");
    system.block_on(async {
        api.stop().await;
        narrow.stop().await;
    });
    arbiter.stop();
}

async fn do_send(times: u64, receiver: &Addr<Receiver>) -> Duration {
    RECEIVED.expect(times);
    let start = ProcessTime::now();
    for number in 0..times {
        receiver.do_send(Chunk(number));
    }
    RECEIVED.reached().await;
    start.elapsed()
}

async fn receive(times: u64, api: &GenApi, request_type: &str) -> Duration {
    let start = ProcessTime::now();
    let reply = api.execute(stream_request(0, request_type, times)).await;
    let mut later = reply.later.expect("it is a stream");
    let mut received = 0;
    while let Some(response) = later.next().await {
        assert!(response.success);
        received += 1;
    }
    let elapsed = start.elapsed();
    assert!(received >= times);
    elapsed
}

//! Calls and streams of a service node in another process, beside bare tonic with the same messages; and a pull of many
//! configs from it. All by the clock on the wall, since two processes work.
//!
//! `cargo bench -p gen_api-benches --bench remote`

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gen_api::{GenApi, model::Request};
use gen_api_benches::{
    Comparison,
    engines::stream_request,
    is_wanted, one_thread,
    remote::{BareClient, OFFERED, PAYLOAD, Servers, gateway, is_server, offered, serve},
};

fn main() {
    if is_server() {
        return serve();
    }
    if !is_wanted() {
        return;
    }
    let tokio = one_thread();
    let servers = Servers::start();
    let bare = BareClient::connect(&servers.bare);
    let api = tokio.block_on(gateway(&servers.node));

    for callers in [1, 64] {
        Comparison::default()
            .rounds(ROUNDS)
            .rates()
            .with("bare tonic, a unary call", |times| {
                tokio.block_on(at_once(callers, times, async || call_bare(&bare).await))
            })
            .with("`GenApi::execute`, a function of a node", |times| {
                tokio.block_on(at_once(callers, times, async || call(&api).await))
            })
            .print(&format!("A remote call, {callers} at a time"));
    }

    Comparison::default()
        .rounds(ROUNDS)
        .rates()
        .with("bare tonic, a server stream", |times| {
            tokio.block_on(receive_bare(times, &bare))
        })
        .with("`GenApi::execute`, a stream of a node", |times| {
            tokio.block_on(receive(times, &api))
        })
        .print("A chunk of a remote stream");

    let service = offered(&servers.node);
    api.puller().add([service]).expect("a service");
    Comparison::default()
        .rounds(9)
        .with("`PullerRef::force_pull`", |times| {
            tokio.block_on(pull(times, &api))
        })
        .print("A pull of 10 000 configs");
    tokio.block_on(api.stop());
}

/// More than other comparisons have: what is waited for on the wire varies more than work on one thread.
const ROUNDS: usize = 51;

/// So many callers, each with one call after another.
async fn at_once(callers: u64, times: u64, work: impl AsyncFn()) -> Duration {
    let each = times.div_ceil(callers);
    let start = Instant::now();
    join_all((0..callers).map(|_| async {
        for _ in 0..each {
            work().await;
        }
    }))
    .await;
    // As if it had been so many calls as were asked for.
    start
        .elapsed()
        .mul_f64(times as f64 / (each * callers) as f64)
}

async fn call_bare(bare: &BareClient) {
    let args = format!("[\"{PAYLOAD}\"]");
    let message = BareClient::message("echo", args);
    let reply = bare.client.clone().invoke(message).await;
    assert!(reply.is_ok_and(|reply| reply.into_inner().outcome.is_some()));
}

async fn call(api: &GenApi) {
    let request = Request::new("request-1", "svc", "echo").with_arg("owner", PAYLOAD);
    let reply = api.execute(request).await;
    assert!(reply.response.is_some_and(|response| response.success));
}

async fn receive_bare(times: u64, bare: &BareClient) -> Duration {
    let start = Instant::now();
    let message = BareClient::message("count", format!("[{times}]"));
    let items = bare.client.clone().invoke_stream(message).await;
    let mut items = items.expect("a stream").into_inner();
    let mut received = 0;
    while let Some(item) = items.message().await.expect("an item") {
        assert!(item.item.is_some());
        received += 1;
    }
    let elapsed = start.elapsed();
    assert!(received > times);
    elapsed
}

async fn receive(times: u64, api: &GenApi) -> Duration {
    let start = Instant::now();
    let reply = api.execute(stream_request(0, "count", times)).await;
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

async fn pull(times: u64, api: &GenApi) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        let report = api.puller().force_pull().await.expect("it runs");
        drop(report);
    }
    let elapsed = start.elapsed();
    let stored = api.puller().get_api_list("offered").unwrap_or_default();
    assert_eq!(stored.len(), OFFERED);
    elapsed
}

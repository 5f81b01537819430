//! Streams and calls whose other end goes away.

use std::{path::PathBuf, time::Duration};

use futures_util::StreamExt;
use serde_json::json;

use super::fixture::{Folder, Process, ask, config, gateway, noted, request, settings, until};

/// A node, and the file of what ran on it.
fn node(folder: &Folder) -> (Process, PathBuf) {
    let ledger = folder.path("ledger");
    let node = Process::node(["--ledger", ledger.to_str().expect("a path")]);
    (node, ledger)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_node_dies_ends_with_exactly_one_error() {
    let folder = Folder::new();
    let (node, _) = node(&folder);
    let api = gateway(settings(), [config("numbers", [node.url()])]).await;
    let asked = request("r-1", "numbers", &json!({ "count": 1_000_000, "ms": 5 }));
    let reply = api.execute(asked).await;
    let acknowledged = reply.response.expect("an acknowledgement");
    assert!(acknowledged.success, "{acknowledged:?}");
    let mut chunks = reply.later.expect("chunks");
    for number in 0..3 {
        let chunk = chunks.next().await.expect("a chunk");
        assert_eq!((chunk.success, chunk.result), (true, json!(number)));
    }
    node.kill();
    let rest: Vec<_> = chunks.collect().await;
    let (last, before) = rest.split_last().expect("an end");
    // What was under way still comes, in order.
    for (chunk, number) in before.iter().zip(3..) {
        assert_eq!((chunk.success, &chunk.result), (true, &json!(number)));
        assert!(chunk.has_more);
    }
    assert!(!last.success && !last.has_more, "{last:?}");
    assert_eq!(api.open_streams(), 0);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_node_freezes_ends_with_exactly_one_error() {
    let folder = Folder::new();
    let (node, _) = node(&folder);
    let api = gateway(settings(), [config("numbers", [node.url()])]).await;
    let asked = request("r-1", "numbers", &json!({ "count": 1_000_000, "ms": 5 }));
    let mut chunks = api.execute(asked).await.later.expect("chunks");
    assert!(chunks.next().await.expect("a chunk").success);
    node.freeze();
    let rest: Vec<_> = chunks.collect().await;
    assert_eq!(rest.iter().filter(|chunk| !chunk.success).count(), 1);
    assert!(
        rest.last()
            .is_some_and(|last| !last.success && !last.has_more)
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_stops_the_function_on_the_node() {
    let folder = Folder::new();
    let (node, ledger) = node(&folder);
    let slow = config("slow", [node.url()]).timeout(Duration::from_secs(1));
    let api = gateway(settings(), [slow, config("numbers", [node.url()])]).await;

    let late = ask(
        &api,
        request("timed-out", "slow", &json!({ "ms": 3_600_000 })),
    )
    .await;
    assert!(!late.success, "{late:?}");
    until("the function whose time is up is dropped", async || {
        noted(&ledger, "dropped").contains_key("timed-out")
    })
    .await;

    let endless = json!({ "count": 1_000_000, "ms": 5 });
    let mut chunks = api.execute(request("stopped", "numbers", &endless)).await;
    let mut later = chunks.later.take().expect("chunks");
    assert!(later.next().await.expect("a chunk").success);
    api.stop_stream("stopped").expect("a stream");
    until("the stream that was stopped is dropped", async || {
        noted(&ledger, "dropped").contains_key("stopped")
    })
    .await;

    // Whoever reads no more has given up as well.
    let reply = api.execute(request("unread", "numbers", &endless)).await;
    let mut later = reply.later.expect("chunks");
    assert!(later.next().await.expect("a chunk").success);
    drop(later);
    until("the stream that nobody reads is dropped", async || {
        noted(&ledger, "dropped").contains_key("unread")
    })
    .await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_gateway_had_asked_for_is_dropped_on_the_node() {
    let folder = Folder::new();
    let mut gateway = Process::gateway(["--secret", "s3cret"]);
    let ledger = folder.path("ledger");
    let door = gateway.url();
    let mut node = Process::node([
        "--ledger",
        ledger.to_str().expect("a path"),
        "--push-to",
        &door,
    ]);
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    gateway.say(r#"call hung demo slow {"ms":3600000}"#);
    until("it runs", async || {
        noted(&ledger, "ran").contains_key("hung")
    })
    .await;
    gateway.kill();
    until("it is dropped", async || {
        noted(&ledger, "dropped").contains_key("hung")
    })
    .await;
}

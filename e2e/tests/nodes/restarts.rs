//! A gateway that is killed and comes back.

use serde_json::{Value, json};

use super::fixture::{Folder, Process, until};

fn success(mut gateway: impl FnMut(&str) -> Value, id: &str) {
    let responses = gateway(&format!(r#"call {id} demo echo {{"value":7}}"#));
    assert_eq!(responses[0]["success"], true, "{responses}");
    assert_eq!(responses[0]["result"]["value"], json!(7));
    assert_eq!(responses.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_restarted_with_its_state_serves_at_once_what_was_pushed_before() {
    let folder = Folder::new();
    let state = folder.path("state");
    let state = state.to_str().expect("a path");
    let mut gateway = Process::gateway(["--state", state]);
    let (listen, door) = (gateway.at.to_string(), gateway.url());
    let mut node = Process::node(["--push-to", &door]);
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    success(|line| gateway.ask(line), "before");
    gateway.kill();
    until("the node notices that the gateway is gone", async || {
        !node.ask("status")["targets"][0]["last_error"].is_null()
    })
    .await;
    // The very first request, before the node can have found out that the gateway is back.
    let mut gateway = Process::gateway(["--state", state, "--listen", &listen]);
    success(|line| gateway.ask(line), "after");
    until("the node finds its push matched", async || {
        let status = node.ask("status");
        let target = &status["targets"][0];
        target["state"] == "accepted" && target["last_error"].is_null()
    })
    .await;
    // It asked; it did not have to push again.
    assert_eq!(node.ask("status")["targets"][0]["pushes"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_restarted_without_state_is_pushed_to_anew() {
    let gateway = Process::gateway(["--secret", "s3cret"]);
    let (listen, door) = (gateway.at.to_string(), gateway.url());
    // It does not ask on its own within the time of this test: only because the gateway is back.
    let hour = (60 * 60 * 1_000).to_string();
    let mut node = Process::node(["--push-to", &door, "--verify-interval-ms", &hour]);
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    gateway.kill();
    let mut gateway = Process::gateway(["--listen", &listen]);
    until("the node has pushed again", async || {
        let responses = gateway.ask(r#"call again demo echo {"value":7}"#);
        responses[0]["success"] == true
    })
    .await;
    assert_eq!(node.ask("status")["targets"][0]["pushes"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_before_its_gateway_pushes_until_it_is_there() {
    let gateway = Process::gateway(["--secret", "s3cret"]);
    let (listen, door) = (gateway.at.to_string(), gateway.url());
    gateway.kill();
    let mut node = Process::node(["--push-to", &door]);
    until("a push fails", async || {
        !node.ask("status")["targets"][0]["last_error"].is_null()
    })
    .await;
    let mut gateway = Process::gateway(["--listen", &listen]);
    until("the push is accepted", async || {
        node.ask("status")["targets"][0]["state"] == "accepted"
    })
    .await;
    success(|line| gateway.ask(line), "r-1");
}

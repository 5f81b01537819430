//! The vectors of `execute.json`: the whole way of requests through an engine.

use std::time::Duration;

use serde_json::{Map, json};

use super::{
    case::{Case, field, only_keys, optional},
    client::Client,
    compare::compare,
    engine::{block_on, start},
    harness::Harness,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    #[cfg(feature = "channel")]
    if case.when.contains_key("channel_in") {
        return super::channel::judge(case);
    }
    only_keys(&case.given, &["configs", "disabled", "settings"])?;
    only_keys(&case.when, &["requests", "wait_ms", "outer_timeout_ms"])?;
    only_keys(
        &case.expect,
        &["replies", "messages", "calls", "hooks", "max_parallel"],
    )?;
    block_on(execute(case))
}

async fn execute(case: &Case) -> Result<(), String> {
    let requests: Vec<Map<_, _>> = field(&case.when, "requests")?;
    let wait: Option<u64> = optional(&case.when, "wait_ms")?;
    let outer_timeout: Option<u64> = optional(&case.when, "outer_timeout_ms")?;

    let harness = Harness::default();
    let api = start(&case.given, &harness).await?;
    let mut client = Client::new(api.clone(), outer_timeout.map(Duration::from_millis));
    client.send_all(&requests).await?;
    client
        .listen(Duration::from_millis(wait.unwrap_or(0)))
        .await?;
    let seen = json!({
        "replies": client.replies,
        "messages": client.messages,
        "calls": harness.calls(),
        "hooks": harness.hooks(),
        "max_parallel": harness.max_parallel(),
    });
    api.stop().await;
    compare(&case.expect, &seen)
}

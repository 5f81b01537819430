//! The vectors of `execute.json`: the whole way of requests through an engine.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, only_keys, optional},
    client::Client,
    compare::compare,
    engine::{block_on, start},
    harness::Harness,
};

/// How long to wait for what must come; only a case that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often calls are counted meanwhile: they come without a message.
const STEP: Duration = Duration::from_millis(10);

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
    listen_for_the_rest(&mut client, &harness, case).await?;
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

/// However busy the machine is, what is expected is waited for; what else comes is seen in the time that the case names.
async fn listen_for_the_rest(
    client: &mut Client,
    harness: &Harness,
    case: &Case,
) -> Result<(), String> {
    let messages: Vec<Value> = optional(&case.expect, "messages")?.unwrap_or_default();
    let calls: BTreeMap<String, u64> = optional(&case.expect, "calls")?.unwrap_or_default();
    let all_there = |client: &Client| {
        let made = harness.calls();
        let is_made = |(name, count): (&String, &u64)| made[name].as_u64().unwrap_or(0) >= *count;
        client.messages.len() >= messages.len() && calls.iter().all(is_made)
    };
    let deadline = Instant::now() + PATIENCE;
    while !all_there(client) && Instant::now() < deadline {
        client.listen_until(STEP, all_there).await?;
    }
    Ok(())
}

//! The vectors of `stream.json`: streams, fed and stopped by the script of a case.

use std::time::Duration;

use gen_api::GenApi;
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, only_entry, only_keys, optional, read},
    client::Client,
    compare::{compare, compare_value},
    engine::{block_on, start},
    harness::{Harness, reason},
};

/// How long to wait for what must come; only a case that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to go on listening for what must not come.
const SILENCE: Duration = Duration::from_millis(100);

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["configs", "disabled", "settings"])?;
    only_keys(
        &case.when,
        &["requests", "script", "wait_ms", "outer_timeout_ms"],
    )?;
    let known = [
        "replies",
        "responses",
        "responses_by_request",
        "ended",
        "may_end_with_error",
        "stop_results",
        "calls",
        "hooks",
        "max_parallel",
    ];
    only_keys(&case.expect, &known)?;
    block_on(stream(case))
}

async fn stream(case: &Case) -> Result<(), String> {
    let requests: Vec<Map<_, _>> = field(&case.when, "requests")?;
    let script: Vec<Value> = optional(&case.when, "script")?.unwrap_or_default();
    let wait: Option<u64> = optional(&case.when, "wait_ms")?;
    let outer_timeout: Option<u64> = optional(&case.when, "outer_timeout_ms")?;

    let harness = Harness::default();
    let api = start(&case.given, &harness).await?;
    let mut client = Client::new(api.clone(), outer_timeout.map(Duration::from_millis));
    client.send_all(&requests).await?;
    let mut play = Play {
        api: api.clone(),
        harness: harness.clone(),
        client,
        stop_results: Vec::new(),
    };
    play.wait_until_open().await?;
    for event in &script {
        play.event(event, None).await?;
    }
    let Play {
        mut client,
        stop_results,
        ..
    } = play;
    client
        .listen(Duration::from_millis(wait.unwrap_or(0)))
        .await?;
    listen_for_the_rest(&mut client, case).await?;
    let ended = client.all_ended() && api.open_streams() == 0;
    let seen = json!({
        "replies": client.replies,
        "ended": ended,
        "stop_results": stop_results,
        "calls": harness.calls(),
        "hooks": harness.hooks(),
        "max_parallel": harness.max_parallel(),
    });
    api.stop().await;
    compare_responses(case, &client)?;
    let mut others = case.expect.clone();
    others.retain(|key, _| seen.get(key).is_some());
    compare(&others, &seen)
}

/// A script being played.
struct Play {
    api: GenApi,
    harness: Harness,
    client: Client,
    stop_results: Vec<Value>,
}

impl Play {
    /// A stream is open once its function's answer, the first chunk, is there; one that failed has ended instead.
    async fn wait_until_open(&mut self) -> Result<(), String> {
        let open = |client: &Client| {
            let mut opened = client.opened.iter();
            opened.all(|id| client.has_ended(id) || !client.responses_to(id).is_empty())
        };
        if self.client.listen_until(PATIENCE, open).await? {
            Ok(())
        } else {
            Err("a stream was acknowledged, but neither opened nor ended".to_owned())
        }
    }

    /// Plays an event for the stream of `to`, which is the first one where the script names none.
    async fn event(&mut self, event: &Value, to: Option<&str>) -> Result<(), String> {
        let (kind, value) = match event {
            Value::String(kind) => (kind.as_str(), &Value::Null),
            Value::Object(event) if to.is_none() && event.contains_key("to") => {
                only_keys(event, &["to", "event"])?;
                let to: String = field(event, "to")?;
                let event: Value = field(event, "event")?;
                return Box::pin(self.event(&event, Some(&to))).await;
            }
            Value::Object(event) => only_entry(event)?,
            _ => return Err(format!("unknown event {event}")),
        };
        match (kind, event.is_object()) {
            ("wait_ms", true) => {
                let wait = Duration::from_millis(read(value)?);
                return self.client.listen(wait).await;
            }
            ("stop", true) => {
                let stopped = self.api.stop_stream(&read::<String>(value)?);
                self.stop_results.push(match stopped {
                    Ok(()) => "ok".into(),
                    Err(_) => "not_found".into(),
                });
                return Ok(());
            }
            // A stream handle is typed: there is no message that its stream does not understand.
            ("unknown", false) => return Ok(()),
            ("complete", false) | ("result" | "last_result" | "error", true) => {}
            _ => return Err(format!("unknown event {event}")),
        }
        let first = self.client.opened.first().cloned();
        let to = to.map(str::to_owned).or(first).unwrap_or_default();
        // A stream that never opened has nobody who could feed it.
        let Some(stream) = self.harness.stream(&to) else {
            return Ok(());
        };
        // What comes after the end is refused, and the case says what its client must see.
        let _ = match kind {
            "complete" => stream.complete().await,
            "last_result" => stream.send_last_result(value).await,
            "error" => stream.fail(reason(value)).await,
            _ => stream.send_result(value).await,
        };
        Ok(())
    }
}

/// Receives what is expected, and then for a while what is not.
async fn listen_for_the_rest(client: &mut Client, case: &Case) -> Result<(), String> {
    let ends: bool = optional(&case.expect, "ended")?.unwrap_or(false);
    let responses: Vec<Value> = optional(&case.expect, "responses")?.unwrap_or_default();
    let by_request: Map<String, Value> =
        optional(&case.expect, "responses_by_request")?.unwrap_or_default();
    let count = |expected: &Value| expected.as_array().map_or(0, Vec::len);
    let all_there = |client: &Client| {
        client.messages.len() >= responses.len()
            && by_request
                .iter()
                .all(|(id, expected)| client.responses_to(id).len() >= count(expected))
            && (client.all_ended() || !ends)
    };
    client.listen_until(PATIENCE, all_there).await?;
    client
        .listen_until(SILENCE, Client::all_ended)
        .await
        .map(|_| ())
}

fn compare_responses(case: &Case, client: &Client) -> Result<(), String> {
    let may_end_with_error: bool = optional(&case.expect, "may_end_with_error")?.unwrap_or(false);
    if let Some(expected) = case.expect.get("responses") {
        compare_list("responses", expected, &client.messages, may_end_with_error)?;
    }
    let by_request: Map<String, Value> =
        optional(&case.expect, "responses_by_request")?.unwrap_or_default();
    by_request.iter().try_for_each(|(id, expected)| {
        let name = format!("responses_by_request.{id}");
        compare_list(&name, expected, client.responses_to(id), may_end_with_error)
    })
}

/// Compares lists of responses; one further error at the end is left aside where the case allows it.
fn compare_list(
    name: &str,
    expected: &Value,
    seen: &[Value],
    may_end_with_error: bool,
) -> Result<(), String> {
    let seen = match seen {
        [first @ .., last]
            if may_end_with_error
                && Some(first.len()) == expected.as_array().map(Vec::len)
                && last["success"] == false =>
        {
            first
        }
        all => all,
    };
    compare_value(name, expected, &seen.into())
}

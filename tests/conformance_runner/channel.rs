//! The channel cases of `execute.json`: one request of a session, its push and its reply.

use gen_api::channel::{ChannelSettings, RequestAnswer, RequestEvent, Session};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, json, only_keys, optional},
    compare::compare,
    engine::{block_on, start},
    harness::Harness,
};

/// The options that cases give to an endpoint.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    override_user_id: Option<bool>,
    require_verified_user_id: Option<bool>,
}

/// What comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelIn {
    assigns: Assigns,
    payload: Value,
}

/// What a case says of the verified session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assigns {
    user_id: Option<String>,
    user_roles: Option<Vec<String>>,
}

pub(super) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["configs", "disabled", "settings", "channel"])?;
    only_keys(&case.when, &["channel_in"])?;
    only_keys(&case.expect, &["reply", "push", "calls", "hooks"])?;
    block_on(execute(case))
}

async fn execute(case: &Case) -> Result<(), String> {
    let options: Options = optional(&case.given, "channel")?.unwrap_or_default();
    let ChannelIn { assigns, payload } = field(&case.when, "channel_in")?;
    let mut settings = ChannelSettings::default();
    if let Some(override_user_id) = options.override_user_id {
        settings.override_user_id = override_user_id;
    }
    if let Some(require) = options.require_verified_user_id {
        settings.require_verified_user_id = require;
    }

    let harness = Harness::default();
    let api = start(&case.given, &harness).await?;
    let requests = RequestEvent::new(&api, &settings);
    let (payload, session) = (payload.to_string(), session(assigns));
    let answer = requests.answer(payload.as_bytes(), &session, None).await;
    let seen = seen(answer, &harness)?;
    api.stop().await;
    compare(&case.expect, &seen)
}

fn session(assigns: Assigns) -> Session {
    let session = assigns
        .user_id
        .map_or_else(Session::anonymous, Session::user);
    session.with_roles(assigns.user_roles.unwrap_or_default())
}

fn seen(answer: RequestAnswer, harness: &Harness) -> Result<Value, String> {
    let mut seen = Map::new();
    let (status, text) = match answer.reply {
        Ok(request_type) => ("ok", request_type),
        Err(reason) => ("error", reason),
    };
    seen.insert("reply".to_owned(), json!({ status: text }));
    seen.insert("push".to_owned(), json(answer.push)?);
    seen.insert("calls".to_owned(), json!(harness.calls()));
    seen.insert("hooks".to_owned(), json!(harness.hooks()));
    Ok(seen.into())
}

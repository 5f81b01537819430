//! The vectors of `permission.json`: who may call.

use gen_api::{
    model::{FunConfig, Request},
    permission,
};
use serde_json::{Map, Value, json};

use super::{
    case::{Case, field, only_keys, request},
    compare::compare,
    engine::{block_on, start},
    harness::Harness,
};

pub(crate) fn judge(case: &Case) -> Result<(), String> {
    only_keys(&case.given, &["config"])?;
    only_keys(&case.when, &["request"])?;
    only_keys(&case.expect, &["allowed"])?;
    let given: Map<String, Value> = field(&case.given, "config")?;
    let request = request(&case.when["request"])?;
    let config = FunConfig::from_value(Value::Object(given.clone()));
    let config = config.map_err(|error| error.to_string())?;
    let allowed = match config.permission_callback {
        None => permission::check(&config.check_permission, &request, &config.arg_orders),
        Some(_) => block_on(ask_engine(given, request))?,
    };
    compare(&case.expect, &json!({ "allowed": allowed }))
}

/// A callback is called on the way of a request through an engine.
///
/// The config is used without validation, which an engine does not do. So only what has a part in the permission is taken
/// from it; the function is one that takes anything.
async fn ask_engine(mut config: Map<String, Value>, request: Request) -> Result<bool, String> {
    let judged = [
        "service",
        "request_type",
        "check_permission",
        "permission_callback",
        "hook_timeout",
    ];
    config.retain(|name, _| judged.contains(&name.as_str()));
    config.insert("version".into(), json!(request.version));
    config.insert("nodes".into(), "local".into());
    config.insert("mfa".into(), json!(["T", "collect", []]));
    let given = json!({ "configs": [config] });
    let given = given.as_object().ok_or("no object")?;
    let api = start(given, &Harness::default()).await?;
    let response = api.execute(request).await.response;
    api.stop().await;
    let response = response.ok_or("the engine did not answer")?;
    match response.error.as_deref() {
        None => Ok(true),
        Some("Permission denied") => Ok(false),
        Some(error) => Err(format!(
            "the engine did not come to the permission: {error}"
        )),
    }
}

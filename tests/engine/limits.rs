//! Rate limits by arguments, where the engine knows how they are declared (specification, section 6).

use gen_api::{
    GenApi, Settings, StartApiError,
    arguments::{ArgDeclaration, ArgType},
    function::{FunctionError, Functions},
    model::{FunConfig, FunConfigBuilder},
    rate_limiter::{ApiLimit, LimitKey, RateLimit, RateLimitConfig, RateLimitUpdate},
};
use serde_json::{Map, Value, json};

use crate::fixture::{config, request};

async fn take(_args: Map<String, Value>) -> Result<(), FunctionError> {
    Ok(())
}

fn by(key: &str) -> RateLimit {
    RateLimit::new(LimitKey::from(key), 1, 60_000)
}

fn on_op(key: &str) -> RateLimitUpdate {
    let mut update = RateLimitUpdate::new();
    update.api_limits = Some(vec![ApiLimit::new("svc", "op", by(key))]);
    update
}

/// An optional argument of each kind.
fn op() -> FunConfigBuilder {
    let types = [
        ("id", ArgType::Num),
        ("count", ArgType::Integer),
        ("flag", ArgType::Boolean),
        ("room", ArgType::String),
        ("at", ArgType::Datetime),
        ("any", ArgType::Any),
        ("tags", ArgType::ListString),
        ("shape", ArgType::Map),
    ];
    types
        .into_iter()
        .fold(config("op", "take").map_args(), |config, (name, of)| {
            config.arg(name, ArgDeclaration::new(of).allow_nil())
        })
}

/// An engine with `op`, and `free`, which declares nothing.
async fn start(limits: RateLimitConfig) -> Result<GenApi, StartApiError> {
    let configs: [FunConfig; 2] =
        [op(), config("free", "take")].map(|config| config.build().expect("a valid config"));
    GenApi::builder()
        .functions(Functions::new().register("T", "take", take))
        .configs(configs)
        .settings(
            Settings::default()
                .with_threads(1)
                .with_rate_limiter(limits),
        )
        .start()
        .await
}

/// Whether a request with this argument meets a limit.
async fn is_limited(api: &GenApi, request_type: &str, name: &str, value: &Value) -> bool {
    let request = request("r", request_type).with_arg(name, value.clone());
    let response = api.execute(request).await.response.expect("a sync call");
    let error = response.error.unwrap_or_default();
    error.starts_with("Rate limit exceeded")
}

#[tokio::test]
async fn of_fifty_requests_with_one_number_a_limit_of_one_lets_one_pass() {
    let api = start(RateLimitConfig::default()).await.expect("it starts");
    for (name, value) in [
        ("id", json!(7)),
        ("count", json!(7)),
        ("flag", json!(true)),
        ("room", json!("lobby")),
        ("at", json!("2026-01-01T00:00:00Z")),
        ("any", json!(-1.5)),
    ] {
        api.rate_limiter()
            .update_config(on_op(name))
            .expect("a limit");
        let mut passed = 0;
        for _ in 0..50 {
            passed += usize::from(!is_limited(&api, "op", name, &value).await);
        }
        assert_eq!(passed, 1, "{name} {value}");
    }
    api.stop().await;
}

#[tokio::test]
async fn what_a_config_does_not_declare_counts_as_a_text_only() {
    let api = start(RateLimitConfig::default()).await.expect("it starts");
    api.rate_limiter()
        .add_global_limit(by("id"))
        .expect("a limit");
    for _ in 0..3 {
        assert!(!is_limited(&api, "free", "id", &json!(7)).await);
        assert!(!is_limited(&api, "free", "id", &json!(["7"])).await);
    }
    assert!(!is_limited(&api, "free", "id", &json!("7")).await);
    assert!(is_limited(&api, "free", "id", &json!("7")).await);
    // One history over all APIs, and the JSON text of the number is the same value.
    assert!(is_limited(&api, "op", "id", &json!(7)).await);
    api.stop().await;
}

const NO_VALUE: [(&str, &str); 3] = [
    (
        "tags",
        "must be an argument with a single value, but `tags` of svc/op is a list of strings",
    ),
    (
        "shape",
        "must be an argument with a single value, but `shape` of svc/op is a map",
    ),
    (
        "other",
        "must be an argument, but svc/op declares no `other`",
    ),
];

#[tokio::test]
async fn a_limit_by_an_argument_without_a_single_value_does_not_start() {
    for (key, reason) in NO_VALUE {
        let mut limits = RateLimitConfig::default();
        limits.api_limits = on_op(key).api_limits.unwrap_or_default();
        let error = start(limits).await.expect_err("no limit");
        let text = format!("a rate limit is not valid: api_limits[0].key {reason}");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn a_limit_by_an_argument_without_a_single_value_is_refused_at_runtime_too() {
    let api = start(RateLimitConfig::default()).await.expect("it starts");
    let limiter = api.rate_limiter();
    for (key, reason) in NO_VALUE {
        let error = limiter.update_config(on_op(key)).expect_err("no limit");
        assert_eq!(error.to_string(), format!("api_limits[0].key {reason}"));
        assert_eq!(limiter.config().api_limits, []);
    }
    // A config that comes later contradicts the limit: what it does not name can still be changed.
    limiter.update_config(on_op("id")).expect("a limit");
    let later = config("op", "take").arg("id", ArgType::List);
    let later = later.build().expect("a valid config");
    api.config_db().update(later).await.expect("it is stored");
    limiter
        .set_global_limits(vec![by("user_id")])
        .expect("limits");
    api.stop().await;
}

//! A whole engine in the state that a case gives.

use std::future::Future;

use gen_api::{
    GenApi, Settings, config::AddError, model::FunConfig, rate_limiter::RateLimitConfig,
    worker_pool::PoolSettings,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    case::{field, optional, read},
    harness::Harness,
};

/// Runs the future of a judge on this thread, with timers.
pub(crate) fn block_on<T>(judge: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(judge)
}

/// The settings that cases about requests and streams can give.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    detail_error: bool,
    global_limits: Option<Value>,
    api_limits: Option<Value>,
    async_pool_size: Option<usize>,
    stream_pool_size: Option<usize>,
    /// Of both pools.
    max_queue_size: Option<usize>,
}

/// Starts an engine with the configs and settings of `given`, and the functions of the harness.
pub(crate) async fn start(given: &Map<String, Value>, harness: &Harness) -> Result<GenApi, String> {
    let settings = settings(optional(given, "settings")?.unwrap_or_default())?;
    let builder = GenApi::builder().functions(harness.functions());
    let started = builder.settings(settings).start().await;
    let api = started.map_err(|error| error.to_string())?;
    for config in field::<Vec<Value>>(given, "configs")? {
        add(&api, config).await?;
    }
    let disabled: Vec<(String, String, Option<String>)> =
        optional(given, "disabled")?.unwrap_or_default();
    for (service, request_type, version) in disabled {
        let switched = api
            .config_db()
            .disable(&service, &request_type, version.as_deref())
            .await;
        switched.map_err(|error| format!("{service}/{request_type}: {error}"))?;
    }
    Ok(api)
}

/// Adds a config; one that the engine refuses as invalid is absent.
async fn add(api: &GenApi, config: Value) -> Result<(), String> {
    let Ok(config) = FunConfig::from_value(config) else {
        return Ok(());
    };
    match api.config_db().add(config).await {
        Ok(()) | Err(AddError::Invalid(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn settings(given: Given) -> Result<Settings, String> {
    let mut limits = Map::new();
    limits.extend(
        given
            .global_limits
            .map(|limits| ("global_limits".to_owned(), limits)),
    );
    limits.extend(
        given
            .api_limits
            .map(|limits| ("api_limits".to_owned(), limits)),
    );
    let limits: RateLimitConfig = read(&Value::Object(limits))?;
    let pool = |default: PoolSettings, places: Option<usize>| {
        let queue = given.max_queue_size.unwrap_or(default.queue);
        PoolSettings::new(places.unwrap_or(default.places), queue)
    };
    let async_pool = pool(PoolSettings::ASYNC, given.async_pool_size);
    let stream_pool = pool(PoolSettings::STREAM, given.stream_pool_size);
    Ok(Settings::default()
        .with_threads(1)
        .with_detail_error(given.detail_error)
        .with_rate_limiter(limits)
        .with_pools(async_pool, stream_pool))
}

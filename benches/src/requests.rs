//! The peers of a request: a stack of tower's middleware, and jsonrpsee's in-process call.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gen_api::model::{Request, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jsonrpsee::{RpcModule, core::RpcResult};
use serde_json::Value;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

/// What somebody composes by hand for the same promise: at most 1 000 requests at a time, each within 5 seconds, at the rate
/// of [`rate_limit`](crate::engines::rate_limit) for each user, only for the user that the argument names; then the echo.
///
/// It works on gen_api's own requests and responses, so both sides pay the same for making and dropping these.
#[must_use]
pub fn tower_stack() -> impl Service<Request, Response = Response, Error = BoxError> {
    let limiter = Arc::new(keyed_governor());
    let within_rate = move |request: Request| {
        let user = request.user_id.as_ref().ok_or("no user")?;
        limiter.check_key(user).map_err(|_| "too many requests")?;
        Ok::<_, BoxError>(request)
    };
    let owner_only = |request: Request| {
        let owner = request.args.get("owner").and_then(Value::as_str);
        if owner.is_some() && owner == request.user_id.as_deref() {
            Ok(request)
        } else {
            Err(BoxError::from("permission denied"))
        }
    };
    let echo = |mut request: Request| async move {
        match request.args.remove("owner") {
            Some(value) => Ok(Response::sync(request.request_id, value)),
            None => Err(BoxError::from("the argument is missing")),
        }
    };
    ServiceBuilder::new()
        .concurrency_limit(1_000)
        .timeout(Duration::from_secs(5))
        .filter(within_rate)
        .filter(owner_only)
        .service(service_fn(echo))
}

/// governor with the keys and the rate of [`rate_limit`](crate::engines::rate_limit).
///
/// # Panics
///
/// Never: the numbers are valid.
#[must_use]
pub fn keyed_governor() -> DefaultKeyedRateLimiter<String> {
    let limit = crate::engines::rate_limit();
    let burst = NonZeroU32::new(limit.max_requests).expect("not zero");
    let period = Duration::from_millis(limit.window_ms) / limit.max_requests;
    let quota = Quota::with_period(period).expect("not zero");
    RateLimiter::keyed(quota.allow_burst(burst))
}

/// An RPC module with the method `echo`, which returns its one string parameter; it checks and limits nothing else.
///
/// # Panics
///
/// Never: the one method has a name of its own.
#[must_use]
pub fn rpc_module() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module
        .register_async_method("echo", |params, _, _| async move {
            let (text,): (String,) = params.parse()?;
            RpcResult::Ok(text)
        })
        .expect("a new name");
    module
}

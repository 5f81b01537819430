//! Hooks: registered functions that see a request before it is worked on and a response before it goes out
//! (specification, section 10).
//!
//! A **before** hook gets the request and the config. It answers with the request, changed or not, or with both as a pair,
//! or with an error that ends the request. An **after** hook gets the request, the config and the response, and answers
//! with the response, changed or not. What says to which request a response belongs and whether others follow (`request_id`,
//! `async` and `has_more`) stays as it was; of the acknowledgement of a stream only the `result` changes. Predefined arguments of the config follow. Any other answer is ignored.
//!
//! ```
//! use gen_api::{function::{FunctionError, Functions}, model::{FunConfig, Request, Response}};
//!
//! async fn needs_quota(request: Request, _config: FunConfig) -> Result<Request, FunctionError> {
//!     match request.user_id {
//!         Some(_) => Ok(request),
//!         None => Err(FunctionError::failed("no quota for strangers")),
//!     }
//! }
//!
//! async fn sign(_: Request, _: FunConfig, mut response: Response) -> Result<Response, FunctionError> {
//!     response.result = serde_json::json!({"signed": response.result});
//!     Ok(response)
//! }
//!
//! let functions =
//!     Functions::new().register("Hooks", "quota", needs_quota).register("Hooks", "sign", sign);
//! let config = FunConfig::builder("svc", "op").call("Svc", "op").local()
//!     .before_execute(("Hooks", "quota"))
//!     .after_execute(("Hooks", "sign"))
//!     .build()?;
//! # Ok::<(), gen_api::model::InvalidConfig>(())
//! ```

mod watch;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use self::watch::HookWatch;
use crate::{
    call::{callback::Callbacks, local::CallError},
    clock::Clock,
    function::Outcome,
    model::{FunConfig, Mfa, Request, Response},
    telemetry::{HookCall, HookPhase, Telemetry},
};

/// Why a before hook ended a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HookRejection {
    /// It said no, for this reason.
    #[error("{0}")]
    Refused(String),
    /// It panicked, or does not exist.
    #[error("hook failed")]
    Failed,
    /// It took longer than the config's `hook_timeout`.
    #[error("hook timed out")]
    TimedOut,
}

/// Runs the hooks of configs.
pub(crate) struct Hooks {
    callbacks: Arc<Callbacks>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
}

impl Hooks {
    pub(crate) fn new(
        callbacks: Arc<Callbacks>,
        clock: Arc<dyn Clock>,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            callbacks,
            clock,
            telemetry,
        }
    }

    /// Runs the before hook; what it changed is changed in `request`, and a changed config is returned.
    pub(crate) async fn before(
        &self,
        hook: &Mfa,
        request: &mut Request,
        config: &FunConfig,
    ) -> Result<Option<FunConfig>, HookRejection> {
        let given = [json(request), json(config)];
        match self
            .call(HookPhase::Before, hook, request, config, given)
            .await
        {
            Ok(Outcome::Value(answer)) => Ok(judge_before(answer, request, config)),
            Ok(_) => Ok(None),
            Err(CallError::Failed(reason) | CallError::Public(reason)) => {
                Err(HookRejection::Refused(reason))
            }
            Err(error) => {
                tracing::warn!(
                    hook = crate::log_text::printed(hook),
                    error = crate::log_text::printed(&error),
                    "a before hook failed"
                );
                match error {
                    CallError::TimedOut(_) => Err(HookRejection::TimedOut),
                    _ => Err(HookRejection::Failed),
                }
            }
        }
    }

    /// Runs the after hook; where it fails or answers oddly, the response stays as it was.
    pub(crate) async fn after(
        &self,
        hook: &Mfa,
        request: &Request,
        config: &FunConfig,
        response: Response,
    ) -> Response {
        let given = [json(request), json(config), json(&response)];
        match self
            .call(HookPhase::After, hook, request, config, given)
            .await
        {
            Ok(Outcome::Value(answer)) => judge_after(answer, response),
            Ok(_) => response,
            Err(error) => {
                tracing::warn!(
                    hook = crate::log_text::printed(hook),
                    error = crate::log_text::printed(&error),
                    "an after hook failed"
                );
                response
            }
        }
    }

    async fn call(
        &self,
        phase: HookPhase,
        hook: &Mfa,
        request: &Request,
        config: &FunConfig,
        given: impl IntoIterator<Item = Value>,
    ) -> Result<Outcome, CallError> {
        let run = HookCall {
            phase,
            request: request.into(),
            module: &hook.module,
            function: &hook.function,
        };
        let watch = HookWatch::start(&self.telemetry, &*self.clock, run);
        let answer = self
            .callbacks
            .call(hook, given, config.hook_timeout())
            .await;
        watch.end(&answer);
        answer
    }
}

/// Takes over what a before hook answered; an odd answer changes nothing.
fn judge_before(answer: Value, request: &mut Request, config: &FunConfig) -> Option<FunConfig> {
    let (changed_request, changed_config) = match answer {
        Value::Array(pair) => {
            let [request, config] = <[Value; 2]>::try_from(pair).ok()?;
            (request, Some(config))
        }
        request => (request, None),
    };
    let mut changed_request = Request::from_value(changed_request).ok()?;
    let changed_config = match changed_config {
        Some(config) => Some(FunConfig::from_value(config).ok()?),
        None => None,
    };
    // What a door sets is never read from JSON, and the answer must find its way back under the same id.
    changed_request.ip_address = request.ip_address.take();
    changed_request.connection = request.connection.take();
    changed_request.request_id = std::mem::take(&mut request.request_id);
    *request = changed_request;
    changed_config.filter(|changed| changed != config)
}

/// Takes over what an after hook answered; an odd answer changes nothing.
fn judge_after(answer: Value, response: Response) -> Response {
    match serde_json::from_value::<Response>(answer) {
        // What follows an acknowledgement would contradict one that says failure.
        Ok(changed) if response.has_more => Response {
            result: changed.result,
            ..response
        },
        Ok(changed) => Response {
            request_id: response.request_id,
            is_async: response.is_async,
            has_more: response.has_more,
            ..changed
        },
        Err(_) => response,
    }
}

/// The engine's own data types always have a JSON form.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

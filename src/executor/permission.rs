//! Stage 3: may this caller call this function (SPEC section 5)? A permission callback wins over the config's mode.

use serde_json::Value;

use super::error::RequestError;
use crate::{
    call::callback::Callbacks,
    function::Outcome,
    model::{CheckPermission, FunConfig, Request},
    permission,
    telemetry::{ExecutorEvent, Family, Telemetry},
};

pub(super) async fn check(
    callbacks: &Callbacks,
    telemetry: &Telemetry,
    request: &Request,
    config: &FunConfig,
) -> Result<(), RequestError> {
    let allowed = match &config.permission_callback {
        None => permission::check(&config.check_permission, request, &config.arg_orders),
        Some(callback) => {
            let given = [serde_json::to_value(request).unwrap_or_default()];
            let answer = callbacks.call(callback, given, config.hook_timeout()).await;
            if let Err(error) = &answer {
                tracing::warn!(%callback, %error, "a permission callback failed, which denies");
            }
            matches!(answer, Ok(Outcome::Value(Value::Bool(true))))
        }
    };
    if allowed {
        return Ok(());
    }
    tracing::warn!(
        user_id = request.user_id.as_deref(),
        request_id = %request.request_id,
        service = %request.service,
        request_type = %request.request_type,
        mode = ?config.check_permission,
        callback = config.permission_callback.as_ref().map(tracing::field::display),
        "permission denied"
    );
    telemetry.emit(Family::Executor, || ExecutorEvent::PermissionDenied {
        request: request.into(),
        user_id: request.user_id.as_deref(),
        mode: mode(config),
    });
    Err(RequestError::PermissionDenied)
}

fn mode(config: &FunConfig) -> &'static str {
    if config.permission_callback.is_some() {
        return "callback";
    }
    match &config.check_permission {
        CheckPermission::Off => "off",
        CheckPermission::AnyAuthenticated => "any_authenticated",
        CheckPermission::Arg(_) => "arg",
        CheckPermission::Role(_) => "role",
    }
}

//! Stage 3: may this caller call this function (SPEC section 5)? A permission callback wins over the config's mode.

use serde_json::Value;

use crate::{
    admission::LineBudget,
    call::callback::Callbacks,
    function::Outcome,
    model::{CheckPermission, FunConfig, Mfa, Request},
    node::{Node, NodeClient},
    permission,
    request_error::RequestError,
    telemetry::{ExecutorEvent, Family, Telemetry},
};

/// Who answers permission callbacks.
pub(super) struct Judges<'a> {
    /// The registered functions of this process.
    pub(super) callbacks: &'a Callbacks,
    /// The way to the node that will run the call.
    pub(super) client: &'a dyn NodeClient,
    /// How many lines about denied requests are written: clients cause them.
    pub(super) lines: &'a LineBudget,
}

impl Judges<'_> {
    /// Anything but a clear yes denies.
    async fn ask(
        &self,
        callback: &Mfa,
        request: &Request,
        config: &FunConfig,
        node: &Node,
    ) -> bool {
        let timeout = config.hook_timeout();
        let answer = match node {
            Node::Local => {
                let given = [serde_json::to_value(request).unwrap_or_default()];
                let answer = self.callbacks.call(callback, given, timeout).await;
                answer
                    .map(|outcome| matches!(outcome, Outcome::Value(Value::Bool(true))))
                    .map_err(|error| error.to_string())
            }
            Node::Remote(address) => {
                let asked = self
                    .client
                    .check_permission(address, callback, request, timeout);
                asked.await.map_err(|error| error.to_string())
            }
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(
                callback = crate::log_text::printed(callback),
                error = crate::log_text::printed(&error),
                "a permission callback failed, which denies"
            );
            false
        })
    }
}

pub(super) async fn check(
    judges: Judges<'_>,
    telemetry: &Telemetry,
    request: &Request,
    config: &FunConfig,
    node: &Node,
) -> Result<(), RequestError> {
    let allowed = match &config.permission_callback {
        None => permission::check(&config.check_permission, request, &config.arg_orders),
        Some(callback) => Box::pin(judges.ask(callback, request, config, node)).await,
    };
    if allowed {
        return Ok(());
    }
    if let Some(left_out) = judges.lines.take() {
        tracing::warn!(
                left_out,
            user_id = request.user_id.as_deref().map(crate::log_text::cut),
            request_id = crate::log_text::cut(&request.request_id),
            service = crate::log_text::cut(&request.service),
            request_type = crate::log_text::cut(&request.request_type),
            mode = ?config.check_permission,
            callback = config.permission_callback.as_ref().map(crate::log_text::printed),
            "permission denied"
        );
    }
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

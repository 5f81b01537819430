//! Stage 3: may this caller call this function (specification, section 5)? A permission callback wins over the config's mode.
//!
//! The node that will run the call judges. One that certainly has not begun to judge is passed over, for the call as well.

use serde_json::Value;

use super::{
    candidates::{Reach, candidates},
    limit::Limit,
    remote::no_node,
    target::Target,
};
use crate::{
    admission::LineBudget,
    call::callback::Callbacks,
    clock::Clock,
    config::Route,
    function::Outcome,
    model::{CheckPermission, FunConfig, Mfa, Request},
    node::{Node, NodeClient, NodeOrder},
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
    pub(super) clock: &'a dyn Clock,
}

impl Judges<'_> {
    /// Anything but a clear yes denies.
    async fn ask(
        &self,
        callback: &Mfa,
        request: &Request,
        route: &Route,
        target: &mut Target,
    ) -> bool {
        let judged = match &*target {
            Target::Local => self.ask_here(callback, request, &route.config).await,
            Target::Nodes(chosen) => {
                let order = chosen.order.clone();
                match self.ask_nodes(callback, request, route, &order).await {
                    Ok((allowed, judge)) => {
                        target.prefer(judge);
                        Ok(allowed)
                    }
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        judged.unwrap_or_else(|error| {
            tracing::warn!(
                callback = crate::log_text::printed(callback),
                error = crate::log_text::printed(&error),
                "a permission callback failed, which denies"
            );
            false
        })
    }

    async fn ask_here(
        &self,
        callback: &Mfa,
        request: &Request,
        config: &FunConfig,
    ) -> Result<bool, String> {
        let given = [serde_json::to_value(request).unwrap_or_default()];
        let timeout = config.hook_timeout();
        let answer = self.callbacks.call(callback, given, timeout).await;
        answer
            .map(|outcome| matches!(outcome, Outcome::Value(Value::Bool(true))))
            .map_err(|error| error.to_string())
    }

    /// Also answers which node has judged.
    async fn ask_nodes<'o>(
        &self,
        callback: &Mfa,
        request: &Request,
        route: &Route,
        order: &'o NodeOrder,
    ) -> Result<(bool, &'o Node), RequestError> {
        let limit = Limit::once(route.config.hook_timeout(), self.clock);
        // To judge again is no retry, so only a node that has not begun is passed over.
        let reach = match Reach::of(route) {
            Reach::First => Reach::First,
            Reach::FallBack | Reach::UntilAnswered => Reach::FallBack,
        };
        let mut nodes = candidates(self.client, order, reach);
        let mut last = None;
        while let Some(node) = nodes.next(&limit).await
            && let Some(address) = node.address()
        {
            let timeout = limit.left().unwrap_or_default();
            let asked = (self.client).check_permission(address, callback, request, timeout);
            match limit.hold(asked).await {
                Err(error) if reach.goes_on(&error) && !limit.is_over() => last = Some(error),
                judged => return judged.map(|allowed| (allowed, node)),
            }
        }
        Err(last.unwrap_or_else(|| no_node(route)))
    }
}

pub(super) async fn check(
    judges: Judges<'_>,
    telemetry: &Telemetry,
    request: &Request,
    route: &Route,
    target: &mut Target,
) -> Result<(), RequestError> {
    let config = &route.config;
    let allowed = match &config.permission_callback {
        None => permission::check(&config.check_permission, request, &config.arg_orders),
        Some(callback) => Box::pin(judges.ask(callback, request, route, target)).await,
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

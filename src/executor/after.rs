//! Stage 7: the after hook, with what it is told about the request (SPEC section 10).

use std::sync::Arc;

use crate::{
    config::Route,
    hooks::Hooks,
    model::{Request, Response},
};

/// The after hook of one request; made while the request is still whole.
#[derive(Clone)]
pub(super) struct AfterHook {
    hooks: Arc<Hooks>,
    route: Arc<Route>,
    request: Request,
}

impl AfterHook {
    /// `None` where the config has no after hook, which costs nothing.
    pub(super) fn of(hooks: &Arc<Hooks>, route: &Arc<Route>, request: &Request) -> Option<Self> {
        route.config.after_execute.as_ref()?;
        Some(Self {
            hooks: Arc::clone(hooks),
            route: Arc::clone(route),
            request: request.clone(),
        })
    }

    pub(super) async fn apply(&self, response: Response) -> Response {
        let config = &self.route.config;
        match &config.after_execute {
            Some(hook) => {
                self.hooks
                    .after(hook, &self.request, config, response)
                    .await
            }
            None => response,
        }
    }
}

/// Applies a hook where there is one.
pub(super) async fn apply(hook: Option<&AfterHook>, response: Response) -> Response {
    match hook {
        Some(hook) => hook.apply(response).await,
        None => response,
    }
}

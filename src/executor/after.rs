//! Stage 7: the after hook, with what it is told about the request (specification, section 10).

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::{FutureExt, future};

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
    pub(super) fn of(
        hooks: &Arc<Hooks>,
        route: &Arc<Route>,
        request: &Request,
    ) -> Option<Box<Self>> {
        route.config.after_execute.as_ref()?;
        Some(Box::new(Self {
            hooks: Arc::clone(hooks),
            route: Arc::clone(route),
            request: request.clone(),
        }))
    }

    /// What the hook makes of the response; in a box, for few requests meet a hook.
    pub(super) fn apply(&self, response: Response) -> BoxFuture<'_, Response> {
        let config = &self.route.config;
        match &config.after_execute {
            Some(hook) => self
                .hooks
                .after(hook, &self.request, config, response)
                .boxed(),
            None => future::ready(response).boxed(),
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

//! Calling the functions that judge: hooks, permission callbacks, resolvers (specification, section 10).

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::runtime::Handle;

use super::local::{self, CallError};
use crate::{
    clock::Clock,
    function::{Call, Functions, Outcome, RequestInfo},
    model::Mfa,
    worker_pool::WorkerPool,
};

/// Calls registered functions on behalf of the engine.
pub(crate) struct Callbacks {
    functions: Arc<Functions>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// Where those that block get their threads, as all blocking functions do.
    blocking_pool: WorkerPool,
}

impl Callbacks {
    pub(crate) fn new(
        functions: Arc<Functions>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
        blocking_pool: WorkerPool,
    ) -> Self {
        Self {
            functions,
            clock,
            runtime,
            blocking_pool,
        }
    }

    /// Calls `callback` with what is given and then its predefined arguments.
    pub(crate) async fn call(
        &self,
        callback: &Mfa,
        given: impl IntoIterator<Item = Value>,
        timeout: Duration,
    ) -> Result<Outcome, CallError> {
        let Some(function) = self.functions.get(&callback.module, &callback.function) else {
            return Err(CallError::Arguments(format!(
                "{callback} is not registered"
            )));
        };
        let args = given
            .into_iter()
            .chain(callback.args.iter().cloned())
            .collect();
        let mut call = Call::new(args, RequestInfo::default(), self.runtime.clone());
        call.set_blocking_pool(self.blocking_pool.clone());
        local::call(&**function, call, Some(timeout), &self.clock).await
    }
}

//! What stands in where the embedder gave the engine no way to service nodes.

use std::time::Duration;

use serde_json::Value;

use super::{
    Address,
    client::{Invocation, NodeCallError, NodeClient, NodeFuture, NodeStream},
};
use crate::model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification};

/// A [`NodeClient`] that reaches no node: every call answers [`NodeCallError::Unreachable`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoTransport;

fn unreachable<'a, T: Send + 'a>() -> NodeFuture<'a, T> {
    let reason = "the engine was built without a transport to service nodes".to_owned();
    Box::pin(std::future::ready(Err(NodeCallError::Unreachable {
        reason,
    })))
}

impl NodeClient for NoTransport {
    fn invoke<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        unreachable()
    }

    fn invoke_stream<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        unreachable()
    }

    fn check_permission<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: &'a Request,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        unreachable()
    }

    fn get_config<'a>(&'a self, _: &'a Address, _: &'a Mfa, _: Duration) -> NodeFuture<'a, Value> {
        unreachable()
    }

    fn config_version<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        unreachable()
    }

    fn function_exists<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        unreachable()
    }

    fn push<'a>(
        &'a self,
        _: &'a Address,
        _: &'a PushConfig,
        _: PushOptions,
        _: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        unreachable()
    }

    fn verify<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        unreachable()
    }
}

//! Service nodes played from a script, for the tests of pulling.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification},
    node::{
        Address, NodeCallError, NodeClient,
        client::{Invocation, NodeFuture, NodeStream, RemoteFailure},
    },
};

/// What the nodes answer, and what they were asked. Clones share both. Nodes without a script are down.
#[derive(Clone, Default)]
pub(super) struct Script {
    state: Arc<Mutex<State>>,
    /// Wakes those who wait for a held node.
    released: Arc<Notify>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Remote>,
    /// Nodes that answer only when they are released.
    held: Vec<String>,
    calls: Vec<(String, String)>,
    checks: Vec<(String, String)>,
}

/// What one node answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remote {
    version: Option<Answer>,
    config: Option<Answer>,
    #[serde(default)]
    modules: BTreeMap<String, Module>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Returns(Value),
    ReturnsOther(Value),
    Fails(Value),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Module {
    Exists(bool),
    Check(Answer),
}

impl Script {
    /// Sets what a node answers from now on.
    pub(super) fn set(&self, node: &str, remote: Remote) {
        self.state.lock().nodes.insert(node.to_owned(), remote);
    }

    /// [`set`](Self::set) from JSON, as in the vectors.
    pub(super) fn set_json(&self, node: &str, remote: Value) {
        let remote = Remote::deserialize(remote).expect("a readable script");
        self.set(node, remote);
    }

    /// Lets a node answer no call until all nodes are [released](Self::release).
    pub(super) fn hold(&self, node: &str) {
        self.state.lock().held.push(node.to_owned());
    }

    pub(super) fn release(&self) {
        self.state.lock().held.clear();
        self.released.notify_waiters();
    }

    /// The calls for versions and lists since this was asked last: the node, and `version` or `config`.
    pub(super) fn take_calls(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().calls)
    }

    /// The functions that were asked for since this was asked last.
    pub(super) fn take_checks(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().checks)
    }

    async fn answer(
        &self,
        node: &Address,
        what: &str,
        pick: impl FnOnce(&Remote) -> Option<Answer>,
    ) -> Result<Value, NodeCallError> {
        let call = (node.as_str().to_owned(), what.to_owned());
        self.state.lock().calls.push(call);
        loop {
            let released = self.released.notified();
            if !self
                .state
                .lock()
                .held
                .iter()
                .any(|held| held == node.as_str())
            {
                break;
            }
            released.await;
        }
        let state = self.state.lock();
        let remote = state.nodes.get(node.as_str()).ok_or_else(down)?;
        play(pick(remote).ok_or_else(down)?)
    }
}

fn down() -> NodeCallError {
    NodeCallError::Unreachable {
        reason: "nobody listens".to_owned(),
    }
}

fn play(answer: Answer) -> Result<Value, NodeCallError> {
    match answer {
        Answer::Returns(value) => Ok(value),
        Answer::ReturnsOther(value) => Err(NodeCallError::Malformed {
            reason: value.to_string(),
        }),
        Answer::Fails(reason) if reason == "nodedown" => Err(down()),
        Answer::Fails(reason) => Err(NodeCallError::Failed(RemoteFailure::failed(
            reason.to_string(),
        ))),
    }
}

impl NodeClient for Script {
    fn invoke<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        unreachable!("a puller calls no functions")
    }

    fn invoke_stream<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        unreachable!("a puller opens no streams")
    }

    fn check_permission<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: &'a Request,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        unreachable!("a puller checks no permissions")
    }

    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(self.answer(node, "config", |remote| remote.config.clone()))
    }

    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(self.answer(node, "version", |remote| remote.version.clone()))
    }

    fn function_exists<'a>(
        &'a self,
        node: &'a Address,
        module: &'a str,
        function: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.state.lock();
            state.checks.push((module.to_owned(), function.to_owned()));
            let remote = state.nodes.get(node.as_str()).ok_or_else(down)?;
            match remote.modules.get(module) {
                None => Ok(true),
                Some(Module::Exists(exists)) => Ok(*exists),
                Some(Module::Check(answer)) => Ok(play(answer.clone())? == Value::Bool(true)),
            }
        })
    }

    fn push<'a>(
        &'a self,
        _: &'a Address,
        _: &'a PushConfig,
        _: PushOptions,
        _: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        unreachable!("a puller pushes nothing")
    }

    fn verify<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        unreachable!("a puller verifies nothing")
    }
}

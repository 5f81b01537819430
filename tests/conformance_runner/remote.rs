//! Service nodes that answer what a case gives, as a transport of an engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_api::{
    model::{Mfa, PushConfig, PushOptions, PushOutcome, Request, Verification},
    node::{
        Address, NodeCallError, NodeClient,
        client::{Invocation, NodeFuture, NodeStream, RemoteFailure},
    },
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

/// What the nodes answer, and what they were asked. Clones share both. Nodes that are not given are down.
#[derive(Clone, Default)]
pub(crate) struct Remotes {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Remote>,
    calls: Vec<(String, &'static str)>,
}

/// What one node answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remote {
    version: Option<Answer>,
    config: Option<Answer>,
    #[serde(default)]
    modules: BTreeMap<String, Module>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Returns(Value),
    /// An answer of a shape that the transport cannot understand.
    ReturnsOther(Value),
    Fails(Value),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Module {
    Exists(bool),
    Check(Answer),
}

impl Answer {
    fn play(self) -> Result<Value, NodeCallError> {
        match self {
            Self::Returns(value) => Ok(value),
            Self::ReturnsOther(value) => Err(NodeCallError::Malformed {
                reason: value.to_string(),
            }),
            Self::Fails(reason) if reason == "nodedown" => Err(down()),
            Self::Fails(reason) => {
                let failure = RemoteFailure::failed(reason.to_string());
                Err(NodeCallError::Failed(failure))
            }
        }
    }
}

fn down() -> NodeCallError {
    NodeCallError::Unreachable {
        reason: "nobody listens".to_owned(),
    }
}

impl Remotes {
    /// Sets what a node answers from now on.
    pub(crate) fn set(&self, node: String, remote: Remote) {
        self.state.lock().nodes.insert(node, remote);
    }

    /// The calls for versions and lists since this was asked last.
    pub(crate) fn take_calls(&self) -> Vec<(String, &'static str)> {
        std::mem::take(&mut self.state.lock().calls)
    }

    fn answer(
        &self,
        node: &Address,
        what: &'static str,
        pick: impl FnOnce(&Remote) -> Option<Answer>,
    ) -> Result<Value, NodeCallError> {
        let mut state = self.state.lock();
        state.calls.push((node.to_string(), what));
        let remote = state.nodes.get(node.as_str()).ok_or_else(down)?;
        pick(remote).ok_or_else(down)?.play()
    }
}

/// No case calls a function of these nodes, or pushes to them.
fn not_given<'a, T: Send + 'a>() -> NodeFuture<'a, T> {
    Box::pin(async { Err(down()) })
}

impl NodeClient for Remotes {
    fn get_config<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async { self.answer(node, "config", |remote| remote.config.clone()) })
    }

    fn config_version<'a>(
        &'a self,
        node: &'a Address,
        _: &'a Mfa,
        _: Duration,
    ) -> NodeFuture<'a, Value> {
        Box::pin(async { self.answer(node, "version", |remote| remote.version.clone()) })
    }

    fn function_exists<'a>(
        &'a self,
        node: &'a Address,
        module: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        Box::pin(async move {
            let state = self.state.lock();
            let remote = state.nodes.get(node.as_str()).ok_or_else(down)?;
            match remote.modules.get(module) {
                None => Ok(true),
                Some(Module::Exists(exists)) => Ok(*exists),
                Some(Module::Check(answer)) => Ok(answer.clone().play()? == true),
            }
        })
    }

    fn invoke<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, Value> {
        not_given()
    }

    fn invoke_stream<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Invocation,
        _: Option<Duration>,
    ) -> NodeFuture<'a, NodeStream> {
        not_given()
    }

    fn check_permission<'a>(
        &'a self,
        _: &'a Address,
        _: &'a Mfa,
        _: &'a Request,
        _: Duration,
    ) -> NodeFuture<'a, bool> {
        not_given()
    }

    fn push<'a>(
        &'a self,
        _: &'a Address,
        _: &'a PushConfig,
        _: PushOptions,
        _: Duration,
    ) -> NodeFuture<'a, PushOutcome> {
        not_given()
    }

    fn verify<'a>(
        &'a self,
        _: &'a Address,
        _: &'a str,
        _: &'a str,
        _: Duration,
    ) -> NodeFuture<'a, Verification> {
        not_given()
    }
}

//! How the functions of one service are fetched and judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::state::{FetchedVersion, Task};
use crate::{
    clock::{Clock, within},
    config::{
        ConfigTable, FailedConfigs, FailedSource,
        adopt::adopt,
        failed::{Refused, reasons},
    },
    model::{FunConfig, Mfa, ServiceConfig},
    node::{Address, Node, NodeCallError, NodeClient, NodeResolver, client::NodeFuture},
};

/// How many functions of a list a node is asked about at a time.
const CHECKS_AT_A_TIME: usize = 16;

/// How many functions of a list are read before others get their turn.
const READ_AT_A_TIME: usize = 64;

/// What a fetch needs.
pub(super) struct Fetcher {
    pub(super) client: Arc<dyn NodeClient>,
    pub(super) resolver: NodeResolver,
    pub(super) table: Arc<ConfigTable>,
    pub(super) failed: FailedConfigs,
    pub(super) clock: Arc<dyn Clock>,
    /// For each call of a node.
    pub(super) timeout: Duration,
}

/// What came of asking a service.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Its version is the known one.
    Unchanged,
    /// Its list.
    List(List),
    /// No node answered one.
    Failed(String),
}

/// The functions of a service, judged.
#[derive(Debug)]
pub(super) struct List {
    /// Those that may be stored.
    pub(super) functions: Vec<FunConfig>,
    pub(super) refused: usize,
    /// Request type and effective version of all that the list names, refused ones included.
    pub(super) named: BTreeSet<(String, Option<String>)>,
    pub(super) version: FetchedVersion,
}

impl Fetcher {
    /// Asks the service's nodes, each in its turn: first for the version, where that can be asked, and for the list
    /// unless the version is the known one.
    pub(super) async fn fetch(&self, task: &Task) -> Fetched {
        let service = &*task.config;
        let nodes = match self.nodes(service).await {
            Ok(nodes) => nodes,
            Err(reason) => return Fetched::Failed(reason),
        };
        let version = match service.version_check() {
            Some(check) => self.version(service, &nodes, &check).await,
            None => None,
        };
        if version.is_some() && version == task.version {
            return Fetched::Unchanged;
        }
        match self.list(service, &nodes).await {
            Ok((node, items)) => Fetched::List(self.judge(service, &node, items, version).await),
            Err(reason) => Fetched::Failed(reason),
        }
    }

    async fn nodes(&self, service: &ServiceConfig) -> Result<Vec<Address>, String> {
        let nodes = self.resolver.nodes(&service.service, &service.nodes).await;
        let nodes = nodes.map_err(|error| error.to_string())?.into_iter();
        let addresses = nodes.filter_map(|node| match node {
            Node::Remote(address) => Some(address),
            Node::Local => None,
        });
        let addresses: Vec<Address> = addresses.collect();
        if addresses.is_empty() {
            return Err("a service that is pulled needs the addresses of its nodes".to_owned());
        }
        Ok(addresses)
    }

    /// The version that the first node to answer tells; a null is none.
    async fn version(
        &self,
        service: &ServiceConfig,
        nodes: &[Address],
        check: &Mfa,
    ) -> Option<Value> {
        for node in nodes {
            let asked = self.client.config_version(node, check, self.timeout);
            match self.answer(asked).await {
                Ok(Value::Null) => {}
                Ok(version) => return Some(version),
                Err(error) => {
                    let (service, node) = (
                        crate::log_text::cut(&service.service),
                        crate::log_text::cut(node.as_str()),
                    );
                    tracing::warn!(
                        service,
                        node,
                        error = crate::log_text::printed(&error),
                        "a version check failed"
                    );
                }
            }
        }
        None
    }

    /// The list of the first node that answers one.
    async fn list(
        &self,
        service: &ServiceConfig,
        nodes: &[Address],
    ) -> Result<(Address, Vec<Value>), String> {
        let function = service.configs();
        let mut reasons = Vec::with_capacity(nodes.len());
        for node in nodes {
            let asked = self.client.get_config(node, &function, self.timeout);
            let reason = match self.answer(asked).await {
                Ok(Value::Array(items)) => return Ok((node.clone(), items)),
                Ok(_) => format!("{function} answered no list"),
                Err(error) => crate::log_text::printed(error),
            };
            let (shown, at) = (
                crate::log_text::cut(&service.service),
                crate::log_text::cut(node.as_str()),
            );
            tracing::warn!(
                service = shown,
                node = at,
                reason = crate::log_text::cut(&reason),
                "a pull of a node failed"
            );
            reasons.push(format!("{node}: {reason}"));
        }
        Err(reasons.join("; "))
    }

    /// What of a list may be stored. All that may not gets its note.
    async fn judge(
        &self,
        service: &ServiceConfig,
        node: &Address,
        items: Vec<Value>,
        version: Option<Value>,
    ) -> List {
        let mut list = List {
            functions: Vec::new(),
            refused: 0,
            named: BTreeSet::new(),
            version: version.map_or(FetchedVersion::Unknown, FetchedVersion::Known),
        };
        let mut valid = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            if index % READ_AT_A_TIME == READ_AT_A_TIME - 1 {
                // The connections of all nodes live on this thread: held up by a long list, they would seem dead.
                tokio::task::yield_now().await;
            }
            let item = of_service(item, &service.service, node);
            list.named.extend(name(&item));
            match self.read(&item, service) {
                Ok(config) => valid.push((item, config)),
                Err(reasons) => {
                    list.refused += 1;
                    self.refuse(&item, node, reasons);
                }
            }
        }
        let exists = self
            .exist(node, valid.iter().map(|(_, config)| &config.mfa))
            .await;
        for (item, config) in valid {
            let Mfa {
                module, function, ..
            } = &config.mfa;
            let reason = match exists.get(&(module.clone(), function.clone())) {
                Some(Ok(true)) => {
                    list.functions.push(config);
                    continue;
                }
                Some(Ok(false)) => format!("the node has no function {}", config.mfa),
                Some(Err(error)) => {
                    list.version = FetchedVersion::Undecided;
                    format!("the node could not be asked for {}: {error}", config.mfa)
                }
                None => continue,
            };
            list.refused += 1;
            self.refuse(&item, node, vec![reason]);
        }
        list
    }

    fn read(&self, item: &Value, service: &ServiceConfig) -> Result<FunConfig, Vec<String>> {
        let config = FunConfig::from_value(item.clone());
        let config = config.map_err(|error| reasons(&error.into()))?;
        let config = adopt(config, &service.nodes);
        let checked = self.table.check_foreign(&config, &service.nodes);
        checked.map_err(|error| reasons(&error))?;
        Ok(config)
    }

    /// Asks the node which of these functions it has; each function is asked for once.
    async fn exist<'a>(
        &self,
        node: &Address,
        functions: impl Iterator<Item = &'a Mfa>,
    ) -> BTreeMap<(String, String), Result<bool, NodeCallError>> {
        let functions = functions.map(|mfa| (mfa.module.clone(), mfa.function.clone()));
        let functions: BTreeSet<(String, String)> = functions.collect();
        let check = |name: (String, String)| async move {
            let asked = self
                .client
                .function_exists(node, &name.0, &name.1, self.timeout);
            let exists = self.answer(asked).await;
            (name, exists)
        };
        stream::iter(functions)
            .map(check)
            .buffer_unordered(CHECKS_AT_A_TIME)
            .collect()
            .await
    }

    /// Waits for a node no longer than it may take, whatever its transport does.
    async fn answer<T>(&self, asked: NodeFuture<'_, T>) -> Result<T, NodeCallError> {
        let after = self.timeout;
        let answer = within(&*self.clock, after, asked).await;
        answer.unwrap_or(Err(NodeCallError::TimedOut { after }))
    }

    fn refuse(&self, item: &Value, node: &Address, reasons: Vec<String>) {
        self.failed.note(Refused {
            node: Some(node),
            ..Refused::of_json(item, FailedSource::Pull, reasons)
        });
    }
}

/// The item with the name of the service it was pulled for.
fn of_service(mut item: Value, service: &str, node: &Address) -> Value {
    if let Value::Object(fields) = &mut item {
        let named = fields.insert("service".to_owned(), service.into());
        if named.as_ref().and_then(Value::as_str) != Some(service) {
            let request_type = fields.get("request_type").and_then(Value::as_str);
            let (service, node) = (
                crate::log_text::cut(service),
                crate::log_text::cut(node.as_str()),
            );
            tracing::warn!(
                service,
                node,
                request_type = request_type.map(crate::log_text::cut),
                "corrected the service of a function"
            );
        }
    }
    item
}

/// The request type and effective version that an item names.
fn name(item: &Value) -> Option<(String, Option<String>)> {
    let request_type = item.get("request_type")?.as_str()?;
    let version = item.get("version").and_then(Value::as_str);
    let version = crate::model::version::effective(version);
    Some((request_type.to_owned(), version.map(str::to_owned)))
}

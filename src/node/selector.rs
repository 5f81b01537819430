//! The choice of the node for a request.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use actix_otp::catch_panic;
use papaya::HashMap;
use rand::RngExt;

use super::{
    Node, NodeError, NodeOrder, NodeResolver, SelectNode, Selection, key,
    list::{NodeList, NodeLists},
    order::Rest,
    resolver::Judged,
    state::{ConfigKey, ConfigKeyRef, ConfigState, Found},
    sticky::{MAX_STICKY_ENTRIES, StickyTable},
};
use crate::model::{ChooseNodeMode, FunConfig, Mfa, Nodes, Request};

/// Chooses the node for a request, as the config's `choose_node_mode` says (specification, section 8). Clones share everything.
///
/// | mode | the first node | the fallback |
/// |---|---|---|
/// | `random` | any | the others in any order |
/// | `hash` | the owner of the request id on a consistent hash ring | the others as they are listed |
/// | `{"hash": key}` | the owner of the argument's value, else of the request field's; where there is neither, as `random` | as `hash` |
/// | `round_robin` | the next in turn; each config has one counter, for `pick` and `order` together | the list goes on, and round |
/// | `{"sticky": key}` | any, then the same for the same value and service for an hour, while it is listed; without a value, as `random` | the others as they are listed |
/// | `{"custom": name}` | what the [registered selector](Self::register) chose | what it chose, else the others as they are listed |
///
/// What is no text counts as its JSON text, and a null as no value. An address that is listed again counts once.
/// Nobody is asked and nothing is allocated for a function of this process.
///
/// ```
/// use std::sync::Arc;
/// use gen_api::{
///     clock::ManualClock,
///     model::{ChooseNodeMode, FunConfig, Mfa, Request},
///     node::{NodeResolver, NodeSelector, NodeSettings},
/// };
/// use serde_json::Value;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let nobody = |_: Mfa| async { Err::<Value, _>("there is no such function") };
/// let resolver = NodeResolver::new(nobody, Arc::new(ManualClock::new()), NodeSettings::default());
/// let selector = NodeSelector::new(resolver);
///
/// let config = FunConfig::builder("UserService", "get_user")
///     .call("Users", "get")
///     .nodes(["http://a:9000", "http://b:9000"])
///     .choose_node_mode(ChooseNodeMode::RoundRobin)
///     .build()?;
/// let request = Request::new("r-1", "UserService", "get_user");
///
/// assert_eq!(selector.pick(&request, &config).await?.to_string(), "http://a:9000");
/// let order = selector.order(&request, &config).await?;
/// assert_eq!(order.first().to_string(), "http://b:9000");
/// assert_eq!(order.fallback().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).expect("it never waits").unwrap();
/// # Ok::<(), gen_api::model::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct NodeSelector {
    shared: Arc<Shared>,
}

struct Shared {
    resolver: NodeResolver,
    custom: HashMap<String, Arc<dyn SelectNode>>,
    lists: NodeLists,
    configs: HashMap<ConfigKey, Arc<ConfigState>>,
    sticky: StickyTable,
}

impl NodeSelector {
    /// A selector without custom modes; time is that of the resolver's clock.
    #[must_use]
    pub fn new(resolver: NodeResolver) -> Self {
        Self {
            shared: Arc::new(Shared {
                resolver,
                custom: HashMap::new(),
                lists: NodeLists::default(),
                configs: HashMap::new(),
                sticky: StickyTable::new(MAX_STICKY_ENTRIES),
            }),
        }
    }

    /// Lets configs with the mode `{"custom": name}` choose by this selector. One of the same name is replaced.
    pub fn register(&self, name: impl Into<String>, selector: impl SelectNode) {
        let selector: Arc<dyn SelectNode> = Arc::new(selector);
        self.shared.custom.pin().insert(name.into(), selector);
    }

    /// The node for this request.
    ///
    /// # Errors
    /// See [`NodeError`]; never for a function of this process.
    pub async fn pick(&self, request: &Request, config: &FunConfig) -> Result<Node, NodeError> {
        let order = self.order(request, config).await?;
        Ok(order.first().clone())
    }

    /// The nodes for this request, the preferred one first. It takes a turn like [`pick`](Self::pick).
    ///
    /// # Errors
    /// See [`NodeError`]; never for a function of this process.
    pub async fn order(
        &self,
        request: &Request,
        config: &FunConfig,
    ) -> Result<NodeOrder, NodeError> {
        let (state, list) = match &config.nodes {
            Nodes::Local => return Ok(NodeOrder::local()),
            Nodes::List(addresses) => {
                let state = self.state(config);
                let list = self.listed(&state, addresses, config).await;
                (state, list)
            }
            Nodes::Resolver(resolver) => {
                let state = self.state(config);
                let list = self.resolved(&state, resolver, config).await?;
                (state, list)
            }
        };
        if list.nodes().is_empty() {
            return Err(none(config));
        }
        self.choose(&state, list, request, config)
    }

    /// Lets every round robin begin with its first node again.
    pub fn reset_round_robin(&self) {
        for state in self.shared.configs.pin().values() {
            state.reset_turns();
        }
    }

    /// Forgets the sticky bindings whose hour is over. To be called now and then; they count for nothing before it, too.
    pub fn sweep(&self) {
        self.shared.sticky.sweep(self.now());
    }

    /// How many values are bound to nodes by sticky modes, those whose hour is over since the last
    /// [`sweep`](Self::sweep) included. At most 100 000.
    #[must_use]
    pub fn sticky_entries(&self) -> usize {
        self.shared.sticky.len()
    }

    /// Forgets counters and node lists of all configs but those with a `(service, request_type, version)` that is to
    /// be kept. To be called when configs are gone for good.
    pub fn retain(&self, mut keep: impl FnMut(&str, &str, Option<&str>) -> bool) {
        let configs = self.shared.configs.pin();
        configs.retain(|key, _| keep(&key.service, &key.request_type, key.version.as_deref()));
    }

    fn now(&self) -> Duration {
        self.shared.resolver.clock().now()
    }

    fn state(&self, config: &FunConfig) -> Arc<ConfigState> {
        let key = ConfigKeyRef {
            service: &config.service,
            request_type: &config.request_type,
            version: config.effective_version(),
        };
        let configs = self.shared.configs.pin();
        let state = configs.get(&key);
        let state =
            state.unwrap_or_else(|| configs.get_or_insert_with(key.to_owned(), Arc::default));
        Arc::clone(state)
    }

    /// The list that the config names itself.
    async fn listed(
        &self,
        state: &ConfigState,
        addresses: &[String],
        config: &FunConfig,
    ) -> Arc<NodeList> {
        let judged = match Self::known(state, config, |_| true) {
            Some(Known::List(list)) => return list,
            Some(Known::WithGroups(judged)) => judged,
            None => Judged::texts(addresses),
        };
        self.keep(state, judged, config, None).await
    }

    /// The list that the resolver names now, or named not too long ago.
    async fn resolved(
        &self,
        state: &ConfigState,
        resolver: &Mfa,
        config: &FunConfig,
    ) -> Result<Arc<NodeList>, NodeError> {
        let cache = self.shared.resolver.settings().resolver_cache();
        if !cache.is_zero() {
            let now = self.now();
            let mut at = None;
            let known = Self::known(state, config, |found| {
                at = Some(found.at);
                found.age(now) < cache
            });
            match known {
                Some(Known::List(list)) => return Ok(list),
                // The groups are asked for again, and the answer of the resolver is as old as it was.
                Some(Known::WithGroups(judged)) => {
                    return Ok(self.keep(state, judged, config, at).await);
                }
                None => {}
            }
        }
        let judged = self.shared.resolver.ask(resolver).await?;
        Ok(self.keep(state, judged, config, None).await)
    }

    /// What was found for the config as it is, where that is fresh.
    fn known(
        state: &ConfigState,
        config: &FunConfig,
        mut is_fresh: impl FnMut(&Found) -> bool,
    ) -> Option<Known> {
        let found = state.found();
        let found = found
            .as_deref()
            .filter(|found| found.is_of(&config.nodes))?;
        is_fresh(found).then(|| match &found.expanded {
            None => Known::List(Arc::clone(&found.list)),
            Some(_) => Known::WithGroups(found.judged.clone()),
        })
    }

    /// Notes what was found. Where that is what is known already, the known list stays, and its ring with it.
    async fn keep(
        &self,
        state: &ConfigState,
        judged: Judged,
        config: &FunConfig,
        at: Option<Duration>,
    ) -> Arc<NodeList> {
        let expanded = self.shared.resolver.expand(&config.service, &judged).await;
        let known = state.found();
        let known = known.as_deref().filter(|known| known.is_of(&config.nodes));
        let same = known.is_some_and(|known| known.judged == judged && known.expanded == expanded);
        let list = match known {
            Some(known) if same => Arc::clone(&known.list),
            _ => {
                // The log hears of dropped addresses once, and not at each selection.
                judged.warn(&config.service);
                let nodes = &expanded.as_ref().unwrap_or(&judged).nodes;
                self.shared.lists.of(nodes.clone())
            }
        };
        let cache = self.shared.resolver.settings().resolver_cache();
        if !same || !cache.is_zero() {
            state.keep(Found {
                of: config.nodes.clone(),
                judged,
                expanded,
                list: Arc::clone(&list),
                at: at.unwrap_or_else(|| self.now()),
            });
        }
        list
    }

    fn choose(
        &self,
        state: &ConfigState,
        list: Arc<NodeList>,
        request: &Request,
        config: &FunConfig,
    ) -> Result<NodeOrder, NodeError> {
        let nodes = list.nodes().len();
        let any = || rand::rng().random_range(0..nodes);
        let first = match &config.choose_node_mode {
            ChooseNodeMode::Random => None,
            ChooseNodeMode::Hash => list.owner(&request.request_id),
            ChooseNodeMode::HashKey(name) => {
                key::text(request, name).and_then(|value| list.owner(&value))
            }
            ChooseNodeMode::Sticky(name) => key::text(request, name).map(|value| {
                let sticky = &self.shared.sticky;
                let value = sticky.fingerprint(&config.service, name, &value);
                sticky.node(value, &list, self.now(), any)
            }),
            ChooseNodeMode::RoundRobin => {
                let first = state.turn(nodes);
                return Ok(NodeOrder::new(list, first, Rest::Rotated));
            }
            ChooseNodeMode::Custom(name) => return self.custom(name, list, request, config),
        };
        Ok(match first {
            Some(first) => NodeOrder::new(list, first, Rest::Listed),
            None => {
                let seed = rand::random();
                NodeOrder::new(list, any(), Rest::Shuffled { seed })
            }
        })
    }

    fn custom(
        &self,
        name: &str,
        list: Arc<NodeList>,
        request: &Request,
        config: &FunConfig,
    ) -> Result<NodeOrder, NodeError> {
        let failed = |reason: &str| NodeError::SelectionFailed {
            selector: name.to_owned(),
            reason: reason.to_owned(),
        };
        let selector = self.shared.custom.pin().get(name).cloned();
        let selector = selector.ok_or_else(|| failed("nobody registered it"))?;
        let selected = catch_panic(|| selector.select(request, config, list.nodes()));
        let selected = selected.map_err(|_| failed("it panicked"))?;
        let (first, rest) = match selected {
            Selection::First(place) => (Some(place), Rest::Listed),
            Selection::Order(mut places) => {
                let mut seen = HashSet::new();
                places.retain(|place| seen.insert(*place));
                let rest = places.get(1..).unwrap_or_default().into();
                (places.first().copied(), Rest::Given(rest))
            }
            Selection::Nobody => (None, Rest::Listed),
        };
        let Some(first) = first else {
            return Err(none(config));
        };
        let is_place = |place: &usize| *place < list.nodes().len();
        let given: &[usize] = match &rest {
            Rest::Given(places) => places,
            _ => &[],
        };
        if !is_place(&first) || !given.iter().all(is_place) {
            return Err(failed("it chose a place outside of the list"));
        }
        Ok(NodeOrder::new(list, first, rest))
    }
}

/// What is known of a config's nodes without asking anybody.
enum Known {
    List(Arc<NodeList>),
    /// Its groups have to be asked for.
    WithGroups(Judged),
}

fn none(config: &FunConfig) -> NodeError {
    NodeError::NoNodesAvailable {
        service: config.service.clone(),
    }
}

impl fmt::Debug for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut custom: Vec<String> = self.shared.custom.pin().keys().cloned().collect();
        custom.sort_unstable();
        f.debug_struct("NodeSelector")
            .field("resolver", &self.shared.resolver)
            .field("custom", &custom)
            .field("sticky", &self.shared.sticky)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

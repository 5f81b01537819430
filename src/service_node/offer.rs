//! The function configs that a service node offers, and how gateways get them.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hasher,
    sync::Arc,
};

use serde_json::Value;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::{
    arguments::Limits,
    function::{Call, FunctionError, Functions},
    model::{FunConfig, InvalidConfig, Mfa, Nodes, PushConfig, ServiceConfig},
};

/// The configs that a service node offers for its functions, of one service or of several, each with a version.
///
/// Gateways learn of them in two ways: they pull, by the functions that [`register`](Self::register) adds, or the node pushes
/// what [`push_config`](Self::push_config) answers. `"local"` in these configs means the nodes of the service.
///
/// ```
/// use gen_api::{model::{FunConfig, Nodes}, service_node::Offer};
///
/// let get = FunConfig::builder("users", "get").call("Users", "get").local().build()?;
/// let offer = Offer::new([get]);
/// assert_eq!(offer.services().collect::<Vec<_>>(), ["users"]);
///
/// let pulled = offer.service_config("users", Nodes::list(["http://10.0.0.7:9000"]));
/// assert_eq!(pulled.configs().to_string(), "GenApi.configs");
/// # Ok::<(), gen_api::model::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    services: BTreeMap<String, Vec<FunConfig>>,
    version: Option<String>,
}

impl Offer {
    /// The module of the functions that answer the configs.
    pub const MODULE: &str = "GenApi";
    /// The function that answers the configs of the service that is its argument, or all where it has none.
    pub const CONFIGS: &str = "configs";
    /// The function that answers the version of the configs of the service that is its argument, or of all.
    pub const CONFIG_VERSION: &str = "config_version";

    /// Offers these configs.
    #[must_use]
    pub fn new(configs: impl IntoIterator<Item = FunConfig>) -> Self {
        let mut services: BTreeMap<String, Vec<FunConfig>> = BTreeMap::new();
        for config in configs {
            services
                .entry(config.service.clone())
                .or_default()
                .push(config);
        }
        Self {
            services,
            version: None,
        }
    }

    /// Sets the version of the configs, of every service. By default it is a hash of the configs: it changes with them, and
    /// is the same on every node that offers the same.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// The services, in order.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The configs of a service; none where it offers no such service.
    #[must_use]
    pub fn configs(&self, service: &str) -> &[FunConfig] {
        self.services.get(service).map_or(&[], Vec::as_slice)
    }

    /// The version of a service's configs.
    #[must_use]
    pub fn version(&self, service: &str) -> String {
        self.version_of(self.configs(service).iter(), [])
    }

    /// How a gateway pulls a service that runs on these nodes.
    #[must_use]
    pub fn service_config(&self, service: &str, nodes: Nodes) -> ServiceConfig {
        let function = |name| Mfa::new(Self::MODULE, name).with_args([Value::from(service)]);
        ServiceConfig::new(service, nodes, function(Self::CONFIGS))
            .with_version_check(function(Self::CONFIG_VERSION))
    }

    /// What is pushed for a service that runs on these nodes. Where the version is a hash, the nodes are part of it, so that
    /// gateways also take a push in which only they changed; their order is not.
    ///
    /// With `pulled`, gateways are asked to pull the service too from then on.
    #[must_use]
    pub fn push_config(&self, service: &str, nodes: Nodes, pulled: bool) -> PushConfig {
        let configs = self.configs(service);
        let named = match &nodes {
            Nodes::List(addresses) => addresses.iter().map(String::as_str).collect(),
            _ => BTreeSet::new(),
        };
        let version = self.version_of(configs.iter(), named);
        let functions = configs.iter().cloned();
        if pulled {
            let service = self.service_config(service, nodes);
            PushConfig::from_service_config(service, version, functions)
        } else {
            PushConfig::new(service, nodes, version, functions)
        }
    }

    /// Whether gateways with these limits of arguments could store the configs.
    ///
    /// # Errors
    /// The faults of the first config that has any, under `fun_configs`.
    pub fn validate(&self, limits: &Limits) -> Result<(), InvalidConfig> {
        for service in self.services() {
            // Which nodes is no question of the offer.
            let nodes = Nodes::list(["any"]);
            self.push_config(service, nodes, false).validate(limits)?;
        }
        Ok(())
    }

    /// Adds the functions under which gateways pull: [`CONFIGS`](Self::CONFIGS) and
    /// [`CONFIG_VERSION`](Self::CONFIG_VERSION) of the module [`MODULE`](Self::MODULE).
    #[must_use]
    pub fn register(self: &Arc<Self>, functions: Functions) -> Functions {
        let (configs, version) = (Arc::clone(self), Arc::clone(self));
        functions
            .register_raw(Self::MODULE, Self::CONFIGS, move |call| {
                let answer = configs.answer_configs(&call);
                async move { answer }
            })
            .register_raw(Self::MODULE, Self::CONFIG_VERSION, move |call| {
                let answer = version.answer_version(&call);
                async move { answer }
            })
    }

    fn answer_configs(&self, call: &Call) -> Result<Value, FunctionError> {
        let configs: Vec<&FunConfig> = match service_of(call)? {
            Some(service) => self.configs(service).iter().collect(),
            None => self.services.values().flatten().collect(),
        };
        Ok(serde_json::to_value(configs)?)
    }

    fn answer_version(&self, call: &Call) -> Result<Value, FunctionError> {
        Ok(Value::String(match service_of(call)? {
            Some(service) => self.version(service),
            None => self.version_of(self.services.values().flatten(), []),
        }))
    }

    fn version_of<'a>(
        &self,
        configs: impl Iterator<Item = &'a FunConfig>,
        nodes: impl IntoIterator<Item = &'a str>,
    ) -> String {
        if let Some(version) = &self.version {
            return version.clone();
        }
        // A set: the order in which a program lists its functions means nothing.
        let texts: BTreeSet<String> = configs
            .map(|config| serde_json::to_string(config).unwrap_or_default())
            .collect();
        let mut hasher = SipHasher24::new();
        for text in &texts {
            write_text(&mut hasher, text);
        }
        for node in nodes {
            write_text(&mut hasher, node);
        }
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

/// The service that is asked for, where one is.
fn service_of(call: &Call) -> Result<Option<&str>, FunctionError> {
    match call.args.as_slice() {
        [] | [Value::Null] => Ok(None),
        [Value::String(service)] => Ok(Some(service)),
        _ => Err(FunctionError::arguments(
            "the name of a service or nothing was expected",
        )),
    }
}

/// With its length, so that texts cannot run into each other; alike on every machine.
fn write_text(hasher: &mut SipHasher24, text: &str) {
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
}

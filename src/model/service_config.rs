//! What a puller needs to fetch the configs of a service.
//!
//! ```
//! use gen_api::model::{Mfa, Nodes, ServiceConfig};
//!
//! let nodes = Nodes::list(["http://10.0.0.7:9000"]);
//! let config = ServiceConfig::new("UserService", nodes, Mfa::new("Configs", "all"))
//!     .with_version_check(Mfa::new("Configs", "version"));
//! config.validate()?;
//! # Ok::<(), gen_api::model::InvalidConfig>(())
//! ```

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use super::{
    fields::Fields,
    fun_config::{Mfa, Nodes},
    invalid_config::{Fault, InvalidConfig},
};

/// A service whose configs are pulled: its nodes and the functions to ask there (specification, sections 2 and 12).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The name of the service. Not empty.
    pub service: String,
    /// Where it runs: a list that is not empty, or a resolver.
    pub nodes: Nodes,
    /// The module of the function that answers all configs. Not empty.
    pub module: String,
    /// The name of that function. Not empty.
    pub function: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// The module of the function that answers the version of the configs.
    pub version_module: Option<String>,
    /// The name of that function; without module or name every pull fetches everything.
    pub version_function: Option<String>,
    /// Its arguments.
    pub version_args: Vec<Value>,
    /// Whether a pull removes what the service no longer lists. False by default.
    pub prune: bool,
}

impl ServiceConfig {
    /// A service without version check, whose old functions stay.
    #[must_use]
    pub fn new(service: impl Into<String>, nodes: Nodes, configs: Mfa) -> Self {
        Self {
            service: service.into(),
            nodes,
            module: configs.module,
            function: configs.function,
            args: configs.args,
            version_module: None,
            version_function: None,
            version_args: Vec::new(),
            prune: false,
        }
    }

    /// Asks this function first whether anything changed.
    #[must_use]
    pub fn with_version_check(mut self, version: Mfa) -> Self {
        self.version_module = Some(version.module);
        self.version_function = Some(version.function);
        self.version_args = version.args;
        self
    }

    /// Removes at each pull what the service no longer lists.
    #[must_use]
    pub fn with_prune(mut self) -> Self {
        self.prune = true;
        self
    }

    /// Reads the JSON form. It need not be valid, only readable; see [`validate`](Self::validate).
    ///
    /// # Errors
    /// Where a field cannot be read, is missing or unknown: all faults at once, also those of the other fields.
    pub fn from_value(json: Value) -> Result<Self, InvalidConfig> {
        let mut fields = Fields::of(json)?;
        let pull = PullFields::read(&mut fields);
        let mut needed = |name: &str, given: Option<String>| {
            given.unwrap_or_else(|| fields.required(name, String::new()))
        };
        let config = Self {
            module: needed("module", pull.module),
            function: needed("function", pull.function),
            service: fields.required("service", String::new()),
            nodes: fields.required("nodes", Nodes::Local),
            args: pull.args,
            version_module: pull.version_module,
            version_function: pull.version_function,
            version_args: pull.version_args,
            prune: pull.prune,
        };
        fields.finish(|| config.faults())?;
        Ok(config)
    }

    /// Whether the service can be pulled.
    ///
    /// # Errors
    /// Every fault at once, each with the name of its field.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        InvalidConfig::unless_empty(self.faults())
    }

    /// The function that answers all configs.
    #[must_use]
    pub fn configs(&self) -> Mfa {
        Mfa::new(&self.module, &self.function).with_args(self.args.iter().cloned())
    }

    /// The function that answers the version of the configs, where both of its names are given.
    #[must_use]
    pub fn version_check(&self) -> Option<Mfa> {
        let module = self
            .version_module
            .as_deref()
            .filter(|name| !name.is_empty())?;
        let function = self
            .version_function
            .as_deref()
            .filter(|name| !name.is_empty())?;
        Some(Mfa::new(module, function).with_args(self.version_args.iter().cloned()))
    }

    fn faults(&self) -> Vec<Fault> {
        let empty = [
            ("service", &self.service),
            ("module", &self.module),
            ("function", &self.function),
        ]
        .into_iter()
        .filter(|(_, text)| text.is_empty())
        .map(|(field, _)| Fault::new(field, "must not be empty"));
        empty.chain(nodes_fault(&self.nodes)).collect()
    }
}

impl<'de> Deserialize<'de> for ServiceConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The fields about pulling, which a push may carry too.
pub(super) struct PullFields {
    pub(super) module: Option<String>,
    pub(super) function: Option<String>,
    pub(super) args: Vec<Value>,
    pub(super) version_module: Option<String>,
    pub(super) version_function: Option<String>,
    pub(super) version_args: Vec<Value>,
    pub(super) prune: bool,
}

impl PullFields {
    pub(super) fn read(fields: &mut Fields) -> Self {
        let args = |fields: &mut Fields, name: &str| {
            let args: Option<Vec<Value>> = fields.optional(name, None);
            args.unwrap_or_default()
        };
        Self {
            module: fields.optional("module", None),
            function: fields.optional("function", None),
            args: args(fields, "args"),
            version_module: fields.optional("version_module", None),
            version_function: fields.optional("version_function", None),
            version_args: args(fields, "version_args"),
            prune: fields.optional("prune", false),
        }
    }
}

/// What is wrong with the nodes of a service, if anything: `"local"` says nothing about where a service is.
pub(super) fn nodes_fault(nodes: &Nodes) -> Option<Fault> {
    let reason = match nodes {
        Nodes::Local => Some("must be a list of addresses or a resolver"),
        nodes => nodes.fault(),
    };
    reason.map(|reason| Fault::new("nodes", reason))
}

//! What a service node pushes to a gateway: its functions, and proof that it may.
//!
//! ```
//! use gen_api::{arguments::Limits, model::{FunConfig, Nodes, PushConfig}};
//!
//! let get = FunConfig::builder("UserService", "get_user").call("Users", "get").local().build()?;
//! let push = PushConfig::new("UserService", Nodes::list(["http://10.0.0.7:9000"]), "2024-05-01", [get])
//!     .with_token("s3cret");
//! push.validate(&Limits::default())?;
//! assert!(!format!("{push:?}").contains("s3cret"));
//! # Ok::<(), gen_api::model::InvalidConfig>(())
//! ```

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{
    fields::Fields,
    fun_config::{FunConfig, Mfa, Nodes},
    invalid_config::{Fault, InvalidConfig},
    service_config::{PullFields, ServiceConfig, nodes_fault},
    version::RESERVED_VERSION,
};
use crate::arguments::Limits;

/// All functions of a service at one of its versions (specification, sections 2 and 13).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PushConfig {
    /// The name of the service; every function must belong to it. Not empty.
    pub service: String,
    /// Where it runs: a list that is not empty, or a resolver.
    pub nodes: Nodes,
    /// The version of the whole, any text; only compared for equality. Not empty.
    pub config_version: String,
    /// The functions; at least one. `"0.0.0"` as the version of one stands for an unversioned function.
    pub fun_configs: Vec<FunConfig>,
    /// With [`function`](Self::function): the service is also pulled from now on, as [`ServiceConfig::module`] says.
    pub module: Option<String>,
    /// See [`ServiceConfig::function`].
    pub function: Option<String>,
    /// See [`ServiceConfig::args`].
    pub args: Vec<Value>,
    /// See [`ServiceConfig::version_module`].
    pub version_module: Option<String>,
    /// See [`ServiceConfig::version_function`].
    pub version_function: Option<String>,
    /// See [`ServiceConfig::version_args`].
    pub version_args: Vec<Value>,
    /// See [`ServiceConfig::prune`].
    pub prune: bool,
    /// The secret that entitles to push, where the gateway asks for one.
    pub push_token: Option<PushToken>,
}

impl PushConfig {
    /// A push without token, of a service that is not pulled.
    #[must_use]
    pub fn new(
        service: impl Into<String>,
        nodes: Nodes,
        config_version: impl Into<String>,
        fun_configs: impl IntoIterator<Item = FunConfig>,
    ) -> Self {
        Self {
            service: service.into(),
            nodes,
            config_version: config_version.into(),
            fun_configs: fun_configs.into_iter().collect(),
            module: None,
            function: None,
            args: Vec::new(),
            version_module: None,
            version_function: None,
            version_args: Vec::new(),
            prune: false,
            push_token: None,
        }
    }

    /// A push of a service that is also pulled, as this config says.
    #[must_use]
    pub fn from_service_config(
        service: ServiceConfig,
        config_version: impl Into<String>,
        fun_configs: impl IntoIterator<Item = FunConfig>,
    ) -> Self {
        Self {
            module: Some(service.module),
            function: Some(service.function),
            args: service.args,
            version_module: service.version_module,
            version_function: service.version_function,
            version_args: service.version_args,
            prune: service.prune,
            ..Self::new(service.service, service.nodes, config_version, fun_configs)
        }
    }

    /// Adds the secret.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<PushToken>) -> Self {
        self.push_token = Some(token.into());
        self
    }

    /// Reads the JSON form. It need not be valid, only readable; see [`validate`](Self::validate).
    ///
    /// # Errors
    /// Where a field cannot be read, is missing or unknown: all faults at once, those that validation with default
    /// limits finds in the rest included. A function's faults are faults of `fun_configs`.
    pub fn from_value(json: Value) -> Result<Self, InvalidConfig> {
        Self::read(json).map_err(|unreadable| unreadable.invalid)
    }

    /// The same, with what could be read where the whole could not.
    pub(crate) fn read(json: Value) -> Result<Self, Box<UnreadablePush>> {
        match json {
            Value::Object(fields) => Pieces::of(fields).read(),
            _ => Err(Box::new(UnreadablePush {
                invalid: Fields::no_object(),
                push: Self::new("", Nodes::Local, "", []),
                unread: Vec::new(),
            })),
        }
    }

    /// The same from the text of a JSON, one function after the other: a long list is never held in any other form.
    ///
    /// # Errors
    /// Where it is no JSON.
    #[cfg(any(test, feature = "grpc"))]
    pub(crate) fn read_slice(
        json: &[u8],
    ) -> Result<Result<Self, Box<UnreadablePush>>, serde_json::Error> {
        match serde_json::from_slice::<Pieces>(json) {
            Ok(pieces) => Ok(pieces.read()),
            // It is no JSON, or of a form that is told field by field.
            Err(_) => serde_json::from_slice(json).map(Self::read),
        }
    }

    fn of_fields(
        mut fields: Fields,
        functions: Option<FunctionList>,
    ) -> Result<Self, Box<UnreadablePush>> {
        let pull = PullFields::read(&mut fields);
        let FunctionList { read, unread } = functions.unwrap_or_else(|| {
            // It is missing or no list, which is a fault.
            fields.required::<Vec<Value>>("fun_configs", Vec::new());
            FunctionList::default()
        });
        for function in &unread {
            for fault in &function.invalid.faults {
                fields.fault("fun_configs", format!("[{}] {fault}", function.index));
            }
        }
        let mut config = Self {
            service: fields.required("service", String::new()),
            nodes: fields.required("nodes", Nodes::Local),
            config_version: fields.required("config_version", String::new()),
            fun_configs: Vec::new(),
            module: pull.module,
            function: pull.function,
            args: pull.args,
            version_module: pull.version_module,
            version_function: pull.version_function,
            version_args: pull.version_args,
            prune: pull.prune,
            push_token: fields.optional("push_token", None),
        };
        let judged = fields.finish(|| {
            let readable = read.iter().map(Option::as_ref);
            config.faults(readable, &Limits::default())
        });
        config.fun_configs = read.into_iter().flatten().collect();
        match judged {
            Ok(()) => Ok(config),
            Err(invalid) => Err(Box::new(UnreadablePush {
                invalid,
                push: config,
                unread,
            })),
        }
    }

    /// Whether the push may be stored, its token aside. Defaults of arguments are held to these limits.
    ///
    /// # Errors
    /// Every fault at once, each with the name of its field; a function's faults are faults of `fun_configs`.
    pub fn validate(&self, limits: &Limits) -> Result<(), InvalidConfig> {
        InvalidConfig::unless_empty(self.faults(self.fun_configs.iter().map(Some), limits))
    }

    /// How the service is pulled from now on, where module and function are given.
    #[must_use]
    pub fn service_config(&self) -> Option<ServiceConfig> {
        let module = self.module.as_deref().filter(|name| !name.is_empty())?;
        let function = self.function.as_deref().filter(|name| !name.is_empty())?;
        let configs = Mfa::new(module, function).with_args(self.args.iter().cloned());
        let mut service = ServiceConfig::new(&self.service, self.nodes.clone(), configs);
        service.version_module.clone_from(&self.version_module);
        service.version_function.clone_from(&self.version_function);
        service.version_args.clone_from(&self.version_args);
        service.prune = self.prune;
        Some(service)
    }

    /// The faults of a push with these functions; those that could not be read keep their place in the count.
    fn faults<'f>(
        &self,
        functions: impl ExactSizeIterator<Item = Option<&'f FunConfig>>,
        limits: &Limits,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (field, text) in [
            ("service", &self.service),
            ("config_version", &self.config_version),
        ] {
            if text.is_empty() {
                faults.push(Fault::new(field, "must not be empty"));
            }
        }
        faults.extend(nodes_fault(&self.nodes));
        if functions.len() == 0 {
            faults.push(Fault::new("fun_configs", "must not be an empty list"));
        }
        for (index, function) in functions.enumerate() {
            let Some(function) = function else { continue };
            faults.extend(self.function_faults(function, limits).map(|fault| {
                let request_type = &function.request_type;
                Fault::new(
                    "fun_configs",
                    format!("[{index}] {request_type:?}: {fault}"),
                )
            }));
        }
        faults
    }

    /// What is wrong with a function of the push, its foreign service included.
    pub(crate) fn function_faults(
        &self,
        function: &FunConfig,
        limits: &Limits,
    ) -> impl Iterator<Item = Fault> + use<> {
        // Where the push does not say its service, that is the fault, and not what its functions say.
        let foreign = !self.service.is_empty() && function.service != self.service;
        let foreign = foreign.then(|| {
            Fault::new(
                "service",
                format!("{:?} is not the service of the push", function.service),
            )
        });
        // A push may say "0.0.0" for unversioned, which a direct add may not (specification, section 2).
        let reserved = function.version.as_deref() == Some(RESERVED_VERSION);
        let own = function.faults(limits).into_iter();
        foreign
            .into_iter()
            .chain(own.filter(move |fault| !(reserved && fault.field == "version")))
    }
}

impl<'de> Deserialize<'de> for PushConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A push that cannot be read as a whole.
#[derive(Debug)]
pub(crate) struct UnreadablePush {
    pub(crate) invalid: InvalidConfig,
    /// What of it can be read; what cannot is left out or empty.
    pub(crate) push: PushConfig,
    /// Its functions that cannot be read.
    pub(crate) unread: Vec<UnreadFunction>,
}

/// A function of a push that cannot be read, with the names that it gives itself.
#[derive(Debug)]
pub(crate) struct UnreadFunction {
    index: usize,
    pub(crate) service: Option<String>,
    pub(crate) request_type: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) invalid: InvalidConfig,
}

/// The fields of a push, of which the functions are read already.
#[derive(Default)]
struct Pieces {
    fields: Map<String, Value>,
    functions: Option<FunctionList>,
}

/// The functions in their order; those that cannot be read leave a gap.
#[derive(Default)]
struct FunctionList {
    read: Vec<Option<FunConfig>>,
    unread: Vec<UnreadFunction>,
}

impl Pieces {
    fn of(mut fields: Map<String, Value>) -> Self {
        let functions = match fields.remove(FUN_CONFIGS) {
            Some(Value::Array(items)) => {
                let mut list = FunctionList::default();
                items.into_iter().for_each(|item| list.add(item));
                Some(list)
            }
            Some(other) => {
                fields.insert(FUN_CONFIGS.to_owned(), other);
                None
            }
            None => None,
        };
        Self { fields, functions }
    }

    fn read(self) -> Result<PushConfig, Box<UnreadablePush>> {
        PushConfig::of_fields(self.fields.into(), self.functions)
    }
}

const FUN_CONFIGS: &str = "fun_configs";

impl FunctionList {
    fn add(&mut self, item: Value) {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let names = [text("service"), text("request_type"), text("version")];
        match FunConfig::from_value(item) {
            Ok(function) => self.read.push(Some(function)),
            Err(invalid) => {
                let [service, request_type, version] = names;
                self.unread.push(UnreadFunction {
                    index: self.read.len(),
                    service,
                    request_type,
                    version,
                    invalid,
                });
                self.read.push(None);
            }
        }
    }
}

impl<'de> Deserialize<'de> for Pieces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pieces;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pieces, A::Error> {
                let mut pieces = Pieces::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == FUN_CONFIGS {
                        pieces.functions = Some(map.next_value()?);
                    } else {
                        pieces.fields.insert(name, map.next_value()?);
                    }
                }
                Ok(pieces)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for FunctionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = FunctionList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FunctionList, A::Error> {
                let mut list = FunctionList::default();
                while let Some(item) = items.next_element()? {
                    list.add(item);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

/// The secret that entitles a service node to push. It is written to JSON, never to logs: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PushToken(String);

impl PushToken {
    /// The secret itself, for a comparison in constant time.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for PushToken {
    fn from(secret: T) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushToken(hidden)")
    }
}

impl<'de> Deserialize<'de> for PushToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of a derive would repeat what it found, and what it found may be the secret.
        match Value::deserialize(deserializer)? {
            Value::String(secret) => Ok(Self(secret)),
            _ => Err(D::Error::custom("must be a string")),
        }
    }
}

#[cfg(test)]
mod tests;

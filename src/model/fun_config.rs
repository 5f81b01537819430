//! What maps a request to a function, with all rules of the call.
//!
//! ```
//! use std::time::Duration;
//! use gen_api::{arguments::ArgType, model::{FunConfig, Retry}};
//! use serde_json::json;
//!
//! let config = FunConfig::builder("UserService", "get_user")
//!     .version("1.0.0")
//!     .call("UserService", "get_user")
//!     .local()
//!     .arg("user_id", ArgType::Uuid)
//!     .timeout(Duration::from_secs(2))
//!     .retry(Retry::SameNode(3))
//!     .build()?;
//!
//! let json = serde_json::to_value(&config).unwrap();
//! assert_eq!(json["mfa"], json!(["UserService", "get_user", []]));
//! assert_eq!(FunConfig::from_value(json)?, config);
//! # Ok::<(), gen_api::model::InvalidConfig>(())
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use super::{fields::Fields, invalid_config::InvalidConfig, version};
use crate::arguments::{ArgDeclaration, ArgOrders, ArgType, ArgumentPlan, Limits};

mod builder;
mod mfa;
mod nodes;
mod rules;
mod validity;

pub use builder::FunConfigBuilder;
pub use mfa::Mfa;
pub use nodes::{ChooseNodeMode, Nodes};
pub use rules::{CheckPermission, ResponseType, Retry, Timeout};

use mfa::Callback;

/// How long a hook or a permission callback may take unless its config says otherwise, in milliseconds.
const DEFAULT_HOOK_TIMEOUT: u64 = 5_000;

/// Maps one `(service, request_type, version)` to one function, with its rules (specification, section 2).
///
/// A config can be read and held while it is invalid; [`validate`](Self::validate) judges it. Its JSON form has these
/// field names and no others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunConfig {
    /// The service that offers the function. Not empty.
    pub service: String,
    /// The name under which clients ask for the function. Not empty.
    pub request_type: String,
    /// The version; none for an unversioned function. Neither empty nor `"0.0.0"`.
    pub version: Option<String>,
    /// Where the function runs.
    pub nodes: Nodes,
    /// Which of several nodes is asked first; any by default.
    pub choose_node_mode: ChooseNodeMode,
    /// How long a call may take; five seconds by default.
    pub timeout: Timeout,
    /// The function to call.
    pub mfa: Mfa,
    /// The arguments by name; none or empty where the function takes nothing from the request.
    pub arg_types: Option<BTreeMap<String, ArgDeclaration>>,
    /// In which order they reach the function.
    pub arg_orders: ArgOrders,
    /// How the function answers; in one response by default.
    pub response_type: ResponseType,
    /// Who may call; everybody by default.
    pub check_permission: CheckPermission,
    /// A function that decides who may call; it wins over [`check_permission`](Self::check_permission).
    pub permission_callback: Option<Mfa>,
    /// Whether the call also gets the request's ids, and the stream handle of streams. False by default.
    pub request_info: bool,
    /// Whether the function is switched off. False by default.
    pub disabled: bool,
    /// How often a failed call is tried again; not at all by default.
    pub retry: Option<Retry>,
    /// A function that sees, and may change or stop, each request before it runs.
    pub before_execute: Option<Mfa>,
    /// A function that sees, and may change, each response.
    pub after_execute: Option<Mfa>,
    /// How long each hook may take, in milliseconds; at least 1, and 5 000 by default.
    pub hook_timeout: u64,
}

impl FunConfig {
    /// Starts a config of this service and request type.
    pub fn builder(
        service: impl Into<String>,
        request_type: impl Into<String>,
    ) -> FunConfigBuilder {
        FunConfigBuilder::new(service.into(), request_type.into())
    }

    /// Reads the JSON form. It need not be valid, only readable; see [`validate`](Self::validate).
    ///
    /// # Errors
    /// Where a field cannot be read, is missing or unknown: all faults at once, those that validation with default
    /// limits finds in the other fields included.
    pub fn from_value(json: Value) -> Result<Self, InvalidConfig> {
        let mut fields = Fields::of(json)?;
        let callback = |fields: &mut Fields, name: &str| {
            let callback: Option<Callback> = fields.optional(name, None);
            callback.map(|Callback(mfa)| mfa)
        };
        let arg_types = read_arg_types(&mut fields);
        let config = Self {
            service: fields.required("service", String::new()),
            request_type: fields.required("request_type", String::new()),
            version: fields.optional("version", None),
            nodes: fields.required("nodes", Nodes::Local),
            choose_node_mode: fields.optional("choose_node_mode", ChooseNodeMode::default()),
            timeout: fields.optional("timeout", Timeout::default()),
            mfa: fields.required("mfa", Mfa::new("", "")),
            arg_orders: fields.optional("arg_orders", ArgOrders::default()),
            arg_types: arg_types.clone().unwrap_or_default(),
            response_type: fields.optional("response_type", ResponseType::default()),
            check_permission: fields.optional("check_permission", CheckPermission::default()),
            permission_callback: callback(&mut fields, "permission_callback"),
            request_info: fields.optional("request_info", false),
            disabled: fields.optional("disabled", false),
            retry: fields.optional("retry", None),
            before_execute: callback(&mut fields, "before_execute"),
            after_execute: callback(&mut fields, "after_execute"),
            hook_timeout: fields.optional("hook_timeout", DEFAULT_HOOK_TIMEOUT),
        };
        fields.finish(|| {
            let mut judged = config.faults(&Limits::default());
            if arg_types.is_none() {
                // Nobody knows which names were declared, so no order can disagree with them.
                judged.retain(|fault| fault.field != "arg_orders");
            }
            judged
        })?;
        Ok(config)
    }

    /// Whether the config may be used: specification, section 2, the table. Defaults of arguments are held to these limits.
    ///
    /// # Errors
    /// Every fault at once, each with the name of its field.
    pub fn validate(&self, limits: &Limits) -> Result<(), InvalidConfig> {
        InvalidConfig::unless_empty(self.faults(limits))
    }

    /// The version that is really meant: none where it is absent, empty or `"0.0.0"`.
    #[must_use]
    pub fn effective_version(&self) -> Option<&str> {
        version::effective(self.version.as_deref())
    }

    /// How a failed call is retried, without the short form: `SameNode`, `AllNodes` or not at all.
    #[must_use]
    pub fn normalize_retry(&self) -> Option<Retry> {
        self.retry.map(Retry::normalize)
    }

    /// Every function that the config names: the one it calls, its resolver, its permission callback and its hooks.
    pub(crate) fn named_functions(&self) -> impl Iterator<Item = &Mfa> {
        let resolver = match &self.nodes {
            Nodes::Resolver(resolver) => Some(resolver),
            Nodes::Local | Nodes::List(_) => None,
        };
        std::iter::once(&self.mfa)
            .chain(resolver)
            .chain(&self.permission_callback)
            .chain(&self.before_execute)
            .chain(&self.after_execute)
    }

    /// How long each hook may take.
    #[must_use]
    pub fn hook_timeout(&self) -> Duration {
        Duration::from_millis(self.hook_timeout)
    }

    /// The declared arguments; empty where there are none.
    #[must_use]
    pub fn declared_args(&self) -> &BTreeMap<String, ArgDeclaration> {
        static NOTHING: BTreeMap<String, ArgDeclaration> = BTreeMap::new();
        self.arg_types.as_ref().unwrap_or(&NOTHING)
    }

    /// Compiles the declared arguments, to be kept beside the config and used for each request.
    #[must_use]
    pub fn argument_plan(&self, limits: &Limits) -> ArgumentPlan {
        ArgumentPlan::compile(self.declared_args(), &self.arg_orders, limits)
    }
}

impl<'de> Deserialize<'de> for FunConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The declarations, each read on its own; the outer `None` is for what is no object at all.
///
/// A declaration that cannot be read is a fault of `arg_types`, but its name still counts as declared.
#[allow(clippy::option_option)]
fn read_arg_types(fields: &mut Fields) -> Option<Option<BTreeMap<String, ArgDeclaration>>> {
    let entries = match fields.take("arg_types") {
        None | Some(Value::Null) => return Some(None),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            fields.fault("arg_types", "expected null or an object of names and types");
            return None;
        }
    };
    let declarations = entries.into_iter().map(|(name, json)| {
        let declaration = serde_json::from_value(json).unwrap_or_else(|error| {
            fields.fault("arg_types", format!("{name:?}: {error}"));
            ArgDeclaration::new(ArgType::Any)
        });
        (name, declaration)
    });
    Some(Some(declarations.collect()))
}

#[cfg(test)]
mod tests;

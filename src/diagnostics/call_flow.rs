//! What a request will meet on its way.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    arguments::{ArgDeclaration, ArgOrders},
    config::{ConfigTable, Route},
    model::{CheckPermission, ChooseNodeMode, FunConfig, Mfa, Nodes, ResponseType, Retry, Timeout},
    rate_limiter::{ApiLimit, RateLimit, RateLimiter},
    text_table::TextTable,
};

/// The stages and rules that a request for one function will meet, in order; prints as a table (specification, section 3).
///
/// In the table and in the JSON form, rules are written as in a config.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallFlow {
    /// The service.
    pub service: String,
    /// The function.
    pub request_type: String,
    /// The version that answers; none for an unversioned config.
    pub version: Option<String>,
    /// Whether it may be called; a disabled one is refused before everything else.
    pub enabled: bool,
    /// How many requests may be in flight in the whole engine; none for no limit.
    pub max_in_flight: Option<usize>,
    /// The hook before it.
    pub before_execute: Option<CallbackRule>,
    /// Where the function runs.
    pub nodes: Nodes,
    /// Which of the nodes is asked first; without meaning for a local function.
    pub choose_node_mode: ChooseNodeMode,
    /// Who may call.
    pub permission: PermissionRule,
    /// The limits across all APIs that a request with a value for their key meets; none while the limiter is off.
    pub global_limits: Vec<RateLimit>,
    /// The limits of this API.
    pub api_limits: Vec<ApiLimit>,
    /// The declared arguments by name.
    pub arguments: BTreeMap<String, ArgDeclaration>,
    /// In which order they reach the function.
    pub arg_orders: ArgOrders,
    /// The function.
    pub function: Mfa,
    /// Whether this process has it; for other nodes than `local` they decide.
    pub registered: bool,
    /// Whether the request info is appended to the call.
    pub request_info: bool,
    /// How long a call may take.
    pub timeout: Timeout,
    /// How often a failed call is tried again.
    pub retry: Option<Retry>,
    /// The hook after it.
    pub after_execute: Option<CallbackRule>,
    /// How the function answers.
    pub response_type: ResponseType,
}

/// A hook, or a permission callback.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallbackRule {
    /// Its function.
    pub function: Mfa,
    /// Whether this process has it; without it a before hook ends every request, and a permission callback denies.
    pub registered: bool,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PermissionRule {
    /// What the request alone decides.
    Mode(CheckPermission),
    /// What a function decides.
    Callback(CallbackRule),
}

impl CallFlow {
    pub(crate) fn new(
        route: &Route,
        configs: &ConfigTable,
        limiter: &RateLimiter,
        max_in_flight: Option<usize>,
    ) -> Self {
        let config = &route.config;
        let callback = |function: &Mfa| CallbackRule {
            registered: configs.has_function(function),
            function: function.clone(),
            timeout_ms: config.hook_timeout,
        };
        let permission = match &config.permission_callback {
            Some(function) => PermissionRule::Callback(callback(function)),
            None => PermissionRule::Mode(config.check_permission.clone()),
        };
        let (global_limits, api_limits) = limits(limiter, config);
        Self {
            service: config.service.clone(),
            request_type: config.request_type.clone(),
            version: config.effective_version().map(str::to_owned),
            enabled: route.enabled(),
            max_in_flight,
            before_execute: config.before_execute.as_ref().map(callback),
            nodes: config.nodes.clone(),
            choose_node_mode: config.choose_node_mode.clone(),
            permission,
            global_limits,
            api_limits,
            arguments: config.declared_args().clone(),
            arg_orders: config.arg_orders.clone(),
            function: config.mfa.clone(),
            registered: route.function.is_some(),
            request_info: config.request_info,
            timeout: config.timeout,
            retry: config.normalize_retry(),
            after_execute: config.after_execute.as_ref().map(callback),
            response_type: config.response_type,
        }
    }

    /// Each stage with its rules, in the order of the request's way.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            (
                "admission",
                self.max_in_flight.map_or_else(
                    || "no limit".to_owned(),
                    |max| format!("at most {max} requests in flight"),
                ),
            ),
            ("config", self.config_text()),
            ("before hook", optional(self.before_execute.as_ref())),
            ("node", self.node_text()),
            (
                "permission",
                match &self.permission {
                    PermissionRule::Mode(mode) => wire(mode),
                    PermissionRule::Callback(callback) => callback.to_string(),
                },
            ),
        ];
        let limit = |scope: &str, key: &str, max: u32, window: u64| {
            (
                "rate limit",
                format!("{scope}, {key}: {max} in {window} ms"),
            )
        };
        rows.extend(self.global_limits.iter().map(|rule| {
            limit(
                "global",
                rule.key.as_str(),
                rule.max_requests,
                rule.window_ms,
            )
        }));
        rows.extend(self.api_limits.iter().map(|rule| {
            limit(
                "this API",
                rule.key.as_str(),
                rule.max_requests,
                rule.window_ms,
            )
        }));
        if self.global_limits.is_empty() && self.api_limits.is_empty() {
            rows.push(("rate limit", "none".to_owned()));
        }
        let arguments = self.arguments.iter();
        rows.extend(arguments.map(|(name, rule)| ("argument", format!("{name}: {}", wire(rule)))));
        rows.push(("arguments", self.arguments_text()));
        let missing = if self.registered || self.nodes != Nodes::Local {
            ""
        } else {
            ", not registered"
        };
        rows.push(("call", format!("{}{missing}", self.function)));
        rows.push((
            "timeout",
            match self.timeout {
                Timeout::Millis(millis) => format!("{millis} ms"),
                Timeout::Infinity => "none".to_owned(),
            },
        ));
        let retry = self.retry.as_ref().map(wire);
        rows.push(("retry", retry.unwrap_or_else(|| "none".to_owned())));
        rows.push(("after hook", optional(self.after_execute.as_ref())));
        rows.push(("response", wire(&self.response_type)));
        rows
    }

    fn config_text(&self) -> String {
        let version = self.version.as_deref().unwrap_or("unversioned");
        let switch = if self.enabled { "enabled" } else { "disabled" };
        format!("{}/{} {version}, {switch}", self.service, self.request_type)
    }

    fn node_text(&self) -> String {
        match &self.nodes {
            Nodes::Local => "local".to_owned(),
            nodes => format!("{} of {}", wire(&self.choose_node_mode), wire(nodes)),
        }
    }

    fn arguments_text(&self) -> String {
        let form = if self.arguments.is_empty() {
            "none, what is sent is dropped".to_owned()
        } else {
            format!("order {}", wire(&self.arg_orders))
        };
        if self.request_info {
            format!("{form}, then the request info")
        } else {
            form
        }
    }
}

/// The limits that requests for this config meet.
fn limits(limiter: &RateLimiter, config: &FunConfig) -> (Vec<RateLimit>, Vec<ApiLimit>) {
    let rules = limiter.config();
    if !rules.enabled {
        return Default::default();
    }
    let mut own = rules.api_limits;
    own.retain(|limit| {
        limit.service == config.service && limit.request_type == config.request_type
    });
    (rules.global_limits, own)
}

/// As it stands in a config; a lone text without its quotes.
fn wire(rule: &impl Serialize) -> String {
    match serde_json::to_value(rule) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(json) => json.to_string(),
        Err(_) => String::new(),
    }
}

fn optional(callback: Option<&CallbackRule>) -> String {
    callback.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl fmt::Display for CallbackRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {} ms", self.function, self.timeout_ms)?;
        if self.registered {
            Ok(())
        } else {
            f.write_str(", not registered")
        }
    }
}

impl fmt::Display for CallFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new().text("stage").text("rule");
        for (stage, rule) in self.rows() {
            table.row([stage, &rule]);
        }
        table.fmt(f)
    }
}

/// The call flows of all configs, every version for itself; prints as a table of one line each.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallFlows {
    /// By service, function and version.
    pub flows: Vec<CallFlow>,
}

impl fmt::Display for CallFlows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = [
            "service",
            "function",
            "version",
            "enabled",
            "mode",
            "call",
            "found",
            "node",
            "permission",
            "hooks",
        ]
        .into_iter()
        .fold(TextTable::new(), TextTable::text)
        .number("limits")
        .number("timeout ms")
        .text("retry");
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        for flow in &self.flows {
            let hooks = match (&flow.before_execute, &flow.after_execute) {
                (None, None) => "none",
                (Some(_), None) => "before",
                (None, Some(_)) => "after",
                (Some(_), Some(_)) => "both",
            };
            let permission = match &flow.permission {
                PermissionRule::Mode(mode) => wire(mode),
                PermissionRule::Callback(callback) => callback.function.to_string(),
            };
            let timeout = match flow.timeout {
                Timeout::Millis(millis) => millis.to_string(),
                Timeout::Infinity => "none".to_owned(),
            };
            table.row([
                flow.service.clone(),
                flow.request_type.clone(),
                flow.version.clone().unwrap_or_else(|| "-".to_owned()),
                yes(flow.enabled),
                wire(&flow.response_type),
                flow.function.to_string(),
                yes(flow.registered),
                flow.node_text(),
                permission,
                hooks.to_owned(),
                (flow.global_limits.len() + flow.api_limits.len()).to_string(),
                timeout,
                flow.retry.as_ref().map_or_else(|| "none".to_owned(), wire),
            ]);
        }
        table.fmt(f)
    }
}

//! A config step by step, with its arguments and their order always in agreement.

use std::{collections::BTreeMap, time::Duration};

use super::{
    CheckPermission, ChooseNodeMode, DEFAULT_HOOK_TIMEOUT, FunConfig, Mfa, Nodes, ResponseType,
    Retry, Timeout, rules::whole_millis,
};
use crate::{
    arguments::{ArgDeclaration, ArgOrders, Limits},
    model::invalid_config::{Fault, InvalidConfig},
};

/// Builds a [`FunConfig`]; made by [`FunConfig::builder`].
///
/// Needed are a function ([`call`](Self::call)) and a place to run it ([`local`](Self::local),
/// [`nodes`](Self::nodes) or [`resolver`](Self::resolver)); everything else has the default of specification, section 2.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct FunConfigBuilder {
    service: String,
    request_type: String,
    version: Option<String>,
    nodes: Option<Nodes>,
    choose_node_mode: ChooseNodeMode,
    timeout: Timeout,
    mfa: Option<Mfa>,
    args: Vec<(String, ArgDeclaration)>,
    map_args: bool,
    response_type: ResponseType,
    check_permission: CheckPermission,
    permission_callback: Option<Mfa>,
    request_info: bool,
    disabled: bool,
    retry: Option<Retry>,
    before_execute: Option<Mfa>,
    after_execute: Option<Mfa>,
    hook_timeout: u64,
}

impl FunConfigBuilder {
    pub(super) fn new(service: String, request_type: String) -> Self {
        Self {
            service,
            request_type,
            version: None,
            nodes: None,
            choose_node_mode: ChooseNodeMode::default(),
            timeout: Timeout::default(),
            mfa: None,
            args: Vec::new(),
            map_args: false,
            response_type: ResponseType::default(),
            check_permission: CheckPermission::default(),
            permission_callback: None,
            request_info: false,
            disabled: false,
            retry: None,
            before_execute: None,
            after_execute: None,
            hook_timeout: DEFAULT_HOOK_TIMEOUT,
        }
    }

    /// Offers the function as this version; without it the function is unversioned.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Calls the function registered under these names.
    pub fn call(self, module: impl Into<String>, function: impl Into<String>) -> Self {
        self.mfa(Mfa::new(module, function))
    }

    /// Calls this function, with its predefined arguments.
    pub fn mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = Some(mfa);
        self
    }

    /// Runs in this process; in a config for a gateway: on the service's own nodes.
    pub fn local(mut self) -> Self {
        self.nodes = Some(Nodes::Local);
        self
    }

    /// Runs on the nodes at these addresses.
    pub fn nodes<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.nodes = Some(Nodes::list(addresses));
        self
    }

    /// Runs on the nodes that this function names.
    pub fn resolver(mut self, resolver: impl Into<Mfa>) -> Self {
        self.nodes = Some(Nodes::Resolver(resolver.into()));
        self
    }

    /// Sets which of several nodes is asked first.
    pub fn choose_node_mode(mut self, mode: ChooseNodeMode) -> Self {
        self.choose_node_mode = mode;
        self
    }

    /// Declares the next argument: arguments reach the function in the order of these calls.
    ///
    /// A second declaration of a name replaces the first and keeps its place.
    pub fn arg(mut self, name: impl Into<String>, declaration: impl Into<ArgDeclaration>) -> Self {
        let (name, declaration) = (name.into(), declaration.into());
        match self.args.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = declaration,
            None => self.args.push((name, declaration)),
        }
        self
    }

    /// Hands the arguments on as one map instead of one after another.
    pub fn map_args(mut self) -> Self {
        self.map_args = true;
        self
    }

    /// Sets how long a call may take, in whole milliseconds; 100 ms to 300 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Lets a call take as long as it wants.
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Timeout::Infinity;
        self
    }

    /// Sets how the function answers.
    pub fn response_type(mut self, response_type: ResponseType) -> Self {
        self.response_type = response_type;
        self
    }

    /// Answers with an acknowledgement at once and the result later.
    pub fn asynchronous(self) -> Self {
        self.response_type(ResponseType::Async)
    }

    /// Answers with an acknowledgement at once and then piece by piece.
    pub fn stream(self) -> Self {
        self.response_type(ResponseType::Stream)
    }

    /// Answers nothing once the call is accepted.
    pub fn no_response(self) -> Self {
        self.response_type(ResponseType::None)
    }

    /// Sets who may call.
    pub fn check_permission(mut self, mode: CheckPermission) -> Self {
        self.check_permission = mode;
        self
    }

    /// Lets this function decide who may call, whatever [`check_permission`](Self::check_permission) says.
    pub fn permission_callback(mut self, callback: impl Into<Mfa>) -> Self {
        self.permission_callback = Some(callback.into());
        self
    }

    /// Also hands the request's ids to the function, and the stream handle of streams.
    pub fn request_info(mut self) -> Self {
        self.request_info = true;
        self
    }

    /// Stores the function switched off.
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Tries a failed call again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Lets this function see, change or stop each request before it runs.
    pub fn before_execute(mut self, hook: impl Into<Mfa>) -> Self {
        self.before_execute = Some(hook.into());
        self
    }

    /// Lets this function see and change each response.
    pub fn after_execute(mut self, hook: impl Into<Mfa>) -> Self {
        self.after_execute = Some(hook.into());
        self
    }

    /// Sets how long each hook may take, in whole milliseconds.
    pub fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.hook_timeout = whole_millis(timeout);
        self
    }

    /// The config, valid under the default limits of arguments.
    ///
    /// # Errors
    /// Every fault at once, each with the name of its field.
    pub fn build(self) -> Result<FunConfig, InvalidConfig> {
        self.build_within(&Limits::default())
    }

    /// The config, valid under these limits of arguments.
    ///
    /// # Errors
    /// Every fault at once, each with the name of its field.
    pub fn build_within(self, limits: &Limits) -> Result<FunConfig, InvalidConfig> {
        let mut faults = Vec::new();
        let nodes = self.nodes.unwrap_or_else(|| {
            faults.push(Fault::new(
                "nodes",
                "say where it runs: local, nodes or resolver",
            ));
            Nodes::Local
        });
        // The placeholder has no name, which validation would report too.
        let mfa = self.mfa.unwrap_or_else(|| Mfa::new("", ""));
        let arg_orders = if self.map_args {
            ArgOrders::Map
        } else {
            ArgOrders::names(self.args.iter().map(|(name, _)| name))
        };
        let arg_types = self.args.into_iter().collect::<BTreeMap<_, _>>();
        let config = FunConfig {
            service: self.service,
            request_type: self.request_type,
            version: self.version,
            nodes,
            choose_node_mode: self.choose_node_mode,
            timeout: self.timeout,
            mfa,
            arg_types: Some(arg_types).filter(|types| !types.is_empty()),
            arg_orders,
            response_type: self.response_type,
            check_permission: self.check_permission,
            permission_callback: self.permission_callback,
            request_info: self.request_info,
            disabled: self.disabled,
            retry: self.retry,
            before_execute: self.before_execute,
            after_execute: self.after_execute,
            hook_timeout: self.hook_timeout,
        };
        faults.extend(config.faults(limits));
        InvalidConfig::unless_empty(faults).map(|()| config)
    }
}

//! A function together with its config.

use std::{fmt, mem, time::Duration};

use super::{
    handler::{BlockingHandler, Handler, StreamingHandler},
    registry::Functions,
};
use crate::{
    arguments::Limits,
    model::{FunConfig, FunConfigBuilder, InvalidConfig},
};

/// A function together with the config under which clients call it: all that an engine needs to serve it.
///
/// The attribute `#[gen_api::function]` (feature `macros`) writes one from a function's signature.
/// [`GenApiBuilder::function`](crate::GenApiBuilder::function) takes it.
///
/// ```
/// use gen_api::{GenApi, arguments::ArgType, function::{ApiFunction, FunctionError}, model::FunConfig};
///
/// async fn double(n: i64) -> Result<i64, FunctionError> {
///     Ok(n * 2)
/// }
///
/// let config = FunConfig::builder("math", "double").arg("n", ArgType::Num).local();
/// let api = GenApi::builder()
///     .function(ApiFunction::new("Math", "double", double, config))
///     .start_blocking()?;
/// assert!(api.config_db().get_fast("math", "double").is_ok());
/// # Ok::<(), gen_api::StartApiError>(())
/// ```
#[must_use = "a builder has to take it"]
pub struct ApiFunction {
    module: String,
    name: String,
    config: FunConfigBuilder,
    limits: Vec<FunctionLimit>,
    register: Register,
}

/// A rate limit that a function brings with it.
pub(crate) struct FunctionLimit {
    pub(crate) key: String,
    pub(crate) max_requests: u32,
    pub(crate) window: Duration,
}

/// Adds the handler to a registry, under a module and a name.
type Register = Box<dyn FnOnce(Functions, &str, &str) -> Functions + Send>;

impl ApiFunction {
    /// An async function, registered under `module` and `name`, which the config is made to call.
    pub fn new<H, Marker>(
        module: impl Into<String>,
        name: impl Into<String>,
        handler: H,
        config: FunConfigBuilder,
    ) -> Self
    where
        H: Handler<Marker>,
    {
        Self::registered(
            module.into(),
            name.into(),
            config,
            |functions, module, name| functions.register(module, name, handler),
        )
    }

    /// A function that blocks its thread; see [`Functions::register_blocking`].
    pub fn blocking<H, Marker>(
        module: impl Into<String>,
        name: impl Into<String>,
        handler: H,
        config: FunConfigBuilder,
    ) -> Self
    where
        H: BlockingHandler<Marker>,
    {
        Self::registered(
            module.into(),
            name.into(),
            config,
            |functions, module, name| functions.register_blocking(module, name, handler),
        )
    }

    /// An async function that answers with a Rust `Stream`; see [`Functions::register_stream`].
    pub fn streaming<H, Marker>(
        module: impl Into<String>,
        name: impl Into<String>,
        handler: H,
        config: FunConfigBuilder,
    ) -> Self
    where
        H: StreamingHandler<Marker>,
    {
        Self::registered(
            module.into(),
            name.into(),
            config,
            |functions, module, name| functions.register_stream(module, name, handler),
        )
    }

    /// Changes the config, for what is known only when the program runs, such as roles from a file.
    pub fn configure(mut self, change: impl FnOnce(FunConfigBuilder) -> FunConfigBuilder) -> Self {
        self.config = change(self.config);
        self
    }

    /// Limits how often it may be called: within any `window`, `max_requests` times for one value of `key` (`user_id`,
    /// `device_id`, `ip_address` or an argument). Several limits hold together.
    ///
    /// The engine adds it to those of its settings when it starts; it is listed, changed and removed like them, by
    /// [`RateLimiter::update_config`](crate::rate_limiter::RateLimiter::update_config). Service nodes limit nothing: there the
    /// gateway does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gen_api::prelude::*;
    ///
    /// #[gen_api::function(service = "mail")]
    /// async fn send(to: String) -> Result<String, FunctionError> {
    ///     Ok(format!("sent to {to}"))
    /// }
    ///
    /// let send = send::api().limit("to", 1, Duration::from_secs(60));
    /// let api = GenApi::builder().function(send).start_blocking()?;
    /// let ask = || api.execute(Request::new("r", "mail", "send").with_arg("to", "ann"));
    /// assert_eq!(api.block_on(ask()).response.and_then(|response| response.error), None);
    /// let refused = api.block_on(ask()).response.and_then(|response| response.error);
    /// assert_eq!(refused.as_deref(), Some("Rate limit exceeded. Please retry after 60 seconds."));
    /// # Ok::<(), gen_api::StartApiError>(())
    /// ```
    pub fn limit(mut self, key: impl Into<String>, max_requests: u32, window: Duration) -> Self {
        self.limits.push(FunctionLimit {
            key: key.into(),
            max_requests,
            window,
        });
        self
    }

    pub(crate) fn take_limits(&mut self) -> Vec<FunctionLimit> {
        mem::take(&mut self.limits)
    }

    /// The registry with this function, and its config.
    ///
    /// # Errors
    ///
    /// Every fault of the config at once, under these limits of arguments.
    pub fn register(
        self,
        functions: Functions,
        limits: &Limits,
    ) -> Result<(Functions, FunConfig), InvalidConfig> {
        let Self {
            module,
            name,
            config,
            register,
            limits: _,
        } = self;
        let config = config.build_within(limits)?;
        Ok((register(functions, &module, &name), config))
    }

    /// Under what name errors speak of it: `module.function`.
    pub(crate) fn display_name(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }

    fn registered(
        module: String,
        name: String,
        config: FunConfigBuilder,
        register: impl FnOnce(Functions, &str, &str) -> Functions + Send + 'static,
    ) -> Self {
        Self {
            config: config.call(&module, &name),
            module,
            name,
            limits: Vec::new(),
            register: Box::new(register),
        }
    }
}

impl fmt::Debug for ApiFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiFunction")
            .field("module", &self.module)
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

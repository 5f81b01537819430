//! A function together with its config.

use std::fmt;

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
    register: Register,
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

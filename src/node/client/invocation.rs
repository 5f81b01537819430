//! What is sent to call a function on a node, and what a stream sends back.

use std::sync::Arc;

use serde_json::Value;

use crate::model::Request;

/// One call of a function on another node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Invocation {
    /// The module under which the function is registered there.
    pub module: String,
    /// The name under which the function is registered there.
    pub function: String,
    /// The predefined arguments of the config, then the request's in their order, or one map (specification, section 4).
    pub args: Vec<Value>,
    /// The names of the last arguments, so that errors can name them; none where nobody knows them.
    pub arg_names: Option<Arc<[String]>>,
    /// The id of the request, as its client chose it.
    pub request_id: String,
    /// On whose behalf, where a user is known.
    pub user_id: Option<String>,
    /// From which device, where the request names one.
    pub device_id: Option<String>,
    /// Whether the config asks for the request info as a further, last argument. It is not part of `args`.
    pub append_info: bool,
}

impl Invocation {
    /// A call of this function with these arguments, on behalf of this request.
    #[must_use]
    pub fn new(
        module: impl Into<String>,
        function: impl Into<String>,
        args: Vec<Value>,
        request: &Request,
    ) -> Self {
        Self {
            module: module.into(),
            function: function.into(),
            args,
            arg_names: None,
            request_id: request.request_id.clone(),
            user_id: request.user_id.clone(),
            device_id: request.device_id.clone(),
            append_info: false,
        }
    }

    /// Names the last `names.len()` arguments.
    #[must_use]
    pub fn with_arg_names(mut self, names: Arc<[String]>) -> Self {
        self.arg_names = Some(names);
        self
    }

    /// Makes the request info the last argument, as the config field `request_info` asks.
    #[must_use]
    pub fn with_appended_info(mut self) -> Self {
        self.append_info = true;
        self
    }
}

/// One piece of a remote stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamChunk {
    /// A piece, after which more may come.
    Result(Value),
    /// The last piece: the stream completes with it.
    Last(Value),
}

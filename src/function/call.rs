//! What a function is called with.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::stream_handle::StreamHandle;
use crate::{model::connection::Connection, worker_pool::WorkerPool};

/// One call of a function: the arguments in order, who asks, and what the function runs on.
///
/// Typed functions never see it; a [raw function](super::Functions::register_raw) gets it as it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call {
    /// The predefined arguments of the config, then the request's in their order, or one map (specification, section 4).
    pub args: Vec<Value>,
    /// Who asks. Filled in where the function [needs it](super::Function::needs_info), else it may be empty.
    pub info: RequestInfo,
    /// Where chunks go, in a call that opens a stream.
    pub stream: Option<StreamHandle>,
    /// The runtime for timers, input and output, and blocking work of the function.
    pub runtime: Handle,
    /// Whether the config asks for the request info as a further, last argument. It is not part of `args`;
    /// [`into_args`](Self::into_args) appends it.
    pub append_info: bool,
    arg_names: Option<Arc<[String]>>,
    /// Where a blocking function has to get its thread; without it, it takes one of the runtime's.
    blocking_pool: Option<WorkerPool>,
}

impl Call {
    /// A call outside of any stream, with `args` in the order in which the function takes them.
    #[must_use]
    pub fn new(args: Vec<Value>, info: RequestInfo, runtime: Handle) -> Self {
        Self {
            args,
            info,
            stream: None,
            runtime,
            append_info: false,
            arg_names: None,
            blocking_pool: None,
        }
    }

    /// Gives the function a stream to feed.
    #[must_use]
    pub fn with_stream(mut self, handle: StreamHandle) -> Self {
        self.stream = Some(handle);
        self
    }

    /// Names the last `names.len()` arguments, so that errors can: predefined arguments stand before them and have no
    /// names. An empty name stands for the one map that holds all arguments of the request.
    #[must_use]
    pub fn with_arg_names(mut self, names: Arc<[String]>) -> Self {
        self.arg_names = Some(names);
        self
    }

    /// Makes the request info the last argument, as the config field `request_info` asks.
    ///
    /// A typed function with one parameter more than there are arguments gets it there; one without such a parameter
    /// is called all the same, since it may take [`RequestInfo`] as a parameter anywhere.
    #[must_use]
    pub fn with_appended_info(mut self) -> Self {
        self.append_info = true;
        self
    }

    /// All arguments, the request info included where the config asks for it.
    #[must_use]
    pub fn into_args(self) -> Vec<Value> {
        let mut args = self.args;
        if self.append_info {
            args.push(self.info.into_value());
        }
        args
    }

    /// The name of the argument at `index`, where the call carries names.
    #[must_use]
    pub fn arg_name(&self, index: usize) -> Option<&str> {
        name_at(self.arg_names.as_deref(), self.args.len(), index)
    }

    /// As [`with_arg_names`](Self::with_arg_names), in place: a call is large, and moved about with each request.
    pub(crate) fn set_arg_names(&mut self, names: Option<Arc<[String]>>) {
        self.arg_names = names;
    }

    pub(crate) fn set_blocking_pool(&mut self, pool: WorkerPool) {
        self.blocking_pool = Some(pool);
    }

    pub(super) fn take_blocking_pool(&mut self) -> Option<WorkerPool> {
        self.blocking_pool.take()
    }

    pub(super) fn take_arg_names(&mut self) -> Option<Arc<[String]>> {
        self.arg_names.take()
    }
}

/// The name of the one map that holds all arguments of a request.
pub(super) const ALL_IN_ONE: &str = "";

/// Names belong to the last arguments of the list.
pub(super) fn name_at(names: Option<&[String]>, args: usize, index: usize) -> Option<&str> {
    let names = names?;
    let unnamed = args.saturating_sub(names.len());
    let name = names.get(index.checked_sub(unnamed)?)?;
    Some(name.as_str())
}

/// Who asks: a function takes it as a parameter, in any position.
///
/// In JSON it is an object of these fields, null where one is absent. It is no `Deserialize` type on purpose: that is
/// how a parameter of this type is told from an argument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The request's id, as the client chose it.
    pub request_id: String,
    /// The verified user, where there is one.
    pub user_id: Option<String>,
    /// The device, where the request names one.
    pub device_id: Option<String>,
    #[serde(skip)]
    connection: Option<Connection>,
}

impl RequestInfo {
    /// The info of the request with this id, user and device.
    #[must_use]
    pub fn new(
        request_id: impl Into<String>,
        user_id: Option<String>,
        device_id: Option<String>,
    ) -> Self {
        Self {
            request_id: request_id.into(),
            user_id,
            device_id,
            connection: None,
        }
    }

    /// Names the connection the request came over.
    #[must_use]
    pub fn with_connection(mut self, connection: Option<Connection>) -> Self {
        self.connection = connection;
        self
    }

    /// The connection the request came over, to push further responses to its client; none where the door keeps no
    /// connections, and on service nodes, where no client is connected. It is no part of the JSON form.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    pub(super) fn into_value(self) -> Value {
        let mut object = serde_json::Map::new();
        object.insert("request_id".into(), self.request_id.into());
        object.insert("user_id".into(), self.user_id.into());
        object.insert("device_id".into(), self.device_id.into());
        Value::Object(object)
    }
}

//! The way of a request, stage by stage (SPEC section 3), and the [`Executor`] actor as one door to it.
//!
//! [`GenApi::execute`](crate::GenApi::execute) runs the stages on the caller's thread, without a mailbox in between. The
//! actor runs the same stages, each request in a task of its own, so an executor that dies drops no request it has taken.
//!
//! ```text
//! find config -> arguments -> call -> response
//!      |             |          |
//!      +-------------+----------+--> one error response
//! ```

mod actor;
mod arguments;
mod error;
mod find_config;
mod invoke;
mod reply;
pub(crate) mod respond;

use std::sync::Arc;

use actix::Recipient;
use actix_otp::{ArbiterPool, DynamicSupervisorRef};
use tokio::runtime::Handle;

pub(crate) use self::error::RequestError;
use self::invoke::Accepted;
pub use self::{
    actor::{Execute, Executor},
    reply::Reply,
};
use crate::{
    clock::Clock,
    config::ConfigTable,
    function::RequestInfo,
    model::{Request, Response},
    settings::Settings,
    stream::LiveStreams,
};

/// Everything a request meets on its way; shared by all doors.
pub(crate) struct Pipeline {
    pub(crate) settings: Settings,
    pub(crate) configs: Arc<ConfigTable>,
    pub(crate) clock: Arc<dyn Clock>,
    /// A runtime that is always there, whatever thread a request comes from.
    pub(crate) runtime: Handle,
    /// Runs what goes on after the acknowledgement.
    pub(crate) pool: ArbiterPool,
    pub(crate) streams: Arc<LiveStreams>,
    pub(crate) stream_supervisor: DynamicSupervisorRef,
}

impl Pipeline {
    /// Answers a request; its later responses are in the reply.
    pub(crate) async fn execute(&self, request: Request) -> Reply {
        self.answer(request, None).await
    }

    /// Answers a request; all responses go to the recipient, in order.
    pub(crate) async fn execute_to(&self, request: Request, recipient: Recipient<Response>) {
        let reply = self.answer(request, Some(recipient.clone())).await;
        if let Some(response) = reply.response {
            recipient.do_send(response);
        }
    }

    /// Answers a JSON payload; one that is no request gets an error response.
    pub(crate) async fn execute_json(&self, payload: &[u8]) -> Reply {
        match Request::decode(payload, self.settings.requests.max_payload_bytes) {
            Ok(request) => self.execute(request).await,
            Err(error) => {
                let request_id = respond::request_id_of(payload, &error);
                Reply::now(respond::undecodable(request_id, &error))
            }
        }
    }

    async fn answer(&self, mut request: Request, recipient: Option<Recipient<Response>>) -> Reply {
        let reply = match self.accept(&mut request) {
            Ok(accepted) => self.invoke(accepted, recipient).await,
            Err(error) => Err(error),
        };
        reply.unwrap_or_else(|error| {
            let Request {
                request_id,
                service,
                request_type,
                ..
            } = request;
            tracing::debug!(%request_id, %service, %request_type, %error, "a request failed");
            Reply::now(respond::failure(
                request_id,
                &error,
                self.settings.security.detail_error,
            ))
        })
    }

    /// The stages before the call; they take the arguments out of the request.
    fn accept(&self, request: &mut Request) -> Result<Accepted, RequestError> {
        let route = find_config::find_config(&self.configs, request)?;
        let args = arguments::convert(&route, std::mem::take(&mut request.args))?;
        let function = find_config::local_function(&route)?;
        let info = RequestInfo::new(
            request.request_id.clone(),
            request.user_id.take(),
            request.device_id.take(),
        );
        let request_id = request.request_id.clone();
        Ok(Accepted {
            request_id,
            function,
            call: self.call(args, info),
            route,
        })
    }
}

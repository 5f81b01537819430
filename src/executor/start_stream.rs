//! The start of a stream as a message to an executor, answered with the running stream.

use std::{fmt, sync::Arc};

use actix::{Context, Handler, Message, Recipient};
use actix_otp::DynamicChild;

use super::{Demand, Executor, Pipeline, Reply, actor::Undelivered, begun::Begun, reply::Refused};
use crate::{
    model::{Request, Response, ResponseType},
    request_error::RequestError,
    respond,
    stream::StreamCall,
};

/// Starts the stream of a request whose config is of the response mode `stream` (specification, section 22:
/// `StreamCall.start_link`).
///
/// The request goes the same way as that of an [`Execute`](crate::Execute). The answer is the running stream, or says
/// why there is none. A message that dies in the mailbox of an executor answers its recipient with `Service temporarily
/// unavailable` and `can_retry`.
///
/// ```
/// use gen_api::{StartStream, prelude::*, stream::StopStream};
/// use serde_json::json;
///
/// async fn ticks(stream: StreamHandle) -> Result<(), FunctionError> {
///     stream.send_result("tick").await?;
///     Ok(stream.closed().await)
/// }
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let functions = Functions::new().register("Clock", "ticks", ticks);
///     let config = FunConfig::builder("clock", "ticks").call("Clock", "ticks").local().stream().build()?;
///     let api = GenApi::builder().functions(functions).config(config).start().await?;
///
///     let start = StartStream::new(Request::new("r-1", "clock", "ticks"));
///     let mut started = api.executor(0).call(start).await??;
///     assert_eq!(started.request_id(), "r-1");
///
///     let mut chunks = started.reply.later.take().ok_or("no chunks")?;
///     assert_eq!(chunks.next().await.map(|chunk| chunk.result), Some(json!("tick")));
///
///     // Or `api.stop_stream("r-1")`.
///     started.stream().addr().send(StopStream).await?;
///     assert_eq!(chunks.next().await, Some(Response::stream_end("r-1")));
///     api.stop().await;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "it starts a stream when it is sent to an executor"]
pub struct StartStream {
    request: Request,
    recipient: Undelivered,
}

impl StartStream {
    /// Asks for the stream of this request; its chunks are in the reply.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            recipient: Undelivered::default(),
        }
    }

    /// Sends every response to `recipient`, in order, also the error of a request that is refused.
    pub fn deliver_to(mut self, recipient: Recipient<Response>) -> Self {
        self.recipient = Undelivered::new(&self.request, recipient);
        self
    }
}

impl Message for StartStream {
    type Result = Result<StartedStream, StartStreamError>;
}

/// A stream that runs.
#[must_use = "dropping its reply ends the stream"]
pub struct StartedStream {
    /// The acknowledgement, and the chunks as they come; empty where a recipient gets them all.
    pub reply: Reply,
    request_id: String,
    stream: DynamicChild<StreamCall>,
}

impl StartedStream {
    /// The id under which [`stop_stream`](crate::GenApi::stop_stream) finds it.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The actor that runs it: takes [`StopStream`](crate::stream::StopStream), and tells when it has ended.
    #[must_use]
    pub fn stream(&self) -> &DynamicChild<StreamCall> {
        &self.stream
    }
}

impl fmt::Debug for StartedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedStream")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Why no stream was started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartStreamError {
    /// The config that answers the request is of another response mode. Its function was not called.
    #[error("the config of the request is of the response mode {response_type}, not stream")]
    #[non_exhaustive]
    NotAStream {
        /// The mode of the config.
        response_type: ResponseType,
        /// What the client is told.
        response: Response,
    },
    /// The request was refused, as it would be in every other mode.
    #[error("the request was refused: {}", .0.error.as_deref().unwrap_or_default())]
    Refused(Response),
}

impl StartStreamError {
    /// What the client is told; a recipient has got it already.
    pub fn response(&self) -> &Response {
        match self {
            Self::NotAStream { response, .. } | Self::Refused(response) => response,
        }
    }
}

impl Handler<StartStream> for Executor {
    type Result = Begun<Result<StartedStream, StartStreamError>>;

    fn handle(&mut self, message: StartStream, _: &mut Context<Self>) -> Self::Result {
        let StartStream { request, recipient } = message;
        let recipient = recipient.take();
        let pipeline = Arc::clone(&self.pipeline);
        Begun::new(async move { pipeline.start_stream(request, recipient).await })
    }
}

impl Pipeline {
    async fn start_stream(
        &self,
        request: Request,
        recipient: Option<Recipient<Response>>,
    ) -> Result<StartedStream, StartStreamError> {
        let request_id = request.request_id.clone();
        let demand = Demand {
            recipient: recipient.clone(),
            only: Some(ResponseType::Stream),
        };
        match self.answer(request, demand).await {
            Ok(mut reply) => match reply.stream.take() {
                Some(stream) => Ok(StartedStream {
                    reply,
                    request_id,
                    stream,
                }),
                // Nothing but a stream is accepted above.
                None => Err(StartStreamError::Refused(respond::lost(request_id))),
            },
            Err(refused) => {
                let Refused {
                    error,
                    response,
                    is_told,
                } = *refused;
                if let (Some(recipient), false) = (recipient, is_told) {
                    recipient.do_send(response.clone());
                }
                Err(match error {
                    RequestError::NotAStream(response_type) => StartStreamError::NotAStream {
                        response_type,
                        response,
                    },
                    _ => StartStreamError::Refused(response),
                })
            }
        }
    }
}

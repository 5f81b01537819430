//! Stage 6: the call, in the way the config's response mode asks for (SPEC section 7).

use std::sync::Arc;

use actix::Recipient;

use super::{Pipeline, error::RequestError, reply::Reply, respond};
use crate::{
    call::local,
    config::Route,
    function::{Call, Function, Outcome, RequestInfo, stream_channel},
    model::{Response, ResponseType},
    response_sink::ResponseSink,
    stream::{StreamCall, StreamWork},
};

/// A request that passed every check.
pub(super) struct Accepted {
    pub(super) request_id: String,
    pub(super) route: Arc<Route>,
    pub(super) function: Arc<dyn Function>,
    pub(super) call: Call,
}

impl Pipeline {
    pub(super) async fn invoke(
        &self,
        accepted: Accepted,
        recipient: Option<Recipient<Response>>,
    ) -> Result<Reply, RequestError> {
        match accepted.route.config.response_type {
            ResponseType::Sync => self.invoke_sync(accepted).await,
            ResponseType::Async => self.invoke_async(accepted, recipient),
            ResponseType::Stream => self.invoke_stream(accepted, recipient),
            _ => self.invoke_none(accepted),
        }
    }

    async fn invoke_sync(&self, accepted: Accepted) -> Result<Reply, RequestError> {
        let Accepted {
            request_id,
            route,
            function,
            call,
        } = accepted;
        let outcome = local::call(&*function, call, route.timeout, &self.clock).await?;
        Ok(Reply::now(Response::sync(request_id, single(outcome)?)))
    }

    fn invoke_async(
        &self,
        accepted: Accepted,
        recipient: Option<Recipient<Response>>,
    ) -> Result<Reply, RequestError> {
        let Accepted {
            request_id,
            route,
            function,
            call,
        } = accepted;
        let Delivery {
            mut sink,
            acknowledgement,
            reply,
        } = self.delivery(Response::async_ack(request_id.as_str()), recipient);
        let (clock, detail_error) = (Arc::clone(&self.clock), self.settings.security.detail_error);
        let work = async move {
            sink.on_loss(respond::lost);
            if let Some(acknowledgement) = acknowledgement {
                // A receiver that is gone already does not keep the accepted call from being made.
                let _ = sink.send(acknowledgement).await;
            }
            let answer = local::call(&*function, call, route.timeout, &clock).await;
            sink.finish(match answer.map_err(RequestError::from).and_then(single) {
                Ok(value) => Response::sync(request_id, value),
                Err(error) => {
                    tracing::warn!(%request_id, %error, "an async call failed");
                    respond::failure(request_id, &error, detail_error)
                }
            });
        };
        self.pool.pick().spawn(work);
        Ok(reply)
    }

    fn invoke_none(&self, accepted: Accepted) -> Result<Reply, RequestError> {
        let Accepted {
            request_id,
            route,
            function,
            call,
        } = accepted;
        let clock = Arc::clone(&self.clock);
        self.pool.pick().spawn(async move {
            if let Err(error) = local::call(&*function, call, route.timeout, &clock).await {
                tracing::warn!(%request_id, %error, "a call without a response failed");
            }
        });
        Ok(Reply::nothing())
    }

    fn invoke_stream(
        &self,
        accepted: Accepted,
        recipient: Option<Recipient<Response>>,
    ) -> Result<Reply, RequestError> {
        let Accepted {
            request_id,
            route,
            function,
            call,
        } = accepted;
        let (handle, events) = stream_channel(self.settings.streams.buffer);
        let Delivery {
            sink,
            acknowledgement,
            reply,
        } = self.delivery(
            Response::stream_chunk(request_id.as_str(), "init"),
            recipient,
        );
        let clock = Arc::clone(&self.clock);
        let work = StreamWork {
            // The timeout bounds the stream as a whole, so the call inside has none of its own.
            call: Box::pin(async move {
                local::call(&*function, call.with_stream(handle), None, &clock).await
            }),
            events,
            sink,
            acknowledgement,
            timeout: route.timeout,
            clock: Arc::clone(&self.clock),
            detail_error: self.settings.security.detail_error,
            live: self.streams.enter(&request_id),
        };
        match self
            .stream_supervisor
            .spawn_child(move || StreamCall::new(work))
        {
            Ok(_) => Ok(reply),
            Err(refused) if reply.response.is_some() => {
                Err(RequestError::Busy(refused.to_string()))
            }
            // The sink went with the refused work, and told the recipient.
            Err(_) => Ok(Reply::nothing()),
        }
    }

    /// Where the responses of an accepted call go: the first into the reply and the later ones after it, or all of them to
    /// the recipient in order.
    fn delivery(
        &self,
        acknowledgement: Response,
        recipient: Option<Recipient<Response>>,
    ) -> Delivery {
        let request_id = acknowledgement.request_id.clone().unwrap_or_default();
        match recipient {
            Some(recipient) => Delivery {
                sink: ResponseSink::recipient(recipient, request_id, respond::unavailable),
                acknowledgement: Some(acknowledgement),
                reply: Reply::nothing(),
            },
            None => {
                let buffer = self.settings.streams.buffer;
                let (sink, later) = ResponseSink::channel(buffer, request_id, respond::unavailable);
                let reply = Reply::with_later(acknowledgement, later);
                Delivery {
                    sink,
                    acknowledgement: None,
                    reply,
                }
            }
        }
    }

    /// What the function gets to know of the request.
    pub(super) fn call(&self, args: Vec<serde_json::Value>, info: RequestInfo) -> Call {
        Call::new(args, info, self.runtime.clone())
    }
}

/// The way back of an accepted call.
struct Delivery {
    sink: ResponseSink,
    /// To be sent through the sink first; `None` where the reply carries it.
    acknowledgement: Option<Response>,
    reply: Reply,
}

/// The one value of a call that is no stream.
fn single(outcome: Outcome) -> Result<serde_json::Value, RequestError> {
    match outcome {
        Outcome::Unit => Ok(serde_json::Value::Null),
        Outcome::Value(value) => Ok(value),
        _ => Err(RequestError::UnexpectedStream),
    }
}

//! Stage 6 in the way the config's response mode asks for (specification, section 7).

use std::{future::poll_fn, mem, sync::Arc};

use actix::Recipient;
use futures_util::FutureExt;
use serde_json::Value;
use tracing::{Instrument, Span};

use super::{
    Pipeline,
    after::{self, AfterHook},
    attempt::{Input, Seat},
    depth,
    reply::Reply,
};
use crate::{
    config::Route,
    diagnostics::Count,
    function::{Outcome, stream_within},
    lifecycle::{Held, Place},
    model::{Request, Response, ResponseType},
    request_error::RequestError,
    respond,
    response_sink::ResponseSink,
    stream::{StreamCall, StreamParts, StreamTask, StreamWatch},
};

impl Pipeline {
    pub(super) async fn invoke(
        &self,
        request: &mut Request,
        route: Arc<Route>,
        input: Input,
        after: Option<&AfterHook>,
        recipient: Option<Recipient<Response>>,
        place: &mut Option<Place<'_>>,
    ) -> Result<Reply, NotBegun> {
        let request_id = request.request_id.as_str();
        match route.config.response_type {
            ResponseType::Sync => {
                let outcome = self.attempts.run(request_id, &route, input).await;
                let value = outcome.and_then(single)?;
                Ok(Reply::now(match after {
                    // Nobody asks for it after this.
                    None => Response::sync(mem::take(&mut request.request_id), value),
                    Some(after) => after.apply(Response::sync(request_id, value)).await,
                }))
            }
            ResponseType::Async => {
                let to = (after.cloned(), recipient);
                Ok(self.invoke_async(request_id, route, input, to, place)?)
            }
            ResponseType::Stream => {
                // It went into the info where the function needs that.
                let user_id = request.user_id.as_deref();
                let user_id = user_id.or(input.info.user_id.as_deref()).map(Box::from);
                let asker = (request_id, user_id);
                let place = place.as_ref().map(Place::follow);
                let to = (after, recipient);
                Box::pin(self.invoke_stream(asker, route, input, to, place)).await
            }
            _ => Ok(self.invoke_none(request_id, route, input, place)?),
        }
    }

    fn invoke_async(
        &self,
        request_id: &str,
        route: Arc<Route>,
        input: Input,
        (after, recipient): (Option<AfterHook>, Option<Recipient<Response>>),
        place: &mut Option<Place<'_>>,
    ) -> Result<Reply, RequestError> {
        let pool = self.worker_pools.async_pool.clone();
        let ticket = pool.admit()?;
        let place = place.take().map(Place::keep);
        let delivery = self.delivery(
            request_id.into(),
            Response::async_ack(request_id),
            recipient,
        );
        let Delivery {
            mut sink,
            acknowledgement,
            reply,
        } = delivery;
        let request_id = request_id.to_owned();
        let (attempts, detail_error) = (
            Arc::clone(&self.attempts),
            self.settings.security.detail_error,
        );
        let lifecycle = Arc::clone(&self.lifecycle);
        let work = async move {
            sink.on_loss(respond::lost);
            let seat = Seat {
                pool: &pool,
                ticket: Some(ticket),
            };
            let called = async {
                if let Some(acknowledgement) = acknowledgement {
                    // A receiver that is gone already does not keep the accepted call from being made.
                    let _ = sink.send(acknowledgement).await;
                }
                let called = attempts.run_in_pool(&request_id, &route, input, seat);
                let result = called.await;
                let response = match result.and_then(single) {
                    Ok(value) => Response::sync(&*request_id, value),
                    Err(error) => {
                        attempts
                            .failures
                            .note(Some(route.api()), &request_id, &error);
                        respond::failure(request_id.clone(), &error, detail_error)
                    }
                };
                let response = after::apply(after.as_ref(), response).await;
                // What came before the terminal response must have been taken before it may follow.
                poll_fn(|cx| sink.poll_settled(cx)).await;
                response
            };
            let response = lifecycle.until_cut(depth::counted(called)).await;
            sink.finish(response.unwrap_or_else(|| respond::unavailable(request_id)));
            drop(place);
        };
        self.pool.pick().spawn(work.in_current_span());
        Ok(reply)
    }

    fn invoke_none(
        &self,
        request_id: &str,
        route: Arc<Route>,
        input: Input,
        place: &mut Option<Place<'_>>,
    ) -> Result<Reply, RequestError> {
        let pool = self.worker_pools.async_pool.clone();
        let ticket = pool.admit()?;
        let place = place.take().map(Place::keep);
        let request_id = request_id.to_owned();
        let (attempts, lifecycle) = (Arc::clone(&self.attempts), Arc::clone(&self.lifecycle));
        let work = async move {
            let seat = Seat {
                pool: &pool,
                ticket: Some(ticket),
            };
            let called = attempts.run_in_pool(&request_id, &route, input, seat);
            let result = lifecycle.until_cut(depth::counted(called)).await;
            if let Err(error) = result.unwrap_or(Err(RequestError::Stopping)) {
                attempts
                    .failures
                    .note(Some(route.api()), &request_id, &error);
            }
            drop(place);
        };
        self.pool.pick().spawn(work.in_current_span());
        Ok(Reply::nothing())
    }

    async fn invoke_stream(
        &self,
        (request_id, user_id): (&str, Option<Box<str>>),
        route: Arc<Route>,
        mut input: Input,
        (after, recipient): (Option<&AfterHook>, Option<Recipient<Response>>),
        place: Option<Held>,
    ) -> Result<Reply, NotBegun> {
        let admitted = self.worker_pools.stream_pool.admit();
        let ticket = admitted.map_err(RequestError::from)?;
        let acknowledgement = Response::stream_chunk(request_id, "init");
        let acknowledgement = after::apply(after, acknowledgement).await;
        let (handle, events) = stream_within(self.settings.streams.room());
        input.stream = Some(handle);
        let id: Arc<str> = request_id.into();
        let Delivery {
            sink,
            acknowledgement,
            mut reply,
        } = self.delivery(Arc::clone(&id), acknowledgement, recipient);
        let live = self
            .streams
            .enter(Arc::clone(&id), user_id, events.closer());
        let (attempts, failures) = (
            Arc::clone(&self.attempts),
            Arc::clone(&self.attempts.failures),
        );
        let called = Arc::clone(&route);
        let span = Span::current();
        let task = StreamTask::new(StreamParts {
            begin: Box::new(move || {
                let call = span.in_scope(|| attempts.run_stream(id, called, input));
                if span.is_none() {
                    call
                } else {
                    call.instrument(span).boxed()
                }
            }),
            events,
            sink,
            acknowledgement,
            watch: StreamWatch::new(live, route, self.telemetry.clone(), failures),
            ticket,
            place,
            detail_error: self.settings.security.detail_error,
        });
        let task = Box::new(task);
        match self
            .stream_supervisor
            .spawn_child(move || StreamCall::new(task))
        {
            Ok(stream) => {
                self.attempts.counters.count(Count::StreamOpened);
                reply.stream = Some(stream);
                Ok(reply)
            }
            Err(refused) => Err(NotBegun {
                error: RequestError::Busy(refused.to_string()),
                // The sink went with the refused work. Where it led to a recipient, it told him.
                is_told: reply.response.is_none(),
            }),
        }
    }

    /// Where the responses of an accepted call go: the first into the reply and the later ones after it, or all of them to
    /// the recipient in order.
    fn delivery(
        &self,
        request_id: Arc<str>,
        acknowledgement: Response,
        recipient: Option<Recipient<Response>>,
    ) -> Delivery {
        let buffer = self.settings.streams.room();
        match recipient {
            Some(recipient) => Delivery {
                sink: ResponseSink::recipient(
                    recipient,
                    buffer,
                    request_id,
                    respond::unavailable,
                    Arc::clone(&self.attempts.clock),
                ),
                acknowledgement: Some(acknowledgement),
                reply: Reply::nothing(),
            },
            None => {
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
}

/// A call that nobody was told an acknowledgement of.
pub(super) struct NotBegun {
    pub(super) error: RequestError,
    /// Whether the recipient of the responses has got a terminal one already.
    pub(super) is_told: bool,
}

impl From<RequestError> for NotBegun {
    fn from(error: RequestError) -> Self {
        Self {
            error,
            is_told: false,
        }
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
fn single(outcome: Outcome) -> Result<Value, RequestError> {
    match outcome {
        Outcome::Unit => Ok(Value::Null),
        Outcome::Value(value) => Ok(value),
        _ => Err(RequestError::UnexpectedStream),
    }
}

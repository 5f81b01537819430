//! One call on a connection: what tonic's generated clients send, over HTTP/2.
//!
//! tonic's own channel tells neither whether a request was sent nor what became of its connection, and passes each call
//! through a queue and two tasks. This goes from the caller's thread straight to the connection.

use std::{
    fmt::Write,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use h2::RecvStream;
use http_body::{Body, Frame};
use tokio::time::Instant;
use tonic::{
    Code, Status,
    codegen::{
        Service,
        http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header},
    },
};

use super::{
    cancel::Sent,
    error::{Ended, answered, broken, disconnected, is_denial, malformed, unreachable},
    peer::{Link, NoLink, Peer},
};
use crate::{
    grpc::{
        secret::Bearer,
        trace_context::{TRACEPARENT, TraceContext},
    },
    node::NodeCallError,
};

/// What a caller shows and tells with every call.
pub(super) struct Manners {
    pub(super) bearer: Bearer,
    pub(super) trace: Arc<dyn TraceContext>,
}

/// The way of one call to one node.
pub(super) struct Transport {
    pub(super) peer: Arc<Peer>,
    pub(super) manners: Arc<Manners>,
    /// When the call has to be over, and how long it had.
    pub(super) deadline: Option<(Instant, Duration)>,
}

impl Service<Request<tonic::body::Body>> for Transport {
    type Response = Response<Answer>;
    type Error = Ended;
    type Future = BoxFuture<'static, Result<Self::Response, Ended>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let call = Call {
            peer: Arc::clone(&self.peer),
            manners: Arc::clone(&self.manners),
            deadline: self.deadline,
        };
        Box::pin(async move { Ok(call.send(request).await?) })
    }
}

struct Call {
    peer: Arc<Peer>,
    manners: Arc<Manners>,
    deadline: Option<(Instant, Duration)>,
}

impl Call {
    async fn send(
        self,
        request: Request<tonic::body::Body>,
    ) -> Result<Response<Answer>, NodeCallError> {
        let (mut head, body) = request.into_parts();
        let message = collect(body).await?;
        self.manners.bearer.attach(&mut head.headers);
        self.manners
            .trace
            .inject(&mut |name, value| insert(&mut head.headers, name, value));
        let (link, mut sender) = self.sender().await?;
        if let Some((deadline, timeout)) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NodeCallError::TimedOut { after: timeout });
            }
            insert_once(&mut head.headers, GRPC_TIMEOUT, timeout_value(left));
        }
        // Until its message is in, no node can have begun the call.
        let not_sent = |error: h2::Error| unreachable(error.to_string());
        let head = Request::from_parts(head, ());
        let (response, mut stream) = sender.send_request(head, false).map_err(not_sent)?;
        stream.send_data(message, true).map_err(not_sent)?;
        let call = Unanswered {
            link: &link,
            call: Some((response, stream)),
        };
        let response = call.await.map_err(|error| broken(&link, &error))?;
        if is_denial(response.headers()) {
            self.peer.deny(&link);
        } else {
            link.served();
        }
        let timeout = self.deadline.map(|(_, timeout)| timeout);
        judged(response, link, timeout)
    }

    /// A connection that takes calls. One that has just ended is replaced once.
    async fn sender(&self) -> Result<(Arc<Link>, super::connection::Sender), NodeCallError> {
        let mut link = self.link().await?;
        let mut replaced = false;
        loop {
            let mut sender = link.sender.clone();
            match poll_fn(|cx| sender.poll_ready(cx)).await {
                Ok(()) => return Ok((link, sender)),
                Err(error) if replaced => return Err(unreachable(error.to_string())),
                Err(_) => {
                    self.peer.retire(&link);
                    link = self.link().await?;
                    replaced = true;
                }
            }
        }
    }

    async fn link(&self) -> Result<Arc<Link>, NodeCallError> {
        self.peer.link().await.map_err(|none| match none {
            NoLink::Dead(reason) => unreachable(&*reason),
            NoLink::Gone => unreachable("the client is closing"),
        })
    }
}

/// Waits for the headers of an answer. Dropped before, it cancels the call in the manner of its connection.
struct Unanswered<'l> {
    link: &'l Link,
    call: Option<Sent>,
}

impl Future for Unanswered<'_> {
    type Output = Result<Response<RecvStream>, h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((response, _)) = &mut self.call else {
            return Poll::Pending;
        };
        let answer = ready!(Pin::new(response).poll(cx));
        self.call = None;
        Poll::Ready(answer)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.link.cancels.cancel(call);
        }
    }
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// As gRPC writes a time: at most eight digits and a unit.
fn timeout_value(left: Duration) -> HeaderValue {
    let mut text = BytesMut::with_capacity(10);
    let micros = left.as_micros().max(1);
    // Rounded up, so that the node does not give up before its caller.
    let written = if micros < 100_000_000 {
        write!(text, "{micros}u")
    } else if micros < 99_999_999_000 {
        write!(text, "{}m", micros.div_ceil(1_000))
    } else {
        write!(text, "{}S", micros.div_ceil(1_000_000).min(99_999_999))
    };
    debug_assert!(written.is_ok());
    let value = HeaderValue::from_maybe_shared(text.freeze());
    value.unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

/// Sets a header whose value comes only once, and so has no place in the compression table of the connection.
fn insert_once(headers: &mut HeaderMap, name: HeaderName, mut value: HeaderValue) {
    value.set_sensitive(true);
    headers.insert(name, value);
}

/// Sets a header that a propagator made; one that is none is left out.
fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let Ok(value) = HeaderValue::from_str(value) else {
        return;
    };
    if name == TRACEPARENT {
        insert_once(headers, HeaderName::from_static(TRACEPARENT), value);
    } else if let Ok(name) = HeaderName::try_from(name) {
        headers.insert(name, value);
    }
}

/// The whole message; it is encoded already.
async fn collect(body: tonic::body::Body) -> Result<Bytes, NodeCallError> {
    let mut body = std::pin::pin!(body);
    let mut whole = Bytes::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|status| super::error::of_status(&status))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.is_empty() {
            whole = data;
        } else {
            let mut longer = BytesMut::from(whole);
            longer.extend_from_slice(&data);
            whole = longer.freeze();
        }
    }
    Ok(whole)
}

const GRPC_STATUS: &str = "grpc-status";
/// Nobody reads it, and tonic panics on one that is no base64.
const GRPC_STATUS_DETAILS: &str = "grpc-status-details-bin";

/// An answer that is gRPC, and no failure already.
fn judged(
    response: Response<RecvStream>,
    link: Arc<Link>,
    timeout: Option<Duration>,
) -> Result<Response<Answer>, NodeCallError> {
    let (mut head, stream) = response.into_parts();
    let ended = ended(&mut head.headers, timeout)?;
    if head.status != StatusCode::OK {
        return Err(malformed(format!(
            "it answered with HTTP status {}",
            head.status
        )));
    }
    let content = head.headers.get(header::CONTENT_TYPE);
    if !content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc")) {
        return Err(malformed("its answer is no gRPC"));
    }
    let answer = Answer {
        stream,
        link,
        timeout,
        part: if ended { Part::Status } else { Part::Data },
    };
    Ok(Response::from_parts(head, answer))
}

/// Whether these headers hold the status OK; any other is the error.
fn ended(headers: &mut HeaderMap, timeout: Option<Duration>) -> Result<bool, NodeCallError> {
    headers.remove(GRPC_STATUS_DETAILS);
    let Some(status) = headers.get(GRPC_STATUS) else {
        return Ok(false);
    };
    if status.as_bytes() == b"0" {
        return Ok(true);
    }
    let is_number = !status.is_empty() && status.as_bytes().iter().all(u8::is_ascii_digit);
    match Status::from_header_map(headers) {
        Some(status) if is_number && status.code() != Code::Ok => Err(answered(&status, timeout)),
        _ => Err(malformed("its status cannot be read")),
    }
}

/// The body of an answer. Its failure is a [`NodeCallError`] inside of [`Ended`].
pub(super) struct Answer {
    stream: RecvStream,
    link: Arc<Link>,
    timeout: Option<Duration>,
    part: Part,
}

/// What comes next of an answer.
enum Part {
    Data,
    Trailers,
    /// Its status came first, and nothing follows.
    Status,
    End,
}

impl Answer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, NodeCallError>>> {
        loop {
            match self.part {
                Part::Data => match ready!(self.stream.poll_data(cx)) {
                    Some(Ok(data)) => {
                        // Whoever polls has read what came before; so reading makes room for more.
                        let _ = self.stream.flow_control().release_capacity(data.len());
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(broken(&self.link, &error)))),
                    None => self.part = Part::Trailers,
                },
                Part::Trailers => {
                    let trailers = ready!(self.stream.poll_trailers(cx));
                    return Poll::Ready(Some(match trailers {
                        Err(error) => Err(broken(&self.link, &error)),
                        Ok(None) => Err(disconnected("the answer ended without a status")),
                        Ok(Some(mut trailers)) => match ended(&mut trailers, self.timeout) {
                            Ok(true) => Ok(Frame::trailers(trailers)),
                            Ok(false) => Err(malformed("its answer ended without a status")),
                            Err(error) => Err(error),
                        },
                    }));
                }
                Part::Status => match ready!(self.stream.poll_data(cx)) {
                    Some(Ok(data)) if data.is_empty() => {}
                    Some(Ok(_)) => {
                        let error = malformed("its answer goes on after its status");
                        return Poll::Ready(Some(Err(error)));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(broken(&self.link, &error)))),
                    None => self.part = Part::End,
                },
                Part::End => return Poll::Ready(None),
            }
        }
    }
}

/// An error of an answer that has begun: whatever the node says, the function may have run.
fn late(error: NodeCallError) -> NodeCallError {
    match error {
        NodeCallError::Unreachable { reason } => disconnected(reason),
        other => other,
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let polled = ready!(self.poll(cx));
        // The trailers and an error are the last that comes.
        if !matches!(&polled, Some(Ok(frame)) if frame.is_data()) {
            self.part = Part::End;
        }
        Poll::Ready(polled.map(|frame| frame.map_err(|error| Ended(late(error)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits_and_is_never_shorter() {
        let text = |left| timeout_value(left).to_str().unwrap().to_owned();
        assert_eq!(text(Duration::ZERO), "1u");
        assert_eq!(text(Duration::from_micros(99_999_999)), "99999999u");
        assert_eq!(text(Duration::from_micros(100_000_001)), "100001m");
        assert_eq!(text(Duration::from_secs(99_999)), "99999000m");
        assert_eq!(text(Duration::from_secs(100_000)), "100000S");
        assert_eq!(text(Duration::MAX), "99999999S");
    }

    #[test]
    fn what_a_propagator_sets_is_a_header_where_it_can_be_one() {
        let mut headers = HeaderMap::new();
        insert(&mut headers, "traceparent", "00-1");
        insert(&mut headers, "b3", "1");
        insert(&mut headers, "no name", "1");
        insert(&mut headers, "lines", "1\n2");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn a_status_that_is_no_number_and_details_that_are_no_base64_do_no_harm() {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_STATUS, HeaderValue::from_static("many"));
        headers.insert(GRPC_STATUS_DETAILS, HeaderValue::from_static("%%%"));
        assert!(ended(&mut headers, None).is_err());
        headers.insert(GRPC_STATUS, HeaderValue::from_static("16"));
        headers.insert("grpc-message", HeaderValue::from_static("%ff%zz"));
        assert!(ended(&mut headers, None).is_err());
        headers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        assert_eq!(ended(&mut headers, None), Ok(true));
    }
}

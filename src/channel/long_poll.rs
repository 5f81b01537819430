//! The long-poll transport, for clients whose network lets no WebSocket through (docs/channels.md, "Client facts").
//!
//! Its answers have HTTP status 200; what a client looks at is the `status` within.

mod delivery;

use std::{collections::VecDeque, future::poll_fn, sync::Arc};

use actix::Addr;
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{Method, StatusCode, header},
    web,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Serialize;

use self::delivery::Delivery;
use super::{
    ChannelEndpointRef, Params,
    endpoint::Door,
    http::{Admission, admit, has_allowed_origin, refuse_origin},
    outbox::{Outbox, PollEnd},
    socket::{Posted, Socket, Source, Waiting},
    websocket::Message,
};
use crate::{admission::Place, clock};

/// How many frames a request may carry.
const MAX_FRAMES: usize = 100;

const TOKEN_HEADER: &str = "x-phoenix-authtoken";

/// The connections that are polled, by their tokens.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    open: papaya::HashMap<String, Arc<Polled>>,
}

#[derive(Debug)]
struct Polled {
    outbox: Arc<Outbox>,
    socket: Addr<Socket>,
    _place: Place,
}

#[derive(Default, Serialize)]
struct Answer<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a VecDeque<String>>,
}

const NO_MESSAGES: &VecDeque<String> = &VecDeque::new();

pub(super) fn mount(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/longpoll")
            .route(web::get().to(poll))
            .route(web::post().to(post))
            .route(web::method(Method::OPTIONS).to(preflight)),
    );
}

async fn poll(request: HttpRequest, endpoint: web::Data<ChannelEndpointRef>) -> HttpResponse {
    let door = &endpoint.door;
    let params = Params::parse(request.query_string());
    match params.text("token").map(|token| (token, door.find(token))) {
        Some((token, Some(polled))) if has_allowed_origin(door, &request) => {
            listen(door, &request, token, &polled).await
        }
        _ => open(door, &request).await,
    }
}

/// Waits for something to tell.
async fn listen(door: &Door, request: &HttpRequest, token: &str, polled: &Polled) -> HttpResponse {
    polled.socket.do_send(Posted(Vec::new()));
    let outbox = &polled.outbox;
    let number = outbox.begin_poll();
    let deliver = |texts: &VecDeque<String>| {
        let body = serde_json::to_vec(&Answer::new(200, Some(token), texts))?;
        Ok::<_, serde_json::Error>((body, texts.len()))
    };
    let texts = poll_fn(|cx| outbox.poll_texts(number, deliver, cx));
    let status = match clock::within(&*door.clock, door.settings.long_poll_window(), texts).await {
        Some(Ok(Ok((body, count)))) => {
            let delivery = Delivery::new(Arc::clone(outbox), number, count, body.into());
            let mut response = HttpResponse::Ok();
            allow_origin(door, request, &mut response);
            response.content_type(header::ContentType::json());
            return response.body(delivery);
        }
        // Texts that cannot be written there are none.
        Some(Ok(Err(error))) => {
            tracing::error!(
                error = crate::log_text::printed(&error),
                "a poll could not be answered"
            );
            500
        }
        // The connection is over, so the client has to begin anew.
        Some(Err(PollEnd::Closed)) => 410,
        Some(Err(PollEnd::Followed)) | None => 204,
    };
    let token = (status != 410).then_some(token);
    respond(door, request, &Answer::new(status, token, NO_MESSAGES))
}

/// Begins a connection: status 410 with its token.
async fn open(door: &Arc<Door>, request: &HttpRequest) -> HttpResponse {
    let auth = request.headers().get(TOKEN_HEADER);
    let auth = auth
        .and_then(|token| token.to_str().ok())
        .map(str::to_owned);
    let Admission {
        version,
        session,
        place,
    } = match admit(door, request, auth).await {
        Ok(admission) => admission,
        Err(status) => return respond(door, request, &Answer::of(status)),
    };
    let outbox = Arc::new(Outbox::long_poll(version, door.settings.outgoing_bytes));
    let listed = door.sockets.enter(&session, &outbox);
    let factory = {
        let (door, outbox) = (Arc::clone(door), Arc::clone(&outbox));
        move || {
            let source = Source::LongPoll(Waiting::default());
            Socket::new(door, session, outbox, source, listed)
        }
    };
    match door.connections.spawn_child(factory) {
        Ok(child) => {
            let token = uuid::Uuid::from_u128(rand::random()).to_string();
            let polled = Polled {
                outbox,
                socket: child.addr().clone(),
                _place: place,
            };
            door.polls
                .open
                .pin()
                .insert(token.clone(), Arc::new(polled));
            forget_at_end(door, &token, child);
            respond(door, request, &Answer::new(410, Some(&token), NO_MESSAGES))
        }
        Err(error) => {
            tracing::debug!(
                error = crate::log_text::printed(&error),
                "the endpoint has stopped"
            );
            respond(door, request, &Answer::of(StatusCode::SERVICE_UNAVAILABLE))
        }
    }
}

/// Forgets a connection when its socket ends.
fn forget_at_end(door: &Arc<Door>, token: &str, child: actix_otp::DynamicChild<Socket>) {
    let (polls, token) = (Arc::clone(&door.polls), token.to_owned());
    let arbiters = door.arbiters.pick();
    arbiters.spawn(async move {
        child.exited().await;
        polls.open.pin().remove(&token);
    });
}

async fn post(
    request: HttpRequest,
    body: web::Payload,
    endpoint: web::Data<ChannelEndpointRef>,
) -> HttpResponse {
    let door = &endpoint.door;
    let status = match take(door, &request, body).await {
        Ok(()) => StatusCode::OK,
        Err(status) => status,
    };
    respond(door, &request, &Answer::of(status))
}

async fn take(
    door: &Arc<Door>,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<(), StatusCode> {
    let params = Params::parse(request.query_string());
    if !has_allowed_origin(door, request) {
        return Err(refuse_origin(door, request));
    }
    let token = params.text("token").ok_or(StatusCode::GONE)?;
    let polled = door.find(token).ok_or(StatusCode::GONE)?;
    let body = read(body, door.settings.max_frame_bytes);
    let body = clock::within(&*door.clock, door.settings.idle_timeout(), body).await;
    let frames = frames(body.ok_or(StatusCode::REQUEST_TIMEOUT)??)?;
    match polled.socket.send(Posted(frames)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(StatusCode::TOO_MANY_REQUESTS),
        Err(_) => Err(StatusCode::GONE),
    }
}

async fn read(mut body: web::Payload, limit: usize) -> Result<Bytes, StatusCode> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if whole.len() + chunk.len() > limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Takes a body apart: a frame a line, text as it is and binary as base64.
fn frames(body: Bytes) -> Result<Vec<Message>, StatusCode> {
    let lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let mut frames = Vec::new();
    for line in lines {
        if frames.len() == MAX_FRAMES {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        frames.push(match line.first() {
            // A slice would keep the whole body.
            Some(b'[' | b'{') => Message::Text(Bytes::copy_from_slice(line)),
            _ => {
                let frame = BASE64_STANDARD.decode(line);
                Message::Binary(frame.map_err(|_| StatusCode::BAD_REQUEST)?.into())
            }
        });
    }
    Ok(frames)
}

/// What a browser asks before a page of another origin may send.
async fn preflight(request: HttpRequest, endpoint: web::Data<ChannelEndpointRef>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    allow_origin(&endpoint.door, &request, &mut response);
    if let Some(headers) = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
    {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone()));
    }
    response.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"));
    response.finish()
}

fn respond(door: &Door, request: &HttpRequest, answer: &Answer<'_>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    allow_origin(door, request, &mut response);
    response.json(answer)
}

/// The page of an allowed origin may read the answer.
fn allow_origin(door: &Door, request: &HttpRequest, response: &mut HttpResponseBuilder) {
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && has_allowed_origin(door, request)
    {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        response.insert_header((header::VARY, "Origin"));
    }
}

impl<'a> Answer<'a> {
    fn new(status: u16, token: Option<&'a str>, messages: &'a VecDeque<String>) -> Self {
        Self {
            status,
            token,
            messages: Some(messages),
        }
    }

    fn of(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            ..Self::default()
        }
    }
}

impl Door {
    fn find(&self, token: &str) -> Option<Arc<Polled>> {
        self.polls.open.pin().get(token).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_frame_a_line_text_or_base64() {
        let body = Bytes::from_static(b"[1]\n{\"a\":1}\r\n\nAAE=\n");
        let expected = [
            Message::Text(Bytes::from_static(b"[1]")),
            Message::Text(Bytes::from_static(b"{\"a\":1}")),
            Message::Binary(Bytes::from_static(b"\x00\x01")),
        ];
        assert_eq!(frames(body).unwrap(), expected);
        assert!(frames(Bytes::new()).unwrap().is_empty());
    }

    #[test]
    fn a_hundred_frames_are_taken_and_no_more() {
        assert_eq!(frames("[]\n".repeat(100).into()).unwrap().len(), 100);
        let more = frames("[]\n".repeat(101).into());
        assert_eq!(more, Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(frames("???".into()), Err(StatusCode::BAD_REQUEST));
    }
}

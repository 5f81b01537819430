//! The HTTP side: who may connect, and the step up to a WebSocket.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use actix_http::ws::handshake;
use actix_otp::CatchPanic;
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        StatusCode, Version as HttpVersion,
        header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL},
    },
    web,
};
use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{
    ChannelEndpointRef, Connect, Params, Session,
    endpoint::Door,
    frame::Version,
    long_poll, origin,
    outbox::Outbox,
    refusals::{Refusal, address_of},
    socket::{Socket, Source},
    token::{Offered, PROTOCOL},
    websocket::Reader,
};
use crate::{admission::Place, clock, log_text::cut};

/// Adds the transports to an application.
pub(super) fn mount(endpoint: ChannelEndpointRef, path: &str, app: &mut web::ServiceConfig) {
    let scope = web::scope(path)
        .app_data(web::Data::new(endpoint))
        .route("/websocket", web::get().to(websocket))
        .configure(long_poll::mount);
    app.service(scope);
}

/// A client that may connect.
pub(super) struct Admission {
    pub(super) version: Version,
    pub(super) session: Arc<Session>,
    pub(super) place: Place,
}

/// Judges a client that wants to connect; the error is the status that it gets.
pub(super) async fn admit(
    door: &Door,
    request: &HttpRequest,
    token: Option<String>,
) -> Result<Admission, StatusCode> {
    let params = Params::parse(request.query_string());
    let peer_addr = request.peer_addr();
    let address = address_of(peer_addr);
    let vsn = params.text("vsn");
    let Some(version) = Version::parse(vsn) else {
        if let Some(untold) = door.refusals.untold(address, Refusal::Version) {
            let vsn = cut(vsn.unwrap_or_default());
            tracing::warn!(%address, vsn, untold, "a client was refused: it speaks another version of the protocol");
        }
        return Err(Refusal::Version.status());
    };
    if !has_allowed_origin(door, request) {
        return Err(refuse_origin(door, request));
    }
    // Its requests would all be refused, and it would be told to go again.
    if !door.requests.are_taken() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let place = door.socket_places.admit(address);
    let place = place.map_err(|full| door.refuse(address, full.into()))?;
    let session = match &door.connect {
        None => Session::anonymous(),
        Some(connect) => {
            let verified = CatchPanic::new(async {
                connect(Connect {
                    params,
                    token,
                    headers: request.headers().clone(),
                    peer_addr,
                })
                .await
            });
            let limit = door.settings.join_timeout();
            match clock::within(&*door.clock, limit, verified).await {
                Some(Ok(Ok(session))) => session,
                Some(Ok(Err(denied))) => {
                    tracing::debug!(
                        reason = crate::log_text::printed(denied.response()),
                        "a client was denied"
                    );
                    return Err(StatusCode::FORBIDDEN);
                }
                Some(Err(_)) => return Err(door.refuse(address, Refusal::CallbackPanicked)),
                None => return Err(door.refuse(address, Refusal::CallbackTimedOut)),
            }
        }
    };
    Ok(Admission {
        version,
        session: Arc::new(session.complete(peer_addr)),
        place,
    })
}

/// Whether the page that the request came from may connect.
pub(super) fn has_allowed_origin(door: &Door, request: &HttpRequest) -> bool {
    let host = request.connection_info().host().to_owned();
    match request.headers().get(ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .is_ok_and(|origin| origin::is_allowed(&door.settings.origins, Some(origin), &host)),
    }
}

/// Tells of a page that may not connect; the status that it gets.
pub(super) fn refuse_origin(door: &Door, request: &HttpRequest) -> StatusCode {
    let address = address_of(request.peer_addr());
    if let Some(untold) = door.refusals.untold(address, Refusal::Origin) {
        let origin = request.headers().get(ORIGIN);
        let origin = String::from_utf8_lossy(origin.map_or(&[], |origin| origin.as_bytes()));
        let origin = cut(&origin);
        let info = request.connection_info();
        let host = cut(info.host());
        let origins = &door.settings.origins;
        tracing::warn!(
            %address, origin, host, ?origins, untold,
            "a page was refused: its origin is not in `channel.origins`, which admits the same host where it is empty"
        );
    }
    Refusal::Origin.status()
}

impl Door {
    /// Tells of a client that was turned away; the status that it gets.
    pub(super) fn refuse(&self, address: IpAddr, why: Refusal) -> StatusCode {
        if let Some(untold) = self.refusals.untold(address, why) {
            match why {
                Refusal::CallbackPanicked => {
                    tracing::error!(%address, untold, "the connect callback panicked");
                }
                _ => tracing::warn!(%address, ?why, untold, "a client was refused"),
            }
        }
        why.status()
    }
}

async fn websocket(
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<ChannelEndpointRef>,
) -> actix_web::Result<HttpResponse> {
    let door = &endpoint.door;
    if request.version() < HttpVersion::HTTP_11 {
        // RFC 6455, section 4.1.
        return Ok(HttpResponse::BadRequest().body("a WebSocket needs HTTP/1.1"));
    }
    let mut response = match handshake(request.head()) {
        Ok(response) => response,
        Err(error) => return Ok(actix_http::Response::from(error).into()),
    };
    let offered = Offered::of(request.headers());
    let mut reader = Reader::new(payload.into_inner(), door.settings.max_frame_bytes);
    let admitted = {
        let admitting = pin!(admit(door, &request, offered.token));
        let gone = poll_fn(|cx| reader.poll_gone(cx));
        match select(admitting, gone).await {
            Either::Left((admitted, _)) => admitted,
            // Nobody waits for the callback, nor for an answer.
            Either::Right(((), _)) => Err(StatusCode::BAD_REQUEST),
        }
    };
    let Admission {
        version,
        session,
        place,
    } = match admitted {
        Ok(admission) => admission,
        Err(status) => return Ok(HttpResponse::new(status)),
    };
    if offered.phoenix {
        response.insert_header((SEC_WEBSOCKET_PROTOCOL, PROTOCOL));
    }
    let outbox = Arc::new(Outbox::websocket(version, door.settings.outgoing_bytes));
    let listed = door.sockets.enter(&session, &outbox);
    let body = Body {
        outbox: Arc::clone(&outbox),
        _place: place,
    };
    let source = Source::WebSocket(Box::new(reader));
    let socket = Socket::new(Arc::clone(door), session, outbox, source, listed);
    if let Err(error) = door.connections.spawn_local(socket) {
        // Strangers come also when it has stopped.
        tracing::debug!(
            error = crate::log_text::printed(&error),
            "a connection was refused"
        );
        return Ok(HttpResponse::ServiceUnavailable().finish());
    }
    let response = response.message_body(body)?;
    Ok(HttpResponse::from(response.map_into_boxed_body()))
}

/// What goes to a client, as the body of the response that never ends.
struct Body {
    outbox: Arc<Outbox>,
    /// Held until the connection is gone, also where its socket is not any more.
    _place: Place,
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.outbox.poll_frames(cx).map(|frames| frames.map(Ok))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.outbox.connection_gone();
    }
}

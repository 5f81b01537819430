//! The HTTP side: who may connect, and the step up to a WebSocket.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_http::ws::handshake;
use actix_otp::CatchPanic;
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        StatusCode,
        header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL},
    },
    web,
};
use bytes::Bytes;

use super::{
    ChannelEndpointRef, Connect, Params, Session,
    endpoint::Door,
    frame::Version,
    long_poll, origin,
    outbox::Outbox,
    socket::{Socket, Source},
    sockets::Admitted,
    token::{Offered, PROTOCOL},
    websocket::Reader,
};
use crate::clock;

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
    pub(super) admitted: Admitted,
}

/// Judges a client that wants to connect; the error is the status that it gets.
pub(super) async fn admit(
    door: &Door,
    request: &HttpRequest,
    token: Option<String>,
) -> Result<Admission, StatusCode> {
    let params = Params::parse(request.query_string());
    let version = Version::parse(params.text("vsn")).ok_or(StatusCode::FORBIDDEN)?;
    if !has_allowed_origin(door, request) {
        return Err(StatusCode::FORBIDDEN);
    }
    let peer_addr = request.peer_addr();
    // Connections through a Unix socket have no address; they count together.
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let address = peer_addr.map_or(unknown, |peer| peer.ip());
    let admitted = door
        .sockets
        .admit(address, door.settings.max_sockets_per_address)
        .ok_or(StatusCode::TOO_MANY_REQUESTS)?;
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
                Some(Err(_)) => {
                    tracing::error!("the connect callback panicked");
                    return Err(StatusCode::INTERNAL_SERVER_ERROR);
                }
                None => return Err(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    };
    Ok(Admission {
        version,
        session: Arc::new(session.complete(peer_addr)),
        admitted,
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

async fn websocket(
    request: HttpRequest,
    payload: web::Payload,
    endpoint: web::Data<ChannelEndpointRef>,
) -> actix_web::Result<HttpResponse> {
    let door = &endpoint.door;
    let mut response = match handshake(request.head()) {
        Ok(response) => response,
        Err(error) => return Ok(actix_http::Response::from(error).into()),
    };
    let offered = Offered::of(request.headers());
    let Admission {
        version,
        session,
        admitted,
    } = match admit(door, &request, offered.token).await {
        Ok(admission) => admission,
        Err(status) => return Ok(HttpResponse::new(status)),
    };
    if offered.phoenix {
        response.insert_header((SEC_WEBSOCKET_PROTOCOL, PROTOCOL));
    }
    let outbox = Arc::new(Outbox::websocket(version, door.settings.outgoing_bytes));
    let reader = Reader::new(payload.into_inner(), door.settings.max_frame_bytes);
    let listed = door.sockets.enter(&session, &outbox);
    let body = Body {
        outbox: Arc::clone(&outbox),
        _admitted: admitted,
    };
    let source = Source::WebSocket(Box::new(reader));
    let socket = Socket::new(Arc::clone(door), session, outbox, source, listed);
    if let Err(error) = door.connections.spawn_local(socket) {
        tracing::warn!(
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
    _admitted: Admitted,
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

//! The HTTP server around an endpoint, with the limits that actix-web leaves to its user.

use std::{any::Any, fmt::Debug, net::Shutdown, sync::Arc};

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Extensions, Response, Service, ServiceFactory},
    rt::net::TcpStream,
};
use socket2::SockRef;

use super::{
    ChannelEndpointRef,
    endpoint::Door,
    refusals::{Refusal, address_of},
};

impl ChannelEndpointRef {
    /// An actix-web server for an application that this endpoint is [mounted](Self::mount) into.
    ///
    /// `HttpServer::new` would do, but leaves open what strangers can take from a server. This one
    ///
    /// - cuts connections beyond [`max_connections`](super::ChannelSettings::max_connections) and
    ///   [`max_connections_per_address`](super::ChannelSettings::max_connections_per_address) as they come, before they
    ///   have said a word;
    /// - gives a new connection [`handshake_timeout_ms`](super::ChannelSettings::handshake_timeout_ms) for the head of
    ///   its first request;
    /// - notices a client that goes away while it is verified or polls: its place is free again at once, and no message
    ///   is given to nobody (`h1_allow_half_closed(false)`);
    /// - sends each answer at once (`tcp_nodelay(true)`).
    ///
    /// All of it can be changed before the server is bound, as ever. `on_connect` is where connections are counted: one
    /// that is set afterwards takes the place of that.
    ///
    /// actix-web hands out TLS connections after their handshake only, and not their address: with `bind_rustls` and
    /// the like its `tls_handshake_timeout` (3 s) bounds the handshake, and only sockets are counted. actix-web also
    /// sets no time for the head of the second request of a connection, nor for a write, so what bounds clients that
    /// dribble there is the number of connections of their address.
    ///
    /// ```no_run
    /// # async fn start(api: gen_api::GenApi) -> Result<(), Box<dyn std::error::Error>> {
    /// use actix_web::App;
    /// use gen_api::channel::{Channel, ChannelEndpoint};
    ///
    /// let endpoint = ChannelEndpoint::new(&api).channel("api:*", Channel::new()).start().await?;
    /// let mounted = endpoint.clone();
    /// let server = endpoint.http_server(move || App::new().configure(mounted.mount("/socket")));
    /// server.bind(("127.0.0.1", 4000))?.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn http_server<F, I, S, B>(&self, app: F) -> HttpServer<F, I, S, B>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error> + 'static,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let door = Arc::clone(&self.door);
        HttpServer::new(app)
            .client_request_timeout(door.settings.handshake_timeout())
            .h1_allow_half_closed(false)
            .tcp_nodelay(true)
            .on_connect(move |stream, kept| admit(&door, stream, kept))
    }
}

/// Gives a connection its place, which it keeps until it ends; one that gets none is cut.
fn admit(door: &Door, stream: &dyn Any, kept: &mut Extensions) {
    let Some(stream) = stream.downcast_ref::<TcpStream>() else {
        return;
    };
    let address = address_of(stream.peer_addr().ok());
    match door.connection_places.admit(address) {
        Ok(place) => {
            kept.insert(place);
        }
        Err(full) => {
            let why = Refusal::from(full);
            door.refuse(address, why);
            // Reads as its end, so the server drops it. One that is gone by itself needs no cut.
            let _ = SockRef::from(stream).shutdown(Shutdown::Both);
        }
    }
}

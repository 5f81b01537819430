//! The end of an engine together with the web server that its clients come through.

use std::{io, pin::pin};

use actix_web::dev::{Server, ServerHandle};
use futures_util::future::{Either, join, select};

use super::GenApi;

impl GenApi {
    /// Runs an actix-web server until the process is told to end ([`shutdown_signal`](crate::shutdown_signal)), and stops the
    /// engine and then the server. Where the server ends by itself, the engine stops too.
    ///
    /// Give the server `disable_signals()`: its own handling of Ctrl-C cuts all connections at once.
    ///
    /// ```no_run
    /// # use actix_web::{App, HttpServer};
    /// # async fn run(api: gen_api::GenApi, endpoint: gen_api::channel::ChannelEndpointRef) -> std::io::Result<()> {
    /// let server = HttpServer::new(move || App::new().configure(endpoint.mount("/socket")));
    /// api.serve(server.disable_signals().bind(("127.0.0.1", 4000))?.run()).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// That of the server.
    pub async fn serve(&self, server: Server) -> io::Result<()> {
        let handle = server.handle();
        match select(server, pin!(crate::shutdown_signal())).await {
            Either::Left((ended, _)) => {
                self.stop().await;
                ended
            }
            Either::Right(((), server)) => join(server, self.stop_with(&handle)).await.0,
        }
    }

    /// [Stops](Self::stop) the engine and then an actix-web server: running calls end, the clients of channels are told 1001, and
    /// at last the server waits for the connections that are left, for its own `shutdown_timeout`. For programs that know by
    /// themselves when to end.
    ///
    /// In the other order a server waits in vain, for the clients of channels do not leave by themselves.
    pub async fn stop_with(&self, server: &ServerHandle) {
        self.stop().await;
        server.stop(true).await;
    }
}

//! Connections as they come in, which can be cut all at once.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{DoorPlan, guard::DoorState};

/// The pause after a connection could not be taken, such as for want of file handles: without it the loop would only burn.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a listener, as they come, for as long as it is polled.
pub(super) fn incoming(
    listener: TcpListener,
    plan: Arc<DoorPlan>,
    state: Arc<DoorState>,
) -> impl Stream<Item = io::Result<Connection>> {
    stream::unfold(listener, move |listener| {
        let (plan, state) = (Arc::clone(&plan), Arc::clone(&state));
        async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Answers are small and waited for.
                        let _ = stream.set_nodelay(true);
                        return Some((Ok(Connection::new(stream, &state)), listener));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        plan.clock.sleep(PAUSE).await;
                    }
                }
            }
        }
    })
}

/// A connection that ends when its door is cut: what runs on it is dropped then.
pub(super) struct Connection {
    stream: TcpStream,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_cut: bool,
}

impl Connection {
    fn new(stream: TcpStream, state: &DoorState) -> Self {
        Self {
            stream,
            cut: Box::pin(state.was_cut()),
            is_cut: false,
        }
    }

    /// An error once the connection is cut.
    fn whole(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.is_cut {
            self.is_cut = self.cut.as_mut().poll(cx).is_ready();
        }
        if self.is_cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

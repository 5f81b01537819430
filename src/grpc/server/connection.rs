//! Connections as they come in: each has a place and a limited time to show the secret, and all can be cut at once.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use futures_util::stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::coop,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use super::{DoorPlan, guard::DoorState};
use crate::{admission::Place, clock::Sleep, log_text::printed};

/// The pause after a connection could not be taken, such as for want of file handles: without it the loop would only burn.
const PAUSE: Duration = Duration::from_millis(100);

/// How many calls without the secret a connection may make that has never shown it. Their answers wait where the other side
/// does not read them.
pub(super) const MOST_REFUSED: u32 = 1_000;

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
                let (stream, peer) = match listener.accept().await {
                    Ok(taken) => taken,
                    Err(error) => {
                        if let Some(left_out) = plan.connection_lines.take() {
                            let error = printed(error);
                            tracing::warn!(error, left_out, "a connection could not be taken");
                        }
                        plan.clock.sleep(PAUSE).await;
                        continue;
                    }
                };
                match plan.admission.admit(peer.ip()) {
                    Ok(place) => {
                        // Answers are small and waited for.
                        let _ = stream.set_nodelay(true);
                        let connection = Connection::new(stream, peer, place, plan, &state);
                        return Some((Ok(connection), listener));
                    }
                    Err(full) => {
                        if let Some(left_out) = plan.connection_lines.take() {
                            let reason = printed(full);
                            tracing::warn!(%peer, reason, left_out, "refused a connection");
                        }
                    }
                }
            }
        }
    })
}

/// Who is on the other side of a connection. It goes with each call; clones are one.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    standing: Arc<Standing>,
}

#[derive(Default)]
struct Standing {
    has_shown_the_secret: AtomicBool,
    refused: AtomicU32,
}

impl Peer {
    /// Whether one of its calls has shown the secret.
    pub(super) fn is_trusted(&self) -> bool {
        self.standing.has_shown_the_secret.load(Ordering::Relaxed)
    }

    pub(super) fn trust(&self) {
        // Read first: all calls of the connection share it, and only the first has to change it.
        if !self.is_trusted() {
            let standing = &self.standing.has_shown_the_secret;
            standing.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn was_refused(&self) {
        self.standing.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn is_a_nuisance(&self) -> bool {
        self.standing.refused.load(Ordering::Relaxed) > MOST_REFUSED
    }
}

/// A connection that ends when its door is cut or the secret is not shown in time: what runs on it is dropped then.
pub(super) struct Connection {
    wire: Wire,
    peer: Peer,
    plan: Arc<DoorPlan>,
    /// Ends the connection unless the secret was shown before; `None` once it was.
    limit: Option<Sleep>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_ended: bool,
    _place: Place,
}

type Open = Either<TcpStream, Box<TlsStream<TcpStream>>>;

enum Wire {
    /// TLS is being agreed on. It is polled by whoever reads or writes first.
    Handshake(Pin<Box<dyn Future<Output = io::Result<TlsStream<TcpStream>>> + Send>>),
    Open(Open),
    Failed,
}

impl Wire {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut Open>>> {
        if let Self::Handshake(handshake) = self {
            *self = match ready!(handshake.as_mut().poll(cx)) {
                Ok(stream) => Self::Open(Either::Right(Box::new(stream))),
                Err(error) => {
                    *self = Self::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(match self {
            Self::Open(open) => Ok(Pin::new(open)),
            Self::Handshake(_) | Self::Failed => Err(io::ErrorKind::ConnectionAborted.into()),
        })
    }
}

impl Connection {
    fn new(
        stream: TcpStream,
        address: SocketAddr,
        place: Place,
        plan: Arc<DoorPlan>,
        state: &DoorState,
    ) -> Self {
        let wire = match plan.tls.clone() {
            None => Wire::Open(Either::Left(stream)),
            Some(tls) => Wire::Handshake(Box::pin(async move {
                let tls = TlsAcceptor::from(tls.current().await);
                tls.accept(stream).await
            })),
        };
        let patience = Duration::from_millis(plan.settings.first_call_timeout_ms);
        Self {
            wire,
            peer: Peer {
                address,
                standing: Arc::default(),
            },
            limit: Some(plan.clock.sleep(patience)),
            plan,
            cut: Box::pin(state.was_cut()),
            has_ended: false,
            _place: place,
        }
    }

    /// The open connection, or an error once it has to end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut Open>>> {
        if !self.has_ended {
            self.has_ended = self.cut.as_mut().poll(cx).is_ready() || self.is_overdue(cx);
        }
        if self.has_ended {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.wire.poll_open(cx)
    }

    /// Whether it has not shown the secret in time, or too much else.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(limit) = &mut self.limit else {
            return false;
        };
        if self.peer.is_trusted() {
            self.limit = None;
            return false;
        }
        let is_late = limit.as_mut().poll(cx).is_ready();
        if is_late && let Some(left_out) = self.plan.connection_lines.take() {
            let peer = self.peer.address;
            tracing::warn!(%peer, left_out, "closed a connection that did not show the secret in time");
        }
        is_late || self.peer.is_a_nuisance()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(ready!(self.poll_open(cx))?.poll_read(cx, buf))?;
        take_turn(buf.filled().len() - before, cx);
        Poll::Ready(Ok(()))
    }
}

/// How many bytes are read for one unit of a task's budget; a task has 128 in each turn.
const BYTES_A_UNIT: usize = 256;

/// Lets a connection read no more than some 32 KiB in one turn of its task, so that the calls in them are looked at before
/// the next are read. Otherwise all that came while the process was held up would be read first, and calls that were cancelled
/// meanwhile would look like an attack, which ends the connection.
fn take_turn(bytes: usize, cx: &mut Context<'_>) {
    for _ in 0..bytes / BYTES_A_UNIT {
        match coop::poll_proceed(cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Open(open) => open.is_write_vectored(),
            Wire::Handshake(_) | Wire::Failed => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Open(open) => Pin::new(open).poll_shutdown(cx),
            Wire::Handshake(_) | Wire::Failed => Poll::Ready(Ok(())),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

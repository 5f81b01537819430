//! One connection to a node: made, kept alive, and given up when it shows no sign of life.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use h2::{Ping, PingPong, client};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tonic::codegen::http::{Request, header};

use super::{cancel::Cancels, error::is_denial, peer::Connect, target::NodeTarget};
use crate::{
    grpc::{
        secret::Bearer,
        tls::{ALPN_H2, Reloaded},
    },
    settings::GrpcSettings,
};

/// How much of one stream may wait unread. It bounds the memory of a slow reader, and so its node is slowed down.
const STREAM_WINDOW: u32 = 256 * 1024;
/// How much of all streams together: as much as HTTP/2 knows, since streams that nobody reads must not block the calls
/// beside them.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How large the headers of an answer may be, the message of its status included.
const LARGEST_HEADERS: u32 = 64 * 1024;
/// Why a node is down that answers and has another secret.
pub(super) const DENIED: &str = "it does not take the secret (grpc.cluster_secret)";
/// How many calls that were given up are remembered until their last frames have come.
const MANY: usize = 10_000;

/// Makes connections, and says how they are kept.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Option<Arc<Reloaded<ClientConfig>>>,
    pub(super) connect_timeout: Duration,
    pub(super) keepalive_interval: Duration,
    pub(super) keepalive_timeout: Duration,
    bearer: Bearer,
    /// How many connections were made.
    made: Arc<AtomicU64>,
}

/// Starts calls on a connection.
pub(super) type Sender = client::SendRequest<Bytes>;

/// A connection that is open for calls as long as its work is polled.
pub(super) struct Opened {
    pub(super) sender: Sender,
    /// Later connections of a client have greater numbers, the first has 1.
    pub(super) number: u64,
    pub(super) cancels: Arc<Cancels>,
    /// Why it was given up for its silence, once it was: known before the calls on it hear that it has broken.
    pub(super) silent: Arc<OnceLock<String>>,
    /// Moves the bytes; done when the connection has ended, with the reason.
    pub(super) work: Pin<Box<dyn Future<Output = Ended> + Send>>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// One side closed it, or it broke.
    Closed(String),
    /// The node gave no sign of life in time.
    Silent(String),
}

impl Connector {
    pub(super) fn new(
        settings: &GrpcSettings,
        tls: Option<Arc<Reloaded<ClientConfig>>>,
        bearer: Bearer,
    ) -> Self {
        Self {
            tls,
            bearer,
            made: Arc::default(),
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
            keepalive_interval: Duration::from_millis(settings.keepalive_interval_ms),
            keepalive_timeout: Duration::from_millis(settings.keepalive_timeout_ms),
        }
    }

    /// A connection to a node that has answered: one whose machine takes connections while the process hangs has not.
    /// Where `proven`, it also has taken the secret. The error tells people what was met.
    async fn connection(&self, target: &NodeTarget, proven: bool) -> Result<Opened, String> {
        let opened = timeout(self.connect_timeout, async {
            let mut opened = self.open(target).await?;
            if proven {
                self.prove(&mut opened, target).await?;
            }
            Ok(opened)
        });
        let opened = opened.await;
        let late = |_| format!("it did not answer within {:?}", self.connect_timeout);
        opened.map_err(late)?
    }

    async fn open(&self, target: &NodeTarget) -> Result<Opened, String> {
        let tcp = TcpStream::connect((target.host.as_str(), target.port)).await;
        let tcp = tcp.map_err(|error| error.to_string())?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        match (&target.name, &self.tls) {
            (Some(name), Some(tls)) => {
                let tls = TlsConnector::from(Arc::clone(tls).current().await);
                let io = tls.connect(name.clone(), tcp).await;
                let io = io.map_err(|error| format!("TLS: {error}"))?;
                if io.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
                    return Err("TLS: it does not speak HTTP/2".to_owned());
                }
                self.shake_hands(io).await
            }
            (None, None) => self.shake_hands(tcp).await,
            _ => Err("its address does not fit grpc.tls".to_owned()),
        }
    }

    /// Asks the node something harmless: whatever it answers, it has taken the secret, unless it says that it has not.
    async fn prove(&self, opened: &mut Opened, target: &NodeTarget) -> Result<(), String> {
        let question = Request::post(format!("{}/grpc.health.v1.Health/Check", target.origin))
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .body(());
        let mut question = question.map_err(|error| error.to_string())?;
        self.bearer.attach(question.headers_mut());
        let sender = opened.sender.clone();
        let asked = pin!(async {
            let (answer, mut stream) = sender.ready().await?.send_request(question, false)?;
            stream.send_data(Bytes::from_static(&[0; 5]), true)?;
            answer.await
        });
        match select(asked, &mut opened.work).await {
            Either::Left((Ok(answer), _)) if is_denial(answer.headers()) => Err(DENIED.to_owned()),
            Either::Left((answer, _)) => answer.map(drop).map_err(|error| error.to_string()),
            Either::Right((Ended::Closed(reason) | Ended::Silent(reason), _)) => Err(reason),
        }
    }

    async fn shake_hands(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Opened, String> {
        let heard = Arc::new(AtomicBool::new(false));
        let io = Heard {
            io,
            heard: Arc::clone(&heard),
        };
        let no_http2 = |error: h2::Error| format!("HTTP/2: {error}");
        let (sender, mut connection) = client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            // None until the node has said how many; so it is known when it has spoken.
            .initial_max_send_streams(0)
            .enable_push(false)
            .max_header_list_size(LARGEST_HEADERS)
            // Answers that come after their calls were given up are no attack, however many they are: the node was chosen by
            // whoever wrote the configs, and ending the connection would break the calls beside.
            .max_concurrent_reset_streams(MANY)
            .max_local_error_reset_streams(None)
            .handshake::<_, Bytes>(io)
            .await
            .map_err(no_http2)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("it closed the connection".to_owned())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(no_http2(error))),
            Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let pings = connection.ping_pong();
        let (interval, patience) = (self.keepalive_interval, self.keepalive_timeout);
        let silent = Arc::new(OnceLock::new());
        let given_up = Arc::clone(&silent);
        let cancels = Arc::new(Cancels::default());
        let cancelled = Arc::clone(&cancels);
        let work = async move {
            let alive = pin!(async {
                match pings {
                    Some(pings) => silence(pings, &heard, &cancelled, interval, patience).await,
                    None => std::future::pending().await,
                }
            });
            match select(&mut connection, alive).await {
                Either::Left((Ok(()), _)) => Ended::Closed("it closed the connection".to_owned()),
                Either::Left((Err(error), _)) => Ended::Closed(error.to_string()),
                Either::Right((reason, _)) => {
                    let _ = given_up.set(reason.clone());
                    Ended::Silent(reason)
                }
            }
        };
        Ok(Opened {
            sender,
            number: self.made.fetch_add(1, Ordering::Relaxed) + 1,
            cancels,
            silent,
            work: Box::pin(work),
        })
    }
}

impl Connect for Connector {
    fn connect<'t>(
        &'t self,
        target: &'t NodeTarget,
        proven: bool,
    ) -> BoxFuture<'t, Result<Opened, String>> {
        Box::pin(self.connection(target, proven))
    }
}

/// Is done when the node has given no sign of life for too long.
///
/// A sign of life is the answer to a ping, or anything else: an answer may be stuck behind a large message.
async fn silence(
    mut pings: PingPong,
    heard: &AtomicBool,
    cancels: &Cancels,
    interval: Duration,
    patience: Duration,
) -> String {
    loop {
        select(pin!(sleep(interval)), pin!(cancels.wait_for_ping())).await;
        let confirmed = cancels.ping();
        let mut pong = pin!(pings.ping(Ping::opaque()));
        loop {
            heard.store(false, Ordering::Relaxed);
            match timeout(patience, pong.as_mut()).await {
                Ok(Ok(_)) => {
                    cancels.pong(confirmed);
                    break;
                }
                // The connection has ended, and says why itself.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) if heard.load(Ordering::Relaxed) => {}
                Err(_) => return format!("it gave no sign of life for {patience:?}"),
            }
        }
    }
}

/// A stream of bytes that notes when some have come.
struct Heard<T> {
    io: T,
    heard: Arc<AtomicBool>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

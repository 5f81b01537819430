//! Service nodes for tests: one that tonic serves, and one that answers any HTTP/2 that a test likes.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use gen_api::{
    grpc::proto::{self, invoke_reply, node_server, stream_item},
    node::Address,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

pub(crate) const SECRET: &str = "s3cret";

/// What the tests look at.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) headers: Mutex<Option<MetadataMap>>,
    pub(crate) request: Mutex<Option<proto::InvokeRequest>>,
    pub(crate) sent: AtomicUsize,
    /// Calls that were begun, and those that ended by their being dropped.
    pub(crate) begun: watch::Sender<usize>,
    pub(crate) dropped: watch::Sender<usize>,
}

impl Seen {
    pub(crate) async fn until(counter: &watch::Sender<usize>, at_least: usize) {
        let mut counter = counter.subscribe();
        let reached = counter.wait_for(|count| *count >= at_least);
        let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
        reached.expect("it happens in time").unwrap();
    }
}

struct Working(Arc<Seen>);

impl Working {
    fn begin(seen: &Arc<Seen>) -> Self {
        seen.begun.send_modify(|count| *count += 1);
        Self(Arc::clone(seen))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|count| *count += 1);
    }
}

/// A node whose functions are named after what they do.
pub(crate) struct Scripted(pub(crate) Arc<Seen>);

fn value(json: impl Into<Bytes>) -> Result<Response<proto::InvokeReply>, Status> {
    Ok(Response::new(proto::InvokeReply {
        outcome: Some(invoke_reply::Outcome::Value(json.into())),
    }))
}

pub(crate) fn failure(kind: proto::FailureKind, message: &str) -> proto::Failure {
    proto::Failure {
        kind: kind.into(),
        message: message.to_owned(),
    }
}

pub(crate) fn item(item: stream_item::Item) -> proto::StreamItem {
    proto::StreamItem { item: Some(item) }
}

#[tonic::async_trait]
impl node_server::Node for Scripted {
    async fn invoke(
        &self,
        request: Request<proto::InvokeRequest>,
    ) -> Result<Response<proto::InvokeReply>, Status> {
        *self.0.headers.lock().unwrap() = Some(request.metadata().clone());
        let request = request.into_inner();
        *self.0.request.lock().unwrap() = Some(request.clone());
        match request.function.as_str() {
            "echo" => value(request.args),
            "no_json" => value("{"),
            "empty" => Ok(Response::new(proto::InvokeReply { outcome: None })),
            "large" => value(format!("\"{}\"", "x".repeat(100_000))),
            "public" => Ok(Response::new(proto::InvokeReply {
                outcome: Some(invoke_reply::Outcome::Failure(failure(
                    proto::FailureKind::Public,
                    "no such user",
                ))),
            })),
            "pending" => {
                let _working = Working::begin(&self.0);
                std::future::pending().await
            }
            "internal" => Err(Status::internal("handler raised")),
            "stopping" => Err(Status::unavailable("stopping")),
            "panic" => panic!("a handler panics"),
            other => Err(Status::invalid_argument(other)),
        }
    }

    type InvokeStreamStream = Pin<Box<dyn Stream<Item = Result<proto::StreamItem, Status>> + Send>>;

    async fn invoke_stream(
        &self,
        request: Request<proto::InvokeRequest>,
    ) -> Result<Response<Self::InvokeStreamStream>, Status> {
        use stream_item::Item;
        let accepted = || Ok(item(Item::Accepted(proto::Accepted {})));
        let chunk = |json: &'static str| Ok(item(Item::Chunk(Bytes::from_static(json.as_bytes()))));
        let last = |json: &'static str| Ok(item(Item::Last(Bytes::from_static(json.as_bytes()))));
        let failed = || {
            Ok(item(Item::Failure(failure(
                proto::FailureKind::Public,
                "enough",
            ))))
        };
        let items: Self::InvokeStreamStream = match request.into_inner().function.as_str() {
            "three" => stream::iter([accepted(), chunk("1"), chunk("2"), last("3")]).boxed(),
            "no_last" => stream::iter([accepted(), chunk("1")]).boxed(),
            "fails_at_once" => stream::iter([failed()]).boxed(),
            "fails_later" => stream::iter([accepted(), chunk("1"), failed()]).boxed(),
            "status" => {
                stream::iter([accepted(), chunk("1"), Err(Status::internal("raised"))]).boxed()
            }
            "unavailable" => {
                let status = Err(Status::unavailable("stopping"));
                stream::iter([accepted(), chunk("1"), status]).boxed()
            }
            "no_json" => stream::iter([accepted(), chunk("1"), chunk("{"), chunk("2")]).boxed(),
            "accepted_twice" => stream::iter([accepted(), accepted()]).boxed(),
            "not_accepted" => stream::iter([chunk("1")]).boxed(),
            "nothing" => stream::iter([]).boxed(),
            "silent" => {
                let working = Working::begin(&self.0);
                let rest = stream::once(async move {
                    let _working = working;
                    std::future::pending().await
                });
                stream::iter([accepted(), chunk("1")]).chain(rest).boxed()
            }
            "flood" => {
                let (seen, working) = (Arc::clone(&self.0), Working::begin(&self.0));
                let json = Bytes::from(format!("\"{}\"", "x".repeat(1_000)));
                let flood = stream::repeat_with(move || {
                    let _ = &working;
                    seen.sent.fetch_add(1, Ordering::SeqCst);
                    Ok(item(Item::Chunk(json.clone())))
                });
                stream::iter([accepted()]).chain(flood).boxed()
            }
            other => return Err(Status::invalid_argument(other)),
        };
        Ok(Response::new(items))
    }

    async fn check_permission(
        &self,
        request: Request<proto::PermissionRequest>,
    ) -> Result<Response<proto::PermissionReply>, Status> {
        let request = request.into_inner();
        let json: serde_json::Value = serde_json::from_slice(&request.request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let callback = request.callback.unwrap_or_default();
        let allowed = callback.function == "may" && json["user_id"] == "u";
        Ok(Response::new(proto::PermissionReply { allowed }))
    }

    async fn get_config(
        &self,
        request: Request<proto::FunctionCall>,
    ) -> Result<Response<proto::InvokeReply>, Status> {
        value(request.into_inner().args)
    }

    async fn config_version(
        &self,
        _: Request<proto::FunctionCall>,
    ) -> Result<Response<proto::InvokeReply>, Status> {
        value("\"v1\"")
    }

    async fn function_exists(
        &self,
        request: Request<proto::FunctionName>,
    ) -> Result<Response<proto::FunctionExistsReply>, Status> {
        let exists = request.into_inner().function == "echo";
        Ok(Response::new(proto::FunctionExistsReply { exists }))
    }
}

/// A node that tonic serves until this is dropped.
pub(crate) struct Node {
    pub(crate) seen: Arc<Seen>,
    pub(crate) at: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(at: SocketAddr) -> Self {
        Self::serve(at, Server::builder()).await
    }

    pub(crate) async fn serve(at: SocketAddr, mut server: Server) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let guard = |request: Request<()>| match request.metadata().get("authorization") {
            Some(shown) if shown == format!("Bearer {SECRET}").as_str() => Ok(request),
            _ => Err(Status::unauthenticated("the secret is wrong")),
        };
        let node = node_server::NodeServer::with_interceptor(Scripted(Arc::clone(&seen)), guard);
        let served = server
            .add_service(node)
            .serve_with_incoming(TcpIncoming::from(listener));
        let task = tokio::spawn(async move { served.await.unwrap() });
        Self { seen, at, task }
    }

    pub(crate) fn address(&self) -> Address {
        address(self.at)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn address(at: SocketAddr) -> Address {
    Address::new(format!("http://{at}")).unwrap()
}

/// Hands connections on to a node, until it is told to hold all bytes back, or to cut them off.
pub(crate) struct Proxy {
    pub(crate) at: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    flows: watch::Sender<bool>,
    cut: Arc<Notify>,
    task: tokio::task::JoinHandle<Infallible>,
}

impl Proxy {
    pub(crate) async fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let flows = watch::Sender::new(true);
        let connections = Arc::new(AtomicUsize::new(0));
        let (open, count) = (flows.clone(), Arc::clone(&connections));
        let cut = Arc::new(Notify::new());
        let cutting = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (near, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = cutting.notified() => {
                        pipes.abort_all();
                        continue;
                    }
                };
                count.fetch_add(1, Ordering::SeqCst);
                let open = open.subscribe();
                pipes.spawn(async move {
                    let far = TcpStream::connect(node).await.unwrap();
                    let ((near_in, near_out), (far_in, far_out)) =
                        (near.into_split(), far.into_split());
                    futures_util::future::select(
                        Box::pin(pipe(near_in, far_out, open.clone())),
                        Box::pin(pipe(far_in, near_out, open)),
                    )
                    .await;
                });
            }
        });
        Self {
            at,
            connections,
            flows,
            cut,
            task,
        }
    }

    pub(crate) fn address(&self) -> Address {
        address(self.at)
    }

    /// As a stopped process: connections stay open, and new ones are taken, but nothing is answered.
    pub(crate) fn freeze(&self) {
        self.flows.send_replace(false);
    }

    pub(crate) fn thaw(&self) {
        self.flows.send_replace(true);
    }

    /// Cuts all connections off, and takes new ones.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Cuts all connections off and takes no more.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.at
    }
}

async fn pipe(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        from.readable().await.unwrap();
        if !*open.borrow() {
            continue;
        }
        let read = match from.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let mut rest = &bytes[..read];
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Answers each connection by what a test says, byte by byte.
pub(crate) async fn raw<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(connection));
        }
    });
    at
}

pub(crate) type H2Answer = h2::server::SendResponse<Bytes>;

/// Answers each request by what a test says, in HTTP/2 that need not be gRPC.
pub(crate) async fn http2<F>(answer: impl Fn(H2Answer) -> F + Clone + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    raw(move |connection| {
        let answer = answer.clone();
        async move {
            let mut connection = h2::server::handshake(connection).await.unwrap();
            while let Some(Ok((_, respond))) = connection.accept().await {
                tokio::spawn(answer(respond));
            }
        }
    })
    .await
}

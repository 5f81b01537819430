//! Who is let in, and whether anybody is: asked before anything else about a call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service,
        http::{HeaderValue, Request, Response},
    },
};

use super::{DoorPlan, connection::Peer};

/// How a door stands. Everything that belongs to one incarnation of it looks here.
#[derive(Default)]
pub(super) struct DoorState(watch::Sender<Phase>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Open,
    /// No more calls are taken.
    Stopping,
    /// Connections are dropped as they are.
    Cut,
    /// Nothing is left.
    Ended,
}

impl DoorState {
    pub(super) fn stop(&self) {
        self.advance(Phase::Stopping);
    }

    pub(super) fn cut(&self) {
        self.advance(Phase::Cut);
    }

    pub(super) fn end(&self) {
        self.advance(Phase::Ended);
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.0.borrow() >= Phase::Stopping
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.0.borrow() == Phase::Ended
    }

    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Stopping)
    }

    pub(super) fn was_cut(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Cut)
    }

    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reached(Phase::Ended)
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let forward = *phase < to;
            *phase = to.max(*phase);
            forward
        });
    }

    /// Also done where the door itself is gone.
    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut watched = self.0.subscribe();
        async move {
            let _ = watched.wait_for(|now| *now >= phase).await;
        }
    }
}

/// Everything that is served, behind the secret.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    plan: Arc<DoorPlan>,
    state: Arc<DoorState>,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, plan: Arc<DoorPlan>, state: Arc<DoorState>) -> Self {
        Self { inner, plan, state }
    }

    /// Why the call is not let in, if it is not.
    fn refusal(&self, request: &Request<Body>) -> Option<Status> {
        if let Some(stranger) = self.stranger(request) {
            return Some(stranger);
        }
        let is_health = request.uri().path().starts_with("/grpc.health.v1.");
        (self.state.is_stopping() && !is_health)
            .then(|| Status::unavailable("stopping; the call was not begun"))
    }
}

/// What those are told who have to wait.
pub(super) const HELD: &str = "unauthenticated: too many wrong secrets from this address";

impl<S> Guarded<S> {
    /// Why the caller is not let in. Whoever was wrong too often has to wait before he is looked at again, unless his connection
    /// has shown the secret before.
    fn stranger(&self, request: &Request<Body>) -> Option<Status> {
        let plan = &*self.plan;
        let Some(peer) = request.extensions().get::<Peer>() else {
            return Some(Status::unauthenticated("unauthenticated"));
        };
        let ip = peer.address.ip();
        let status = if !peer.is_trusted() && plan.secret_brake.holds(ip) {
            // The code that says that the call was not begun, as below.
            Status::unauthenticated(HELD)
        } else if plan.guard.admits(request.headers()) {
            peer.trust();
            return None;
        } else {
            plan.secret_brake.was_wrong(ip);
            Status::unauthenticated("unauthenticated")
        };
        peer.was_refused();
        if let Some(left_out) = plan.refusal_lines.take() {
            let peer = peer.address;
            tracing::warn!(%peer, left_out, "refused a call without the secret of the cluster");
        }
        Some(status)
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(Arrival::now());
        if let Some(status) = self.refusal(&request) {
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            name_oversize(&mut answer);
            Ok(answer)
        })
    }
}

/// When a call came in, which is when tonic begins to watch its `grpc-timeout`.
#[derive(Clone, Copy)]
pub(super) struct Arrival(Instant);

impl Arrival {
    fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// tonic says OUT_OF_RANGE of a message that is too large, and node.proto RESOURCE_EXHAUSTED.
fn name_oversize(answer: &mut Response<Body>) {
    if let Some(code) = answer.headers_mut().get_mut(Status::GRPC_STATUS)
        && Code::from_bytes(code.as_bytes()) == Code::OutOfRange
    {
        *code = HeaderValue::from(Code::ResourceExhausted as i32);
    }
}

//! The door: where a service node takes the calls of gateways, and a gateway the pushes of service nodes (specification, section 19).
//!
//! The [`Door`] actor opens it. The socket is bound before the actor starts and belongs to the plan beside it, so a door that
//! dies loses neither its port nor those who knock meanwhile.

mod connection;
mod guard;
mod handlers;
mod serve;
mod wire;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Running, fut::wrap_future,
};
use actix_otp::{ChildSpec, ExitContext, ExitReason, Init, Shutdown};
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_rustls::rustls::ServerConfig;

use self::{guard::DoorState, serve::serve};
use super::{
    GrpcSetupError, TraceContext,
    secret::Guard,
    tls::{Reloaded, server_tls},
};
use crate::{
    admission::{Admission, Brake, LineBudget},
    clock::Clock,
    config::ReceiverRef,
    service_node::NodeCore,
    settings::GrpcSettings,
};

/// What a door offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offered {
    pub(crate) node: Option<NodeCore>,
    pub(crate) gateway: Option<ReceiverRef>,
}

/// All that a door is made of, checked; it outlives the actor.
pub(crate) struct DoorPlan {
    settings: GrpcSettings,
    offered: Offered,
    guard: Guard,
    tls: Option<Arc<Reloaded<ServerConfig>>>,
    admission: Admission,
    /// Slows down those who guess the secret of the cluster.
    secret_brake: Brake,
    /// Slows down those who know it and guess the push token.
    token_brake: Brake,
    connection_lines: LineBudget,
    refusal_lines: LineBudget,
    trace: Arc<dyn TraceContext>,
    clock: Arc<dyn Clock>,
    /// Where connections and calls live.
    runtime: Handle,
    address: SocketAddr,
    /// `None` while the door is closed for good: nobody shall knock in vain.
    socket: Mutex<Option<TcpListener>>,
}

impl DoorPlan {
    /// Checks the settings and binds the socket; nobody is answered before the [`Door`] has started.
    pub(crate) fn bind(
        settings: &GrpcSettings,
        listen: SocketAddr,
        offered: Offered,
        trace: Arc<dyn TraceContext>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Self, GrpcSetupError> {
        let guard = Guard::new(settings.secrets())?;
        settings.secrets().next().ok_or(GrpcSetupError::NoSecret)?;
        let tls = settings.tls.as_ref();
        let tls = tls.map(|tls| Reloaded::new(tls, server_tls)).transpose()?;
        let bound = bind(listen).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (address, socket) = bound.map_err(|reason| GrpcSetupError::Listen {
            address: listen,
            reason,
        })?;
        Ok(Self {
            settings: settings.clone(),
            offered,
            guard,
            tls,
            admission: Admission::new(
                settings.max_connections,
                settings.max_connections_per_address,
            ),
            secret_brake: Brake::new(Arc::clone(&clock)),
            token_brake: Brake::new(Arc::clone(&clock)),
            connection_lines: LineBudget::new(Arc::clone(&clock)),
            refusal_lines: LineBudget::new(Arc::clone(&clock)),
            trace,
            clock,
            runtime,
            address,
            socket: Mutex::new(Some(socket)),
        })
    }

    /// The address that is really listened on, also where port 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`, and the address: what others call this door by.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The socket for the next incarnation of the door; bound anew where there is none of use any more.
    fn socket(&self) -> io::Result<TcpListener> {
        let mut socket = self.socket.lock();
        if let Some(Ok(socket)) = socket.as_ref().map(TcpListener::try_clone) {
            return Ok(socket);
        }
        let bound = bind(self.address)?;
        let clone = bound.try_clone()?;
        *socket = Some(bound);
        Ok(clone)
    }

    /// Lets go of the socket: whoever knocks is turned away at once, once the server has let go of it too.
    fn release(&self) {
        self.socket.lock().take();
    }

    /// How long running calls may take to end when the door is closed.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.settings.stop_timeout_ms)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl fmt::Debug for DoorPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorPlan")
            .field("address", &self.address)
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

/// An open door; a supervised child of an engine or a service node.
///
/// Told to stop, it takes no more calls, lets those that run end, and after the setting `stop_timeout_ms` cuts the rest.
/// Killed, it cuts everything at once.
pub(crate) struct Door {
    plan: Arc<DoorPlan>,
    socket: Option<TcpListener>,
    state: Arc<DoorState>,
    serving: Option<JoinHandle<()>>,
    closing: Closing,
}

#[derive(Clone, Copy, PartialEq)]
enum Closing {
    Open,
    Begun,
    Done,
}

impl Door {
    /// The door as a child of a supervisor.
    pub(crate) fn child(plan: Arc<DoorPlan>) -> ChildSpec<Self> {
        let patience = plan.patience().saturating_add(LAST_STEPS);
        ChildSpec::try_new("grpc_door", move || -> io::Result<Init<Self>> {
            Ok(Init::Run(Self {
                socket: Some(plan.socket()?),
                plan: Arc::clone(&plan),
                state: Arc::default(),
                serving: None,
                closing: Closing::Open,
            }))
        })
        .shutdown(Shutdown::Timeout(patience))
    }

    fn close(&mut self, ctx: &mut Context<Self>) {
        self.closing = Closing::Begun;
        self.plan.release();
        self.state.stop();
        let (state, plan) = (Arc::clone(&self.state), Arc::clone(&self.plan));
        let ended = async move {
            let ended = crate::clock::within(&*plan.clock, plan.patience(), state.ended());
            if ended.await.is_none() {
                tracing::warn!(address = %plan.address, "calls were cut that had not ended in time");
                state.cut();
            }
        };
        ctx.spawn(wrap_future::<_, Self>(ended).map(|(), door, ctx| {
            door.closing = Closing::Done;
            ctx.stop();
        }));
    }
}

/// What a door may take beside the calls it waits for, before it is killed.
const LAST_STEPS: Duration = Duration::from_secs(1);

impl Actor for Door {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(socket) = self.socket.take() else {
            return ctx.stop();
        };
        let served = serve(Arc::clone(&self.plan), socket, Arc::clone(&self.state));
        let served = self.plan.runtime.spawn(served);
        self.serving = Some(served);
        tracing::info!(address = %self.plan.address, "the gRPC door is open");
        let state = Arc::clone(&self.state);
        let ended = wrap_future::<_, Self>(async move { state.ended().await });
        ctx.spawn(ended.map(|(), door, ctx| {
            if door.closing == Closing::Open {
                ctx.exit(ExitReason::error("the gRPC server ended"));
            }
        }));
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        let ended = self.state.has_ended();
        match self.closing {
            Closing::Open if !ended => {
                self.close(ctx);
                Running::Continue
            }
            Closing::Begun => Running::Continue,
            Closing::Open | Closing::Done => Running::Stop,
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.state.cut();
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

#[cfg(test)]
mod tests;

//! The tree of a whole program: [`Root`].

use std::{
    fmt,
    future::Future,
    io,
    pin::pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};

use crate::{observer::SupervisionEvent, start_error::StartError, supervisor::SupervisorSpec};

/// Runs a tree as a program: starts it, waits for the order to end, and stops it in order within one limit.
///
/// The order is SIGTERM or SIGINT (on Windows Ctrl-C), or the end of the root itself. A second signal, and the limit, kill
/// what has not ended.
///
/// ```no_run
/// use std::process::ExitCode;
/// use actix::prelude::*;
/// use actix_otp::{ChildSpec, Root, RootError, Strategy, SupervisorSpec};
///
/// struct Worker;
/// impl Actor for Worker {
///     type Context = Context<Self>;
/// }
///
/// #[actix::main]
/// async fn main() -> Result<ExitCode, RootError> {
///     let tree = SupervisorSpec::new(Strategy::OneForOne).child(ChildSpec::new("worker", || Worker));
///     Root::new(tree).run().await
/// }
/// ```
#[must_use = "a root does nothing until it is run"]
pub struct Root {
    spec: SupervisorSpec,
    id: Arc<str>,
    stop_limit: Duration,
}

impl Root {
    /// A root with the id `root` and 30 seconds to stop.
    pub fn new(spec: SupervisorSpec) -> Self {
        Self {
            spec,
            id: "root".into(),
            stop_limit: Duration::from_secs(30),
        }
    }

    /// The id of the root, with which every path in logs and events begins.
    pub fn id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// How long the whole tree may take to stop; the default is 30 seconds.
    pub fn stop_limit(mut self, stop_limit: Duration) -> Self {
        self.stop_limit = stop_limit;
        self
    }

    /// Runs the tree to its end, on the arbiter of the caller.
    ///
    /// The exit code is that of success where the tree was told to stop, by a signal or by anybody else, or was ended by its
    /// [`AutoShutdown`](crate::AutoShutdown), and did so in order and in time; that of failure where it gave up or had to be
    /// killed.
    ///
    /// # Errors
    ///
    /// [`RootError`]: the tree did not start, or the signals could not be listened to.
    ///
    /// # Panics
    ///
    /// Outside of an actix arbiter or a tokio `LocalSet`.
    pub async fn run(self) -> Result<ExitCode, RootError> {
        let mut signals = Signals::listen()?;
        let gave_up = Arc::new(AtomicBool::new(false));
        let spec = self.spec.also_observed({
            let (gave_up, id) = (Arc::clone(&gave_up), Arc::clone(&self.id));
            move |event: &SupervisionEvent| {
                if matches!(event, SupervisionEvent::GaveUp { supervisor, .. } if *supervisor == id)
                {
                    gave_up.store(true, Ordering::SeqCst);
                }
            }
        });
        let starting = spec.start(Arc::clone(&self.id));
        let root = match signals.or(starting).await {
            Some(root) => root?,
            // The start is taken back.
            None => return Ok(ExitCode::SUCCESS),
        };
        let reason = match signals.or(root.exited()).await {
            Some(reason) => reason,
            None => match signals.or(root.shutdown_within(self.stop_limit)).await {
                Some(reason) => reason,
                None => root.kill().await,
            },
        };
        let failed = gave_up.load(Ordering::SeqCst) || reason.is_abnormal();
        tracing::info!(root = %self.id, %reason, failed, "the tree has ended");
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("id", &self.id)
            .field("stop_limit", &self.stop_limit)
            .finish_non_exhaustive()
    }
}

/// Why a [`Root`] did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The tree did not start.
    #[error("the tree did not start: {0}")]
    Start(#[from] StartError),
    /// The operating system refused to deliver signals.
    #[error("cannot listen to signals: {0}")]
    Signals(#[from] io::Error),
}

impl Signals {
    /// The result of `future`, or `None` when there was a signal first.
    async fn or<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), pin!(self.next())).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(((), _)) => None,
        }
    }
}

/// The signals that end a program.
#[cfg(unix)]
struct Signals {
    terminate: actix_rt::signal::unix::Signal,
    interrupt: actix_rt::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use actix_rt::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        let (terminate, interrupt) = (self.terminate.recv(), self.interrupt.recv());
        select(pin!(terminate), pin!(interrupt)).await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if actix_rt::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

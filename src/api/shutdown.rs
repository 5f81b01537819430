//! The end of an engine, in order (specification, section 23).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_otp::SupervisorRef;
use futures_util::{FutureExt, future::Shared};
use tokio::{sync::oneshot, time::timeout};

use crate::{config::ReceiverRef, executor::Pipeline};

/// How long what was cut may take to end: microseconds, where its thread is not blocked.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// The one shutdown of an engine, whoever asks for it.
#[derive(Default)]
pub(super) struct Shutdown(OnceLock<Shared<oneshot::Receiver<()>>>);

/// What has to be ended.
pub(super) struct Parts {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) root: SupervisorRef,
    pub(super) receiver: ReceiverRef,
}

impl Shutdown {
    /// Begins it, unless it has begun, and waits for its end.
    ///
    /// It goes on where nobody waits: it is a task of its own.
    pub(super) async fn run(&self, parts: Parts, patience: Duration) {
        let ended = self.0.get_or_init(|| {
            let (ending, ended) = oneshot::channel();
            // Before anything else is done, also by whoever asks a second time.
            parts.pipeline.lifecycle.drain();
            let runtime = parts.pipeline.runtime().clone();
            runtime.spawn(async move {
                shut_down(&parts, patience).await;
                drop(ending);
            });
            ended.shared()
        });
        // Nothing is sent: its sender is dropped at the end, whatever the end is.
        let _ = ended.clone().await;
    }

    /// Begins it without patience; nobody waits.
    pub(super) fn begin(&self, parts: Parts) {
        let _ = self.run(parts, Duration::ZERO).now_or_never();
    }
}

async fn shut_down(parts: &Parts, patience: Duration) {
    let Parts {
        pipeline,
        root,
        receiver,
    } = parts;
    let lifecycle = &pipeline.lifecycle;
    // By the time of the machine, whatever clock the engine has: a stop must end.
    if timeout(patience, lifecycle.idle()).await.is_err() {
        let (requests, tasks) = (lifecycle.requests(), lifecycle.tasks());
        tracing::warn!(
            requests,
            tasks,
            "what had not ended when the engine stopped is cut"
        );
    }
    lifecycle.cut();
    pipeline.streams.cut();
    // What runs on threads of the engine ends now. A caller that does not look at its call is not waited for.
    let _ = timeout(LAST_STEPS, lifecycle.idle()).await;
    root.shutdown().await;
    receiver.close();
    pipeline.pool.stop();
}

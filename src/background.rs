//! The runtime behind the engine's timers: it outlives whatever waits for one.
//!
//! A tokio timer that is polled after the end of its runtime panics, and calls are polled on threads of their callers, who
//! may still wait while the engine stops. So the timers belong to no thread that the engine ends: whoever holds the clock
//! holds their runtime too, and its thread ends with the last of them.

use std::{fmt, io, sync::Arc, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// A tokio runtime on a thread of its own, alive as long as a clone of this is.
#[derive(Clone)]
pub(crate) struct Background(Arc<Inner>);

struct Inner {
    handle: Handle,
    /// Dropped with the last clone, which ends the thread.
    _running: oneshot::Sender<()>,
}

impl Background {
    /// Starts the thread; so many blocking functions may run at a time, each on a thread that is started when it is needed.
    pub(crate) fn start(blocking_threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking_threads)
            .thread_name("gen_api-blocking")
            .build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        thread::Builder::new()
            .name("gen_api-timers".into())
            .spawn(move || {
                // An error is what it waits for: nobody holds the sender any more.
                let _ = runtime.block_on(ended);
                // A blocking function that still runs keeps its thread, and nobody waits for that.
                runtime.shutdown_background();
            })?;
        Ok(Self(Arc::new(Inner {
            handle,
            _running: running,
        })))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

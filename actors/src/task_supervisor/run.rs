//! Runs one future to its end and says why it ended: what the `Driver` is to an actor.

use std::{
    any::type_name,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::sync::oneshot;

use crate::{
    control::{Control, Signal},
    driver::Attendant,
    dynamic_supervisor::{Nursery, Place, Position, StartDynamicError},
    exit::ExitReason,
    panics::{CatchPanic, drop_caught},
};

/// Takes the result of a task, or the reason why there is none.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ExitReason>>;

/// A task that was admitted and still has to run.
pub(super) struct Run<F: Future> {
    // The future comes first: it is dropped before its end is reported.
    future: CatchPanic<F>,
    report: Report<F::Output>,
}

/// Admits a task to the children of a supervisor.
pub(super) fn admit<F: Future>(
    nursery: &Arc<Nursery>,
    future: F,
    reply: Option<Reply<F::Output>>,
) -> Result<(Arc<Control>, Run<F>), StartDynamicError> {
    let control = Arc::new(Control::default());
    let place = Place::take(nursery, &control, type_name::<F>())?;
    let report = Report {
        control: Arc::clone(&control),
        place,
        reply,
        began: false,
        ended: false,
    };
    let future = CatchPanic::new(future);
    Ok((control, Run { future, report }))
}

impl<F: Future> Run<F> {
    pub(super) fn position(&self) -> Position {
        self.report.place.position()
    }

    pub(super) async fn finish(self) {
        let Self { future, mut report } = self;
        let mut future = pin!(Some(future));
        let outcome = poll_fn(|cx| {
            let control = &report.control;
            control.attach_driver(cx.waker());
            match control.signal() {
                Signal::Run => {}
                Signal::Stop => return Poll::Ready(Err(ExitReason::Normal)),
                Signal::Shutdown => return Poll::Ready(Err(ExitReason::Shutdown)),
                Signal::Kill => return Poll::Ready(Err(ExitReason::Killed)),
            }
            report.begin();
            match future.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx).map_err(ExitReason::from),
                None => Poll::Pending,
            }
        })
        .await;
        future.set(None);
        report.end(outcome);
    }
}

/// Reports the end of a task exactly once: first its place is free, then its exit is known, then its result arrives.
struct Report<T> {
    control: Arc<Control>,
    place: Place,
    reply: Option<Reply<T>>,
    began: bool,
    ended: bool,
}

impl<T> Report<T> {
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.began, true) {
            self.place.started();
        }
    }

    fn end(&mut self, outcome: Result<T, ExitReason>) {
        self.ended = true;
        let reason = match &outcome {
            Ok(_) => ExitReason::Normal,
            Err(reason) => reason.clone(),
        };
        self.place.exited(&reason, self.began);
        self.control.set_exited(reason);
        if let Some(reply) = self.reply.take() {
            // Nobody need be waiting any more.
            drop_caught("the result of a task", || drop(reply.send(outcome)));
        }
    }
}

impl<T> Drop for Report<T> {
    /// Dropped before its end, a task was on an arbiter that stopped.
    fn drop(&mut self) {
        if !self.ended {
            self.end(Err(ExitReason::ArbiterStopped));
        }
    }
}

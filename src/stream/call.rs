//! One stream as an actor: it lives as long as the [task](StreamTask) of the stream, which it can be told to stop.

use std::{fmt, sync::Arc};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture,
};

use super::{
    live::{Stop, StopReason},
    task::StreamTask,
};

/// The actor of one stream, a temporary child of the engine's stream supervisor.
///
/// It ends with the stream. Killed, it leaves an error as the terminal response.
pub struct StreamCall {
    /// Until it is started. In a box that it keeps all its life: an actor's memory stays as large as it began.
    task: Option<Box<StreamTask>>,
    stop: Arc<Stop>,
}

/// Ends a stream from outside (specification, section 7): its receiver gets what was sent before, as far as it has room, and the
/// completion; its producer's next send fails.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopStream;

impl StreamCall {
    pub(crate) fn new(task: Box<StreamTask>) -> Self {
        Self {
            stop: Arc::clone(task.stop_signal()),
            task: Some(task),
        }
    }
}

impl Actor for StreamCall {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.task.take() {
            Some(task) => {
                ctx.spawn(task.into_actor(self).map(|(), _, ctx| ctx.stop()));
            }
            None => ctx.stop(),
        }
    }
}

impl Handler<StopStream> for StreamCall {
    type Result = ();

    fn handle(&mut self, _: StopStream, _: &mut Context<Self>) {
        self.stop.ask(StopReason::Request);
    }
}

impl fmt::Debug for StreamCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCall").finish_non_exhaustive()
    }
}

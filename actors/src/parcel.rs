//! A message on its way to an actor, its type forgotten: [`Parcel`]; and the two ends of its reply.

use std::sync::{Arc, OnceLock};

use actix::{Actor, Context, Handler, Message, dev::MessageResponse};
use tokio::sync::oneshot;

use crate::{control::Control, exit::ExitReason};

/// A message in the queue of an actor.
pub(crate) trait Parcel<A: Actor>: Send {
    /// Has the actor handle it; `taker` are the strings on the incarnation that does.
    fn deliver(self: Box<Self>, actor: &mut A, ctx: &mut A::Context, taker: &Arc<Control>);

    /// The Rust type of the message.
    fn message(&self) -> &'static str;

    /// Nobody will take it, since this one has ended.
    fn return_unopened(self: Box<Self>, ended: &Arc<Control>);
}

/// A message and where its result goes.
pub(crate) struct Letter<M: Message> {
    pub(crate) message: M,
    pub(crate) reply: Option<Reply<M::Result>>,
}

impl<A, M> Parcel<A> for Letter<M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn deliver(self: Box<Self>, actor: &mut A, ctx: &mut Context<A>, taker: &Arc<Control>) {
        let Self { message, reply } = *self;
        let reply = match reply {
            // Nobody waits for the answer any more.
            Some(reply) if reply.sender.is_closed() => return,
            Some(reply) => {
                reply.set_taker(taker);
                Some(reply.sender)
            }
            None => None,
        };
        actor.handle(message, ctx).handle(ctx, reply);
    }

    fn message(&self) -> &'static str {
        std::any::type_name::<M>()
    }

    fn return_unopened(self: Box<Self>, ended: &Arc<Control>) {
        if let Some(reply) = &self.reply {
            reply.set_taker(ended);
        }
    }
}

/// Who took a message from a queue that several may take from, one after another or side by side.
type Taker = Arc<OnceLock<Arc<Control>>>;

/// The end of a reply that travels with the message.
pub(crate) struct Reply<R> {
    sender: oneshot::Sender<R>,
    taker: Option<Taker>,
}

impl<R> Reply<R> {
    fn set_taker(&self, control: &Arc<Control>) {
        if let Some(taker) = &self.taker {
            let _ = taker.set(Arc::clone(control));
        }
    }
}

/// The end of a reply that the caller keeps.
pub(crate) struct Answer<R> {
    receiver: oneshot::Receiver<R>,
    taker: Option<Taker>,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// Whoever had the message ended.
    Died(ExitReason),
    /// It lives on, and dropped the reply.
    NoReply,
}

/// Both ends of a reply; where several may take the message, `shared`, they say who did.
pub(crate) fn question<R>(shared: bool) -> (Reply<R>, Answer<R>) {
    let (sender, receiver) = oneshot::channel();
    let taker = shared.then(Taker::default);
    let reply = Reply {
        sender,
        taker: taker.clone(),
    };
    (reply, Answer { receiver, taker })
}

impl<R> Answer<R> {
    /// Waits for the result; `sent_to` is whose queue it was, where only one takes from it.
    pub(crate) async fn get(self, sent_to: Option<&Control>) -> Result<R, NoAnswer> {
        if let Ok(result) = self.receiver.await {
            return Ok(result);
        }
        let taker = self.taker.as_deref().and_then(OnceLock::get);
        let Some(control) = taker.map(|control| &**control).or(sent_to) else {
            return Err(NoAnswer::Died(ExitReason::NotRunning));
        };
        Err(match control.turn_ended().await {
            Some(reason) => NoAnswer::Died(reason),
            None => NoAnswer::NoReply,
        })
    }
}

//! Actors that hear of the end of others: [`MonitorContext`].

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, fut::wrap_future};

use crate::{
    child_ref::ChildRef,
    driver::ExitContext,
    exit::ExitReason,
    monitor::{Down, Monitor},
};

/// What an actor can do about the end of other children, through its own context.
///
/// Both watch the incarnation that serves now, once, and last as long as the actor; give the returned handle to
/// `ctx.cancel_future` to end them earlier. An actor that monitors or is linked has something to do: it does not stop for
/// want of an address.
///
/// ```
/// use actix::prelude::*;
/// use actix_otp::{ChildRef, ChildSpec, Down, MonitorContext, Strategy, SupervisorSpec};
///
/// struct Worker;
/// impl Actor for Worker {
///     type Context = Context<Self>;
/// }
///
/// struct Watcher(ChildRef<Worker>);
/// impl Actor for Watcher {
///     type Context = Context<Self>;
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         ctx.monitor(&self.0);
///     }
/// }
/// impl Handler<Down> for Watcher {
///     type Result = ();
///     fn handle(&mut self, down: Down, _: &mut Context<Self>) {
///         println!("{} ended: {}", down.id, down.reason);
///     }
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = ChildSpec::new("worker", || Worker);
/// let handle = worker.child_ref();
/// let root = SupervisorSpec::new(Strategy::OneForOne)
///     .child(worker)
///     .child(ChildSpec::new("watcher", move || Watcher(handle.clone())))
///     .start("root")
///     .await?;
/// # root.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub trait MonitorContext<A: Actor> {
    /// Delivers the end of a child to the actor as the message [`Down`] (OTP: `erlang:monitor`).
    ///
    /// Where the child does not run the message comes at once, with
    /// [`ExitReason::NotRunning`](crate::ExitReason::NotRunning).
    fn monitor<B>(&mut self, child: &ChildRef<B>) -> SpawnHandle
    where
        B: Actor<Context = Context<B>>,
        A: Handler<Down>;

    /// Lets the actor end along with a child that ends abnormally, for the same reason (OTP: `erlang:link`).
    ///
    /// A child that ends well, or that did not run when it was linked, changes nothing. As with every exit the hook `stopping` runs, and
    /// can refuse.
    ///
    /// OTP's links go both ways; here each side links for itself. What OTP does for a process that traps exits,
    /// [`monitor`](Self::monitor) does here: the end of the other arrives as a message.
    fn link<B>(&mut self, child: &ChildRef<B>) -> SpawnHandle
    where
        B: Actor<Context = Context<B>>;
}

impl<A: Actor<Context = Self>> MonitorContext<A> for Context<A> {
    fn monitor<B>(&mut self, child: &ChildRef<B>) -> SpawnHandle
    where
        B: Actor<Context = Context<B>>,
        A: Handler<Down>,
    {
        when_down(self, child.monitor(), |down, ctx| ctx.notify(down))
    }

    fn link<B>(&mut self, child: &ChildRef<B>) -> SpawnHandle
    where
        B: Actor<Context = Context<B>>,
    {
        when_down(self, child.monitor(), |down, ctx| {
            // What was not there when it was linked has not ended.
            if down.reason.is_abnormal() && down.reason != ExitReason::NotRunning {
                ctx.exit(down.reason);
            }
        })
    }
}

fn when_down<A: Actor<Context = Context<A>>>(
    ctx: &mut Context<A>,
    monitor: Monitor,
    then: impl FnOnce(Down, &mut Context<A>) + 'static,
) -> SpawnHandle {
    ctx.spawn(wrap_future::<_, A>(monitor).map(|down, _, ctx| then(down, ctx)))
}

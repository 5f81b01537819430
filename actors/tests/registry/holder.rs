//! An actor that registers as a test wants.

use actix::prelude::*;
use actix_otp::{DuplicateRegistry, Registry};

pub(crate) type Names = Registry<String, Addr<Holder>, u32>;
pub(crate) type Groups = DuplicateRegistry<String, Addr<Holder>, u32>;

/// An actor that does with its context what a test wants.
pub(crate) struct Holder;

impl Actor for Holder {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Do(pub(crate) Deed);

pub(crate) type Deed = Box<dyn FnOnce(&mut Context<Holder>) + Send>;

impl Handler<Do> for Holder {
    type Result = ();

    fn handle(&mut self, Do(deed): Do, ctx: &mut Context<Self>) {
        deed(ctx);
    }
}

/// Runs a deed inside of an actor.
pub(crate) async fn within<R: Send + 'static>(
    holder: &Addr<Holder>,
    deed: impl FnOnce(&mut Context<Holder>) -> R + Send + 'static,
) -> R {
    let (sender, result) = tokio::sync::oneshot::channel();
    let deed = move |ctx: &mut Context<Holder>| drop(sender.send(deed(ctx)));
    holder.send(Do(Box::new(deed))).await.expect("alive");
    result.await.expect("done")
}

/// Registers an actor under a unique key; false where somebody else has it.
pub(crate) async fn claim(names: &Names, holder: &Addr<Holder>, key: &str, value: u32) -> bool {
    let (names, key) = (names.clone(), key.to_owned());
    within(holder, move |ctx| names.register(ctx, key, value).is_ok()).await
}

pub(crate) async fn join(groups: &Groups, holder: &Addr<Holder>, key: &str, value: u32) {
    let (groups, key) = (groups.clone(), key.to_owned());
    within(holder, move |ctx| groups.register(ctx, key, value)).await;
}

pub(crate) async fn leave(groups: &Groups, holder: &Addr<Holder>, key: &str) -> usize {
    let (groups, key) = (groups.clone(), key.to_owned());
    within(holder, move |ctx| groups.unregister(ctx, &key)).await
}

pub(crate) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

//! A tree that heals: a store and a cache in front of it. When the store fails the cache is started anew along with it,
//! for what it has cached may be wrong; when the cache fails, the store stays.

use actix::prelude::*;
use actix_otp::{ChildRef, ChildSpec, Strategy, SupervisionEvent, SupervisorSpec};

struct Store;

impl Actor for Store {
    type Context = Context<Self>;
}

struct Cache(ChildRef<Store>);

impl Actor for Cache {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        // The handle was made before the store ran; it leads to the incarnation that serves now.
        println!("  the cache uses store {:?}", self.0.incarnation());
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail(&'static str);

impl Handler<Fail> for Store {
    type Result = ();

    fn handle(&mut self, Fail(how): Fail, _: &mut Context<Self>) {
        panic!("{how}");
    }
}

impl Handler<Fail> for Cache {
    type Result = ();

    fn handle(&mut self, Fail(how): Fail, _: &mut Context<Self>) {
        panic!("{how}");
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|_| ())); // the events tell it all
    let store = ChildSpec::new("store", || Store);
    let store_ref = store.child_ref();
    let cache = ChildSpec::new("cache", {
        let store = store_ref.clone();
        move || Cache(store.clone())
    });
    let cache_ref = cache.child_ref();
    let tree = SupervisorSpec::new(Strategy::RestForOne)
        .observer(|event: &SupervisionEvent| println!("  {event:?}"));
    let root = tree.child(store).child(cache).start("root").await?;

    println!("the cache fails");
    let error = cache_ref.call(Fail("out of memory")).await.unwrap_err();
    cache_ref.wait_until_running(1).await;
    println!("its caller heard: {error}\nthe store fails");
    let error = store_ref.call(Fail("disk full")).await.unwrap_err();
    cache_ref.wait_until_running(2).await;
    println!("its caller heard: {error}");
    print!("{}", root.tree().await);
    root.shutdown().await;
    Ok(())
}

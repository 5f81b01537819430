//! A pool with a registry: workers on two threads announce themselves under a topic, whoever has work finds them there.
//! A worker that fails is found again, under the same name, once its supervisor has restarted it.

use actix::prelude::*;
use actix_otp::{ArbiterPool, ChildSpec, DuplicateRegistry, Placement, Strategy, SupervisorSpec};

type Workers = DuplicateRegistry<&'static str, Recipient<Square>, usize>;

struct Worker {
    number: usize,
    workers: Workers,
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.workers.register(ctx, "squares", self.number);
    }
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Square(u32);

impl Handler<Square> for Worker {
    type Result = u32;

    fn handle(&mut self, Square(n): Square, _: &mut Context<Self>) -> u32 {
        n.checked_mul(n).expect("a small number")
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|_| ()));
    let (threads, workers) = (ArbiterPool::new(2)?, Workers::new());
    let mut spec = SupervisorSpec::new(Strategy::OneForOne);
    let mut handles = Vec::new();
    for number in 0..4 {
        let workers = workers.clone();
        let make = move || Worker {
            number,
            workers: workers.clone(),
        };
        let worker = ChildSpec::new(format!("worker {number}"), make)
            .placement(Placement::Pool(threads.clone()));
        handles.push(worker.child_ref());
        spec = spec.child(worker);
    }
    let root = spec.start("root").await?;

    for (worker, number) in workers.lookup("squares") {
        println!(
            "worker {number}: {}",
            worker.send(Square(number as u32)).await?
        );
    }
    let failed = handles[2].call(Square(u32::MAX)).await;
    println!(
        "worker 2: {}, {} left",
        failed.unwrap_err(),
        workers.lookup("squares").len()
    );
    handles[2].wait_until_running(1).await;
    println!("and back: {} workers", workers.lookup("squares").len());
    root.shutdown().await;
    threads.stop();
    Ok(())
}

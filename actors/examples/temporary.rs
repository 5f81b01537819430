//! A stream of temporary children: each job is an actor of its own that lives as long as its work. A bad job costs
//! itself alone, and no more than a few run at a time.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{DynamicSupervisorSpec, ExitReason, StartDynamicError, Strategy, SupervisorSpec};

/// Adds up what its job is worth, and fails over every hundredth.
struct Job {
    number: u64,
    total: Arc<AtomicU64>,
}

impl Actor for Job {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = async { actix::clock::sleep(Duration::from_millis(1)).await };
        ctx.wait(work.into_actor(self).map(|(), job, ctx| {
            assert!(job.number % 100 != 0, "job {} is bad", job.number);
            job.total.fetch_add(job.number, Ordering::Relaxed);
            ctx.stop();
        }));
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|_| ()));
    let (spec, jobs) = DynamicSupervisorSpec::new().max_children(50).build("jobs");
    let root = SupervisorSpec::new(Strategy::OneForOne)
        .child(spec)
        .start("root")
        .await?;

    let total = Arc::new(AtomicU64::new(0));
    let (mut failed, mut refused) = (0, 0);
    let mut running = Vec::new();
    for number in 1..=1000 {
        loop {
            let total = Arc::clone(&total);
            match jobs.spawn_child(move || Job { number, total }) {
                Ok(job) => break running.push(job),
                Err(StartDynamicError::MaxChildren(_)) => {
                    // Enough for now: the oldest job makes room.
                    refused += 1;
                    let oldest = running.remove(0);
                    failed += u32::from(oldest.exited().await != ExitReason::Normal);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    for job in running {
        failed += u32::from(job.exited().await != ExitReason::Normal);
    }
    println!(
        "1000 jobs, {failed} failed, {refused} had to wait, {} run still",
        jobs.count()
    );
    println!("the others add up to {}", total.load(Ordering::Relaxed));
    root.shutdown().await;
    Ok(())
}

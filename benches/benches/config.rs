//! Finding the config of a request among few and among many, beside a bare actix message.
//!
//! `cargo bench -p gen_api-benches --bench config`

use std::time::Duration;

use actix::Actor as _;
use actix_rt::System;
use gen_api::GenApi;
use gen_api_benches::{
    Comparison,
    actors::actix::{Add, Adder},
    engines::{config_name, engine_with_configs},
    grouped, is_wanted, on_this_thread, timed,
};

fn main() {
    if !is_wanted() {
        return;
    }
    let system = System::new();
    let adder = system.block_on(async { Adder::new().start() });
    let engines: Vec<_> = [10, 1_000, 100_000]
        .into_iter()
        .map(|configs| system.block_on(Engine::with(configs)))
        .collect();
    let mut comparison = Comparison::default().with("bare actix, `Addr::send`", |times| {
        system.block_on(timed(times, async || {
            assert_eq!(adder.send(Add(1)).await.ok(), Some(2));
        }))
    });
    for engine in &engines {
        let configs = grouped(engine.names.len() as f64);
        comparison = comparison
            .with(format!("the same one of {configs}"), |times| {
                engine.find(times, |_| 0)
            })
            .with(format!("any one of {configs}"), |times| {
                engine.find(times, |time| time.wrapping_mul(MIXER))
            });
    }
    comparison.print("Finding a config (`ConfigDbRef::answers`)");
    for engine in engines {
        system.block_on(engine.api.stop());
    }
}

/// A large prime, whose multiples visit the configs in no order that the processor could foresee.
const MIXER: usize = 2_654_435_761;

struct Engine {
    api: GenApi,
    names: Vec<String>,
}

impl Engine {
    async fn with(configs: u64) -> Self {
        Self {
            api: engine_with_configs(configs).await,
            names: (0..configs).map(config_name).collect(),
        }
    }

    fn find(&self, times: u64, pick: impl Fn(usize) -> usize) -> Duration {
        on_this_thread(|| {
            for time in 0..times as usize {
                let name = &self.names[pick(time) % self.names.len()];
                assert!(self.api.config_db().answers("svc", name, None).is_ok());
            }
        })
    }
}

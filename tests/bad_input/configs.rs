//! Configs that are almost right.

use std::{cell::Cell, pin::pin, time::Duration};

use futures_util::FutureExt;
use gen_api::{
    GenApi, Reply,
    clock::ManualClock,
    config::AddError,
    model::{FunConfig, Request, Response},
};
use serde_json::Value;

use crate::engine::{check, judge, start, stop};
use crate::generators::{any_json, near_config};

#[test]
fn a_config_that_is_almost_right_is_refused_with_its_faults_or_serves() {
    let clock = ManualClock::new();
    let api = start(Some(clock.clone()));
    let service = Service {
        clock,
        api: &api,
        served: Cell::new(0),
        refused: Cell::new(0),
    };
    check(600, (near_config(), any_json()), |(config, value)| {
        service.offers(config, value);
    });
    // Both ways were gone often enough to mean something.
    let (served, refused) = (service.served.get(), service.refused.get());
    assert!(
        served > 50 && refused > 50,
        "{served} served, {refused} refused"
    );
    check(200, any_json(), |config| {
        let error = FunConfig::from_value(config).expect_err("random JSON is no config");
        assert!(error.fields().count() > 0);
    });
    stop(&api);
}

/// Offers configs to an engine and calls what it takes, in a time that passes by hand.
struct Service<'a> {
    clock: ManualClock,
    api: &'a GenApi,
    served: Cell<u32>,
    refused: Cell<u32>,
}

impl Service<'_> {
    fn offers(&self, config: Value, value: Value) {
        let config = match FunConfig::from_value(config) {
            Ok(config) => config,
            Err(invalid) => {
                assert!(
                    invalid.fields().all(|field| !field.is_empty()),
                    "{invalid:?}"
                );
                for fault in &invalid.faults {
                    assert!(fault.reason.chars().count() <= 400, "{fault}");
                }
                self.refused.set(self.refused.get() + 1);
                return;
            }
        };
        let (service, request_type) = (config.service.clone(), config.request_type.clone());
        let version = config.version.clone();
        let api = self.api;
        match api.block_on(api.config_db().add(config)) {
            Ok(()) => {}
            Err(AddError::Invalid(invalid)) => {
                assert!(!invalid.faults.is_empty());
                return;
            }
            Err(error) => panic!("{error}"),
        }
        let mut request = Request::new("r", &service, &request_type).with_arg("value", value);
        if let Some(version) = &version {
            request = request.with_version(version);
        }
        let responses = self.answer(api.execute(request));
        self.served.set(self.served.get() + 1);
        if !responses.is_empty() {
            judge(&responses, "r");
        }
        let deleted = api
            .config_db()
            .delete(&service, &request_type, version.as_deref());
        api.block_on(deleted).expect("it was stored");
    }

    /// All responses, while time passes for the pauses between retries.
    fn answer(&self, reply: impl Future<Output = Reply>) -> Vec<Response> {
        self.api.block_on(async {
            let mut all = pin!(reply.then(Reply::collect));
            loop {
                if let Some(responses) = all.as_mut().now_or_never() {
                    return responses;
                }
                self.clock.advance(Duration::from_millis(50));
                tokio::task::yield_now().await;
            }
        })
    }
}

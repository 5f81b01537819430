//! Lines about calls that failed: one rule for every response mode.
//!
//! What an operator can do something about is a warning, bounded in time for each API; what is the caller's own doing, such
//! as arguments that are not valid, is seen at the level DEBUG alone.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{admission::LineBudget, clock::Clock, log_text, request_error::RequestError};

/// For so many APIs the lines are bounded each for itself; those of all others together.
const MOST_APIS: usize = 10_000;

pub(crate) struct FailureLog {
    clock: Arc<dyn Clock>,
    apis: Mutex<HashMap<(String, String), Arc<LineBudget>>>,
    others: Arc<LineBudget>,
}

impl FailureLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            others: Arc::new(LineBudget::new(Arc::clone(&clock))),
            apis: Mutex::default(),
            clock,
        }
    }

    /// The engine's clock, for what holds this already: there is one for each open stream.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// A request of this API was answered with this error; the names are those of a config, or `None` where none was found.
    pub(crate) fn note(&self, api: Option<(&str, &str)>, request_id: &str, error: &RequestError) {
        let (service, request_type) = api.unwrap_or_default();
        if !error.is_for_operators() {
            tracing::debug!(
                service = log_text::cut(service),
                request_type = log_text::cut(request_type),
                request_id = log_text::cut(request_id),
                error = log_text::printed(error),
                "a request failed"
            );
        } else if let Some(left_out) = self.budget(api).take() {
            tracing::warn!(
                service = log_text::cut(service),
                request_type = log_text::cut(request_type),
                request_id = log_text::cut(request_id),
                error = log_text::printed(error),
                left_out,
                "a request failed"
            );
        }
    }

    fn budget(&self, api: Option<(&str, &str)>) -> Arc<LineBudget> {
        let Some((service, request_type)) = api else {
            return Arc::clone(&self.others);
        };
        let key = (service.to_owned(), request_type.to_owned());
        let mut apis = self.apis.lock();
        match apis.get(&key) {
            Some(budget) => Arc::clone(budget),
            None if apis.len() >= MOST_APIS => Arc::clone(&self.others),
            None => {
                let budget = Arc::new(LineBudget::new(Arc::clone(&self.clock)));
                apis.insert(key, Arc::clone(&budget));
                budget
            }
        }
    }
}

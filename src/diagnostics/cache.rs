//! What is configured, by service.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{config::ConfigTable, text_table::TextTable};

/// How many functions and versions each service has; prints as a table with a last line for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStatus {
    /// A line for each service, by name.
    pub services: Vec<ServiceCache>,
}

/// What one service has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServiceCache {
    /// The service.
    pub service: String,
    /// How many request types.
    pub functions: usize,
    /// How many configs, every version counted.
    pub versions: usize,
    /// How many of them may be called.
    pub enabled: usize,
    /// How many are switched off.
    pub disabled: usize,
}

impl CacheStatus {
    pub(crate) fn new(configs: &ConfigTable) -> Self {
        let mut services: BTreeMap<String, ServiceCache> = BTreeMap::new();
        let mut last = None;
        for route in configs.routes() {
            let config = &route.config;
            let line = services.entry(config.service.clone()).or_default();
            // The versions of a function follow one another.
            let function = (config.service.clone(), config.request_type.clone());
            if last.as_ref() != Some(&function) {
                line.functions += 1;
                last = Some(function);
            }
            line.versions += 1;
            line.enabled += usize::from(route.enabled());
            line.disabled += usize::from(!route.enabled());
        }
        let named = services
            .into_iter()
            .map(|(service, line)| ServiceCache { service, ..line });
        Self {
            services: named.collect(),
        }
    }

    /// The sums over all services; its service is `total`.
    #[must_use]
    pub fn total(&self) -> ServiceCache {
        let mut total = ServiceCache {
            service: "total".to_owned(),
            ..ServiceCache::default()
        };
        for line in &self.services {
            total.functions += line.functions;
            total.versions += line.versions;
            total.enabled += line.enabled;
            total.disabled += line.disabled;
        }
        total
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("service")
            .number("functions")
            .number("versions")
            .number("enabled")
            .number("disabled");
        for line in self.services.iter().chain([&self.total()]) {
            table.row([
                line.service.clone(),
                line.functions.to_string(),
                line.versions.to_string(),
                line.enabled.to_string(),
                line.disabled.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

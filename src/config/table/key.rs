//! What finds an API in the table.

use std::hash::{Hash, Hasher};

use papaya::Equivalent;

use crate::model::FunConfig;

/// Which API: its service and request type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiKey {
    pub(super) service: Box<str>,
    pub(super) request_type: Box<str>,
}

impl ApiKey {
    pub(super) fn of(config: &FunConfig) -> Self {
        Self {
            service: config.service.as_str().into(),
            request_type: config.request_type.as_str().into(),
        }
    }
}

/// A borrowed [`ApiKey`], so that a lookup allocates nothing.
pub(super) struct ApiKeyRef<'a> {
    pub(super) service: &'a str,
    pub(super) request_type: &'a str,
}

impl Hash for ApiKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ApiKeyRef {
            service: &self.service,
            request_type: &self.request_type,
        }
        .hash(state);
    }
}

impl Hash for ApiKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.service.hash(state);
        self.request_type.hash(state);
    }
}

impl Equivalent<ApiKey> for ApiKeyRef<'_> {
    fn equivalent(&self, key: &ApiKey) -> bool {
        *self.service == *key.service && *self.request_type == *key.request_type
    }
}

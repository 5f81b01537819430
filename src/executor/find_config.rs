//! Stage 1: the config that answers the request (specification, sections 3 and 11).

use std::sync::Arc;

use crate::{
    config::{ConfigTable, LookupError, Route},
    model::{Request, version},
    request_error::RequestError,
};

pub(super) fn find_config(
    table: &ConfigTable,
    request: &Request,
) -> Result<Arc<Route>, RequestError> {
    let version = request.version.as_deref();
    let found = table.asked(&request.service, &request.request_type, version);
    found.map_err(|error| {
        let request_type = request.request_type.clone();
        let version = version::effective(version).map(str::to_owned);
        match error {
            LookupError::NotFound => RequestError::Unsupported {
                request_type,
                version,
            },
            LookupError::Disabled => RequestError::Disabled {
                request_type,
                version,
            },
        }
    })
}

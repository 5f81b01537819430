//! What the doors of this crate need of the engine beyond its public verbs.

use std::sync::Arc;

use actix_otp::ArbiterPool;

use super::GenApi;
use crate::{
    clock::Clock,
    model::{DecodeError, Request, Response},
    settings::Settings,
};

impl GenApi {
    /// Reads a payload within the engine's size limit.
    pub(crate) fn decode(&self, payload: &[u8]) -> Result<Request, DecodeError> {
        let limit = self.settings().requests.max_payload_bytes;
        Request::decode(payload, limit)
    }

    /// The response to a payload that is no request.
    pub(crate) fn undecodable(&self, payload: &[u8], error: &DecodeError) -> Response {
        self.engine.pipeline.undecodable(payload, error)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.engine.pipeline.settings
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.engine.pipeline.shared_clock()
    }

    pub(crate) fn arbiters(&self) -> &ArbiterPool {
        &self.engine.pipeline.pool
    }
}

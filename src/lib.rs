//! Turn plain functions into a live, distributed API.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

pub mod clock;
pub mod model;

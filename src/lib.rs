//! Turn plain functions into a live, distributed API.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

#[cfg(test)]
mod any_json;
pub mod arguments;
pub mod call;
pub mod clock;
pub mod model;
pub mod permission;
pub mod function;

//! Calls: how the engine has a function run, and what can go wrong with it.

pub(crate) mod callback;
pub mod local;
pub mod retry;

//! Calls: how the engine has a function run, and what can go wrong with it.

pub mod local;

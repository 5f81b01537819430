//! The contract of the registry, by theme: unique names, many actors under one key, and entries that end with their
//! actor.

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod dispatch;
mod entries;
mod holder;
mod lifetime;
mod random;

//! The contract of dynamic supervisors, by theme. `DYNAMIC_AND_REGISTRY.md` in `tests/` maps Elixir's test cases to these.

#[path = "../support/children.rs"]
mod children;
#[path = "../support/mod.rs"]
mod support;

mod random;
mod restart;
mod shutdown;
mod start;
mod terminate;
mod unnamed;
mod view;

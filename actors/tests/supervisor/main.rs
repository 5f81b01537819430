//! The contract of the supervisor, by theme. `README.md` in `tests/` maps OTP's own test cases to these.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod after_start;
mod backoff;
mod calls;
mod cast;
mod faults;
mod intensity;
mod kept_mailboxes;
mod limits;
mod lost_replies;
mod mailboxes;
mod panics;
mod random;
mod restart;
mod retry;
mod shutdown;
mod significant;
mod specs;
mod start;
mod stats;
mod strategy;
mod telemetry;
mod threads;
mod trees;
mod turns;
mod watching;

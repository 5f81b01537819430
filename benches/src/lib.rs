//! What the benchmarks share: a runner that lets contenders take turns, counted memory, and the contenders themselves.
//!
//! The peers are here and nowhere else, so nobody who builds gen_api or actix-otp builds them.

pub mod actors;
mod comparison;
pub mod engines;
pub mod memory;
pub mod remote;
pub mod requests;
mod table;

pub use self::{
    comparison::{Comparison, median, on_this_thread, on_threads, timed, timed_with},
    table::{Table, grouped, time},
};

/// Whether to measure: `cargo test --benches` runs the benchmarks too, and a comparison beside other tests would mean
/// nothing.
#[must_use]
pub fn is_wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A tokio runtime on this thread alone: where the contenders that need no actix system run.
///
/// # Panics
///
/// When the operating system refuses one.
#[must_use]
pub fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

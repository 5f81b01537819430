//! Memory, counted and not guessed: by the allocator of `stats_alloc`, which a benchmark has to install.
//!
//! ```
//! use std::alloc::System;
//! use gen_api_benches::memory::{INSTRUMENTED_SYSTEM, StatsAlloc, kept};
//!
//! #[global_allocator]
//! static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
//!
//! # let runtime = gen_api_benches::one_thread();
//! let (vec, bytes) = runtime.block_on(kept(async || vec![0_u64; 100]));
//! assert_eq!((vec.len(), bytes), (100, 800));
//! ```
//!
//! Counted are the bytes that were asked for, on all threads; what an allocator adds to each piece comes on top. A count
//! is exact, so it needs no rounds.

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use stats_alloc::{Region, Stats};

/// How many bytes more are in use after `make`, as long as its result lives.
pub async fn kept<T>(make: impl AsyncFnOnce() -> T) -> (T, i64) {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let made = make().await;
    let Stats {
        bytes_allocated,
        bytes_deallocated,
        ..
    } = region.change();
    (made, bytes_allocated as i64 - bytes_deallocated as i64)
}

/// How often `work` allocates, enlargements included, and how many bytes it asks for.
pub async fn spent(work: impl AsyncFnOnce()) -> (usize, usize) {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    work().await;
    let Stats {
        allocations,
        reallocations,
        bytes_allocated,
        ..
    } = region.change();
    (allocations + reallocations, bytes_allocated)
}

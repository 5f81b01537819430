//! Streaming responses: one [`StreamCall`] actor a request (specification, section 7).
//!
//! A function takes a [`StreamHandle`](crate::function::StreamHandle), or returns a Rust `Stream`; whoever asked reads the
//! chunks from [`Reply::later`](crate::Reply). Both ends are bounded, so a slow reader slows the producer down.

mod call;
mod live;
mod source;
mod task;
mod watch;

pub use self::{
    call::{StopStream, StreamCall},
    live::StopStreamError,
};
pub(crate) use self::{
    live::{LiveStreams, Owner},
    task::{StreamParts, StreamTask},
    watch::StreamWatch,
};

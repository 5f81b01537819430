//! What the engine tells of itself: events for handlers, spans for subscribers (specification, section 16).

mod actors;
mod configs;
mod fixture;
mod hooks_and_limits;
mod pools;
mod requests;
mod spans;
mod streams;

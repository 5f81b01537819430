//! The engine end to end: modes, doors, bad input, hosts, and what happens while actors die.

mod arguments;
mod blocking;
mod configs;
mod errors;
mod executors;
mod fixture;
mod hooks;
mod hosts;
mod kills;
mod limits;
mod modes;
mod nesting;
mod panics;
mod start_stream;
mod stopped_streams;
mod stopping;
mod streams;

//! Gateways and service nodes as processes that are killed, frozen and lied to (specification, sections 9, 12, 13 and 19).
//!
//! Everything happens on loopback. Tests wait for events, each within a limit that only a fault exceeds.

mod config_lists;
mod faulty_nodes;
mod fixture;
mod pushes;
mod restarts;
mod streams;
mod under_load;

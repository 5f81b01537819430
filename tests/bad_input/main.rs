//! Bad input of every kind, through the doors that clients and services have: random bytes, random JSON, requests, configs
//! and arguments that are almost right. The answer is one response or one typed error: no panic, nothing internal.

mod arguments;
mod configs;
mod engine;
mod extremes;
mod generators;
mod requests;

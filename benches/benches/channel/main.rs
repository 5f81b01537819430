//! The channel door over real connections on the loopback device: requests, memory, broadcasts, streams.
//!
//! `cargo bench -p gen_api-benches --bench channel`; words after `--` choose parts: `requests`, `memory`, `fanout`, `streams`.
//!
//! Each server is a process of its own, this same program run once more; the client is the same for all of them. Rounds of the
//! contenders take turns, and the medians over the rounds count.

mod client;
mod fanout;
mod memory;
mod process;
mod requests;
mod servers;
mod streams;

use gen_api_benches::is_wanted;

/// The argument that makes this program a server.
const SERVE: &str = "--serve";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == SERVE) {
        let name = arguments.get(at + 1).map_or("", String::as_str);
        return servers::serve(name);
    }
    if !is_wanted() {
        return;
    }
    // 5 000 connections need as many files on both sides.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        println!("the limit of open files stays: {error}");
    }
    let chosen: Vec<&String> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wants = |part: &str| chosen.is_empty() || chosen.iter().any(|word| *word == part);
    let runtime = gen_api_benches::one_thread();
    if wants("requests") {
        runtime.block_on(requests::compare());
    }
    if wants("memory") {
        runtime.block_on(memory::compare());
    }
    if wants("fanout") {
        runtime.block_on(fanout::measure());
    }
    if wants("streams") {
        runtime.block_on(streams::measure());
    }
}

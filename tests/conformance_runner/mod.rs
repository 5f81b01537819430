//! Runs the vectors whose format is on the page `tests/conformance/README.md`: for the example `conformance`, which takes any
//! folder of such files, and for the test suite, which takes the repository's own.
//!
//! No case is known by its id. One file of this folder judges one vector file; what they share:
//!
//! - [`case`] reads the parts of a case and refuses what it does not know,
//! - [`compare`] compares what was seen with what is expected,
//! - [`harness`] has the functions that cases call,
//! - [`remote`] plays the service nodes that cases give, and with the feature `grpc`, `grpc` puts connections before them,
//! - [`engine`] and [`client`] start a whole engine and talk to it,
//! - [`run`] runs the cases, several at a time.

mod arguments;
mod case;
#[cfg(feature = "channel")]
mod channel;
mod client;
mod compare;
mod engine;
mod execute;
mod fun_config;
#[cfg(feature = "grpc")]
mod grpc;
mod harness;
mod node_selection;
mod permission;
mod push_pull;
mod rate_limit;
mod relay;
mod remote;
mod request_response;
mod run;
mod stream;
mod versions;

#[cfg(feature = "grpc")]
pub(crate) use self::run::run_over_grpc;
pub(crate) use self::{
    case::Case,
    run::{Report, run},
};

/// Judges one case: what the engine did wrong, if anything.
type Judge = fn(&Case) -> Result<(), String>;

/// The judge of a vector file.
fn judge_of(file: &str) -> Option<Judge> {
    Some(match file {
        "arguments.json" => arguments::judge,
        "execute.json" => execute::judge,
        "fun_config.json" => fun_config::judge,
        "node_selection.json" => node_selection::judge,
        "permission.json" => permission::judge,
        "push_pull.json" => push_pull::judge,
        "rate_limit.json" => rate_limit::judge,
        "relay.json" => relay::judge,
        "request_response.json" => request_response::judge,
        "stream.json" => stream::judge,
        "versions.json" => versions::judge,
        _ => return None,
    })
}

/// Which part of the engine a case needs that this build does not have; such a case fails.
pub(crate) fn not_built(file: &str, case: &Case) -> Option<&'static str> {
    match file {
        "execute.json" if cfg!(not(feature = "channel")) => {
            let is_about_channels = case.when.contains_key("channel_in");
            is_about_channels.then_some("the feature `channel`")
        }
        _ => None,
    }
}

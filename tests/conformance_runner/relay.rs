//! The vectors of `relay.json`. The relay does not exist yet, so no case can pass.

use super::case::Case;

pub(crate) fn judge(_: &Case) -> Result<(), String> {
    Err("the relay is not built yet".to_owned())
}

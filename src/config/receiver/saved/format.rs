//! What a saved push looks like: one line of text, then JSON.
//!
//! ```text
//! gen_api push 1 <checksum, 32 hex digits> <length of what follows the line, in bytes>
//! {"service": .., "config_version": .., "nodes": .., "functions": .., "pull": .., "fun_configs": [..]}
//! ```
//!
//! The number is that of the format; another one belongs to a later version of this crate. The checksum is SipHash-2-4 with 128
//! bits and a key of zeros: it finds what a disk or a crash did, not what somebody forged. A token is never written.

use std::{hash::Hasher, io};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::model::{FunConfig, Nodes, ServiceConfig};

const MAGIC: &str = "gen_api push ";
const FORMAT: u32 = 1;

/// What is kept of the pushes of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::receiver) struct SavedPush<F = FunConfig> {
    pub(in crate::config::receiver) service: String,
    /// Of the last push.
    pub(in crate::config::receiver) config_version: String,
    /// Of the last push.
    pub(in crate::config::receiver) nodes: Nodes,
    /// How many functions the last push held.
    pub(in crate::config::receiver) functions: usize,
    /// How the service is pulled, where one of its pushes said so.
    pub(in crate::config::receiver) pull: Option<ServiceConfig>,
    /// As they were stored, with the nodes of the push that brought them.
    pub(in crate::config::receiver) fun_configs: Vec<F>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it is no saved push")]
    Foreign,
    #[error("it was written by a later version, in format {0}")]
    TooNew(u32),
    #[error("it is not whole, or was changed")]
    Torn,
    #[error("it holds no push: {0}")]
    Malformed(serde_json::Error),
    #[error("it holds a push of the service {0:?}, whose file has another name")]
    OtherService(String),
}

impl<F: Serialize> SavedPush<F> {
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let checksum = checksum(&json);
        let mut bytes = format!("{MAGIC}{FORMAT} {checksum} {}\n", json.len()).into_bytes();
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }
}

impl SavedPush {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Unusable> {
        let magic = MAGIC.as_bytes();
        let Some(rest) = bytes.strip_prefix(magic) else {
            let is_begun = magic.starts_with(bytes);
            return Err(if is_begun {
                Unusable::Torn
            } else {
                Unusable::Foreign
            });
        };
        let line = rest.iter().position(|byte| *byte == b'\n');
        let (line, json) = rest.split_at(line.ok_or(Unusable::Torn)?);
        let line = std::str::from_utf8(line).map_err(|_| Unusable::Foreign)?;
        let mut words = line.split(' ');
        let format = words.next().and_then(|word| word.parse().ok());
        match format {
            Some(FORMAT) => {}
            Some(later) if later > FORMAT => return Err(Unusable::TooNew(later)),
            _ => return Err(Unusable::Foreign),
        }
        // Without the line break, which `split_at` left in front of it.
        let json = json.get(1..).unwrap_or_default();
        let is_whole = words.next() == Some(&checksum(json))
            && words.next() == Some(&json.len().to_string())
            && words.next().is_none();
        if !is_whole {
            return Err(Unusable::Torn);
        }
        serde_json::from_slice(json).map_err(Unusable::Malformed)
    }
}

fn checksum(bytes: &[u8]) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(bytes);
    format!("{:032x}", hasher.finish128().as_u128())
}

//! The nodes that somebody asked for.

use std::sync::{Arc, Weak};

use hashbrown::DefaultHashBuilder;
use papaya::HashMap;
use tokio::{runtime::Handle, sync::watch};

use super::{connection::Connector, error::unreachable, peer::Peer, target::NodeTarget};
use crate::node::{Address, NodeCallError};

/// How many nodes are known at a time. Beyond it those are forgotten that are down.
const MOST: usize = 10_000;

/// The nodes by their addresses, each with the task that keeps its connection.
pub(super) struct Peers {
    known: Known,
    connector: Connector,
    trial_interval: std::time::Duration,
    runtime: Handle,
    /// Dropped with this, it tells the tasks to end.
    closing: watch::Sender<()>,
}

type Known = Arc<HashMap<Address, Arc<Peer>, DefaultHashBuilder>>;

impl Peers {
    pub(super) fn new(
        connector: Connector,
        trial_interval: std::time::Duration,
        runtime: Handle,
    ) -> Self {
        Self {
            known: Known::default(),
            connector,
            trial_interval,
            runtime,
            closing: watch::Sender::new(()),
        }
    }

    /// The node, where somebody has asked for it already.
    pub(super) fn get(&self, address: &Address) -> Option<Arc<Peer>> {
        let known = self.known.pin();
        known.get(address).filter(|peer| !peer.is_gone()).cloned()
    }

    /// The node, known from now on: its connection is being made.
    pub(super) fn start(
        &self,
        address: &Address,
        target: NodeTarget,
    ) -> Result<Arc<Peer>, NodeCallError> {
        let known = self.known.pin();
        if known.len() >= MOST {
            known.retain(|_, peer| peer.is_up() != Some(false));
            if known.len() >= MOST {
                return Err(unreachable(format!("{MOST} nodes are in use already")));
            }
        }
        let started = Arc::new(Peer::new(target, self.trial_interval));
        let peer = known.compute(address.clone(), |current| match current {
            Some((_, current)) if !current.is_gone() => {
                papaya::Operation::Abort(Arc::clone(current))
            }
            _ => papaya::Operation::Insert(Arc::clone(&started)),
        });
        if let papaya::Compute::Aborted(current) = peer {
            return Ok(current);
        }
        let kept = Arc::clone(&started).keep(self.connector.clone(), self.closing.subscribe());
        let (peer, address, known) = (
            Arc::clone(&started),
            address.clone(),
            Arc::downgrade(&self.known),
        );
        self.runtime.spawn(async move {
            kept.await;
            forget(&known, &address, &peer);
        });
        Ok(started)
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

/// Removes the peer, unless another has its place already.
fn forget(
    known: &Weak<HashMap<Address, Arc<Peer>, DefaultHashBuilder>>,
    address: &Address,
    peer: &Arc<Peer>,
) {
    if let Some(known) = known.upgrade() {
        let _ = known
            .pin()
            .remove_if(address, |_, current| Arc::ptr_eq(current, peer));
    }
}

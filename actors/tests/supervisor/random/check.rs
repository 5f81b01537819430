//! The invariants of a tree at rest.

use std::{collections::BTreeSet, sync::Arc};

use actix_otp::{CallError, ChildState, SupervisionTree, SupervisorRef};
use futures_util::future::{join, join_all};

use super::{Counts, REST, Trial, world::WhoAreYou};

/// In so many checks of a child that stands as it did.
const UNCHANGED_ASKED_ONCE_IN: usize = 8;

impl Trial {
    /// What has to hold whenever the tree is at rest.
    pub(super) async fn check(&mut self, root: &SupervisorRef, step: usize) {
        let answer = tokio::time::timeout(REST, root.tree()).await;
        let tree = answer.unwrap_or_else(|_| panic!("the tree answers after step {step}"));
        let mut listed = Listed::default();
        self.check_node(&tree, step, &mut listed);
        // All at once: one round for the whole tree is cheaper than one for each of its nodes.
        let names = listed
            .to_call
            .iter()
            .map(|id| self.souls[id].call(WhoAreYou));
        let counts = listed
            .to_count
            .iter()
            .map(|(supervisor, _)| supervisor.count_children());
        let (names, counts) = join(join_all(names), join_all(counts)).await;
        for (id, name) in listed.to_call.iter().zip(names) {
            assert_eq!(name.as_ref(), Ok(id), "a handle leads to its child");
        }
        for ((supervisor, expected), counts) in listed.to_count.iter().zip(counts) {
            let counts = [
                counts.specs,
                counts.active,
                counts.workers,
                counts.supervisors,
            ];
            assert_eq!(counts, *expected, "{}", supervisor.id());
        }
        let mut living = self.world.living.lock().expect("world").clone();
        living.sort_unstable();
        listed.running.sort_unstable();
        assert_eq!(
            living, listed.running,
            "who lives is who is listed as running"
        );
        // Handles on children that were deleted, or vanished with their supervisor, lead nowhere.
        for (id, soul) in &self.souls {
            let running = living.binary_search(id).is_ok();
            assert_eq!(soul.is_running(), running, "{id}");
            if !running {
                let answer = soul.call(WhoAreYou).await;
                assert_eq!(answer, Err(CallError::NotRunning(WhoAreYou)), "{id}");
            }
        }
        let stays = |id: &Arc<str>| listed.known.contains(id) || !id.starts_with("added");
        self.souls.retain(|id, _| stays(id));
        self.seen.retain(|id, _| stays(id));
    }

    fn check_node(&mut self, node: &SupervisionTree, step: usize, listed: &mut Listed) {
        listed.known.insert(Arc::clone(&node.id));
        assert_ne!(node.state, ChildState::Restarting, "{} is at rest", node.id);
        let is_active = |child: &&SupervisionTree| child.state != ChildState::Stopped;
        let is_worker = |child: &&SupervisionTree| self.souls.contains_key(&child.id);
        let specs = node.children.len();
        let active = node.children.iter().filter(is_active).count();
        let workers = node.children.iter().filter(is_worker).count();
        let counts = [specs, active, workers, specs - workers];
        let mut running = false;
        // Whoever stands as before is asked only now and then: it has said so already.
        let mut ask = (listed.known.len() + step).is_multiple_of(UNCHANGED_ASKED_ONCE_IN);
        if let ChildState::Running { incarnation } = node.state {
            let seen = self.seen.entry(Arc::clone(&node.id)).or_default();
            assert!(seen.0 <= incarnation, "{} only grows", node.id);
            running = true;
            ask |= *seen != (incarnation, counts);
            *seen = (incarnation, counts);
        }
        if self.souls.contains_key(&node.id) {
            if running {
                listed.running.push(Arc::clone(&node.id));
            }
            if running && ask {
                listed.to_call.push(Arc::clone(&node.id));
            }
            return;
        }
        let by_id = |supervisor: &&SupervisorRef| *supervisor.id() == *node.id;
        let supervisor = self.supervisors.iter().find(by_id).expect("known").clone();
        assert_eq!(supervisor.is_running(), running, "{}", node.id);
        if ask || !running {
            listed.to_count.push((supervisor, counts));
        }
        for child in &node.children {
            self.check_node(child, step, listed);
        }
    }
}

/// What a tree lists.
#[derive(Default)]
struct Listed {
    known: BTreeSet<Arc<str>>,
    /// The workers that run.
    running: Vec<Arc<str>>,
    /// Those of them that are asked who they are.
    to_call: Vec<Arc<str>>,
    /// The supervisors that are asked to count their children, and what they should say.
    to_count: Vec<(SupervisorRef, Counts)>,
}

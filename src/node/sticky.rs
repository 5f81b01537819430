//! Which node a value is bound to.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use papaya::HashMap;
use parking_lot::Mutex;
use siphasher::sip128::SipHasher13;

use super::{Address, list::NodeList};

/// How long a value stays on its node (specification, section 8).
pub(super) const STICKY_TTL: Duration = Duration::from_secs(60 * 60);

/// How many values are bound at most; above that the oldest bindings go (specification, section 8).
pub(super) const MAX_STICKY_ENTRIES: usize = 100_000;

/// How many nodes one value is bound to at most.
///
/// The configs of a service share a value's bindings, but their node lists may share no node, as those of two versions
/// during a rollout: one binding for each list keeps the value from going to and fro.
const MAX_BINDINGS: usize = 4;

/// The bindings of values to nodes. Lookups wait for nobody; new bindings are made one at a time.
pub(super) struct StickyTable {
    /// The secret key of the fingerprints, so that nobody can choose values that collide.
    secret: (u64, u64),
    capacity: usize,
    /// The bindings of a value, the newest last, by the value's fingerprint.
    entries: HashMap<Fingerprint, Arc<[Binding]>>,
    writer: Mutex<Ages>,
}

/// Stands for a service, key and value in 16 bytes, however long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

#[derive(Clone, Debug)]
struct Binding {
    node: Address,
    since: Duration,
    /// Tells this binding from all others.
    serial: u64,
}

impl Binding {
    fn is_alive(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < STICKY_TTL
    }
}

/// The order in which the entries got their newest bindings, the oldest first.
#[derive(Debug, Default)]
struct Ages {
    next_serial: u64,
    /// Also holds what was bound anew since: then the entry's newest serial is another one.
    queue: VecDeque<(Fingerprint, u64)>,
}

impl StickyTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            secret: (rand::random(), rand::random()),
            capacity,
            entries: HashMap::new(),
            writer: Mutex::default(),
        }
    }

    /// What stands for the value of this key in requests to this service.
    pub(super) fn fingerprint(&self, service: &str, key: &str, value: &str) -> Fingerprint {
        use std::hash::Hasher as _;

        use siphasher::sip128::Hasher128 as _;
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        for part in [service, key, value] {
            // With the length, so that no two splits of a text into parts are the same.
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        Fingerprint(hasher.finish128().as_u128())
    }

    /// The place of the node that the value is bound to, which is in the list. Where there is none, or its hour is
    /// over, the value is bound to the node at the place that `choose` names.
    pub(super) fn node(
        &self,
        value: Fingerprint,
        list: &NodeList,
        now: Duration,
        choose: impl FnOnce() -> usize,
    ) -> usize {
        if let Some(place) = self.bound(value, list, now) {
            return place;
        }
        let mut ages = self.writer.lock();
        // Another request with the value may have been faster.
        if let Some(place) = self.bound(value, list, now) {
            return place;
        }
        let place = choose();
        if let Some(node) = list.nodes().get(place).and_then(|node| node.address()) {
            self.bind(&mut ages, value, node.clone(), now);
        }
        place
    }

    /// Removes the entries whose hour is over.
    pub(super) fn sweep(&self, now: Duration) {
        let mut ages = self.writer.lock();
        while let Some(&(value, serial)) = ages.queue.front() {
            match self.newest(value, serial) {
                Some(binding) if binding.is_alive(now) => break,
                Some(_) => self.forget(value),
                None => {}
            }
            ages.queue.pop_front();
        }
    }

    /// How many values are bound.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn bound(&self, value: Fingerprint, list: &NodeList, now: Duration) -> Option<usize> {
        let entries = self.entries.pin();
        let alive = entries.get(&value)?.iter().rev();
        alive
            .filter(|binding| binding.is_alive(now))
            .find_map(|binding| list.position(&binding.node))
    }

    fn bind(&self, ages: &mut Ages, value: Fingerprint, node: Address, now: Duration) {
        let serial = ages.next_serial;
        ages.next_serial += 1;
        let entries = self.entries.pin();
        let old = entries.get(&value).map_or(&[][..], |old| old);
        let kept = old
            .iter()
            .filter(|binding| binding.is_alive(now) && binding.node != node);
        let mut bindings: Vec<Binding> = kept.cloned().collect();
        bindings.drain(..bindings.len().saturating_sub(MAX_BINDINGS - 1));
        bindings.push(Binding {
            node,
            since: now,
            serial,
        });
        entries.insert(value, bindings.into());
        ages.queue.push_back((value, serial));
        while entries.len() > self.capacity
            && let Some((value, serial)) = ages.queue.pop_front()
        {
            if self.newest(value, serial).is_some() {
                self.forget(value);
            }
        }
        if ages.queue.len() > 2 * self.capacity.min(entries.len()) + 64 {
            let is_newest = |&(value, serial): &_| self.newest(value, serial).is_some();
            ages.queue.retain(is_newest);
        }
    }

    /// The newest binding of the value, where it is the one with this serial.
    fn newest(&self, value: Fingerprint, serial: u64) -> Option<Binding> {
        let entries = self.entries.pin();
        let newest = entries.get(&value)?.last()?;
        (newest.serial == serial).then(|| newest.clone())
    }

    fn forget(&self, value: Fingerprint) {
        self.entries.pin().remove(&value);
    }
}

impl fmt::Debug for StickyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyTable")
            .field("entries", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Node, list::NodeLists};

    const HOUR: Duration = STICKY_TTL;

    fn list(names: &[&str]) -> Arc<NodeList> {
        let node = |name: &&str| Node::from(Address::new(name).unwrap());
        NodeLists::default().of(names.iter().map(node).collect())
    }

    fn value(table: &StickyTable, value: usize) -> Fingerprint {
        table.fingerprint("s", "user_id", &value.to_string())
    }

    #[test]
    fn a_binding_lasts_an_hour_however_often_it_is_used() {
        let (table, list) = (StickyTable::new(10), list(&["a", "b"]));
        let ann = value(&table, 1);
        assert_eq!(table.node(ann, &list, HOUR / 2, || 0), 0);
        assert_eq!(table.node(ann, &list, HOUR, || 1), 0);
        let last = HOUR / 2 + HOUR - Duration::from_millis(1);
        assert_eq!(table.node(ann, &list, last, || 1), 0);
        assert_eq!(table.node(ann, &list, HOUR / 2 + HOUR, || 1), 1);
    }

    #[test]
    fn a_value_moves_when_its_node_leaves_and_does_not_come_back_with_it() {
        let table = StickyTable::new(10);
        let ann = value(&table, 1);
        assert_eq!(table.node(ann, &list(&["a", "b"]), HOUR, || 0), 0);
        assert_eq!(table.node(ann, &list(&["b", "c"]), HOUR, || 1), 1);
        assert_eq!(table.node(ann, &list(&["a", "b", "c"]), HOUR, || 0), 2);
    }

    #[test]
    fn lists_without_a_common_node_do_not_move_a_value_to_and_fro() {
        let table = StickyTable::new(10);
        let (ann, old, new) = (value(&table, 1), list(&["a", "b"]), list(&["c", "d"]));
        assert_eq!(table.node(ann, &old, HOUR, || 0), 0);
        assert_eq!(table.node(ann, &new, HOUR, || 1), 1);
        assert_eq!(table.node(ann, &old, HOUR, || 1), 0);
        assert_eq!(table.node(ann, &new, HOUR, || 0), 1);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn above_the_capacity_the_oldest_values_go() {
        let (table, list) = (StickyTable::new(3), list(&["a", "b"]));
        let at = |n: usize| Duration::from_secs(n as u64);
        for n in 0..3 {
            table.node(value(&table, n), &list, at(n), || 0);
        }
        // Bound anew an hour later, the first is the youngest of the three.
        table.node(value(&table, 0), &list, HOUR, || 0);
        table.node(value(&table, 3), &list, HOUR, || 0);
        assert_eq!(table.len(), 3);
        let bound = |n| table.bound(value(&table, n), &list, HOUR).is_some();
        assert_eq!([0, 1, 2, 3].map(bound), [true, false, true, true]);
    }

    #[test]
    fn a_sweep_removes_what_is_over_and_nothing_else() {
        let (table, list) = (StickyTable::new(10), list(&["a", "b"]));
        table.node(value(&table, 1), &list, Duration::ZERO, || 0);
        table.node(value(&table, 2), &list, HOUR / 2, || 0);
        table.sweep(HOUR - Duration::from_millis(1));
        assert_eq!(table.len(), 2);
        table.sweep(HOUR);
        assert_eq!(table.len(), 1);
        table.sweep(2 * HOUR);
        assert_eq!((table.len(), table.writer.lock().queue.len()), (0, 0));
    }

    #[test]
    fn nodes_that_come_and_go_do_not_make_the_table_grow() {
        let table = StickyTable::new(10);
        let ann = value(&table, 1);
        for n in 0..10_000 {
            table.node(ann, &list(&[&n.to_string()]), HOUR, || 0);
        }
        assert!(table.writer.lock().queue.len() < 100);
        assert_eq!(table.entries.pin().get(&ann).unwrap().len(), MAX_BINDINGS);
    }

    #[test]
    fn service_key_and_value_are_told_apart() {
        let table = StickyTable::new(10);
        let of = |[service, key, value]: [&str; 3]| table.fingerprint(service, key, value);
        let all = [["ab", "c", "d"], ["a", "bc", "d"], ["a", "b", "cd"]].map(of);
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_eq!(of(["a", "b", "c"]), of(["a", "b", "c"]));
    }

    #[test]
    fn first_requests_at_the_same_moment_agree_on_a_node() {
        let table = StickyTable::new(1_000);
        let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let list = list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let choices: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let run = |thread: usize| {
                let (table, list) = (&table, &list);
                scope.spawn(move || {
                    let node = |n| table.node(value(table, n), list, HOUR, || (n + thread) % 50);
                    (0..500).map(node).collect()
                })
            };
            let threads: Vec<_> = (0..4).map(run).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(choices.iter().all(|choice| *choice == choices[0]));
    }
}

//! The tables behind a [`Registry`](super::Registry): entries by key, and the keys of each owner.
//!
//! Both are split into shards under short locks. While one is held, the only code of a user that runs is that of the
//! keys: values and addresses are dropped outside. Only an owner itself, on its own thread, adds or removes its entries,
//! so the two tables agree whenever an owner looks.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::{
    Address,
    listener::{Listeners, RegistryChange},
};
use crate::panics::drop_caught;

/// One registration.
pub(super) struct Entry<T, V> {
    /// Given out once, and growing: order of registration.
    pub(super) id: u64,
    pub(super) address: T,
    pub(super) value: V,
}

/// A registration as it is handed out.
pub(super) type Held<T, V> = Arc<Entry<T, V>>;

/// The registrations under one key; most keys have one.
enum Bucket<T, V> {
    One(Arc<Entry<T, V>>),
    Many(BTreeMap<u64, Arc<Entry<T, V>>>),
}

/// What an owner has registered.
struct Owner<K> {
    /// Which guard of the owner this is: one that is on its way out must not take a later one's entries along.
    guard: u64,
    /// Dropped with the record, it tells the guard that there is nothing left to guard.
    _alive: oneshot::Sender<()>,
    keys: HashMap<K, Vec<u64>>,
}

/// A guard that an owner has to keep from now on; see [`Table::forget`].
pub(super) struct NewGuard {
    pub(super) id: u64,
    pub(super) released: oneshot::Receiver<()>,
}

/// Who may have a key.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Claim {
    /// Any number of actors.
    Shared,
    /// One at a time: who is alive keeps it.
    Unique,
    /// One at a time: who comes takes it.
    TakeOver,
}

/// An entry that was added.
pub(super) struct Added<T, V> {
    pub(super) id: u64,
    /// The entry in whose place it is.
    pub(super) replaced: Option<Held<T, V>>,
}

type Entries<K, T, V> = RwLock<HashMap<K, Bucket<T, V>>>;
type Owners<K, T> = Mutex<HashMap<T, Owner<K>>>;

pub(super) struct Table<K, T, V> {
    entries: Box<[Entries<K, T, V>]>,
    owners: Box<[Owners<K, T>]>,
    hasher: RandomState,
    len: AtomicUsize,
    next_id: AtomicU64,
    pub(super) listeners: Listeners<K, T>,
    /// Whether a key was ever taken over.
    taken_over: AtomicBool,
}

impl<K, T, V> Table<K, T, V>
where
    K: Hash + Eq + Clone,
    T: Address,
{
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(4, usize::from);
        let shards = 4 * cores.next_power_of_two();
        Self {
            entries: (0..shards).map(|_| Entries::default()).collect(),
            owners: (0..shards).map(|_| Owners::default()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            listeners: Listeners::new(),
            taken_over: AtomicBool::new(false),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Adds an entry, unless another one that is alive has a unique key.
    pub(super) fn insert(
        &self,
        key: &K,
        address: &T,
        value: V,
        claim: Claim,
    ) -> Result<Added<T, V>, Held<T, V>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry {
            id,
            address: address.clone(),
            value,
        });
        if claim == Claim::TakeOver {
            self.taken_over.store(true, Ordering::SeqCst);
        }
        let mut shard = self.shard(key).write();
        let mut replaced = None;
        match shard.get_mut(key) {
            None => {
                shard.insert(key.clone(), Bucket::One(entry));
            }
            Some(bucket) if claim == Claim::Shared => bucket.push(entry),
            Some(bucket) => {
                let held = bucket.first().cloned();
                if let Some(held) = held {
                    if claim == Claim::Unique && held.is_alive() {
                        return Err(held);
                    }
                    self.listeners.tell(|| RegistryChange::Unregistered {
                        key: key.clone(),
                        address: held.address.clone(),
                    });
                    replaced = Some(held);
                }
                *bucket = Bucket::One(entry);
            }
        }
        self.listeners.tell(|| RegistryChange::Registered {
            key: key.clone(),
            address: address.clone(),
        });
        // What was replaced is dropped after the lock is released: the caller has it.
        drop(shard);
        if replaced.is_none() {
            self.len.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Added { id, replaced })
    }

    /// Whether somebody has taken over an entry before its owner had noted it.
    pub(super) fn was_lost(&self, key: &K, id: u64) -> bool {
        let is_there = || {
            let shard = self.shard(key).read();
            shard
                .get(key)
                .is_some_and(|bucket| bucket.get(id).is_some())
        };
        self.taken_over.load(Ordering::SeqCst) && !is_there()
    }

    /// Notes an entry with its owner; a guard where the owner had nothing registered before.
    pub(super) fn note(&self, owner: &T, key: K, id: u64) -> Option<NewGuard> {
        let mut shard = self.owner_shard(owner).lock();
        if let Some(record) = shard.get_mut(owner) {
            record.keys.entry(key).or_default().push(id);
            return None;
        }
        let (alive, released) = oneshot::channel();
        let record = Owner {
            guard: id,
            _alive: alive,
            keys: HashMap::from([(key, vec![id])]),
        };
        shard.insert(owner.clone(), record);
        Some(NewGuard { id, released })
    }

    /// The owner's entries under a key, in order of registration.
    pub(super) fn owned<Q>(&self, owner: &T, key: &Q) -> Vec<Arc<Entry<T, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let ids = {
            let shard = self.owner_shard(owner).lock();
            let ids = shard.get(owner).and_then(|record| record.keys.get(key));
            ids.cloned().unwrap_or_default()
        };
        let shard = self.shard(key).read();
        let Some(bucket) = shard.get(key) else {
            return Vec::new();
        };
        ids.iter()
            .filter_map(|id| bucket.get(*id).cloned())
            .collect()
    }

    /// The keys of an owner, each as often as it is registered.
    pub(super) fn keys(&self, owner: &T) -> Vec<K> {
        let shard = self.owner_shard(owner).lock();
        let keys = shard.get(owner).into_iter().flat_map(|record| &record.keys);
        keys.flat_map(|(key, ids)| std::iter::repeat_n(key.clone(), ids.len()))
            .collect()
    }

    /// Removes some of an owner's entries under a key; how many there were.
    pub(super) fn remove<Q>(&self, owner: &T, key: &Q, doomed: &[u64]) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let removed = self.remove_entries(key, doomed);
        // As an entry may hold the last handle on something that calls back, no lock is held where it is dropped.
        let _dropped_unlocked = {
            let mut shard = self.owner_shard(owner).lock();
            let emptied = shard.get_mut(owner).is_some_and(|record| {
                if let Some(ids) = record.keys.get_mut(key) {
                    ids.retain(|id| !doomed.contains(id));
                    if ids.is_empty() {
                        record.keys.remove(key);
                    }
                }
                record.keys.is_empty()
            });
            emptied.then(|| shard.remove_entry(owner))
        };
        removed
    }

    /// Replaces the value of an entry that is still there.
    pub(super) fn replace(&self, key: &K, entry: Arc<Entry<T, V>>) {
        let _replaced = {
            let mut shard = self.shard(key).write();
            shard.get_mut(key).and_then(|bucket| bucket.replace(entry))
        };
    }

    /// An owner's guard was dropped: its entries vanish, unless another guard has taken over.
    pub(super) fn forget(&self, owner: &T, guard: u64) {
        let record = {
            let mut shard = self.owner_shard(owner).lock();
            let current = shard.get(owner).is_some_and(|record| record.guard == guard);
            current.then(|| shard.remove_entry(owner)).flatten()
        };
        if let Some((_owner, record)) = record {
            for (key, ids) in &record.keys {
                // A value that panics when it is dropped must not keep the other keys.
                drop_caught("a value of a registry", || {
                    self.remove_entries(key, ids);
                });
            }
        }
    }

    /// The live entries under a key, in order of registration.
    pub(super) fn live<Q>(&self, key: &Q) -> Vec<Arc<Entry<T, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut entries: Vec<_> = {
            let shard = self.shard(key).read();
            let bucket = shard.get(key);
            bucket.into_iter().flat_map(Bucket::iter).cloned().collect()
        };
        entries.retain(|entry| entry.is_alive());
        entries
    }

    /// The only or first entry under a key, if it is alive.
    pub(super) fn first<Q>(&self, key: &Q) -> Option<Arc<Entry<T, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let first = self.shard(key).read().get(key)?.first().cloned();
        first.filter(|entry| entry.is_alive())
    }

    /// All live entries with their keys, one shard after the other.
    pub(super) fn all(&self) -> Vec<(K, Arc<Entry<T, V>>)> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.entries {
            for (key, bucket) in &*shard.read() {
                all.extend(bucket.iter().map(|entry| (key.clone(), Arc::clone(entry))));
            }
        }
        all.retain(|(_, entry)| entry.is_alive());
        all
    }

    /// How many owners have a record.
    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        self.owners.iter().map(|shard| shard.lock().len()).sum()
    }

    fn remove_entries<Q>(&self, key: &Q, doomed: &[u64]) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut removed = Vec::with_capacity(doomed.len());
        let _emptied = {
            let mut shard = self.shard(key).write();
            let told = self.listeners.any().then(|| shard.get_key_value(key));
            let told = told.flatten().map(|(key, _)| key.clone());
            let emptied = shard.get_mut(key).is_some_and(|bucket| {
                let mut empty = false;
                for id in doomed {
                    empty = bucket.remove(*id, &mut removed) || empty;
                }
                for (entry, key) in removed.iter().zip(told.iter().cycle()) {
                    self.listeners.tell(|| RegistryChange::Unregistered {
                        key: key.clone(),
                        address: entry.address.clone(),
                    });
                }
                empty
            });
            emptied.then(|| shard.remove_entry(key))
        };
        self.len.fetch_sub(removed.len(), Ordering::AcqRel);
        removed.len()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Entries<K, T, V> {
        &self.entries[self.index(key)]
    }

    fn owner_shard(&self, owner: &T) -> &Owners<K, T> {
        &self.owners[self.index(owner)]
    }

    /// The number of shards is a power of two. The upper bits are used, as the maps inside use the lower ones.
    fn index<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        (self.hasher.hash_one(key) >> 32) as usize & (self.entries.len() - 1)
    }
}

impl<T: Address, V> Entry<T, V> {
    /// Whether its owner still takes messages.
    pub(super) fn is_alive(&self) -> bool {
        self.address.is_connected()
    }
}

impl<T, V> Bucket<T, V> {
    fn first(&self) -> Option<&Arc<Entry<T, V>>> {
        match self {
            Self::One(entry) => Some(entry),
            Self::Many(entries) => entries.values().next(),
        }
    }

    fn get(&self, id: u64) -> Option<&Arc<Entry<T, V>>> {
        match self {
            Self::One(entry) => Some(entry).filter(|entry| entry.id == id),
            Self::Many(entries) => entries.get(&id),
        }
    }

    fn push(&mut self, entry: Arc<Entry<T, V>>) {
        match self {
            Self::One(first) => {
                let first = (first.id, Arc::clone(first));
                *self = Self::Many(BTreeMap::from([first, (entry.id, entry)]));
            }
            Self::Many(entries) => {
                entries.insert(entry.id, entry);
            }
        }
    }

    fn replace(&mut self, entry: Arc<Entry<T, V>>) -> Option<Arc<Entry<T, V>>> {
        let held = match self {
            Self::One(held) => Some(held).filter(|held| held.id == entry.id),
            Self::Many(entries) => entries.get_mut(&entry.id),
        };
        held.map(|held| std::mem::replace(held, entry))
    }

    /// Moves an entry out; true when none is left. The last one stays in the bucket until that is dropped.
    fn remove(&mut self, id: u64, removed: &mut Vec<Arc<Entry<T, V>>>) -> bool {
        match self {
            Self::One(entry) if entry.id == id => {
                removed.push(Arc::clone(entry));
                true
            }
            Self::One(_) => false,
            Self::Many(entries) => {
                removed.extend(entries.remove(&id));
                entries.is_empty()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Entry<T, V>>> {
        let (one, many) = match self {
            Self::One(entry) => (Some(entry), None),
            Self::Many(entries) => (None, Some(entries.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

//! The places of a pool and the queue before them: who has a place, who waits, and who is next.
//!
//! Plain data, behind the lock of its pool. Nothing here calls or drops a [`Waker`], because that runs foreign code, which
//! must not find the pool locked: wakers are handed out instead.
//!
//! One rule holds between all calls: as long as somebody waits, all places are taken.

use std::{collections::BTreeMap, task::Waker};

use smallvec::SmallVec;

#[derive(Debug)]
pub(super) struct Places {
    pub(super) limit: usize,
    pub(super) queue_limit: usize,
    busy: usize,
    /// Who waits, in the order of arrival; the waker is there once the waiter has asked for its place.
    waiting: BTreeMap<u64, Option<Waker>>,
    next_number: u64,
}

/// Where an accepted task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has a place.
    Placed,
    /// It came with this number and waits, or was given a place since and does not know it yet.
    Waiting(u64),
}

/// Whom to wake because they got a place.
pub(super) type Wakers = SmallVec<[Waker; 1]>;

impl Places {
    pub(super) fn new(limit: usize, queue_limit: usize) -> Self {
        Self {
            limit,
            queue_limit,
            busy: 0,
            waiting: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// How many places are taken; after the pool was made smaller, it can be more than there are.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a place, or room in the queue; `None` where there is neither.
    pub(super) fn enter(&mut self) -> Option<Standing> {
        if self.busy < self.limit {
            self.busy += 1;
            return Some(Standing::Placed);
        }
        if self.waiting.len() >= self.queue_limit {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.insert(number, None);
        Some(Standing::Waiting(number))
    }

    /// Whether a task has its place by now; if not, `waker` is kept, and the one that was kept before comes back.
    pub(super) fn ask(&mut self, standing: Standing, waker: &Waker) -> (bool, Option<Waker>) {
        let Standing::Waiting(number) = standing else {
            return (true, None);
        };
        match self.waiting.get_mut(&number) {
            None => (true, None),
            Some(Some(kept)) if kept.will_wake(waker) => (false, None),
            Some(kept) => (false, kept.replace(waker.clone())),
        }
    }

    /// Whether a task has its place by now.
    pub(super) fn is_placed(&self, standing: Standing) -> bool {
        match standing {
            Standing::Placed => true,
            Standing::Waiting(number) => !self.waiting.contains_key(&number),
        }
    }

    /// Gives up a place or a position in the queue; says who is to be woken, and returns the waker of the one who left.
    pub(super) fn leave(&mut self, standing: Standing) -> (Wakers, Option<Waker>) {
        if let Standing::Waiting(number) = standing
            && let Some(waker) = self.waiting.remove(&number)
        {
            return (Wakers::new(), waker);
        }
        self.busy -= 1;
        (self.hand_out(), None)
    }

    /// Changes the number of places and the room in the queue; says who is to be woken.
    ///
    /// Who has a place or waits stays, also where there is no room for it any more.
    pub(super) fn resize(&mut self, limit: usize, queue_limit: usize) -> Wakers {
        self.limit = limit;
        self.queue_limit = queue_limit;
        self.hand_out()
    }

    fn hand_out(&mut self) -> Wakers {
        let mut wakers = Wakers::new();
        while self.busy < self.limit
            && let Some((_, waker)) = self.waiting.pop_first()
        {
            self.busy += 1;
            wakers.extend(waker);
        }
        wakers
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Enter,
        Leave(prop::sample::Index),
        Resize(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Enter),
            5 => any::<prop::sample::Index>().prop_map(Step::Leave),
            1 => (0..6_usize, 0..6_usize).prop_map(|(limit, queue)| Step::Resize(limit, queue)),
        ]
    }

    proptest! {
        /// Against a model of two lists: places go in the order of arrival, nobody is lost, and none is free while
        /// somebody waits.
        #[test]
        fn places_go_in_the_order_of_arrival_whoever_leaves(
            steps in prop::collection::vec(step(), 1..300),
        ) {
            let mut places = Places::new(2, 3);
            let (mut placed, mut queue) = (Vec::new(), VecDeque::new());
            for step in steps {
                match step {
                    Step::Enter => match places.enter() {
                        Some(standing) if placed.len() < places.limit => {
                            prop_assert_eq!(standing, Standing::Placed);
                            placed.push(standing);
                        }
                        Some(standing) => {
                            prop_assert!(queue.len() < places.queue_limit);
                            queue.push_back(standing);
                        }
                        None => {
                            prop_assert!(placed.len() >= places.limit);
                            prop_assert!(queue.len() >= places.queue_limit);
                        }
                    },
                    Step::Leave(which) if placed.len() + queue.len() > 0 => {
                        let which = which.index(placed.len() + queue.len());
                        let standing = match which.checked_sub(placed.len()) {
                            None => placed.swap_remove(which),
                            Some(which) => queue.remove(which).expect("an index in the queue"),
                        };
                        places.leave(standing);
                    }
                    Step::Leave(_) => {}
                    Step::Resize(limit, queue_limit) => {
                        places.resize(limit, queue_limit);
                    }
                }
                while placed.len() < places.limit && let Some(next) = queue.pop_front() {
                    placed.push(next);
                }
                prop_assert_eq!((places.busy(), places.queued()), (placed.len(), queue.len()));
                prop_assert!(placed.iter().all(|standing| places.is_placed(*standing)));
                prop_assert!(!queue.iter().any(|standing| places.is_placed(*standing)));
            }
        }
    }
}

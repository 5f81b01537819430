//! Where an actor runs: [`Placement`], and a pool of arbiters to spread actors over.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use actix_rt::{Arbiter, ArbiterHandle, System};
use parking_lot::Mutex;

/// The thread an actor is started on, each time anew.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Placement {
    /// The arbiter of its supervisor: the default, and the cheapest for actors that talk to each other.
    #[default]
    Local,
    /// One given arbiter. Once that has stopped, every start fails.
    Arbiter(ArbiterHandle),
    /// The next arbiter of a pool, in turn.
    Pool(ArbiterPool),
    /// The arbiter at one place of a pool, counted from 0 and taken modulo its length: whichever is there when the actor
    /// starts, so that it survives an arbiter that died and was replaced.
    PoolMember(ArbiterPool, usize),
}

impl Placement {
    /// The arbiter for the next start; `None` for the present one.
    pub(crate) fn pick(&self) -> Option<ArbiterHandle> {
        match self {
            Self::Local => None,
            Self::Arbiter(arbiter) => Some(arbiter.clone()),
            Self::Pool(pool) => Some(pool.pick()),
            Self::PoolMember(pool, index) => Some(pool.get(*index)),
        }
    }
}

/// A fixed number of arbiters with a system of their own: it works inside any runtime, or none.
///
/// Clones share the pool; it is told to stop when the last one is dropped.
///
/// ```
/// use actix_otp::ArbiterPool;
///
/// let pool = ArbiterPool::new(2)?;
/// assert_eq!(pool.len(), 2);
/// assert!(pool.pick().spawn_fn(|| println!("on one of the two threads")));
/// pool.stop();
/// pool.join();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ArbiterPool {
    inner: Arc<Inner>,
}

struct Inner {
    system: System,
    /// The thread that runs the system; taken by the one who joins it.
    system_thread: Mutex<Option<JoinHandle<()>>>,
    members: Box<[Mutex<Member>]>,
    next: AtomicUsize,
    /// Set before the members are told to stop: from then on none is replaced.
    stopped: AtomicBool,
}

struct Member {
    handle: ArbiterHandle,
    /// Taken by the one who joins its thread.
    arbiter: Option<Arbiter>,
}

impl ArbiterPool {
    /// Starts `size` arbiters, at least one.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread or a runtime.
    pub fn new(size: usize) -> io::Result<Self> {
        let (system, system_thread) = start_system()?;
        let members = (0..size.max(1))
            .map(|_| new_member(&system).map(Mutex::new))
            .collect::<io::Result<Box<[_]>>>()?;
        Ok(Self {
            inner: Arc::new(Inner {
                system,
                system_thread: Mutex::new(Some(system_thread)),
                members,
                next: AtomicUsize::new(0),
                stopped: AtomicBool::new(false),
            }),
        })
    }

    /// The number of arbiters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.members.len()
    }

    /// Always false: a pool has at least one arbiter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.members.is_empty()
    }

    /// The next arbiter in turn.
    #[must_use]
    pub fn pick(&self) -> ArbiterHandle {
        self.get(self.inner.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The arbiter at `index`, taken modulo [`len`](Self::len). One that died is replaced first, if that can be done.
    #[must_use]
    pub fn get(&self, index: usize) -> ArbiterHandle {
        let mut member = self.inner.members[index % self.len()].lock();
        // The member's lock is held meanwhile, so a stop either comes first and is seen, or stops the fresh one too.
        if !member.handle.alive()
            && !self.inner.stopped.load(Ordering::SeqCst)
            && let Ok(fresh) = new_member(&self.inner.system)
        {
            *member = fresh;
        }
        member.handle.clone()
    }

    /// Tells all arbiters to stop with whatever runs on them; returns at once.
    ///
    /// Stop the supervisors that live here first: what runs on a stopping arbiter ends without its hooks.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Waits until the threads of a stopped pool have ended. Does nothing on a thread of the pool itself.
    ///
    /// A handler that blocks its thread delays this until it returns.
    pub fn join(&self) {
        let on_own_thread =
            System::try_current().is_some_and(|current| current.id() == self.inner.system.id());
        if on_own_thread {
            return;
        }
        for member in &self.inner.members {
            let arbiter = member.lock().arbiter.take();
            // A thread that panicked has ended, which is all that is asked.
            let _ = arbiter.map(Arbiter::join);
        }
        if let Some(thread) = self.inner.system_thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ArbiterPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArbiterPool")
            .field("len", &self.len())
            .finish()
    }
}

impl Inner {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for member in &self.members {
            member.lock().handle.stop();
        }
        self.system.stop();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start_system() -> io::Result<(System, JoinHandle<()>)> {
    let (sender, started) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("actix-otp-system".into())
        .spawn(move || {
            let runner = System::new();
            let _ = sender.send(System::current());
            if let Err(error) = runner.run() {
                tracing::error!(%error, "the system of an arbiter pool ended badly");
            }
        })?;
    let system = started
        .recv()
        .map_err(|_| io::Error::other("the system thread did not start"))?;
    Ok((system, thread))
}

/// Starts an arbiter on behalf of `system`, from whatever thread.
fn new_member(system: &System) -> io::Result<Member> {
    let (sender, started) = mpsc::channel();
    system.arbiter().spawn_fn(move || {
        let _ = sender.send(Arbiter::try_new());
    });
    let arbiter = started
        .recv()
        .map_err(|_| io::Error::other("the system of the pool has stopped"))??;
    Ok(Member {
        handle: arbiter.handle(),
        arbiter: Some(arbiter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread_of(arbiter: &ArbiterHandle) -> Option<thread::ThreadId> {
        let (sender, id) = mpsc::channel();
        arbiter.spawn_fn(move || {
            let _ = sender.send(thread::current().id());
        });
        id.recv().ok()
    }

    #[test]
    fn arbiters_are_picked_in_turn() {
        let pool = ArbiterPool::new(2).expect("threads");
        let picked: Vec<_> = (0..4)
            .map(|_| thread_of(&pool.pick()).expect("alive"))
            .collect();
        assert_ne!(picked[0], picked[1]);
        assert_eq!(picked[..2], picked[2..]);
    }

    #[test]
    fn a_dead_arbiter_is_replaced() {
        let pool = ArbiterPool::new(1).expect("threads");
        let first = pool.get(0);
        let old = thread_of(&first).expect("alive");
        first.stop();
        while first.alive() {
            thread::yield_now();
        }
        assert_ne!(thread_of(&pool.get(0)).expect("alive again"), old);
    }

    #[test]
    fn a_stopped_pool_replaces_no_arbiter() {
        let pool = ArbiterPool::new(1).expect("threads");
        let arbiter = pool.pick();
        pool.stop();
        while arbiter.alive() {
            thread::yield_now();
        }
        assert!(!pool.pick().alive());
        pool.join();
    }

    #[test]
    fn a_stopped_pool_runs_nothing_more() {
        let pool = ArbiterPool::new(1).expect("threads");
        let arbiter = pool.pick();
        pool.stop();
        pool.join();
        assert_eq!(thread_of(&arbiter), None);
    }
}

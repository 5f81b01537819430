//! What supervision costs: actix-otp beside bare actix, ractor and kameo.
//!
//! Each runs on this one thread, in the runtime it is made for: the actix actors in an actix system, the others in tokio.
//!
//! `cargo bench -p gen_api-benches --bench supervision`

use std::{
    panic::{catch_unwind, set_hook},
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Actor as _;
use actix_otp::{
    ArbiterPool, ChildRef, ChildSpec, DeleteChild, DynamicSupervisorRef, DynamicSupervisorSpec,
    GetChildSpec, Intensity, Placement, StartChild, Strategy, SupervisorRef, SupervisorSpec,
    TerminateChild,
};
use actix_rt::{System, SystemRunner};
use cpu_time::ThreadTime;
use gen_api_benches::{
    Comparison, Table,
    actors::{ENDED, STARTED, actix as in_actix, kameo as in_kameo, ractor as in_ractor},
    grouped, is_wanted, median, one_thread, time, timed,
};
use kameo::actor::{ActorRef, Spawn as _};
use ractor::{Actor as _, ActorRuntime, rpc::CallResult};
use tokio::{runtime::Runtime, sync::mpsc::unbounded_channel};

fn main() {
    if !is_wanted() {
        return;
    }
    // The panics are measured, their messages are not.
    set_hook(Box::new(|_| {}));
    let thread = Thread {
        system: System::new(),
        tokio: one_thread(),
    };
    calls(&thread);
    crashes(&thread);
    lives(&thread, "Start of a temporary child, until it runs", false);
    lives(&thread, "A temporary child, from start to end", true);
    stops(&thread);
    growth(&thread);
}

struct Thread {
    system: SystemRunner,
    tokio: Runtime,
}

impl Thread {
    /// Starts a supervisor with one child.
    fn supervise(&self) -> (SupervisorRef, ChildRef<in_actix::Adder>) {
        let spec = ChildSpec::new("child", in_actix::Adder::new);
        let child = spec.child_ref();
        let root = SupervisorSpec::new(Strategy::OneForOne)
            .intensity(Intensity::new(usize::MAX, Duration::from_millis(1)))
            .child(spec);
        let root = self.system.block_on(root.start("root"));
        (root.expect("it starts"), child)
    }

    /// Starts a dynamic supervisor without children.
    fn supervise_many(&self) -> (SupervisorRef, DynamicSupervisorRef) {
        let (spec, children) = DynamicSupervisorSpec::new().build("children");
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
        let root = self.system.block_on(root.start("root"));
        (root.expect("it starts"), children)
    }
}

fn calls(thread: &Thread) {
    let Thread { system, tokio } = thread;
    let bare = system.block_on(async { in_actix::Adder::new().start() });
    let (root, child) = thread.supervise();
    let (ractor, _) = tokio
        .block_on(in_ractor::Adder::spawn(None, in_ractor::Adder, ()))
        .expect("it starts");
    let kameo = tokio.block_on(async { in_kameo::Adder::spawn(()) });
    Comparison::default()
        .with("bare actix, `Addr::send`", |times| {
            system.block_on(timed(times, async || {
                assert_eq!(bare.send(in_actix::Add(1)).await.ok(), Some(2));
            }))
        })
        .with("actix-otp, `ChildRef::call`", |times| {
            system.block_on(timed(times, async || {
                assert_eq!(child.call(in_actix::Add(1)).await.ok(), Some(2));
            }))
        })
        .with("ractor, `call`", |times| {
            tokio.block_on(timed(times, async || {
                let reply = ractor.call(|reply| in_ractor::Message::Add(1, reply), None);
                assert!(matches!(reply.await, Ok(CallResult::Success(2))));
            }))
        })
        .with("kameo, `ask`", |times| {
            tokio.block_on(timed(times, async || {
                assert_eq!(kameo.ask(in_kameo::Add(1)).await.ok(), Some(2));
            }))
        })
        .print("A call, one at a time, on one thread");
    system.block_on(root.shutdown());
}

fn crashes(thread: &Thread) {
    let Thread { system, tokio } = thread;
    let (root, child) = thread.supervise();
    let (sender, mut started) = unbounded_channel();
    let (ractor_supervisor, _) = tokio
        .block_on(in_ractor::Supervisor::spawn(
            None,
            in_ractor::Supervisor,
            sender,
        ))
        .expect("it starts");
    let mut ractor = tokio.block_on(started.recv()).expect("it started");
    let kameo_supervisor = tokio.block_on(async { in_kameo::Supervisor::spawn(()) });
    let kameo = tokio.block_on(
        in_kameo::Adder::supervise_with(&kameo_supervisor, || ())
            .restart_limit(u32::MAX, Duration::from_millis(1))
            .spawn(),
    );
    Comparison::default()
        .with("actix-otp", |times| {
            system.block_on(timed(times, async || {
                let crashed = child.incarnation().unwrap_or_default();
                assert!(child.call(in_actix::Crash).await.is_err());
                child.wait_until_running(crashed).await;
                assert_eq!(child.call(in_actix::Add(1)).await.ok(), Some(2));
            }))
        })
        .with("of which: the panic, thrown and caught", |times| {
            system.block_on(timed(times, async || {
                assert!(catch_unwind(|| panic!("told to")).is_err());
            }))
        })
        .with("ractor, started again by hand", |times| {
            tokio.block_on(timed(times, async || {
                let crash = ractor.call(in_ractor::Message::Crash, None);
                assert!(!matches!(crash.await, Ok(CallResult::Success(()))));
                ractor = started.recv().await.expect("it is started again");
                let reply = ractor.call(|reply| in_ractor::Message::Add(1, reply), None);
                assert!(matches!(reply.await, Ok(CallResult::Success(2))));
            }))
        })
        .with("kameo", |times| {
            tokio.block_on(timed(times, async || {
                assert!(kameo.ask(in_kameo::Crash).await.is_err());
                assert_eq!(kameo.ask(in_kameo::Add(1)).await.ok(), Some(2));
            }))
        })
        .print("From a panic in a handler to the next answer");
    system.block_on(root.shutdown());
    ractor_supervisor.stop(None);
    kameo_supervisor.kill();
}

fn lives(thread: &Thread, title: &str, to_the_end: bool) {
    let Thread { system, tokio } = thread;
    let (root, children) = thread.supervise_many();
    Comparison::default()
        .with("bare actix, `start`", |times| {
            let start = || in_actix::Adder::new().start();
            system.block_on(live(times, to_the_end, start, drop))
        })
        .with("actix-otp, `DynamicSupervisorRef::spawn_local`", |times| {
            let start = || children.spawn_local(in_actix::Adder::new());
            system.block_on(live(times, to_the_end, start, drop))
        })
        .with("ractor, `spawn_instant`", |times| {
            let start = || ActorRuntime::spawn_instant(None, in_ractor::Adder, ());
            tokio.block_on(live(times, to_the_end, start, |started| {
                let (child, _) = started.expect("it asks for no name");
                child.stop(None);
            }))
        })
        .with("kameo, `spawn`", |times| {
            let start = || in_kameo::Adder::spawn(());
            tokio.block_on(live(times, to_the_end, start, drop))
        })
        .print(title);
    system.block_on(root.shutdown());
}

/// Starts children in groups, each of which ends before the next; the time of the starts, or that of the whole lives.
async fn live<T>(times: u64, to_the_end: bool, start: impl Fn() -> T, end: impl Fn(T)) -> Duration {
    const GROUP: u64 = 1_000;
    let mut elapsed = Duration::ZERO;
    let mut left = times;
    while left > 0 {
        let group = left.min(GROUP);
        left -= group;
        STARTED.expect(group);
        ENDED.expect(group);
        let begin = ThreadTime::now();
        let children: Vec<T> = (0..group).map(|_| start()).collect();
        STARTED.reached().await;
        let started = begin.elapsed();
        children.into_iter().for_each(&end);
        ENDED.reached().await;
        elapsed += if to_the_end { begin.elapsed() } else { started };
    }
    elapsed
}

/// How many children stop at once.
const MANY: u64 = 100_000;

/// How many where the peers take part, one of which takes a time that grows with the square of it.
const FEWER: u64 = 10_000;

fn stops(thread: &Thread) {
    let Thread { system, tokio } = thread;
    Comparison::default()
        .rounds(10)
        .with("bare actix, all addresses dropped", |times| {
            system.block_on(stop_bare(times, FEWER)).0
        })
        .with("actix-otp, `DynamicSupervisor`", |times| {
            stop_supervised(thread, times, FEWER).0
        })
        .with("ractor, `stop_children_and_wait`", |times| {
            let parent = async || {
                let parent = in_ractor::Parent::spawn(None, in_ractor::Parent, ()).await;
                parent.expect("it starts").0
            };
            let start = async |parent: &ractor::ActorRef<()>| {
                let parent = parent.get_cell();
                in_ractor::Adder::spawn_linked(None, in_ractor::Adder, (), parent)
                    .await
                    .expect("it starts")
            };
            let stop = async |parent: &ractor::ActorRef<()>, children| {
                parent.stop_children_and_wait(None, None).await;
                parent.stop(None);
                children
            };
            tokio
                .block_on(stop_many(times, FEWER, parent, start, stop))
                .0
        })
        .with("kameo, stop of the supervisor", |times| {
            let parent = async || in_kameo::Supervisor::spawn(());
            let start = async |supervisor: &ActorRef<in_kameo::Supervisor>| {
                in_kameo::Adder::supervise_with(supervisor, || ())
                    .spawn()
                    .await
            };
            let stop = async |supervisor: &ActorRef<in_kameo::Supervisor>, children| {
                supervisor.stop_gracefully().await.expect("it runs");
                children
            };
            tokio
                .block_on(stop_many(times, FEWER, parent, start, stop))
                .0
        })
        .print("Stop of 10 000 children on one thread, until the last is gone");

    Comparison::default()
        .rounds(5)
        .with("bare actix, one thread", |times| {
            system.block_on(stop_bare(times, MANY)).1
        })
        .with("actix-otp, one thread", |times| {
            stop_supervised(thread, times, MANY).1
        })
        .with("actix-otp, two threads", |times| {
            tokio.block_on(stop_spread(times, MANY)).1
        })
        .print("Stop of 100 000 children, by the clock on the wall");
}

/// Stops bare actix actors in the way they have: nobody holds their addresses any more.
async fn stop_bare(times: u64, count: u64) -> (Duration, Duration) {
    let start = async |(): &()| in_actix::Adder::new().start();
    let stop = async |(): &(), mut addresses: Vec<_>| {
        addresses.clear();
        addresses
    };
    stop_many(times, count, async || (), start, stop).await
}

/// Stops a dynamic supervisor with all its children on this thread.
fn stop_supervised(thread: &Thread, times: u64, count: u64) -> (Duration, Duration) {
    let trees: Vec<_> = (0..times).map(|_| thread.supervise_many()).collect();
    let mut trees = trees.into_iter();
    let parent = async || trees.next().expect("one for each time");
    let start = async |(_, handle): &(SupervisorRef, DynamicSupervisorRef)| {
        let child = handle.spawn_local(in_actix::Adder::new());
        child.expect("there is room")
    };
    let stop = async |(root, _): &(SupervisorRef, DynamicSupervisorRef), children| {
        root.shutdown().await;
        assert_eq!(ENDED.missing(), 0);
        children
    };
    let stopping = stop_many(times, count, parent, start, stop);
    thread.system.block_on(stopping)
}

/// Stops a dynamic supervisor whose children live on two threads of their own.
async fn stop_spread(times: u64, count: u64) -> (Duration, Duration) {
    type Tree = (ArbiterPool, SupervisorRef, DynamicSupervisorRef);
    let parent = async || {
        let pool = ArbiterPool::new(2).expect("two threads");
        let (spec, handle) = DynamicSupervisorSpec::new()
            .pool(pool.clone())
            .build("children");
        let root = SupervisorSpec::new(Strategy::OneForOne).child(spec);
        let place = Placement::Arbiter(pool.get(0));
        let root = root.start_on("root", place).await.expect("it starts");
        (pool, root, handle)
    };
    let start = async |(_, _, handle): &Tree| {
        let child = handle.spawn_child(in_actix::Adder::new);
        child.expect("there is room")
    };
    let stop = async |(pool, root, _): &Tree, children| {
        root.shutdown().await;
        assert_eq!(ENDED.missing(), 0);
        pool.stop();
        children
    };
    stop_many(times, count, parent, start, stop).await
}

/// Makes a parent, starts children, and measures how long it takes `stop` to end them: in the processor time of this
/// thread, and by the clock on the wall. What `stop` returns is dropped after that.
async fn stop_many<P, C>(
    times: u64,
    count: u64,
    mut parent: impl AsyncFnMut() -> P,
    start: impl AsyncFn(&P) -> C,
    stop: impl AsyncFn(&P, Vec<C>) -> Vec<C>,
) -> (Duration, Duration) {
    let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..times {
        let parent = parent().await;
        STARTED.expect(count);
        ENDED.expect(count);
        let mut children = Vec::new();
        for _ in 0..count {
            children.push(start(&parent).await);
        }
        STARTED.reached().await;
        let (cpu_start, wall_start) = (ThreadTime::now(), Instant::now());
        let handles = stop(&parent, children).await;
        ENDED.reached().await;
        cpu += cpu_start.elapsed();
        wall += wall_start.elapsed();
        drop(handles);
    }
    (cpu, wall)
}

/// What each child costs its [`Supervisor`](actix_otp::Supervisor), the more children there are.
fn growth(Thread { system, .. }: &Thread) {
    const ROUNDS: usize = 3;
    const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
    const PHASES: [&str; 4] = [
        "`StartChild`",
        "`GetChildSpec`",
        "`TerminateChild` and `DeleteChild`",
        "stop with the supervisor, in reverse order",
    ];
    let mut costs = vec![vec![Vec::new(); SIZES.len()]; PHASES.len()];
    for _ in 0..ROUNDS {
        for (column, size) in SIZES.into_iter().enumerate() {
            for (phase, cost) in costs.iter_mut().zip(system.block_on(grow(size))) {
                phase[column].push(cost);
            }
        }
    }
    let mut columns: Vec<_> = SIZES.iter().map(|size| grouped(*size as f64)).collect();
    columns.push("growth".to_owned());
    let mut table = Table::new("Cost of one supervised child, of so many", columns);
    for (name, phase) in PHASES.into_iter().zip(costs) {
        let costs: Vec<f64> = phase.into_iter().map(median).collect();
        let mut cells: Vec<_> = costs.iter().map(|cost| time(*cost)).collect();
        cells.push(format!("{:.2}", costs[costs.len() - 1] / costs[0]));
        table.row(name, cells);
    }
    table.print();
}

/// Lets a supervisor have `size` children; the nanoseconds that each of them costs in each phase.
async fn grow(size: usize) -> [f64; 4] {
    let ids: Vec<Arc<str>> = (0..size).map(|id| format!("child-{id}").into()).collect();
    let (removed, stopped) = ids.split_at(size / 2);
    let root = SupervisorSpec::new(Strategy::OneForOne).start("root").await;
    let root = root.expect("it starts");
    let per_child =
        |ids: &[_], begin: ThreadTime| begin.elapsed().as_nanos() as f64 / ids.len() as f64;

    let begin = ThreadTime::now();
    for id in &ids {
        let child = ChildSpec::new(Arc::clone(id), in_actix::Adder::new);
        let started = root.call(StartChild(child)).await;
        started.expect("it runs").expect("a new child");
    }
    let start = per_child(&ids, begin);

    let begin = ThreadTime::now();
    for id in &ids {
        let found = root.call(GetChildSpec(Arc::clone(id))).await;
        assert!(found.is_ok_and(|found| found.is_some()));
    }
    let find = per_child(&ids, begin);

    let begin = ThreadTime::now();
    for id in removed {
        let terminated = root.call(TerminateChild(Arc::clone(id))).await;
        terminated.expect("it runs").expect("a known child");
        let deleted = root.call(DeleteChild(Arc::clone(id))).await;
        deleted.expect("it runs").expect("a stopped child");
    }
    let remove = per_child(removed, begin);

    let begin = ThreadTime::now();
    root.shutdown().await;
    [start, find, remove, per_child(stopped, begin)]
}

//! What this crate promises, and what it does not: order, failures as callers see them, stop and kill, threads.
//!
//! Each promise has a test; `actors/tests/README.md` maps OTP's own test cases to them. Where nothing is said here the
//! semantics of Erlang/OTP's `supervisor` decide.
//!
//! # Messages
//!
//! - **Order.** What one sender casts, and what it calls with each call awaited, is handled in the order sent. Between
//!   senders there is no order.
//! - **At most once.** A message is never sent twice. What waits in a mailbox dies with its incarnation: the next
//!   incarnation starts with an empty one, unless the spec says [`keep_mailbox`](crate::ChildSpec::keep_mailbox). Then it is
//!   handed on after a death, in order; only the message in which the actor died is gone.
//! - **No answer is never silence.** Every call ends with a result or a [`CallError`](crate::CallError), unless the
//!   handler itself takes for ever; [`ChildRef::call_within`] ends then, too.
//!
//! | When the child | `call` | `cast` | `monitor` |
//! |---|---|---|---|
//! | runs | the result | taken | waits |
//! | ends before its reply: over this message, one before it, or on request | `Died(reason)` | taken, perhaps lost | reports the reason |
//! | lives, but lost the reply: its task panicked or was cancelled | `NoReply` | | waits |
//! | does not run: not started, stopped, between two incarnations, not ready yet | `NotRunning(message)` at once | `NotRunning(message)` | reports `NotRunning` at once |
//! | has a bounded mailbox that is full | waits for room; `try_call`: `Full(message)` | `Full(message)`; `send` waits for room | |
//!
//! `Died` does not tell whether the message had any effect: the handler may have been half-way through. `NotRunning`
//! does: it had none. A message in the gap is refused at once and not kept; [`ChildRef::wait_until_running`] waits.
//!
//! A request to a supervisor is a message as well. The supervisor does one thing at a time: while it starts or stops a
//! child, requests and exits wait in its mailbox, in order. Two questions do not wait, for they are asked when something
//! hangs: the tree and the counts show how things stand at this moment. A request whose caller goes away is either not begun
//! or carried out to its end.
//!
//! # Turns
//!
//! An actor takes what its handle is sent one message at a time, and no more than 16 in a turn: then whoever else has work
//! on its thread comes first. A stop and a kill are looked at between two messages. An actor that goes on making work for itself, with
//! `ctx.notify` or `ctx.spawn`, ends its turn as well; a child of a dynamic supervisor without a spec does so as long as
//! somebody has its address.
//!
//! What is sent to an actix address has none of this: `ctx.address()`, a `Recipient`, [`ChildRef::addr`], and the address of a
//! child of a dynamic supervisor without a spec. actix drains its mailbox in one loop (`Mailbox::poll`), within a single poll
//! of the actor's future. In that loop nothing runs but the handlers; it ends when the mailbox is empty, or when a handler
//! has told its own context to wait or to stop. The receiving end of the mailbox belongs to that future, and can neither be
//! had from outside nor be replaced, since `Context` makes it. So safe code of a third party can neither count those messages
//! nor stop between two of them: a backlog there is one turn, and a kill waits for its end. The two ways to an actor have
//! no common order.
//!
//! # The end of an actor
//!
//! | | hooks `stopping`, `stopped` | `Drop` | queued messages | reason |
//! |---|---|---|---|---|
//! | it stops itself | run | runs | dropped | its own, see [`ExitContext::exit`]; `Normal` without one |
//! | [`ChildRef::stop`] | run, can refuse | runs | dropped | `Normal`, or its own |
//! | its supervisor ends it | run, can refuse until the timeout | runs | dropped | `Shutdown`, or its own |
//! | kill | do not run | runs | dropped | `Killed` |
//! | panic, wherever it happens | do not run | runs | dropped | `Panicked(message)` |
//! | its arbiter stops | do not run | runs | dropped | `ArbiterStopped` |
//!
//! Hooks do not run after a panic since the actor's state may be half-changed. A panic in `stopping` or `stopped` is the
//! reason of the exit; one in `Drop` comes too late for that and is logged.
//!
//! Then, in this order: the handle stops leading to it; the actor is dropped, so ports, files and registry entries are
//! free; reason and incarnation are recorded; callers and monitors wake; its supervisor hears of it.
//!
//! Futures given to the actor's context (`ctx.spawn`, `ctx.wait`, `run_later`, `run_interval`, `ResponseActFuture`) end
//! with it, and a panic in one is the actor's. A `ResponseFuture` is a task of its own for actix: it outlives the actor,
//! and a panic in it costs the reply alone.
//!
//! # Start and restart
//!
//! - **One live incarnation.** A child's next incarnation starts when nothing is left of the previous one, never earlier: it
//!   has to take the child's only place first. A supervisor keeps its place as long as anything below it is alive, so that
//!   also one that was killed and makes its children anew doubles none. An incarnation that cannot be ended since it
//!   blocks its thread makes the start fail, after the supervisor's kill timeout, with
//!   [`StartError::StillRunning`](crate::StartError::StillRunning).
//! - **A start is complete** when `started` has returned, or when [`StartAck::ready`] was called. Until then
//!   nothing else is started, and a panic, or an abnormal exit, is a failed start. What comes after is work, also what
//!   `started` has scheduled and what happens in the same turn: its failure is a death, and calls for a restart.
//! - **Order.** Children start in the order of their specs, each when the one before it is complete, and end in reverse
//!   order, each when the one after it is gone. A child added later comes last; a restarted one keeps its place.
//! - **Rollback.** When a first child fails to start, those before it are ended in reverse order, and the error names the
//!   path to the child and its cause. Nothing is retried, and no budget is charged.
//! - **Restart.** [`Restart`](crate::Restart) decides by the reason whether, [`Strategy`](crate::Strategy) decides who. A
//!   group restart ends the group in reverse order and starts all of it in order, also those that were stopped by hand
//!   or had ended well. Temporary children of the group are gone for good.
//! - **Retry.** A restart that fails is tried again, after the requests that came in meanwhile. In a group it is the
//!   restart of the child that failed. There is no pause between attempts unless the spec has a
//!   [`Backoff`](crate::Backoff): only the budget ends them.
//! - **Budget.** Every attempt is charged before it is made; a group is one charge. More than
//!   [`Intensity::max_restarts`] within [`Intensity::period`] and the supervisor ends its children, then itself, with
//!   `Shutdown`. A charge counts until it is older than the period. For the supervisor above that is an exit like any
//!   other: a *permanent* supervisor is started again, a transient one is not, since `Shutdown` is no failure.
//! - **Asking wins.** A child that was terminated on request is not restarted, not even when it had crashed and the
//!   supervisor had not heard of it. Terminating is never charged and ends no supervisor by
//!   [`AutoShutdown`](crate::AutoShutdown).
//!
//! # No orphans
//!
//! A supervisor that stops ends its children first. One that is killed, or whose arbiter dies, takes its children along
//! without waiting, also in the middle of a start, a restart or a stop; its successor waits for the previous incarnations
//! of its children. A supervisor that is told to stop gives up a start that is under way, so a child that hangs in its
//! start does not hang the tree.
//!
//! A tree lives as long as its arbiter, also when nobody holds a handle on it: end it with
//! [`SupervisorRef::shutdown`](crate::ChildRef::shutdown). Nobody restarts a root; whoever started it can monitor it.
//!
//! # Threads that block
//!
//! Actors are tasks, and a task that does not return keeps its thread. A handler that blocks stops everything on its
//! arbiter, its own supervisor included where both are [`Local`](crate::Placement::Local). Put such actors on an
//! [`ArbiterPool`](crate::ArbiterPool), or their blocking work into a [`BlockingPool`](crate::BlockingPool): its queue belongs
//! to no actor, so what waits there survives the end of one; it is dropped when the pool is stopped or gives up.
//!
//! A kill takes effect when the actor returns from the message it is in. A child that does not return is given up after its [`Shutdown`](crate::Shutdown) time and the supervisor's
//! [`kill_timeout`](crate::SupervisorSpec::kill_timeout), by default five seconds each: it is reported, it counts as
//! stopped, its handle says `NotRunning`, and the rest of the tree goes on. It ends as soon as its thread comes back.
//! With [`Shutdown::Infinity`](crate::Shutdown::Infinity) there is no limit: that is for supervisors, whose children
//! have limits of their own.
//!
//! # What is not supervised
//!
//! - With `panic = "abort"` in the profile every panic ends the process. Supervision needs the default, `"unwind"`.
//! - A panic in a `Drop` while another panic unwinds aborts the process: that is Rust's rule.
//! - Memory that runs out, a stack that overflows, and deadlocks between actors that call each other.
//!
//! # Limits of time
//!
//! Nothing here takes longer than it was given: a start with a
//! [`start_timeout`](crate::ChildSpec::start_timeout) is given up and ended by the child's own rule; a stop is followed by a
//! kill after the [`Shutdown`](crate::Shutdown) time of the child, and a kill is waited for no longer than the kill timeout;
//! [`SupervisorRef::shutdown_within`](crate::ChildRef::shutdown_within) sets one limit for all of it. What was begun with a
//! limit keeps it where the caller goes away: the start of a root whose future is dropped is taken back, a termination goes
//! on.
//!
//! # Time
//!
//! Timeouts and periods are measured by the tokio clock of the supervisor's arbiter, so a test can pause it.
//!
//! [`ChildRef::addr`]: crate::ChildRef::addr
//! [`ChildRef::call_within`]: crate::ChildRef::call_within
//! [`ChildRef::stop`]: crate::ChildRef::stop
//! [`ChildRef::wait_until_running`]: crate::ChildRef::wait_until_running
//! [`ExitContext::exit`]: crate::ExitContext::exit
//! [`Intensity::max_restarts`]: crate::Intensity::max_restarts
//! [`Intensity::period`]: crate::Intensity::period
//! [`StartAck::ready`]: crate::StartAck::ready

//! The functions that cases call (`T`, `Perms`, `Resolvers`, `H`), and what they saw of their calls.

mod hooks;

use std::{
    collections::{BTreeMap, HashMap},
    panic,
    sync::{Arc, Once},
    time::Duration,
};

use gen_api::{
    function::{Call, FunctionError, Functions, State, StreamHandle},
    model::Request,
};
use parking_lot::Mutex;
use serde_json::Value;

type Answer<T> = Result<T, FunctionError>;

/// What the functions of one case saw; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Harness {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// By the name of the function; one that was not called is not in it.
    calls: BTreeMap<&'static str, Calls>,
    hooks: Vec<&'static str>,
    /// The open ends of streams, by request id.
    streams: HashMap<String, StreamHandle>,
}

/// The calls of one function.
#[derive(Clone, Copy, Default)]
struct Calls {
    all: u64,
    running: u64,
    most_at_once: u64,
}

/// A call that runs; it has ended when this is dropped, as it is when the call is cut off.
struct Running {
    name: &'static str,
    seen: Arc<Mutex<Seen>>,
    /// How many calls there were before this one.
    before: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(calls) = self.seen.lock().calls.get_mut(self.name) {
            calls.running -= 1;
        }
    }
}

impl Harness {
    /// The functions of the format's page, and no others.
    pub(crate) fn functions(&self) -> Functions {
        leave_out_expected_panics();
        let collecting = self.clone();
        hooks::register(Functions::new())
            .state(self.clone())
            .register("T", "echo", echo)
            .register("T", "add", add)
            .register_raw("T", "collect", move |call| {
                collect(call, collecting.clone())
            })
            .register("T", "fail", fail)
            .register("T", "fail_n_times", fail_n_times)
            .register("T", "raise", raise)
            .register("T", "sleep", sleep)
            .register("T", "returns_ok_tuple", returns_ok_tuple)
            .register("T", "returns_error_tuple", returns_error_tuple)
            .register("T", "stream_start", stream_start)
            .register("T", "stream_fail", stream_fail)
            .register("T", "stream_raise", stream_raise)
            .register("T", "stream_fail_once", stream_fail_once)
            .register("Perms", "always_true", |_: Request| judge(true.into()))
            .register("Perms", "always_false", |_: Request| judge(false.into()))
            .register("Perms", "returns_other", |_: Request| judge("yes".into()))
            .register("Perms", "equals_yes", |_: Request, x: Value| {
                judge((x == "yes").into())
            })
            .register("Perms", "raises", |_: Request| raise_with(PANICS[0]))
            .register("Resolvers", "fixed", judge)
            .register("Resolvers", "raises", || raise_with(PANICS[0]))
    }

    /// How often each function `T.*` was called, without those that were not.
    pub(crate) fn calls(&self) -> Value {
        self.of_calls(|calls| calls.all)
    }

    /// How many calls of each function `T.*` ran at the same time at most.
    pub(crate) fn max_parallel(&self) -> Value {
        self.of_calls(|calls| calls.most_at_once)
    }

    /// The hooks in the order of their calls.
    pub(crate) fn hooks(&self) -> Value {
        self.seen.lock().hooks.clone().into()
    }

    /// The handle on the stream of a request, once its function has it.
    pub(crate) fn stream(&self, request_id: &str) -> Option<StreamHandle> {
        self.seen.lock().streams.get(request_id).cloned()
    }

    fn of_calls(&self, count: impl Fn(&Calls) -> u64) -> Value {
        let seen = self.seen.lock();
        let calls = seen.calls.iter();
        calls
            .map(|(name, calls)| ((*name).to_owned(), Value::from(count(calls))))
            .collect()
    }

    fn called(&self, name: &'static str) -> Running {
        let mut seen = self.seen.lock();
        let calls = seen.calls.entry(name).or_default();
        let before = calls.all;
        calls.all += 1;
        calls.running += 1;
        calls.most_at_once = calls.most_at_once.max(calls.running);
        Running {
            name,
            seen: Arc::clone(&self.seen),
            before,
        }
    }

    fn hooked(&self, name: &'static str) {
        self.seen.lock().hooks.push(name);
    }

    fn keep(&self, info: &Value, stream: StreamHandle) -> Answer<()> {
        let request_id = info["request_id"].as_str();
        let request_id = request_id.ok_or("no request info")?.to_owned();
        self.seen.lock().streams.insert(request_id, stream);
        Ok(())
    }
}

/// What panics of the functions below say.
const PANICS: [&str; 2] = ["kaboom", "hook kaboom"];

/// Panics that belong to cases are not printed; all others are, as before.
fn leave_out_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let text = panic.payload().downcast_ref::<&str>();
            let text = text
                .copied()
                .or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
            if !text.is_some_and(|text| PANICS.contains(&text)) {
                print(panic);
            }
        }));
    });
}

async fn raise_with(text: &'static str) -> Answer<Value> {
    panic!("{text}")
}

async fn judge(answer: Value) -> Answer<Value> {
    Ok(answer)
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

// The functions `T.*`.

async fn echo(x: Value, State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.echo");
    Ok(x)
}

async fn add(a: Value, b: Value, State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.add");
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64())
        && let Some(sum) = a.checked_add(b)
    {
        return Ok(sum.into());
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => Ok((a + b).into()),
        _ => Err("only numbers can be added".into()),
    }
}

async fn collect(call: Call, harness: Harness) -> Answer<Value> {
    let _running = harness.called("T.collect");
    Ok(call.into_args().into())
}

async fn fail(State(harness): State<Harness>) -> Answer<()> {
    let _running = harness.called("T.fail");
    Err("boom".into())
}

async fn fail_n_times(n: u64, State(harness): State<Harness>) -> Answer<&'static str> {
    let running = harness.called("T.fail_n_times");
    if running.before < n {
        return Err("boom".into());
    }
    Ok("done")
}

async fn raise(State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.raise");
    raise_with(PANICS[0]).await
}

async fn sleep(ms: u64, State(harness): State<Harness>) -> Answer<&'static str> {
    let _running = harness.called("T.sleep");
    pause(ms).await;
    Ok("slept")
}

/// Success and failure are those of `Result` here, so there is no further wrapper to take off.
async fn returns_ok_tuple(x: Value, State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.returns_ok_tuple");
    Ok(x)
}

async fn returns_error_tuple(x: Value, State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.returns_error_tuple");
    Err(reason(&x))
}

async fn stream_start(
    _q: Value,
    info: Value,
    stream: StreamHandle,
    State(harness): State<Harness>,
) -> Answer<&'static str> {
    let _running = harness.called("T.stream_start");
    harness.keep(&info, stream)?;
    Ok("started")
}

async fn stream_fail(_q: Value, _info: Value, State(harness): State<Harness>) -> Answer<()> {
    let _running = harness.called("T.stream_fail");
    Err("boom".into())
}

async fn stream_raise(_q: Value, _info: Value, State(harness): State<Harness>) -> Answer<Value> {
    let _running = harness.called("T.stream_raise");
    raise_with(PANICS[0]).await
}

async fn stream_fail_once(
    _q: Value,
    info: Value,
    stream: StreamHandle,
    State(harness): State<Harness>,
) -> Answer<&'static str> {
    let running = harness.called("T.stream_fail_once");
    if running.before == 0 {
        return Err("boom".into());
    }
    harness.keep(&info, stream)?;
    Ok("done")
}

/// A failure for a reason that a case gives: a text as it is, anything else as JSON.
pub(crate) fn reason(x: &Value) -> FunctionError {
    match x {
        Value::String(text) => FunctionError::failed(text),
        other => FunctionError::failed(other),
    }
}

//! What an engine leaves behind when it is stopped: no thread, no memory that grows.
//!
//! One test in a binary of its own, since threads and memory are counted for the whole process.
#![cfg(target_os = "linux")]

use std::{convert::Infallible, fs, thread};

use gen_api::{
    GenApi, Settings,
    arguments::ArgType,
    function::{FunctionError, Functions, StreamHandle},
    model::{FunConfig, Request, Response},
};

const ENGINES: usize = 50;
const THREADS: usize = 2;

/// An engine that answers every mode, with configs enough to be felt if they stayed.
fn start() -> GenApi {
    async fn echo(value: String) -> Result<String, Infallible> {
        Ok(value)
    }
    async fn idle(stream: StreamHandle) -> Result<(), FunctionError> {
        stream.closed().await;
        Ok(())
    }
    let functions = Functions::new()
        .register("T", "echo", echo)
        .register("T", "idle", idle);
    let echoes = (0..500).map(|number| {
        FunConfig::builder("svc", format!("echo_{number}"))
            .call("T", "echo")
            .arg("value", ArgType::String)
            .local()
    });
    let others = [
        FunConfig::builder("svc", "async")
            .call("T", "echo")
            .arg("value", ArgType::String)
            .asynchronous()
            .local(),
        FunConfig::builder("svc", "stream")
            .call("T", "idle")
            .stream()
            .local(),
    ];
    let configs = echoes.chain(others);
    let mut settings = Settings::default().with_threads(THREADS);
    // Open streams do not end by themselves.
    settings.engine.stop_timeout_ms = 0;
    GenApi::builder()
        .functions(functions)
        .configs(configs.map(|config| config.build().expect("a valid config")))
        .settings(settings)
        .start_blocking()
        .expect("the engine starts")
}

/// Starts an engine, uses it and ends it: by a stop, or by the drop of its last handle; streams are open then.
fn one_life(stopped: bool) {
    let api = start();
    let (sync, later, stream) = api.block_on(async {
        let text = "x".repeat(2_000);
        let sync = api.execute(Request::new("s", "svc", "echo_7").with_arg("value", text.as_str()));
        let later = api.execute(Request::new("a", "svc", "async").with_arg("value", text.as_str()));
        let stream = api.execute(Request::new("t", "svc", "stream"));
        (sync.await, later.await, stream.await)
    });
    assert!(sync.response.is_some_and(|response| response.success));
    assert_eq!(api.block_on(later.collect()).len(), 2);
    assert_eq!(stream.response, Some(Response::stream_chunk("t", "init")));
    assert_eq!(api.open_streams(), 1);
    if stopped {
        api.block_on(api.stop());
    }
}

fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("linux lists the threads");
    tasks.count()
}

/// The threads' ends are awaited: an engine that kept one would make this wait for ever.
fn until_no_more_threads_than(expected: usize) {
    while threads() > expected {
        thread::yield_now();
    }
}

/// The resident memory of this process in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("linux tells the memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.parse::<usize>().ok());
    kilobytes.expect("a number of kilobytes") * 1_024
}

#[test]
fn fifty_engines_one_after_another_leave_no_thread_and_no_growing_memory() {
    let before = threads();
    let empty = resident();
    let api = start();
    assert!(threads() > before, "an engine has threads of its own");
    let idle = resident().saturating_sub(empty);
    // 502 configs and two threads, in a build without optimization; the usual value is a quarter of this.
    assert!(idle < 24 << 20, "an idle engine holds {idle} bytes");
    api.block_on(api.stop());
    drop(api);
    until_no_more_threads_than(before);

    // The allocator and lazy statics reach their usual size in the first lives.
    for life in 0..ENGINES / 2 {
        one_life(life % 2 == 0);
        until_no_more_threads_than(before);
    }
    let half = resident();
    for life in 0..ENGINES / 2 {
        one_life(life % 2 == 0);
        until_no_more_threads_than(before);
    }
    let grown = resident().saturating_sub(half);
    println!("an idle engine holds {idle} bytes; {grown} more after {ENGINES} lives");
    // A leak as large as the 500 configs of each engine would be far more than this.
    let lives = ENGINES / 2;
    assert!(grown < 2 << 20, "{grown} bytes more after {lives} lives");
}

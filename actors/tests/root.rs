//! The contract of a program with a root, tried on real processes: this binary runs itself as the program.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};

use actix::prelude::*;
use actix_otp::{
    AutoShutdown, ChildSpec, ExitContext, ExitReason, Intensity, Restart, Root, Shutdown, Strategy,
    SupervisorSpec,
};

const PROGRAM: &str = "ACTIX_OTP_TEST_PROGRAM";

/// Says what happens to it, and does as the program wants.
struct Worker(&'static str);

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        say("started");
        match self.0 {
            "gives up" => ctx.notify(End(ExitReason::error("cannot go on"))),
            "is done" => ctx.notify(End(ExitReason::Normal)),
            "does not start" => ctx.exit(ExitReason::error("not today")),
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        if self.0.starts_with("refuses") {
            say("refuses");
            return Running::Continue;
        }
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        say("stopped");
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct End(ExitReason);

impl Handler<End> for Worker {
    type Result = ();

    fn handle(&mut self, End(reason): End, ctx: &mut Context<Self>) {
        ctx.exit(reason);
    }
}

/// Not captured by the test harness.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The program itself, which runs only where a test has started it.
#[test]
fn program() {
    let Ok(kind) = std::env::var(PROGRAM) else {
        return;
    };
    let kind: &'static str = kind.leak();
    let worker = ChildSpec::new("worker", move || Worker(kind))
        .shutdown(Shutdown::Timeout(Duration::from_secs(3_600)));
    let tree = SupervisorSpec::new(Strategy::OneForOne)
        .intensity(Intensity::new(1, Duration::from_secs(3_600)));
    let tree = match kind {
        "is done" => tree
            .auto_shutdown(AutoShutdown::AnySignificant)
            .child(worker.restart(Restart::Transient).significant(true)),
        _ => tree.child(worker),
    };
    let limit = match kind {
        "refuses" => Duration::from_millis(1),
        _ => Duration::from_secs(3_600),
    };
    let ended = System::new().block_on(Root::new(tree).stop_limit(limit).run());
    let code = match ended {
        Ok(code) if format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS) => 0,
        Ok(_) => 1,
        Err(error) => {
            say(&error.to_string());
            2
        }
    };
    std::process::exit(code);
}

/// A program that runs.
struct Program {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(kind: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "program", "--nocapture"])
            .env(PROGRAM, kind)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = process.stdout.take().expect("a pipe");
        let lines = BufReader::new(output).lines();
        Self { process, lines }
    }

    /// Waits until it says this.
    fn says(&mut self, wanted: &str) {
        let said = self.lines.by_ref().map_while(Result::ok);
        let found = said.into_iter().any(|line| line.ends_with(wanted));
        assert!(found, "it ended without saying {wanted:?}");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end; its exit code.
    fn ends(mut self) -> Option<i32> {
        self.process.wait().expect("it was started").code()
    }
}

#[test]
fn a_signal_stops_the_tree_in_order_and_the_program_succeeds() {
    for signal in ["-TERM", "-INT"] {
        let mut program = Program::start("runs");
        program.says("started");
        program.signal(signal);
        program.says("stopped");
        assert_eq!(program.ends(), Some(0), "{signal}");
    }
}

#[test]
fn a_tree_that_does_not_stop_within_the_limit_is_killed_and_the_program_fails() {
    let mut program = Program::start("refuses");
    program.says("started");
    program.signal("-TERM");
    assert_eq!(program.ends(), Some(1));
}

#[test]
fn a_second_signal_kills_what_has_not_ended() {
    let mut program = Program::start("refuses for long");
    program.says("started");
    program.signal("-TERM");
    program.says("refuses");
    program.signal("-TERM");
    assert_eq!(program.ends(), Some(1));
}

#[test]
fn a_tree_that_gives_up_ends_the_program_as_failed() {
    assert_eq!(Program::start("gives up").ends(), Some(1));
}

#[test]
fn a_tree_that_is_done_ends_the_program_as_succeeded() {
    assert_eq!(Program::start("is done").ends(), Some(0));
}

#[test]
fn a_tree_that_does_not_start_is_an_error_that_says_why() {
    let mut program = Program::start("does not start");
    program.says("child `worker` did not start: error: not today");
    assert_eq!(program.ends(), Some(2));
}

//! Runs a folder of vector files, whose format is on the page `tests/conformance/README.md`, and prints what failed:
//! `cargo run --release --all-features --example conformance -- FOLDER`. With `--over-grpc` behind it, those about pushing and
//! pulling run alone, over gRPC.

use std::{env, io, path::Path, process::ExitCode};

#[path = "../tests/conformance_runner/mod.rs"]
mod conformance_runner;

use conformance_runner::Report;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: conformance FOLDER");
        return ExitCode::from(2);
    };
    let report: io::Result<Report> = match env::args().nth(2).as_deref() {
        None => conformance_runner::run(Path::new(&folder), |_, _| true),
        #[cfg(feature = "grpc")]
        Some("--over-grpc") => conformance_runner::run_over_grpc(Path::new(&folder)),
        Some(other) => {
            eprintln!("{other} is unknown here");
            return ExitCode::from(2);
        }
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(&folder).display());
            return ExitCode::from(2);
        }
    };
    for failure in &report.failures {
        println!("{} {}: {}", failure.file, failure.id, failure.reason);
    }
    println!("{} passed, {} failed", report.passed, report.failures.len());
    // The threads of cases that hang end with the process.
    if report.passed > 0 && report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

//! The vectors of `tests/conformance`, all of them but those about parts that do not exist yet.

mod conformance_runner;

use std::path::Path;

use conformance_runner::{Case, Report, not_built, run};

#[test]
fn every_vector_about_a_part_that_exists_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let exists = |file: &str, case: &Case| not_built(file, case).is_none();
    all_passed(&run(&folder, exists).expect("the vectors are there"));
}

#[cfg(feature = "grpc")]
#[test]
fn the_vectors_about_pushing_and_pulling_hold_over_grpc_as_well() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    all_passed(&conformance_runner::run_over_grpc(&folder).expect("the vectors are there"));
}

fn all_passed(report: &Report) {
    assert!(report.passed > 0);
    let failures: Vec<String> = report
        .failures
        .iter()
        .map(|failure| format!("{} {}: {}", failure.file, failure.id, failure.reason))
        .collect();
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

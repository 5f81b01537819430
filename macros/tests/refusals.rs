//! What the attribute refuses, and what it says. `TRYBUILD=overwrite` writes the texts anew.

#[test]
fn a_function_that_cannot_be_called_is_refused_with_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// Here the compiler speaks, with the hints of our traits: a new compiler may word it anew.
#[test]
fn the_compiler_points_at_the_parameter_or_the_answer_at_fault() {
    trybuild::TestCases::new().compile_fail("tests/ui/compiler/*.rs");
}

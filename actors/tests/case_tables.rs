//! The pages that map upstream test cases to ours must name tests that exist, and each of them once.

use std::{fs, path::Path};

/// The text of all Rust files below a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("text");
        }
    }
    text
}

fn check_page(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = sources(&root.join("tests")) + &sources(&root.join("src"));
    let page = fs::read_to_string(root.join("tests").join(name)).expect("the page");
    let is_test = |name: &&str| {
        name.matches('_').count() > 3 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    // Blocks of commands aside, every second piece between backticks is inside of them.
    let prose: String = page.split("```").step_by(2).collect();
    let named: Vec<_> = prose
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_test)
        .collect();
    assert!(named.len() > 100, "the page was read");
    let is_one = |name: &&&str| code.matches(&format!("fn {name}(")).count() == 1;
    let wrong: Vec<_> = named.iter().filter(|name| !is_one(name)).collect();
    assert!(wrong.is_empty(), "missing, or not unique: {wrong:#?}");
}

#[test]
fn every_test_that_the_supervisor_page_names_exists() {
    check_page("README.md");
}

#[test]
fn every_test_that_the_page_of_the_dynamic_suites_names_exists() {
    check_page("DYNAMIC_AND_REGISTRY.md");
}

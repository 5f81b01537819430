//! What the documents show is tried: settings load, commands name what exists, and Rust snippets compile.
//!
//! Whole programs in the README are doctests. Its snippets are not whole, so each stands in `snippets.rs` as well, within
//! what it takes to compile.

mod snippets;

use std::{collections::BTreeSet, fs, path::Path};

use gen_api::Settings;
use toml::{Table, Value};

const SNIPPETS: &str = include_str!("snippets.rs");
const ANNOTATED: &str = include_str!("../../gen_api.toml");

/// The documents for people, by path.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    for folder in ["", "docs", "benches", "actors"] {
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let is_document = path.extension().is_some_and(|end| end == "md")
                || path.file_name().is_some_and(|name| name == "gen_api.toml");
            if is_document && path.file_name().is_some_and(|name| name != "CHANGELOG.md") {
                let text = fs::read_to_string(&path).expect("a text");
                documents.push((path.display().to_string(), text));
            }
        }
    }
    assert!(documents.len() > 5);
    documents
}

/// The fenced blocks of a document whose info string this is, without their indentation.
fn blocks(text: &str, info: &str) -> Vec<String> {
    let (mut found, mut block) = (Vec::new(), None::<String>);
    for line in text.lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, Some(opens)) => block = Some(format!("{opens}\n")),
            (Some(_), Some(_)) => found.extend(block.take()),
            (Some(lines), None) => {
                lines.push_str(line.trim_start());
                lines.push('\n');
            }
            (None, None) => {}
        }
    }
    let wanted = found.iter().filter_map(|block| block.split_once('\n'));
    wanted
        .filter(|(opens, _)| *opens == info)
        .map(|(_, lines)| lines.to_owned())
        .collect()
}

/// What stands behind each occurrence of `before`, as far as `part` goes.
fn behind<'a>(text: &'a str, before: &str, part: fn(char) -> bool) -> Vec<&'a str> {
    let ends = text.match_indices(before).map(|(at, _)| at + before.len());
    ends.map(|start| {
        let rest = &text[start..];
        &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())]
    })
    .collect()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The paths of all keys of the annotated settings, its examples included.
fn keys() -> BTreeSet<String> {
    fn collect(value: &Value, prefix: &str, keys: &mut BTreeSet<String>) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    let path = format!("{prefix}{name}");
                    collect(value, &format!("{path}."), keys);
                    keys.insert(path);
                }
            }
            Value::Array(items) => {
                for item in items {
                    collect(item, prefix, keys);
                }
            }
            _ => {}
        }
    }
    let lines = ANNOTATED.lines().map(|line| {
        let example = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        example.unwrap_or(line)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let table: Table = text.parse().expect("TOML");
    let mut keys = BTreeSet::new();
    collect(&Value::Table(table), "", &mut keys);
    keys
}

#[test]
fn every_variable_that_a_document_shows_is_one_that_settings_take() {
    let mut tried = 0;
    for (path, text) in documents() {
        for shown in behind(&text, "GEN_API__", |c| is_name(c) || "=:.".contains(c)) {
            let (name, value) = shown.split_once('=').unwrap_or((shown, ""));
            let name = name.trim_end_matches(['.', ':']);
            if name == "SECTION__KEY" {
                continue;
            }
            let loads = |value: &str| {
                let variable = (format!("GEN_API__{name}"), value.to_owned());
                Settings::loader().variables([variable]).load()
            };
            let loaded = match value.trim_end_matches(['.', ':']) {
                "" => loads("text")
                    .or_else(|_| loads("1"))
                    .or_else(|_| loads("true")),
                value => loads(value),
            };
            assert!(loaded.is_ok(), "{path}: GEN_API__{name}: {loaded:?}");
            tried += 1;
        }
    }
    assert!(tried >= 4, "{tried}");
}

#[test]
fn every_settings_file_that_a_document_shows_loads() {
    for (path, text) in documents() {
        for toml in blocks(&text, "toml") {
            if !toml.contains("dependencies]") {
                let loaded = Settings::from_toml(toml);
                assert!(loaded.is_ok(), "{path}: {loaded:?}");
            }
        }
    }
}

#[test]
fn every_key_that_a_document_names_is_in_the_annotated_settings() {
    let keys = keys();
    let mut named = 0;
    // The specification says what must be, and so may name a key before it is there.
    let is_built = |(path, _): &(String, _)| !path.ends_with("specification.md");
    for (path, text) in documents().into_iter().filter(is_built) {
        for word in text.split('`').skip(1).step_by(2) {
            let section = word.split('.').next().filter(|section| *section != word);
            let is_key = word.chars().all(|c| is_name(c) || c == '.');
            if is_key && section.is_some_and(|section| keys.contains(section)) {
                assert!(keys.contains(word), "{path}: `{word}`");
                named += 1;
            }
        }
    }
    assert!(named >= 1, "{named}");
}

#[test]
fn every_command_that_a_document_shows_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = include_str!("../../Cargo.toml");
    for (path, text) in documents() {
        for example in behind(&text, "--example ", is_name) {
            let named = ["", "actors/"].map(|part| format!("{part}examples/{example}.rs"));
            let exists = named.iter().any(|file| root.join(file).exists());
            assert!(exists, "{path}: --example {example}");
        }
        for bench in behind(&text, "--bench ", is_name) {
            let named = ["", ".rs", "/main.rs"].map(|end| format!("benches/benches/{bench}{end}"));
            let exists = bench == "NAME" || named.iter().any(|file| root.join(file).is_file());
            assert!(exists, "{path}: --bench {bench}");
        }
        for features in behind(&text, "--features ", |c| is_name(c) || c == ',') {
            for feature in features.split(',') {
                let line = format!("\n{feature} = [");
                assert!(manifest.contains(&line), "{path}: --features {feature}");
            }
        }
    }
    let readme = include_str!("../../README.md");
    let listed = readme.split("| `cargo run --example` | shows |").nth(1);
    let rows = listed.expect("the table of examples").lines().skip(2);
    let rows: Vec<_> = rows.take_while(|row| row.starts_with('|')).collect();
    for row in &rows {
        let first = row.split('|').nth(1).unwrap_or_default();
        for example in first
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| !word.contains(' '))
        {
            let file = format!("examples/{example}.rs");
            assert!(root.join(&file).exists(), "{file}");
        }
    }
    assert!(rows.len() > 5);
}

#[test]
fn every_rust_snippet_of_the_readme_is_compiled() {
    // As the formatter leaves no two texts alike, they are compared without what it decides.
    let plain = |text: &str| {
        let code = text
            .lines()
            .map(|line| line.split(" // ").next().unwrap_or(line));
        let code: String = code
            .flat_map(|line| line.chars())
            .filter(|c| !c.is_whitespace())
            .collect();
        code.replace(",)", ")").replace(",}", "}")
    };
    let compiled = plain(SNIPPETS);
    let readme = include_str!("../../README.md");
    let snippets = blocks(readme, "rust,ignore");
    for snippet in &snippets {
        assert!(compiled.contains(&plain(snippet)), "{snippet}");
    }
    assert!(snippets.len() > 5);
}

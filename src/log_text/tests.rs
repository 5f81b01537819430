use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;

#[test]
fn a_long_text_is_cut_between_two_characters() {
    assert_eq!(cut("short"), "short");
    let long = "a".to_owned() + &"ü".repeat(1_000);
    assert_eq!(cut(&long).len(), LONGEST - 1);
    assert!(long.starts_with(cut(&long)));
}

#[test]
fn what_an_error_prints_is_cut_while_it_is_written() {
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..1_000_000_000_u64 {
                f.write_str("more and more, ")?;
            }
            Ok(())
        }
    }
    assert_eq!(printed("short"), "short");
    assert_eq!(printed(Endless).len(), LONGEST);
}

/// The names of values that are printed with `%` in a log line. Each is of a type whose text no client and no node chooses, as
/// its comment says.
const OWN: &[&str] = &[
    // Socket addresses.
    "address",
    "peer",
    "plan.address",
    "self.plan.address",
    // A number that the engine gave.
    "self.id()",
    // The name of one of two pools.
    "self.name",
    // A word of an enum.
    "note.source",
];

#[test]
fn no_text_of_a_client_or_node_is_written_as_it_is() {
    let mut faults = Vec::new();
    let files = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    for file in files.iter().filter(|file| !file.ends_with(file!())) {
        let text = fs::read_to_string(file).unwrap();
        if text.contains(concat!("field::", "display")) {
            faults.push(format!("{}: field::display", file.display()));
        }
        for value in printed_values(&text) {
            if !OWN.contains(&value.as_str()) {
                faults.push(format!("{}: %{value}", file.display()));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "log lines that print a value as it is; give it as `log_text::cut` or `log_text::printed`: {faults:#?}"
    );
}

#[test]
fn the_reader_of_sources_finds_what_is_printed() {
    let source = r#"
        tracing::warn!(%error, service = %request.service, node = ?node, "50% of {a}");
        let span = tracing::info_span!(
            "name",
            id = %self.id(), // 10 % 3
        );
        let rest = 10 % 3;
    "#;
    let found: Vec<String> = printed_values(source).collect();
    assert_eq!(found, ["error", "request.service", "self.id()"]);
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| {
        if path.is_dir() {
            return sources(&path);
        }
        let is_rust = path.extension().is_some_and(|ending| ending == "rs");
        is_rust.then_some(path).into_iter().collect()
    });
    below.collect()
}

/// What the macros of `tracing` in this source print with `%`.
fn printed_values(source: &str) -> impl Iterator<Item = String> + '_ {
    const MACROS: [&str; 12] = [
        "trace!(",
        "debug!(",
        "info!(",
        "warn!(",
        "error!(",
        "event!(",
        "span!(",
        "trace_span!(",
        "debug_span!(",
        "info_span!(",
        "warn_span!(",
        "error_span!(",
    ];
    let calls = source.match_indices("tracing::").filter_map(|(at, path)| {
        let call = &source[at + path.len()..];
        let name = MACROS.iter().find(|name| call.starts_with(**name))?;
        Some(&call[name.len()..])
    });
    calls.flat_map(|call| {
        let mut values = Vec::new();
        let (mut depth, mut before) = (1, ' ');
        let mut quoted = false;
        for (at, letter) in call.char_indices() {
            match letter {
                '"' if before != '\\' => quoted = !quoted,
                _ if quoted => {}
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                // A `%` between two operands has a space behind it.
                '%' if !call[at + 1..].starts_with(' ') => {
                    values.push(value_at(&call[at + 1..]).to_owned());
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            before = letter;
        }
        values
    })
}

/// The expression at the beginning of a text, up to the comma or bracket behind it.
fn value_at(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|letter: char| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth < 0 || (depth == 0 && letter == ',')
    });
    text[..end.unwrap_or(text.len())].trim()
}

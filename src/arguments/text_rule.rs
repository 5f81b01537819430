//! The check of a text: its length, the texts it may be, and its pattern.

use std::collections::BTreeSet;

use regex_lite::{Regex, RegexBuilder};

use super::{
    ArgDeclaration, ArgumentErrorKind as Kind, Limits,
    error::{Fault, cut, one_of},
    rule::check_bytes,
};

/// The longest pattern, in bytes, and the largest memory of a compiled one. The time of a check is bounded by their product
/// with the length of the text, so a config from elsewhere cannot ask for much.
const MAX_PATTERN_BYTES: usize = 1_000;
const MAX_COMPILED_BYTES: usize = 64 * 1_024;

/// A declared text made ready for use.
#[derive(Clone, Debug)]
pub(super) struct TextRule {
    min_bytes: usize,
    max_bytes: usize,
    one_of: BTreeSet<String>,
    /// A config may be in use while its pattern cannot be read, and then each use fails.
    pattern: Option<Result<Regex, String>>,
}

impl TextRule {
    pub(super) fn new(declaration: &ArgDeclaration, limits: &Limits) -> Self {
        Self {
            min_bytes: declaration.min_bytes.unwrap_or(0),
            max_bytes: declaration.max_bytes.unwrap_or(limits.string_max_bytes),
            one_of: declaration.one_of.clone(),
            pattern: declaration.pattern.as_deref().map(compile),
        }
    }

    /// In this order: too long, too short, none of the texts, not as the pattern.
    pub(super) fn check(&self, text: &str) -> Result<(), Fault> {
        check_bytes(text, self.max_bytes)?;
        if text.len() < self.min_bytes {
            let (least, got) = (self.min_bytes, text.len());
            let what = format!("expected at least {least} bytes, got {got}");
            return Err(Fault::new(Kind::Size, what));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(text) {
            let expected = one_of(self.one_of.iter().map(String::as_str));
            let what = format!("expected {expected}, got \"{}\"", cut(text));
            return Err(Fault::new(Kind::OneOf, what));
        }
        match &self.pattern {
            Some(Ok(pattern)) if !pattern.is_match(text) => {
                let expected = cut(pattern.as_str());
                let what = format!("expected a match of {expected}, got \"{}\"", cut(text));
                Err(Fault::new(Kind::Pattern, what))
            }
            Some(Err(reason)) => Err(Fault::new(Kind::Pattern, reason.as_str())),
            _ => Ok(()),
        }
    }
}

/// Compiles a pattern.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        let bytes = pattern.len();
        return Err(format!(
            "it has {bytes} bytes, and at most {MAX_PATTERN_BYTES} are taken"
        ));
    }
    let mut builder = RegexBuilder::new(pattern);
    let compiled = builder.size_limit(MAX_COMPILED_BYTES).build();
    compiled.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{ArgType, rule::Rule},
        *,
    };

    fn text() -> ArgDeclaration {
        ArgDeclaration::new(ArgType::String)
    }

    #[track_caller]
    fn fault(declaration: &ArgDeclaration, sent: &str) -> Fault {
        let rule = Rule::new(declaration, &Limits::default());
        rule.check(&mut json!(sent)).unwrap_err()
    }

    #[test]
    fn a_text_is_held_to_its_least_bytes_its_choice_and_its_pattern() {
        let short = fault(&text().min_bytes(3), "ab");
        assert_eq!(short.what, "expected at least 3 bytes, got 2");
        assert_eq!(short.kind, Kind::Size);
        let other = fault(&text().one_of(["eu", "us", "asia"]), "mars");
        assert_eq!(other.what, r#"expected "asia", "eu" or "us", got "mars""#);
        assert_eq!(other.kind, Kind::OneOf);
        let odd = fault(&text().pattern("^[a-z]{2}$"), "abc");
        assert_eq!(odd.what, r#"expected a match of ^[a-z]{2}$, got "abc""#);
        assert_eq!(odd.kind, Kind::Pattern);
        let all = text().min_bytes(2).one_of(["ab"]).pattern("b");
        let rule = Rule::new(&all, &Limits::default());
        assert_eq!(rule.check(&mut json!("ab")), Ok(()));
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_a_fault_of_the_declaration() {
        let limits = Limits::default();
        for pattern in ["(", "a{1000}{1000}", &"a".repeat(1_001)] {
            let error = text().pattern(pattern).validate(&limits).unwrap_err();
            assert!(error.starts_with("its pattern cannot be used: "), "{error}");
            // In use all the same, it lets nothing pass.
            assert_eq!(fault(&text().pattern(pattern), "a").kind, Kind::Pattern);
        }
        assert_eq!(text().pattern(r"^\d+$").validate(&limits), Ok(()));
    }

    #[test]
    fn options_that_contradict_each_other_are_a_fault() {
        let limits = Limits::default();
        let number = || ArgDeclaration::new(ArgType::Num);
        let map = ArgDeclaration::new(ArgType::Map);
        for (declaration, reason) in [
            (number().min(2).max(1), "min 2 is greater than max 1"),
            (number().min("a"), "min must be a number"),
            (number().max(f64::NAN), "max must be a number"),
            (
                text().min_bytes(3).max_bytes(2),
                "min_bytes 3 is greater than max_bytes 2",
            ),
            (
                map.required(["a", "b"]).accept(["a"]),
                "the key \"b\" is required, but not accepted",
            ),
            (
                text().one_of(["a"]).default_value("b"),
                "its default is invalid: expected \"a\", got \"b\"",
            ),
        ] {
            assert_eq!(declaration.validate(&limits), Err(reason.to_owned()));
        }
        assert_eq!(text().min(2).max(1).validate(&limits), Ok(()));
    }
}

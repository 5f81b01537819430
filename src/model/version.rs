//! The order of function versions (specification, section 11).
//!
//! ```
//! use std::cmp::Ordering;
//! use gen_api::model::version;
//!
//! assert_eq!(version::compare("9.0.0", "10.0.0"), Ordering::Less);
//! assert_eq!(version::compare("2.0.0", "2.0.0-rc.1"), Ordering::Greater);
//! assert_eq!(version::compare("0.0.1", "nightly"), Ordering::Greater);
//! assert_eq!(version::effective(Some("0.0.0")), None);
//! ```

use std::cmp::Ordering;

use semver::Version;

/// The version that stands for "no version".
pub const RESERVED_VERSION: &str = "0.0.0";

/// The version that is really meant: none where it is absent, empty or [`RESERVED_VERSION`].
#[must_use]
pub fn effective(version: Option<&str>) -> Option<&str> {
    version.filter(|version| !version.is_empty() && *version != RESERVED_VERSION)
}

/// Which of two versions is the later one; [`VersionRank`] says by which rules.
#[must_use]
pub fn compare(left: &str, right: &str) -> Ordering {
    VersionRank::new(left).cmp(&VersionRank::new(right))
}

/// The place of a version among others, worked out once for those who compare often.
///
/// Semantic versions are ordered by their precedence: numbers as numbers, a pre-release before its release, build
/// metadata ignored. Every text that is no semantic version ranks below all that are; among themselves they are
/// ordered as texts. Versions of the same precedence are told apart by their text, so that the order is total and
/// the latest version never depends on the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRank {
    semantic: Option<Version>,
    text: String,
}

impl VersionRank {
    /// The place of this version.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self {
            semantic: Version::parse(version).ok(),
            text: version.to_owned(),
        }
    }

    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Ord for VersionRank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_precedence = match (&self.semantic, &other.semantic) {
            (Some(left), Some(right)) => left.cmp_precedence(right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        };
        by_precedence.then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for VersionRank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_stand_in_the_order_of_their_precedence() {
        let ordered = [
            "",
            "1.0",
            "v9.9.9",
            "0.0.1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.9.9",
            "1.10.0",
            "2.0.0-alpha",
            "9.0.0",
            "10.0.0",
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn build_metadata_never_outranks_anything_else() {
        assert_eq!(compare("1.0.0+zzz", "1.0.1"), Ordering::Less);
        assert_eq!(compare("1.0.0-rc.1+9", "1.0.0+1"), Ordering::Less);
        assert_ne!(compare("1.0.0+a", "1.0.0+b"), Ordering::Equal);
    }

    #[test]
    fn the_reserved_and_the_empty_version_are_none() {
        assert_eq!(effective(None), None);
        assert_eq!(effective(Some("")), None);
        assert_eq!(effective(Some(RESERVED_VERSION)), None);
        assert_eq!(effective(Some("0.0.0-rc.1")), Some("0.0.0-rc.1"));
        assert_eq!(effective(Some("0.0.1")), Some("0.0.1"));
    }

    fn any_version() -> impl Strategy<Value = String> {
        prop_oneof![
            r"[0-3]\.[0-3]\.[0-3](-(a|b|1|2)(\.(0|1|10|x))?)?(\+[a1]{1,2})?",
            r"v?[0-2](\.[0-2]){0,2}",
            ".{0,5}",
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn numbers_are_compared_as_numbers(left: [u32; 3], right: [u32; 3]) {
            let text = |[major, minor, patch]: [u32; 3]| format!("{major}.{minor}.{patch}");
            prop_assert_eq!(compare(&text(left), &text(right)), left.cmp(&right));
        }

        #[test]
        fn what_is_no_semantic_version_ranks_below_every_one(
            odd in any_version().prop_filter("semantic", |text| Version::parse(text).is_err()),
            numbers: [u32; 3],
        ) {
            let [major, minor, patch] = numbers;
            let lowest = format!("{major}.{minor}.{patch}-0");
            prop_assert!(compare(&odd, &lowest).is_lt());
        }
    }
}

//! The configs that were refused, for people to look at.
//!
//! ```
//! use std::sync::Arc;
//! use gen_api::{clock::ManualClock, config::{FailedConfigs, FailedFilter}};
//!
//! let failed = FailedConfigs::new(Arc::new(ManualClock::new()));
//! assert!(failed.list(&FailedFilter::default().of_service("UserService")).is_empty());
//! ```

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AddError;
use crate::{clock::Clock, model::Fault, node::Address, text_table::TextTable};

/// How long a note is kept (specification, section 11).
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How many notes are kept; above that the oldest go (specification, section 11).
const MAX_NOTES: usize = 1_000;

/// The longest name of a note, in characters; the names come from outside and prove nothing yet.
const NAME_CHARS: usize = 200;

/// How many reasons of one config are kept.
const MAX_REASONS: usize = 20;

/// The longest reason, in characters.
const REASON_CHARS: usize = 400;

/// The notes about refused configs: for 24 hours, at most 1 000 (specification, section 11). Clones share the notes.
///
/// Prints as a table of all notes, the newest first.
#[derive(Clone)]
pub struct FailedConfigs {
    clock: Arc<dyn Clock>,
    /// The oldest first.
    notes: Arc<Mutex<VecDeque<FailedConfig>>>,
}

/// A note about a refused config. Overlong names and reasons are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedConfig {
    /// The service it was for, where it names one.
    pub service: Option<String>,
    /// Its request type, where it names one.
    pub request_type: Option<String>,
    /// Its version, where it names one.
    pub version: Option<String>,
    /// How it came.
    pub source: FailedSource,
    /// The node it came from, where that is known.
    pub node: Option<Address>,
    /// Why it was refused: every fault.
    pub reasons: Vec<String>,
    /// When it was refused, by the engine's clock.
    pub at: Duration,
}

/// How a refused config came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailedSource {
    /// A pull fetched it.
    Pull,
    /// A service node pushed it.
    Push,
    /// This process added it.
    Local,
}

impl fmt::Display for FailedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Local => "local",
        })
    }
}

/// Which notes to list; by default all, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FailedFilter {
    /// Only those that came this way.
    pub source: Option<FailedSource>,
    /// Only those of this service.
    pub service: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Which come first.
    pub order: FailedOrder,
}

/// In which order notes are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailedOrder {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

impl FailedFilter {
    /// Only notes of configs that came this way.
    #[must_use]
    pub fn from_source(mut self, source: FailedSource) -> Self {
        self.source = Some(source);
        self
    }

    /// Only notes about this service.
    #[must_use]
    pub fn of_service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// At most so many notes.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The oldest notes first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.order = FailedOrder::OldestFirst;
        self
    }

    fn admits(&self, note: &FailedConfig) -> bool {
        self.source.is_none_or(|source| source == note.source)
            && (self.service.is_none() || self.service == note.service)
    }
}

impl FailedConfigs {
    /// No notes yet; time is that of this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            notes: Arc::default(),
        }
    }

    /// The notes that the filter asks for.
    #[must_use]
    pub fn list(&self, filter: &FailedFilter) -> Vec<FailedConfig> {
        self.sweep();
        let notes = self.notes.lock();
        let admitted = notes.iter().filter(|note| filter.admits(note)).cloned();
        let limit = filter.limit.unwrap_or(usize::MAX);
        match filter.order {
            FailedOrder::NewestFirst => admitted.rev().take(limit).collect(),
            FailedOrder::OldestFirst => admitted.take(limit).collect(),
        }
    }

    /// How many notes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sweep();
        self.notes.lock().len()
    }

    /// Forgets all notes.
    pub fn clear(&self) {
        self.notes.lock().clear();
    }

    /// Forgets the notes whose day is over.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let mut notes = self.notes.lock();
        while notes
            .front()
            .is_some_and(|note| now.saturating_sub(note.at) >= TTL)
        {
            notes.pop_front();
        }
    }

    /// Notes a refused config.
    pub(super) fn note(&self, refused: Refused<'_>) {
        let name = |name: Option<&str>| name.map(|name| cut(name, NAME_CHARS));
        let reasons = refused.reasons.iter().take(MAX_REASONS);
        let note = FailedConfig {
            service: name(refused.service),
            request_type: name(refused.request_type),
            version: name(refused.version),
            source: refused.source,
            node: refused.node.cloned(),
            reasons: reasons.map(|reason| cut(reason, REASON_CHARS)).collect(),
            at: self.clock.now(),
        };
        tracing::warn!(
            service = note.service,
            request_type = note.request_type,
            version = note.version,
            source = %note.source,
            node = note.node.as_ref().map(Address::as_str),
            reasons = ?note.reasons,
            "refused a config",
        );
        let mut notes = self.notes.lock();
        notes.push_back(note);
        if notes.len() > MAX_NOTES {
            notes.pop_front();
        }
    }
}

/// What there is to note about a refused config.
pub(super) struct Refused<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) request_type: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) source: FailedSource,
    pub(super) node: Option<&'a Address>,
    pub(super) reasons: Vec<String>,
}

impl<'a> Refused<'a> {
    /// A refused config in its JSON form, which need not even be an object.
    pub(super) fn of_json(config: &'a Value, source: FailedSource, reasons: Vec<String>) -> Self {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        Self {
            service: text("service"),
            request_type: text("request_type"),
            version: text("version"),
            source,
            node: None,
            reasons,
        }
    }
}

/// All reasons for which a config was not stored.
pub(super) fn reasons(error: &AddError) -> Vec<String> {
    match error {
        AddError::Invalid(invalid) => invalid.faults.iter().map(Fault::to_string).collect(),
        error => vec![error.to_string()],
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for FailedConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .number("seconds ago")
            .text("source")
            .text("node")
            .text("service")
            .text("request type")
            .text("version")
            .text("reasons");
        let now = self.clock.now();
        for note in self.list(&FailedFilter::default()) {
            let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                now.saturating_sub(note.at).as_secs().to_string(),
                note.source.to_string(),
                known(note.node.map(|node| node.to_string())),
                known(note.service),
                known(note.request_type),
                known(note.version),
                note.reasons.join("; "),
            ]);
        }
        table.fmt(f)
    }
}

impl fmt::Debug for FailedConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedConfigs")
            .field("notes", &self.notes.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn notes() -> (FailedConfigs, ManualClock) {
        let clock = ManualClock::new();
        (FailedConfigs::new(Arc::new(clock.clone())), clock)
    }

    fn refused<'a>(service: &'a str, request_type: &'a str, source: FailedSource) -> Refused<'a> {
        Refused {
            service: Some(service),
            request_type: Some(request_type),
            version: None,
            source,
            node: None,
            reasons: vec!["timeout: too short".to_owned()],
        }
    }

    fn types(failed: &FailedConfigs, filter: &FailedFilter) -> Vec<String> {
        let notes = failed.list(filter).into_iter();
        notes.filter_map(|note| note.request_type).collect()
    }

    #[test]
    fn notes_are_listed_the_newest_first_as_the_filter_asks() {
        let (failed, _) = notes();
        failed.note(refused("users", "a", FailedSource::Push));
        failed.note(refused("shop", "b", FailedSource::Pull));
        failed.note(refused("users", "c", FailedSource::Pull));
        let all = FailedFilter::default();
        assert_eq!(types(&failed, &all), ["c", "b", "a"]);
        let of = |filter: FailedFilter| types(&failed, &filter);
        assert_eq!(of(all.clone().of_service("users")), ["c", "a"]);
        assert_eq!(of(all.clone().from_source(FailedSource::Pull)), ["c", "b"]);
        assert_eq!(of(all.clone().oldest_first().with_limit(2)), ["a", "b"]);
        assert_eq!(of(all.from_source(FailedSource::Local)), [""; 0]);
    }

    #[test]
    fn a_note_is_kept_for_a_day() {
        let (failed, clock) = notes();
        failed.note(refused("users", "a", FailedSource::Push));
        clock.advance(TTL - Duration::from_millis(1));
        failed.note(refused("users", "b", FailedSource::Push));
        assert_eq!(failed.count(), 2);
        clock.advance(Duration::from_millis(1));
        assert_eq!(types(&failed, &FailedFilter::default()), ["b"]);
    }

    #[test]
    fn above_a_thousand_the_oldest_notes_go() {
        let (failed, _) = notes();
        for number in 0..1_005 {
            failed.note(refused("users", &number.to_string(), FailedSource::Push));
        }
        assert_eq!(failed.count(), 1_000);
        let oldest = FailedFilter::default().oldest_first().with_limit(1);
        assert_eq!(types(&failed, &oldest), ["5"]);
        failed.clear();
        assert_eq!(failed.count(), 0);
    }

    #[test]
    fn the_notes_print_as_a_table_the_newest_first() {
        let (failed, clock) = notes();
        let node = Address::new("http://a:1").unwrap();
        failed.note(Refused {
            version: Some("1.0.0"),
            node: Some(&node),
            reasons: vec!["timeout: too short".to_owned(), "mfa: missing".to_owned()],
            ..refused("users", "a", FailedSource::Pull)
        });
        clock.advance(Duration::from_millis(61_500));
        failed.note(refused("shop", "list", FailedSource::Local));
        let expected = "\
seconds ago  source  node        service  request type  version  reasons
          0  local   -           shop     list          -        timeout: too short
         61  pull    http://a:1  users    a             1.0.0    timeout: too short; mfa: missing";
        assert_eq!(failed.to_string(), expected);
    }

    #[test]
    fn what_comes_from_outside_cannot_make_a_note_large() {
        let (failed, _) = notes();
        let long = "ü".repeat(100_000);
        failed.note(Refused {
            reasons: vec![long.clone(); 1_000],
            ..refused(&long, &long, FailedSource::Push)
        });
        let note = failed.list(&FailedFilter::default()).remove(0);
        assert_eq!(note.service.unwrap().chars().count(), NAME_CHARS + 1);
        assert_eq!(note.reasons.len(), MAX_REASONS);
        assert_eq!(note.reasons[0].chars().count(), REASON_CHARS + 1);
    }
}

//! Settings from several sources, the later ones over the earlier ones.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    Settings,
    error::{InvalidSettings, SettingFault, SettingsError},
    read::readable_part,
};

/// How the names of the environment variables begin.
const PREFIX: &str = "GEN_API__";
/// What stands between section and key in the name of a variable.
const SEPARATOR: &str = "__";

/// Loads settings from files, texts and variables; made by [`Settings::loader`].
///
/// A later source overrides an earlier one key by key; a list replaces a list as a whole. What no source names has its
/// default.
///
/// ```
/// use gen_api::Settings;
///
/// let settings = Settings::loader()
///     .toml("[streams]\nbuffer = 64\n[engine]\nthreads = 2")
///     .variables([("GEN_API__ENGINE__THREADS", "3")])
///     .load()?;
/// assert_eq!((settings.streams.buffer, settings.engine.threads), (64, 3));
/// # Ok::<(), gen_api::settings::SettingsError>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is read until `load`"]
pub struct SettingsLoader {
    sources: Vec<Source>,
}

enum Source {
    File(PathBuf),
    Toml(String),
    Environment,
    Variables(Vec<(OsString, OsString)>),
}

impl SettingsLoader {
    /// Adds a TOML file, which must exist.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.source(Source::File(path.as_ref().to_owned()))
    }

    /// Adds a TOML text.
    pub fn toml(self, text: impl Into<String>) -> Self {
        self.source(Source::Toml(text.into()))
    }

    /// Adds the environment of the process: see [`variables`](Self::variables).
    pub fn environment(self) -> Self {
        self.source(Source::Environment)
    }

    /// Adds variables named `GEN_API__SECTION__KEY`; all others are ignored.
    ///
    /// The value is taken as it is where the setting is a text, and is a TOML value otherwise: `8`, `true`,
    /// `["Users", ["Orders", "list"]]`.
    pub fn variables<N, V>(self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        self.source(Source::Variables(variables.collect()))
    }

    /// Reads all sources and validates what comes of them.
    ///
    /// # Errors
    ///
    /// [`SettingsError::File`] and [`SettingsError::Syntax`] for the first source that is no TOML at all, else
    /// [`SettingsError::Invalid`] with every unknown key and bad value of all sources.
    pub fn load(self) -> Result<Settings, SettingsError> {
        let mut merged = Table::new();
        let mut faults = Vec::new();
        for source in self.sources {
            let (readable, unreadable) = match source {
                Source::File(path) => match fs::read_to_string(&path) {
                    Ok(text) => readable_part(parse(&text, &path.display().to_string())?),
                    Err(reason) => return Err(SettingsError::File { path, reason }),
                },
                Source::Toml(text) => readable_part(parse(&text, "the settings")?),
                Source::Environment => of_variables(env::vars_os().collect()),
                Source::Variables(variables) => of_variables(variables),
            };
            merge(&mut merged, readable);
            faults.extend(unreadable);
        }
        let settings = match Settings::from_table(merged) {
            Ok(settings) => settings,
            Err(fault) => {
                faults.push(fault);
                Settings::default()
            }
        };
        if let Err(invalid) = settings.validate() {
            faults.extend(invalid.faults);
        }
        InvalidSettings::unless_empty(faults)?;
        Ok(settings)
    }

    fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }
}

impl std::fmt::Debug for Source {
    /// Names the source only: what it holds may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Toml(_) => f.write_str("Toml(..)"),
            Self::Environment => f.write_str("Environment"),
            Self::Variables(_) => f.write_str("Variables(..)"),
        }
    }
}

fn parse(text: &str, source_name: &str) -> Result<Table, SettingsError> {
    text.parse::<Table>().map_err(|error| {
        // The error's own form quotes the line, and with it whatever secret stands there.
        let before = error.span().and_then(|span| text.get(..span.start));
        let before = before.unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        SettingsError::Syntax {
            source_name: source_name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            reason: error.message().to_owned(),
        }
    })
}

/// The settings that the variables name, and the faults of those that cannot be read.
fn of_variables(mut variables: Vec<(OsString, OsString)>) -> (Table, Vec<SettingFault>) {
    variables.sort_unstable();
    let mut merged = Table::new();
    let mut faults = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match of_variable(path, value) {
            Ok(readable) => merge(&mut merged, readable),
            Err(found) => {
                let found = found.into_iter();
                faults.extend(found.map(|fault| fault.of_variable(&name)));
            }
        }
    }
    (merged, faults)
}

/// The tree with this one setting.
fn of_variable(path: &str, value: OsString) -> Result<Table, Vec<SettingFault>> {
    let path = path.to_lowercase();
    let keys: Vec<_> = path.split(SEPARATOR).collect();
    let fault = |reason: &str| vec![SettingFault::new(keys.join("."), reason)];
    if keys.len() < 2 || keys.iter().any(|key| key.is_empty()) {
        return Err(fault("a variable is named GEN_API__SECTION__KEY"));
    }
    let Ok(text) = value.into_string() else {
        return Err(fault("the value is no valid UTF-8"));
    };
    let read = |value: Value| {
        let mut tree = value;
        for key in keys.iter().rev() {
            tree = Value::Table(Table::from_iter([((*key).to_owned(), tree)]));
        }
        let Value::Table(table) = tree else {
            return Ok(Table::new());
        };
        let (readable, faults) = readable_part(table);
        if faults.is_empty() {
            Ok(readable)
        } else {
            Err(faults)
        }
    };
    // A text first: a token of digits is a token.
    read(Value::String(text.clone())).or_else(|as_text| match text.parse::<Value>() {
        Ok(value) => read(value),
        Err(_) => Err(as_text),
    })
}

/// Puts `over` over `under`, key by key.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

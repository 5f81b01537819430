//! The arguments of the programs: `--name value`, each name any number of times.

use std::str::FromStr;

/// What a program was started with.
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Those of this process; only these names are known.
    ///
    /// # Errors
    /// What is not of the form `--name value`, or not known.
    pub fn of_process(known: &[&str]) -> Result<Self, String> {
        let mut given = std::env::args().skip(1);
        let mut read = Vec::new();
        while let Some(name) = given.next() {
            let name = name.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| format!("only these are known: {known:?}"))?;
            let value = given
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            read.push((name.to_owned(), value));
        }
        Ok(Self(read))
    }

    /// All values of this name, as they were given.
    pub fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(given, _)| given == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    /// The last value of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().rev().find(|(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The last value of this name in the type it has to have.
    ///
    /// # Errors
    /// A value that is none of this type.
    pub fn read<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let read = self.text(name).map(str::parse).transpose();
        read.map_err(|_| format!("--{name} has a value of another kind"))
    }
}

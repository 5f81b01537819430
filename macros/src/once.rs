//! An option that may be given once.

use proc_macro2::Span;
use syn::{Error, Result, meta::ParseNestedMeta, parse::Parse, spanned::Spanned};

/// The value of an option, and where it stands.
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// An option: not given, or given once.
pub(crate) struct Once<T>(Option<Given<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Once<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|given| &given.value)
    }

    pub(crate) fn into_value(self) -> Option<T> {
        self.0.map(|given| given.value)
    }

    pub(crate) fn given(&self) -> Option<&Given<T>> {
        self.0.as_ref()
    }

    /// Takes a value that was read already.
    pub(crate) fn set(&mut self, meta: &ParseNestedMeta<'_>, value: T) -> Result<()> {
        let span = meta.path.span();
        match self.0.replace(Given { value, span }) {
            None => Ok(()),
            Some(_) => Err(Error::new(span, "this is said twice")),
        }
    }
}

impl<T: Parse> Once<T> {
    /// Takes what stands behind `=`.
    pub(crate) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let value = meta.value()?.parse()?;
        self.set(meta, value)
    }
}

impl Once<()> {
    /// Takes an option without a value.
    pub(crate) fn flag(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        self.set(meta, ())
    }
}

/// The name of an option, keywords included.
pub(crate) fn name_of(meta: &ParseNestedMeta<'_>) -> String {
    meta.path
        .get_ident()
        .map(ToString::to_string)
        .unwrap_or_default()
}

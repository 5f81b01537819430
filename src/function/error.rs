//! How a function says that it failed.

use std::fmt::{self, Display};

use crate::arguments::{ArgumentError, cut};

/// The failure of a function: a text, and who may read it.
///
/// Anything with a [`Display`] turns into it, so `?` works on every error type; that is why it has no `Display` of its
/// own (read [`message`](Self::message)). Such a failure is an internal one: clients see a general text unless the
/// setting `detail_error` is on, and retry may act on it. A business answer ("no such user") is marked with
/// [`public`](Self::public): it reaches the client as its own text in every setting and is not retried (specification, section 3).
///
/// ```
/// use gen_api::function::FunctionError;
///
/// fn age(text: &str) -> Result<u8, FunctionError> {
///     if text.is_empty() {
///         return Err(FunctionError::public("an age is needed"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert!(age("").is_err_and(|error| error.is_public()));
/// assert!(age("x").is_err_and(|error| error.message() == "invalid digit found in string"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    kind: FunctionErrorKind,
    message: String,
}

/// What sort of failure a [`FunctionError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FunctionErrorKind {
    /// The function failed; the text is for the log.
    Failed,
    /// The function gave a negative answer that is meant for the client.
    Public,
    /// The call does not fit the function, by a fault of its config: too few or too many arguments, or a predefined one of a
    /// wrong type.
    Arguments,
    /// The function cannot take an argument of the request; the text names it and is meant for the client.
    InvalidArgument,
    /// The function panicked; the text is the panic's, for the log alone.
    Panicked,
    /// No thread was free for a blocking function; the text is for the log, and the client may try again.
    Busy,
}

impl FunctionError {
    /// An internal failure, to be logged and perhaps retried. The same as converting with `?` or [`From`].
    #[must_use]
    pub fn failed(text: impl Display) -> Self {
        Self::new(FunctionErrorKind::Failed, text.to_string())
    }

    /// A negative answer whose text is meant for the client and which no retry changes.
    #[must_use]
    pub fn public(text: impl Display) -> Self {
        Self::new(FunctionErrorKind::Public, text.to_string())
    }

    /// An argument of the request that the function cannot take, told to the client as `invalid argument "ARG": WHAT` (specification,
    /// section 4). Typed functions report what serde cannot read; `what` says what was expected and what came.
    #[must_use]
    pub fn invalid_argument(arg: &str, what: impl Display) -> Self {
        let text = format!("invalid argument \"{}\": {what}", cut(arg));
        Self::new(FunctionErrorKind::InvalidArgument, text)
    }

    /// The call does not fit the function, which is no fault of its caller: clients see a general text.
    #[must_use]
    pub fn arguments(text: impl Display) -> Self {
        Self::new(FunctionErrorKind::Arguments, text.to_string())
    }

    /// A caught panic, with its text.
    pub(crate) fn panicked(text: String) -> Self {
        Self::new(FunctionErrorKind::Panicked, text)
    }

    /// No thread was free.
    pub(super) fn busy(text: String) -> Self {
        Self::new(FunctionErrorKind::Busy, text)
    }

    pub(super) fn of_argument(error: &ArgumentError) -> Self {
        Self::new(FunctionErrorKind::InvalidArgument, error.to_string())
    }

    fn new(kind: FunctionErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// Whether the text is meant for the client.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.kind == FunctionErrorKind::Public
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> FunctionErrorKind {
        self.kind
    }

    /// The text, as the function gave it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The text, without a copy.
    #[must_use]
    pub fn into_message(self) -> String {
        self.message
    }
}

impl<E: fmt::Display> From<E> for FunctionError {
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_displayable_error_becomes_an_internal_failure_with_its_text() {
        let error = FunctionError::from(std::io::Error::other("disk on fire"));
        assert_eq!(error.message(), "disk on fire");
        assert_eq!(error.kind(), FunctionErrorKind::Failed);
        assert!(!error.is_public());
    }

    #[test]
    fn a_public_error_stays_public_through_the_question_mark() {
        fn inner() -> Result<(), FunctionError> {
            Err(FunctionError::public("no such user"))
        }
        fn outer() -> Result<(), FunctionError> {
            inner()?;
            Ok(())
        }
        let error = outer().unwrap_err();
        assert!(error.is_public());
        assert_eq!(error.into_message(), "no such user");
    }
}

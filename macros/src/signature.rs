//! Whether a function can be called with the arguments of a request, and how.

use proc_macro2::{Ident, Span};
use quote::quote;
use syn::{Error, FnArg, ReturnType, Signature, Type, spanned::Spanned};

use crate::{
    options::{Options, Permission, ResponseMode},
    parameter::Parameter,
};

/// As many parameters as a handler can have.
const MOST_PARAMETERS: usize = 8;

/// How a function is registered: the name of the constructor of `ApiFunction`.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Async,
    Blocking,
    Streaming,
}

impl Kind {
    pub(crate) fn constructor(self) -> Ident {
        let name = match self {
            Self::Async => "new",
            Self::Blocking => "blocking",
            Self::Streaming => "streaming",
        };
        Ident::new(name, Span::call_site())
    }
}

/// The parameters, and how to register the function.
///
/// # Errors
/// All faults of the signature together.
pub(crate) fn read(
    signature: &Signature,
    options: Option<&Options>,
) -> syn::Result<(Vec<Parameter>, Kind)> {
    let mut faults = Faults::default();
    qualifiers(signature, &mut faults);
    returned(signature, &mut faults);
    let mut parameters = Vec::new();
    for (index, input) in signature.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(receiver) => faults.add(Error::new_spanned(
                receiver,
                "an API function is no method: take shared data as a `State<T>` parameter",
            )),
            FnArg::Typed(_) if index == MOST_PARAMETERS => faults.add(Error::new_spanned(
                input,
                "an API function has at most 8 parameters: take several arguments as one struct, with `#[arg(type = map)]`",
            )),
            FnArg::Typed(typed) => match Parameter::parse(typed) {
                Ok(parameter) => parameters.push(parameter),
                Err(fault) => faults.add(fault),
            },
        }
    }
    names(&parameters, options, &mut faults);
    let kind = match options {
        Some(options) => kind(signature, &parameters, options, &mut faults),
        None => Kind::Async,
    };
    faults.none().map(|()| (parameters, kind))
}

fn qualifiers(signature: &Signature, faults: &mut Faults) {
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        faults.add(Error::new_spanned(
            generics,
            "an API function is not generic: it is registered once, with its own types",
        ));
    } else if let Some(clause) = &generics.where_clause {
        faults.add(Error::new_spanned(clause, "an API function is not generic"));
    }
    for found in [
        signature.constness.as_ref().map(|token| quote!(#token)),
        signature.unsafety.as_ref().map(|token| quote!(#token)),
        signature.abi.as_ref().map(|token| quote!(#token)),
        signature.variadic.as_ref().map(|token| quote!(#token)),
    ]
    .into_iter()
    .flatten()
    {
        faults.add(Error::new_spanned(
            found,
            "an API function is a plain `async fn`, or a plain `fn` with the option `blocking`",
        ));
    }
}

fn returned(signature: &Signature, faults: &mut Faults) {
    const RULE: &str =
        "an API function returns a `Result<T, E>`, with `T: Serialize` and `E: Display`";
    match &signature.output {
        ReturnType::Default => faults.add(Error::new(signature.ident.span(), RULE)),
        ReturnType::Type(_, ty)
            if matches!(**ty, Type::Tuple(_) | Type::Reference(_) | Type::Never(_)) =>
        {
            faults.add(Error::new_spanned(ty, RULE));
        }
        ReturnType::Type(..) => {}
    }
}

fn names(parameters: &[Parameter], options: Option<&Options>, faults: &mut Faults) {
    let mut known = Vec::new();
    for argument in parameters.iter().filter_map(Parameter::argument) {
        if known.contains(&argument.name.as_str()) {
            faults.add(Error::new(
                argument.span,
                format_args!("there is an argument `{}` already", argument.name),
            ));
        }
        known.push(&argument.name);
    }
    let permission = options.and_then(|options| options.permission.get());
    if let Some(Permission::Arg(name)) = permission
        && !known.contains(&name.value().as_str())
    {
        faults.add(Error::new(
            name.span(),
            format_args!(
                "there is no argument `{}`, so nobody could call",
                name.value()
            ),
        ));
    }
}

fn kind(
    signature: &Signature,
    parameters: &[Parameter],
    options: &Options,
    faults: &mut Faults,
) -> Kind {
    let handle = parameters.iter().find_map(Parameter::stream_handle);
    let streams = options.response.get() == Some(&ResponseMode::Stream);
    if let (Some(ty), false) = (handle, streams) {
        faults.add(Error::new(
            ty.span(),
            "a stream handle is for a function that streams: add the option `stream`",
        ));
    }
    match (&signature.asyncness, options.blocking.given()) {
        (None, None) => faults.add(Error::new(
            signature.fn_token.span,
            "an API function is an `async fn`; one that blocks its thread has the option `blocking`",
        )),
        (Some(token), Some(_)) => faults.add(Error::new(
            token.span,
            "a function with the option `blocking` is no `async fn`",
        )),
        (None, Some(blocking)) if streams && handle.is_none() => faults.add(Error::new(
            blocking.span,
            "a blocking function streams through a `StreamHandle` parameter",
        )),
        _ => {}
    }
    match (options.blocking.get(), streams && handle.is_none()) {
        (Some(()), _) => Kind::Blocking,
        (None, true) => Kind::Streaming,
        (None, false) => Kind::Async,
    }
}

/// Faults of one signature, reported together.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn add(&mut self, fault: Error) {
        match &mut self.0 {
            Some(first) => first.combine(fault),
            none => *none = Some(fault),
        }
    }

    fn none(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

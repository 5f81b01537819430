//! The parameters of a function: arguments of the request, or what the engine provides.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Pat, PatType, Result, Type, ext::IdentExt, spanned::Spanned};

use crate::{
    argument::ArgOptions,
    owned::{check_owned, last_name},
};

/// The types that take no argument, by name: a macro sees no more of a type.
const PROVIDED: [&str; 3] = ["RequestInfo", "State", STREAM_HANDLE];
const STREAM_HANDLE: &str = "StreamHandle";

pub(crate) enum Parameter {
    /// Takes an argument of the request.
    Argument(Box<Argument>),
    /// Takes none.
    Provided(Box<Type>),
}

pub(crate) struct Argument {
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) span: Span,
    ty: Box<Type>,
    options: ArgOptions,
}

impl Parameter {
    pub(crate) fn parse(parameter: &PatType) -> Result<Self> {
        if let Some(cfg) = parameter.attrs.iter().find(|attr| is_cfg(attr.path())) {
            return Err(Error::new_spanned(
                cfg,
                "the parameters of an API function are the same in every build: put `cfg` on the function",
            ));
        }
        let ty = parameter.ty.clone();
        let options = match ArgOptions::parse(&parameter.attrs)? {
            Some(options) if options.skip.get().is_some() => return Ok(Self::Provided(ty)),
            Some(options) => options,
            None if is_provided(&ty) => return Ok(Self::Provided(ty)),
            None => ArgOptions::default(),
        };
        check_owned(&ty)?;
        let (name, span) = match (options.name.given(), &*parameter.pat) {
            (Some(name), _) => (name.value.value(), name.value.span()),
            (None, Pat::Ident(pattern)) => {
                (pattern.ident.unraw().to_string(), pattern.ident.span())
            }
            (None, pattern) => {
                return Err(Error::new_spanned(
                    pattern,
                    "an argument needs a name: write `name: Type`, or give it with `#[arg(name = \"..\")]`",
                ));
            }
        };
        Ok(Self::Argument(Box::new(Argument {
            name,
            span,
            ty,
            options,
        })))
    }

    pub(crate) fn argument(&self) -> Option<&Argument> {
        match self {
            Self::Argument(argument) => Some(argument),
            Self::Provided(_) => None,
        }
    }

    /// The type, where it is a stream handle.
    pub(crate) fn stream_handle(&self) -> Option<&Type> {
        match self {
            Self::Provided(ty) if last_name(ty).is_some_and(|name| name == STREAM_HANDLE) => {
                Some(ty)
            }
            _ => None,
        }
    }

    /// Checks, made by the compiler, that the parameter takes as many arguments as it looks like.
    pub(crate) fn assertions(&self, krate: &TokenStream) -> TokenStream {
        let parameter = quote!(#krate::function::Parameter);
        match self {
            Self::Argument(argument) => {
                let Argument { ty, options, .. } = &**argument;
                let own = options.assertions(krate, ty);
                let takes_one = quote_spanned!(ty.span()=>
                    const _: () = ::core::assert!(
                        <#ty as #parameter>::ARGUMENTS == 1,
                        "this takes no argument of the request: mark it with `#[arg(skip)]`",
                    );
                );
                quote!(#takes_one #own)
            }
            Self::Provided(ty) => quote_spanned!(ty.span()=>
                const _: () = ::core::assert!(
                    <#ty as #parameter>::ARGUMENTS == 0,
                    "this takes an argument of the request: mark it with `#[arg]`",
                );
            ),
        }
    }
}

impl Argument {
    /// The call on the builder of the config that declares it.
    pub(crate) fn declaration(&self, krate: &TokenStream) -> TokenStream {
        let name = &self.name;
        let declaration = self.options.declaration(krate, &self.ty);
        quote!(.arg(#name, #declaration))
    }
}

fn is_provided(ty: &Type) -> bool {
    last_name(ty).is_some_and(|name| PROVIDED.contains(&name.as_str()))
}

fn is_cfg(path: &syn::Path) -> bool {
    path.is_ident("cfg") || path.is_ident("cfg_attr")
}

//! Types that a function can own: the arguments belong to one call.

use quote::ToTokens;
use syn::{Error, GenericArgument, PathArguments, Result, Type, TypeReference};

/// Refuses what borrows or is not named, anywhere in the type.
pub(crate) fn check_owned(ty: &Type) -> Result<()> {
    match ty {
        Type::Reference(reference) => Err(Error::new_spanned(
            ty,
            format_args!(
                "an API function owns its arguments: take `{}`",
                owned_form(reference)
            ),
        )),
        Type::ImplTrait(_) => Err(Error::new_spanned(
            ty,
            "an API function names the types of its arguments: no `impl Trait`",
        )),
        Type::Path(path) => path.path.segments.iter().try_for_each(|segment| {
            let PathArguments::AngleBracketed(generics) = &segment.arguments else {
                return Ok(());
            };
            generics.args.iter().try_for_each(|generic| match generic {
                GenericArgument::Type(inner) => check_owned(inner),
                GenericArgument::Lifetime(lifetime) => Err(Error::new_spanned(
                    lifetime,
                    "an API function owns its arguments: take a type without a lifetime",
                )),
                _ => Ok(()),
            })
        }),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(check_owned),
        Type::Array(array) => check_owned(&array.elem),
        Type::Slice(slice) => check_owned(&slice.elem),
        Type::Group(group) => check_owned(&group.elem),
        Type::Paren(paren) => check_owned(&paren.elem),
        _ => Ok(()),
    }
}

/// What to write instead of a reference.
fn owned_form(reference: &TypeReference) -> String {
    let code = |tokens: &dyn ToTokens| tokens.to_token_stream().to_string().replace(' ', "");
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Path(path) if path.path.is_ident("Path") => "PathBuf".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", code(&slice.elem)),
        other => code(other),
    }
}

/// The last name of a type's path: `State` of `gen_api::function::State<Db>`.
pub(crate) fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string()),
        Type::Group(group) => last_name(&group.elem),
        Type::Paren(paren) => last_name(&paren.elem),
        _ => None,
    }
}

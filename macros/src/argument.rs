//! What `#[arg(..)]` says about a parameter.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, ExprArray, LitStr, Meta, Result, Type, ext::IdentExt,
    meta::ParseNestedMeta, spanned::Spanned,
};

use crate::{
    once::{Given, Once, name_of},
    owned::last_name,
};

const KNOWN: &str = "`name`, `default`, `type`, `min`, `max`, `min_bytes`, `max_bytes`, `one_of`, `pattern`, `max_items`, `max_item_bytes`, `required`, `accept`, `skip`";

/// The argument types by their names in a config, and as variants of `ArgType`.
const TYPES: [(&str, &str); 14] = [
    ("string", "String"),
    ("num", "Num"),
    ("integer", "Integer"),
    ("boolean", "Boolean"),
    ("uuid", "Uuid"),
    ("datetime", "Datetime"),
    ("naive_datetime", "NaiveDatetime"),
    ("list", "List"),
    ("list_string", "ListString"),
    ("list_num", "ListNum"),
    ("list_uuid", "ListUuid"),
    ("list_map", "ListMap"),
    ("map", "Map"),
    ("any", "Any"),
];

#[derive(Default)]
pub(crate) struct ArgOptions {
    pub(crate) name: Once<LitStr>,
    pub(crate) skip: Once<()>,
    default: Once<Expr>,
    /// The variant of `ArgType`.
    arg_type: Once<Ident>,
    min: Once<Expr>,
    max: Once<Expr>,
    min_bytes: Once<Expr>,
    max_bytes: Once<Expr>,
    one_of: Once<ExprArray>,
    pattern: Once<Expr>,
    max_items: Once<Expr>,
    max_item_bytes: Once<Expr>,
    required: Once<ExprArray>,
    accept: Once<ExprArray>,
}

impl ArgOptions {
    /// The options of a parameter; none where no attribute marks it as an argument.
    pub(crate) fn parse(attrs: &[Attribute]) -> Result<Option<Self>> {
        let mut options = None;
        for attr in attrs.iter().filter(|attr| is_arg(attr)) {
            let options = options.get_or_insert_with(Self::default);
            if !matches!(attr.meta, Meta::Path(_)) {
                attr.parse_nested_meta(|meta| options.read(&meta))?;
            }
        }
        if let Some(options) = &options {
            options.check()?;
        }
        Ok(options)
    }

    /// The declaration of an argument of this type.
    pub(crate) fn declaration(&self, krate: &TokenStream, ty: &Type) -> TokenStream {
        let arguments = quote!(#krate::arguments);
        let declared = match self.arg_type.get() {
            // Spanned as the type, so that the compiler's error stands there.
            None => quote_spanned!(ty.span()=> #arguments::ArgDeclaration::of::<#ty>()),
            Some(variant) => {
                let nil = last_name(ty).is_some_and(|name| name == "Option");
                let nil = nil.then(|| quote!(.allow_nil()));
                // A text that is read into an enum is one of its names.
                let is_choice = variant == "String" && self.one_of.get().is_none();
                let names = is_choice.then(|| quote!(.variants_of::<#ty>()));
                quote!(#arguments::ArgDeclaration::new(#arguments::ArgType::#variant) #names #nil)
            }
        };
        let default = self.default.get().map(|expr| quote!(.default_value(#expr)));
        let min = self.min.get().map(|expr| quote!(.min(#expr)));
        let max = self.max.get().map(|expr| quote!(.max(#expr)));
        let min_bytes = self.min_bytes.get().map(|expr| quote!(.min_bytes(#expr)));
        let max_bytes = self.max_bytes.get().map(|expr| quote!(.max_bytes(#expr)));
        let one_of = self.one_of.get().map(|texts| quote!(.one_of(#texts)));
        let pattern = self.pattern.get().map(|expr| quote!(.pattern(#expr)));
        let max_items = self.max_items.get().map(|expr| quote!(.max_items(#expr)));
        let max_item_bytes = self.max_item_bytes.get();
        let max_item_bytes = max_item_bytes.map(|expr| quote!(.max_item_bytes(#expr)));
        let required = self.required.get().map(|keys| quote!(.required(#keys)));
        let accept = self.accept.get().map(|keys| quote!(.accept(#keys)));
        quote!(#declared #default #min #max #min_bytes #max_bytes #one_of #pattern #max_items #max_item_bytes #required #accept)
    }

    /// Checks, made by the compiler, that the options mean something to the argument's type.
    pub(crate) fn assertions(&self, krate: &TokenStream, ty: &Type) -> TokenStream {
        let arguments = quote!(#krate::arguments);
        let arg_type = match self.arg_type.get() {
            None => quote!(<#ty as #arguments::ArgumentType>::TYPE),
            Some(variant) => quote!(#arguments::ArgType::#variant),
        };
        let assertion = |span, test: TokenStream, rule: &str| quote_spanned!(span=> const _: () = ::core::assert!(#arg_type.#test(), #rule););
        let of = |option: &Once<Expr>, test, rule| {
            option
                .given()
                .map(|given| assertion(given.span, test, rule))
        };
        let all_of = |option: &Once<ExprArray>, test, rule| {
            let given: Option<&Given<_>> = option.given();
            given.map(|given| assertion(given.span, test, rule))
        };
        let (bounds, text, keys) = (quote!(has_bounds), quote!(has_max_bytes), quote!(has_keys));
        let checks = [
            of(
                &self.min,
                bounds.clone(),
                "`min` is for an argument of the type `integer` or `num`",
            ),
            of(
                &self.max,
                bounds,
                "`max` is for an argument of the type `integer` or `num`",
            ),
            of(
                &self.min_bytes,
                text.clone(),
                "`min_bytes` is for an argument of the type `string`",
            ),
            of(
                &self.max_bytes,
                text.clone(),
                "`max_bytes` is for an argument of the type `string`",
            ),
            all_of(
                &self.one_of,
                text.clone(),
                "`one_of` is for an argument of the type `string`",
            ),
            of(
                &self.pattern,
                text,
                "`pattern` is for an argument of the type `string`",
            ),
            of(
                &self.max_items,
                quote!(has_max_items),
                "`max_items` is for lists and maps",
            ),
            of(
                &self.max_item_bytes,
                quote!(has_max_item_bytes),
                "`max_item_bytes` is for an argument of the type `list_string`",
            ),
            all_of(
                &self.required,
                keys.clone(),
                "`required` is for an argument of the type `map`",
            ),
            all_of(
                &self.accept,
                keys,
                "`accept` is for an argument of the type `map`",
            ),
        ];
        checks.into_iter().flatten().collect()
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match name_of(meta).as_str() {
            "name" => self.name.read(meta),
            "default" => self.default.read(meta),
            "type" => {
                let name = meta.value()?.call(Ident::parse_any)?;
                let variant = variant_of(&name)?;
                self.arg_type.set(meta, variant)
            }
            "min" => self.min.read(meta),
            "max" => self.max.read(meta),
            "min_bytes" => self.min_bytes.read(meta),
            "max_bytes" => self.max_bytes.read(meta),
            "one_of" => self.one_of.read(meta),
            "pattern" => self.pattern.read(meta),
            "max_items" => self.max_items.read(meta),
            "max_item_bytes" => self.max_item_bytes.read(meta),
            "required" => self.required.read(meta),
            "accept" => self.accept.read(meta),
            "skip" => self.skip.flag(meta),
            _ => Err(meta.error(format_args!("unknown option; there are {KNOWN}"))),
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(Given { value, span }) = self.name.given()
            && value.value().is_empty()
        {
            return Err(Error::new(*span, "an argument's name must not be empty"));
        }
        let others = [
            self.name.given().map(|given| given.span),
            self.default.given().map(|given| given.span),
            self.arg_type.given().map(|given| given.span),
            self.min.given().map(|given| given.span),
            self.max.given().map(|given| given.span),
            self.min_bytes.given().map(|given| given.span),
            self.max_bytes.given().map(|given| given.span),
            self.one_of.given().map(|given| given.span),
            self.pattern.given().map(|given| given.span),
            self.max_items.given().map(|given| given.span),
            self.max_item_bytes.given().map(|given| given.span),
            self.required.given().map(|given| given.span),
            self.accept.given().map(|given| given.span),
        ];
        match (self.skip.get(), others.into_iter().flatten().next()) {
            (Some(()), Some(span)) => Err(Error::new(
                span,
                "a parameter with `skip` takes no argument, so there is nothing to say about one",
            )),
            _ => Ok(()),
        }
    }
}

/// Whether an attribute is ours, to be taken out of the function.
pub(crate) fn is_arg(attr: &Attribute) -> bool {
    attr.path().is_ident("arg")
}

fn variant_of(name: &Ident) -> Result<Ident> {
    let known = TYPES.iter().find(|(known, _)| name == known);
    known
        .map(|(_, variant)| Ident::new(variant, name.span()))
        .ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(|(known, _)| *known).collect();
            let text = format!("unknown argument type; there are {}", known.join(", "));
            Error::new(name.span(), text)
        })
}

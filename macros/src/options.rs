//! The options of the attribute: what a signature cannot say.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, ExprArray, Ident, Lit, LitStr, Path, Result, Token,
    ext::IdentExt,
    meta::{self, ParseNestedMeta},
    parenthesized,
    parse::Parser,
};

use crate::once::{Once, name_of};

const KNOWN: &str = "`service`, `request_type`, `version`, `module`, `timeout_ms`, `no_timeout`, `async`, `stream`, \
    `no_response`, `blocking`, `permission(..)`, `limit(..)`, `retry`, `before_execute`, `after_execute`, `hook_timeout_ms`, \
    `disabled`, `crate`";

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) service: Once<Expr>,
    pub(crate) request_type: Once<Expr>,
    pub(crate) version: Once<Expr>,
    pub(crate) module: Once<Expr>,
    pub(crate) response: Once<ResponseMode>,
    pub(crate) blocking: Once<()>,
    pub(crate) permission: Once<Permission>,
    pub(crate) krate: Once<Path>,
    timeout: Once<Timeout>,
    retry: Once<Retry>,
    before_execute: Once<Callback>,
    after_execute: Once<Callback>,
    hook_timeout_ms: Once<Expr>,
    disabled: Once<()>,
    limits: Vec<Limit>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ResponseMode {
    Async,
    Stream,
    NoResponse,
}

pub(crate) enum Permission {
    AnyAuthenticated,
    Arg(LitStr),
    Roles(ExprArray),
    Callback(Box<Callback>),
}

enum Timeout {
    Millis(Expr),
    None,
}

enum Retry {
    Times(Expr),
    SameNode(Expr),
    AllNodes(Expr),
}

/// How often the function may be called for one value of a key.
struct Limit {
    key: LitStr,
    max_requests: Expr,
    window_seconds: u64,
}

/// A registered function by module and name.
pub(crate) struct Callback {
    module: Expr,
    function: Expr,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        meta::parser(|meta| options.read(&meta)).parse2(tokens)?;
        if let Some(service) = options.service.get() {
            not_empty(service)?;
        } else {
            return Err(Error::new(
                proc_macro2::Span::call_site(),
                "the service is missing: `#[gen_api::function(service = \"..\")]`",
            ));
        }
        Ok(options)
    }

    /// Where the generated code finds `gen_api`.
    pub(crate) fn krate(&self) -> TokenStream {
        match self.krate.get() {
            Some(path) => quote!(#path),
            None => quote!(::gen_api),
        }
    }

    /// The calls on the builder of the config that the options stand for.
    pub(crate) fn config(&self) -> TokenStream {
        let krate = self.krate();
        let model = quote!(#krate::model);
        let millis = |expr: &Expr| quote!(::core::time::Duration::from_millis(#expr));
        let version = self.version.get().map(|version| quote!(.version(#version)));
        let timeout = self.timeout.get().map(|timeout| match timeout {
            Timeout::Millis(expr) => {
                let millis = millis(expr);
                quote!(.timeout(#millis))
            }
            Timeout::None => quote!(.no_timeout()),
        });
        let response = self.response.get().map(|mode| match mode {
            ResponseMode::Async => quote!(.asynchronous()),
            ResponseMode::Stream => quote!(.stream()),
            ResponseMode::NoResponse => quote!(.no_response()),
        });
        let permission = self.permission.get().map(|permission| match permission {
            Permission::AnyAuthenticated => {
                quote!(.check_permission(#model::CheckPermission::AnyAuthenticated))
            }
            Permission::Arg(name) => {
                quote!(.check_permission(#model::CheckPermission::Arg(::std::convert::Into::into(#name))))
            }
            Permission::Roles(roles) => {
                let roles = roles.elems.iter();
                quote!(.check_permission(#model::CheckPermission::Role(
                    ::std::vec![#(::std::convert::Into::into(#roles)),*]
                )))
            }
            Permission::Callback(callback) => {
                let callback = callback.tokens();
                quote!(.permission_callback(#callback))
            }
        });
        let retry = self.retry.get().map(|retry| match retry {
            Retry::Times(times) => quote!(.retry(#model::Retry::Times(#times))),
            Retry::SameNode(times) => quote!(.retry(#model::Retry::SameNode(#times))),
            Retry::AllNodes(times) => quote!(.retry(#model::Retry::AllNodes(#times))),
        });
        let before = self.before_execute.get().map(Callback::tokens);
        let before = before.map(|hook| quote!(.before_execute(#hook)));
        let after = self.after_execute.get().map(Callback::tokens);
        let after = after.map(|hook| quote!(.after_execute(#hook)));
        let hook_timeout = self.hook_timeout_ms.get().map(millis);
        let hook_timeout = hook_timeout.map(|millis| quote!(.hook_timeout(#millis)));
        let disabled = self.disabled.get().map(|()| quote!(.disabled()));
        quote!(#version #timeout #response #permission #retry #before #after #hook_timeout #disabled)
    }

    /// The calls on the function that the options stand for.
    pub(crate) fn limits(&self) -> TokenStream {
        let limits = self.limits.iter().map(|limit| {
            let Limit {
                key,
                max_requests,
                window_seconds,
            } = limit;
            quote!(.limit(#key, #max_requests, ::core::time::Duration::from_secs(#window_seconds)))
        });
        quote!(#(#limits)*)
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match name_of(meta).as_str() {
            "service" => self.service.read(meta),
            "request_type" => read_name(&mut self.request_type, meta),
            "version" => read_name(&mut self.version, meta),
            "module" => read_name(&mut self.module, meta),
            "timeout_ms" => {
                let millis: Expr = meta.value()?.parse()?;
                in_range(
                    &millis,
                    100,
                    300_000,
                    "a timeout is 100 to 300 000 milliseconds",
                )?;
                self.timeout.set(meta, Timeout::Millis(millis))
            }
            "no_timeout" => self.timeout.set(meta, Timeout::None),
            "async" => self.response.set(meta, ResponseMode::Async),
            "stream" => self.response.set(meta, ResponseMode::Stream),
            "no_response" => self.response.set(meta, ResponseMode::NoResponse),
            "blocking" => self.blocking.flag(meta),
            "permission" => {
                let permission = Permission::read(meta)?;
                self.permission.set(meta, permission)
            }
            "limit" => {
                self.limits.push(Limit::read(meta)?);
                Ok(())
            }
            "retry" => {
                let retry = Retry::read(meta)?;
                self.retry.set(meta, retry)
            }
            "before_execute" => {
                let hook = Callback::read(meta)?;
                self.before_execute.set(meta, hook)
            }
            "after_execute" => {
                let hook = Callback::read(meta)?;
                self.after_execute.set(meta, hook)
            }
            "hook_timeout_ms" => {
                let millis: Expr = meta.value()?.parse()?;
                in_range(&millis, 1, u64::MAX, "a hook has at least 1 millisecond")?;
                self.hook_timeout_ms.set(meta, millis)
            }
            "disabled" => self.disabled.flag(meta),
            "crate" => {
                let path = meta.value()?.call(Path::parse_mod_style)?;
                self.krate.set(meta, path)
            }
            _ => Err(meta.error(format_args!("unknown option; there are {KNOWN}"))),
        }
    }
}

impl Permission {
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        const FORMS: &str = "expected `permission(any_authenticated)`, `permission(arg = \"..\")`, \
            `permission(roles = [\"..\"])` or `permission(callback = (\"module\", \"function\"))`";
        let mut found = Once::default();
        meta.parse_nested_meta(|mode| {
            let permission = match name_of(&mode).as_str() {
                "any_authenticated" => Self::AnyAuthenticated,
                "arg" => Self::Arg(mode.value()?.parse()?),
                "roles" => {
                    let roles: ExprArray = mode.value()?.parse()?;
                    if roles.elems.is_empty() {
                        return Err(Error::new_spanned(roles, "without roles nobody may call"));
                    }
                    Self::Roles(roles)
                }
                "callback" => Self::Callback(Box::new(Callback::read(&mode)?)),
                _ => return Err(mode.error(FORMS)),
            };
            if found.get().is_some() {
                return Err(mode.error("there is one permission mode; for more, write a callback"));
            }
            found.set(&mode, permission)
        })?;
        found.into_value().ok_or_else(|| meta.error(FORMS))
    }
}

impl Limit {
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        const FORM: &str = "expected `limit(user_id, 10, per_minute)`: a field of the request or an argument, how many calls, \
            and `per_second`, `per_minute`, `per_hour` or `per_day`";
        let content;
        parenthesized!(content in meta.input);
        let key = if content.peek(LitStr) {
            content.parse()?
        } else {
            let key = content.call(Ident::parse_any)?;
            LitStr::new(&key.unraw().to_string(), key.span())
        };
        content.parse::<Token![,]>()?;
        let max_requests: Expr = content.parse()?;
        in_range(
            &max_requests,
            1,
            u32::MAX.into(),
            "a limit lets 1 call or more pass",
        )?;
        content.parse::<Token![,]>()?;
        let window: Ident = content.parse()?;
        let window_seconds = match window.to_string().as_str() {
            "per_second" => 1,
            "per_minute" => 60,
            "per_hour" => 3_600,
            "per_day" => 86_400,
            _ => return Err(Error::new_spanned(window, FORM)),
        };
        if content.is_empty() {
            Ok(Self {
                key,
                max_requests,
                window_seconds,
            })
        } else {
            Err(content.error(FORM))
        }
    }
}

impl Retry {
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        const FORMS: &str =
            "expected `retry = 3`, `retry(same_node = 3)` or `retry(all_nodes = 3)`";
        let times = |meta: &ParseNestedMeta<'_>| -> Result<Expr> {
            let times = meta.value()?.parse()?;
            in_range(&times, 1, u32::MAX.into(), "there is at least 1 retry")?;
            Ok(times)
        };
        if meta.input.peek(syn::Token![=]) {
            return times(meta).map(Self::Times);
        }
        let mut found = Once::default();
        meta.parse_nested_meta(|mode| {
            let retry = match name_of(&mode).as_str() {
                "same_node" => Self::SameNode(times(&mode)?),
                "all_nodes" => Self::AllNodes(times(&mode)?),
                _ => return Err(mode.error(FORMS)),
            };
            if found.get().is_some() {
                return Err(mode.error(FORMS));
            }
            found.set(&mode, retry)
        })?;
        found.into_value().ok_or_else(|| meta.error(FORMS))
    }
}

impl Callback {
    fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        const FORM: &str = "expected a registered function: `(\"module\", \"function\")`";
        let pair: Expr = meta.value()?.parse()?;
        let Expr::Tuple(parts) = &pair else {
            return Err(Error::new_spanned(pair, FORM));
        };
        let mut parts = parts.elems.iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(module), Some(function), None) => {
                not_empty(module)?;
                not_empty(function)?;
                Ok(Self {
                    module: module.clone(),
                    function: function.clone(),
                })
            }
            _ => Err(Error::new_spanned(pair, FORM)),
        }
    }

    fn tokens(&self) -> TokenStream {
        let Self { module, function } = self;
        quote!((#module, #function))
    }
}

/// Reads `= name`, where the name is not empty.
fn read_name(option: &mut Once<Expr>, meta: &ParseNestedMeta<'_>) -> Result<()> {
    option.read(meta)?;
    option.get().map_or(Ok(()), not_empty)
}

fn not_empty(expr: &Expr) -> Result<()> {
    match literal(expr) {
        Some(Lit::Str(text)) if text.value().is_empty() => {
            Err(Error::new_spanned(expr, "must not be empty"))
        }
        Some(Lit::Str(_)) | None => Ok(()),
        Some(_) => Err(Error::new_spanned(expr, "expected a text")),
    }
}

/// Judges a number that stands there as such; what else it may be shows when the config is built.
fn in_range(expr: &Expr, least: u64, most: u64, rule: &str) -> Result<()> {
    match literal(expr) {
        Some(Lit::Int(number)) => match number.base10_parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(Error::new_spanned(expr, rule)),
        },
        Some(_) => Err(Error::new_spanned(expr, "expected a whole number")),
        None => Ok(()),
    }
}

fn literal(expr: &Expr) -> Option<&Lit> {
    match expr {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
    }
}

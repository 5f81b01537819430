//! From an annotated function to the function and its `api()`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, ext::IdentExt};

use crate::{
    argument::is_arg,
    options::Options,
    parameter::{Argument, Parameter},
    signature,
};

/// What stands in the place of the annotated function; what is wrong with it is a compile error inside.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(fault) => {
            let fault = no_function(&item, fault).into_compile_error();
            return quote!(#fault #item);
        }
    };
    let options = Options::parse(options);
    let read = signature::read(&function.sig, options.as_ref().ok());
    let is_method = function.sig.receiver().is_some();
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(parameter) = input {
            parameter.attrs.retain(|attr| !is_arg(attr));
        }
    }
    // The function and its `api` stay where something is wrong, so that the compiler tells that and nothing else.
    let (krate, body, faults) = match (options, read) {
        (Ok(options), Ok((parameters, kind))) => {
            let body = body(&function, &options, &parameters, kind);
            (options.krate(), body, None)
        }
        (Ok(options), Err(fault)) => (options.krate(), unreachable(), Some(fault)),
        (Err(fault), Ok(_)) => (quote!(::gen_api), unreachable(), Some(fault)),
        (Err(mut fault), Err(other)) => {
            fault.combine(other);
            (quote!(::gen_api), unreachable(), Some(fault))
        }
    };
    let faults = faults.map(Error::into_compile_error);
    if is_method {
        // Where a method stands, nothing else can.
        return quote!(#faults #function);
    }
    let (vis, ident) = (&function.vis, &function.sig.ident);
    let cfgs: Vec<_> = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let doc = format!(
        "The API function `{0}`: a `GenApiBuilder` takes `{0}::api()`.",
        ident.unraw(),
    );
    quote! {
        #faults
        #function

        #(#cfgs)*
        #[doc = #doc]
        #[allow(non_camel_case_types, unreachable_pub)]
        #vis enum #ident {}

        #(#cfgs)*
        #[allow(unreachable_pub)]
        impl #ident {
            /// The function with the config that its signature and its options stand for.
            #vis fn api() -> #krate::function::ApiFunction {
                #body
            }
        }
    }
}

fn body(
    function: &ItemFn,
    options: &Options,
    parameters: &[Parameter],
    kind: signature::Kind,
) -> TokenStream {
    let krate = options.krate();
    let ident = &function.sig.ident;
    let name = ident.unraw().to_string();
    let service = options.service.get().into_iter();
    let module = options.module.get().or(options.service.get()).into_iter();
    let request_type = match options.request_type.get() {
        Some(expr) => quote!(#expr),
        None => quote!(#name),
    };
    let assertions = parameters
        .iter()
        .map(|parameter| parameter.assertions(&krate));
    let arguments = parameters.iter().filter_map(Parameter::argument);
    let arguments = arguments.map(|argument: &Argument| argument.declaration(&krate));
    let config = options.config();
    let limits = options.limits();
    let constructor = kind.constructor();
    quote! {
        #(#assertions)*
        #krate::function::ApiFunction::#constructor(
            #(#module)*,
            #name,
            #ident,
            #krate::model::FunConfig::builder(#(#service)*, #request_type)
                .local()
                #(#arguments)*
                #config,
        )
        #limits
    }
}

/// Stands for a body that cannot be written; the program does not compile then.
fn unreachable() -> TokenStream {
    quote!(::core::panic!("the function does not compile"))
}

/// What is wrong with an item that is no function, or with the function's own syntax.
fn no_function(item: &TokenStream, fault: Error) -> Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(syn::Item::Fn(_)) | Err(_) => fault,
        Ok(other) => Error::new_spanned(other, "`#[gen_api::function]` is for functions"),
    }
}

//! The attribute of `gen_api` that makes an API function of a Rust function. Use it as `gen_api::function`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod argument;
mod expand;
mod once;
mod options;
mod owned;
mod parameter;
mod signature;

use proc_macro::TokenStream;

/// Makes an API function of a function: its config is derived from its signature.
///
/// The function stays as it is. Beside it stands `NAME::api()`, which yields the `ApiFunction` that
/// `GenApiBuilder::function` takes: the function, registered, and the config under which clients call it. Each parameter
/// is an argument of the request by the same name and by the argument type that its Rust type stands for
/// (`gen_api::arguments::ArgumentType`); `RequestInfo`, `StreamHandle` and `State<T>` take no argument.
///
/// ```
/// use gen_api::prelude::*;
///
/// /// Greets, as often as asked.
/// #[gen_api::function(service = "greeter", timeout_ms = 2_000)]
/// async fn greet(
///     #[arg(max_bytes = 40)] name: String,
///     #[arg(default = 1)] times: usize,
///     info: RequestInfo,
/// ) -> Result<String, FunctionError> {
///     Ok(format!("Hello, {name}! ").repeat(times))
/// }
///
/// let api = GenApi::builder().function(greet::api()).start_blocking()?;
/// let request = Request::new("r-1", "greeter", "greet").with_arg("name", "Ann");
/// let response = api.block_on(api.execute(request)).response;
/// assert_eq!(response.map(|response| response.result), Some("Hello, Ann! ".into()));
/// # Ok::<(), gen_api::StartApiError>(())
/// ```
///
/// # Options of the function
///
/// | option | meaning | without it |
/// |---|---|---|
/// | `service = "users"` | the service that offers it | required |
/// | `request_type = "get_user"` | what clients ask for | the function's name |
/// | `version = "1.0.0"` | its version | unversioned |
/// | `module = "Users"` | the module it is registered under, by its own name | the service |
/// | `timeout_ms = 2_000`, `no_timeout` | how long a call may take, 100 to 300 000 ms | 5 000 ms |
/// | `async`, `stream`, `no_response` | how it answers; a stream comes from a `StreamHandle` parameter, else from the `Stream` it returns | in one response |
/// | `blocking` | it is no `async fn`: it runs off the async threads | it is an `async fn` |
/// | `permission(any_authenticated)`, `permission(arg = "user_id")`, `permission(roles = ["admin"])`, `permission(callback = ("Auth", "may_call"))` | who may call | everybody |
/// | `limit(user_id, 10, per_minute)` | how often one value of a request field or an argument may call; may be repeated; `per_second`, `per_minute`, `per_hour`, `per_day`, other windows with `NAME::api().limit(..)` | without limits |
/// | `retry = 3`, `retry(same_node = 3)`, `retry(all_nodes = 3)` | how often a failed call is tried again | not at all |
/// | `before_execute = ("Audit", "before")`, `after_execute = (..)`, `hook_timeout_ms = 1_000` | hooks | none, 5 000 ms |
/// | `disabled` | it is stored switched off | it is on |
/// | `crate = path` | where `gen_api` is found, if it is renamed | `::gen_api` |
///
/// What is known only when the program runs is set with `NAME::api().configure(|config| config..)`.
///
/// # Options of a parameter: `#[arg(..)]`
///
/// | option | meaning |
/// |---|---|
/// | `default = 1` | what an absent argument becomes: anything that turns into a `serde_json::Value` |
/// | `min = 1`, `max = 10` | the least and the greatest value of an `integer` or a `num`; an integer has the bounds of its Rust type |
/// | `min_bytes = 1`, `max_bytes = 40` | the least and the most bytes of a `string` |
/// | `one_of = ["eu", "us"]` | the texts that a `string` may be; with `type = string` an enum says them by itself |
/// | `pattern = "^[a-z]+$"` | a regular expression that a `string` must match |
/// | `max_items = 10` | the most items of a list or entries of a `map` |
/// | `max_item_bytes = 40` | the most bytes of each item of a `list_string` |
/// | `required = ["a"]`, `accept = ["a", "b"]` | the keys that a `map` must have, and may have |
/// | `name = "userId"` | the argument's name, where it is not the parameter's |
/// | `type = datetime` | the argument type, for Rust types that stand for none; null is allowed where the Rust type is an `Option` |
/// | `skip` | the parameter takes no argument: its type implements `gen_api::function::Parameter` itself |
///
/// ```
/// use gen_api::prelude::*;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Search {
///     text: String,
///     limit: Option<usize>,
/// }
///
/// #[gen_api::function(service = "users", permission(roles = ["admin"]))]
/// async fn find_users(
///     #[arg(type = map, required = ["text"])] search: Search,
///     tags: Option<Vec<String>>,
///     State(names): State<&'static [&'static str]>,
/// ) -> Result<Vec<&'static str>, FunctionError> {
///     let found = names.iter().filter(|name| name.contains(&search.text));
///     Ok(found.take(search.limit.unwrap_or(10)).copied().collect())
/// }
/// # let limits = gen_api::arguments::Limits::default();
/// # let (_, config) = find_users::api().register(Functions::new(), &limits)?;
/// # assert_eq!(
/// #     serde_json::to_value(&config.arg_types).unwrap(),
/// #     serde_json::json!({
/// #         "search": {"type": "map", "required": ["text"]},
/// #         "tags": {"type": "list_string", "allow_nil": true},
/// #     }),
/// # );
/// # Ok::<(), gen_api::model::InvalidConfig>(())
/// ```
///
/// # What it refuses
///
/// A function that cannot be called with the arguments of a request does not compile, and the error says what to write
/// instead: one that is neither `async` nor `blocking`, is generic, is a method, borrows its parameters, or returns no
/// `Result`.
///
/// ```compile_fail
/// # use gen_api::prelude::*;
/// #[gen_api::function(service = "text")]
/// async fn length(text: &str) -> Result<usize, FunctionError> { // takes `&str`: write `String`
///     Ok(text.len())
/// }
/// ```
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(options.into(), item.into()).into()
}

//! Who may call a function: the modes that the request alone decides.
//!
//! A permission callback, which wins over these modes, is a registered function and is called where functions are.
//!
//! ```
//! use gen_api::{arguments::ArgOrders, model::{CheckPermission, Request}, permission};
//!
//! let own_data = CheckPermission::Arg("owner".to_owned());
//! let orders = ArgOrders::names(["owner"]);
//! let request = Request::new("r-1", "notes", "list").with_user_id("ann");
//!
//! assert!(permission::check(&own_data, &request.clone().with_arg("owner", "ann"), &orders));
//! assert!(!permission::check(&own_data, &request.with_arg("owner", "bob"), &orders));
//! ```

use serde_json::Value;

use crate::{
    arguments::ArgOrders,
    model::{CheckPermission, Request},
};

/// Whether this mode lets the request pass (specification, section 5).
///
/// | mode | passes |
/// |---|---|
/// | `Off` | everybody |
/// | `AnyAuthenticated` | who has a user id that is not empty |
/// | `Arg(name)` | whose user id, not empty, is the string in that argument |
/// | `Role(names)` | who has one of the roles |
///
/// `arg_orders` is that of the config: where arguments are handed on as a map, `Arg` also looks one level deep, into
/// the arguments that are maps. There the first of them by name that holds a value under the name decides.
#[must_use]
pub fn check(mode: &CheckPermission, request: &Request, arg_orders: &ArgOrders) -> bool {
    match mode {
        CheckPermission::Off => true,
        CheckPermission::AnyAuthenticated => user_id(request).is_some(),
        CheckPermission::Arg(name) => {
            let user_id = user_id(request);
            user_id.is_some()
                && argument(request, name, arg_orders).and_then(Value::as_str) == user_id
        }
        CheckPermission::Role(names) => request.roles().iter().any(|role| names.contains(role)),
    }
}

fn user_id(request: &Request) -> Option<&str> {
    request
        .user_id
        .as_deref()
        .filter(|user_id| !user_id.is_empty())
}

fn argument<'r>(request: &'r Request, name: &str, arg_orders: &ArgOrders) -> Option<&'r Value> {
    let held = |value: &&Value| !value.is_null();
    let direct = request.args.get(name).filter(held);
    if direct.is_some() || *arg_orders != ArgOrders::Map {
        return direct;
    }
    // By name and not by position: serde_json can be built to keep the order in which a client sent its arguments,
    // and then the client would choose which map decides.
    let inner = request.args.iter().filter_map(|(outer, value)| {
        let value = value.as_object()?.get(name).filter(held)?;
        Some((outer, value))
    });
    inner
        .min_by_key(|(outer, _)| *outer)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn arg(name: &str) -> CheckPermission {
        CheckPermission::Arg(name.to_owned())
    }

    fn from(user_id: &str) -> Request {
        Request::new("r", "s", "t").with_user_id(user_id)
    }

    #[test]
    fn only_a_string_can_equal_a_user_id() {
        let orders = ArgOrders::default();
        assert!(check(&arg("id"), &from("5").with_arg("id", "5"), &orders));
        for other in [json!(5), json!(["5"]), json!({"id": "5"}), json!(null)] {
            assert!(!check(
                &arg("id"),
                &from("5").with_arg("id", other),
                &orders
            ));
        }
    }

    #[test]
    fn maps_are_looked_into_only_where_arguments_are_handed_on_as_a_map() {
        let request = from("u").with_arg("params", json!({"id": "u"}));
        assert!(check(&arg("id"), &request, &ArgOrders::Map));
        assert!(!check(&arg("id"), &request, &ArgOrders::names(["params"])));
        let deeper = from("u").with_arg("a", json!({"b": {"id": "u"}}));
        assert!(!check(&arg("id"), &deeper, &ArgOrders::Map));
    }

    #[test]
    fn a_null_is_no_value_and_does_not_end_the_search() {
        let request = from("u")
            .with_arg("id", json!(null))
            .with_arg("a", json!({"id": null}))
            .with_arg("b", json!({"id": "u"}));
        assert!(check(&arg("id"), &request, &ArgOrders::Map));
    }

    #[test]
    fn unknown_roles_are_no_roles() {
        let mode = CheckPermission::Role(vec!["admin".to_owned()]);
        let orders = ArgOrders::default();
        assert!(check(&mode, &from("u").with_user_roles(["admin"]), &orders));
        assert!(!check(&mode, &from("u").with_user_roles(["user"]), &orders));
        assert!(!check(&mode, &from("u"), &orders));
    }

    proptest! {
        #[test]
        fn nobody_passes_as_an_owner_without_being_named(
            args in crate::any_json::near(&["id", "params"]),
            map in any::<bool>(),
        ) {
            let orders = if map { ArgOrders::Map } else { ArgOrders::default() };
            let args: serde_json::Map<_, _> = serde_json::from_value(args).unwrap_or_default();
            let passes = check(&arg("id"), &from("the-user").with_args(args.clone()), &orders);
            prop_assert!(!passes || Value::Object(args.clone()).to_string().contains("the-user"));
            prop_assert!(!check(&arg("id"), &from("").with_args(args), &orders));
        }
    }
}

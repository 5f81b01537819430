//! Declarations compiled once, so that each request costs one pass over its arguments.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    ArgDeclaration, ArgOrders, ArgumentError, ArgumentErrorKind as Kind, Limits, error::Fault,
    rule::Rule,
};

/// What a function receives from the arguments of a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallArgs {
    /// The values one after another; empty where the function takes nothing.
    List(Vec<Value>),
    /// All arguments as one map.
    Map(Map<String, Value>),
}

/// The declared arguments of one config, ready to check and order what requests send.
#[derive(Clone, Debug)]
pub struct ArgumentPlan {
    shape: Shape,
    /// Sorted by name.
    params: Box<[Param]>,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Nothing,
    List,
    Map,
}

#[derive(Clone, Debug)]
struct Param {
    name: String,
    /// Where the value stands in the list.
    slot: usize,
    rule: Rule,
    allow_nil: bool,
    /// The default, checked already: a config may be in use while its default is invalid, and then each use fails.
    default: Option<Result<Value, Fault>>,
}

impl ArgumentPlan {
    /// Settles everything that does not depend on a request.
    ///
    /// It takes any declaration. Where `arg_orders` disagrees with `arg_types`, which validation of a config refuses,
    /// names that are not declared are passed over, and arguments that it leaves out follow by name.
    #[must_use]
    pub fn compile(
        arg_types: &BTreeMap<String, ArgDeclaration>,
        arg_orders: &ArgOrders,
        limits: &Limits,
    ) -> Self {
        let order: &[String] = match arg_orders {
            ArgOrders::Names(names) => names,
            ArgOrders::Map | ArgOrders::Null => &[],
        };
        let shape = match (arg_orders, arg_types.len()) {
            (_, 0) => Shape::Nothing,
            (ArgOrders::Map, _) => Shape::Map,
            (_, 1) => Shape::List,
            _ if order.is_empty() => Shape::Map,
            _ => Shape::List,
        };
        let mut params: Box<[Param]> = arg_types
            .iter()
            .map(|(name, declaration)| Param::new(name, declaration, limits))
            .collect();
        // A stable sort of positions: ordered names first, the others after them by name.
        let mut in_order: Vec<&mut Param> = params.iter_mut().collect();
        in_order.sort_by_key(|param| {
            let position = order.iter().position(|name| *name == param.name);
            position.unwrap_or(usize::MAX)
        });
        for (slot, param) in in_order.into_iter().enumerate() {
            param.slot = slot;
        }
        Self { shape, params }
    }

    /// Turns what was sent into what the function receives.
    ///
    /// Where nothing is declared, everything that was sent is dropped (specification, section 4).
    ///
    /// # Errors
    /// The first fault found: undeclared arguments first, then the declared ones by name.
    pub fn convert(&self, args: Map<String, Value>) -> Result<CallArgs, ArgumentError> {
        match self.shape {
            Shape::Nothing => Ok(CallArgs::List(Vec::new())),
            Shape::List => self.list(args).map(CallArgs::List),
            Shape::Map => self.map(args).map(CallArgs::Map),
        }
    }

    /// The names of what [`convert`](Self::convert) yields, in its order; an empty one stands for the map of all arguments.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        match self.shape {
            Shape::Nothing => None,
            Shape::Map => Some(vec![String::new()]),
            Shape::List => {
                let mut in_order: Vec<&Param> = self.params.iter().collect();
                in_order.sort_by_key(|param| param.slot);
                Some(in_order.into_iter().map(|p| p.name.clone()).collect())
            }
        }
    }

    fn list(&self, args: Map<String, Value>) -> Result<Vec<Value>, ArgumentError> {
        let mut slots: Vec<Option<Value>> = vec![None; self.params.len()];
        let mut extra = None;
        for (name, value) in args {
            match self
                .param(&name)
                .and_then(|param| slots.get_mut(param.slot))
            {
                Some(slot) => *slot = Some(value),
                None => extra = Some(first(extra, name)),
            }
        }
        if let Some(name) = extra {
            return Err(undeclared(name));
        }
        for param in &self.params {
            match slots.get_mut(param.slot) {
                Some(Some(value)) => param.check(value)?,
                Some(absent) => *absent = Some(param.absent()?),
                None => {}
            }
        }
        // Options of values are as large as values, so this reuses the list instead of making a second one.
        Ok(slots.into_iter().map(Option::unwrap_or_default).collect())
    }

    fn map(&self, mut args: Map<String, Value>) -> Result<Map<String, Value>, ArgumentError> {
        let extras = args.keys().filter(|name| self.param(name).is_none());
        if let Some(name) = extras.min() {
            return Err(undeclared(name.clone()));
        }
        for param in &self.params {
            match args.get_mut(&param.name) {
                Some(value) => param.check(value)?,
                None => {
                    args.insert(param.name.clone(), param.absent()?);
                }
            }
        }
        Ok(args)
    }

    fn param(&self, name: &str) -> Option<&Param> {
        let found = self
            .params
            .binary_search_by(|param| param.name.as_str().cmp(name));
        found.ok().and_then(|index| self.params.get(index))
    }
}

impl Param {
    fn new(name: &str, declaration: &ArgDeclaration, limits: &Limits) -> Self {
        let rule = Rule::new(declaration, limits);
        let default = declaration
            .default_value
            .clone()
            .filter(|value| !value.is_null());
        let default = default.map(|mut value| rule.check(&mut value).map(|()| value));
        Self {
            name: name.to_owned(),
            slot: 0,
            rule,
            allow_nil: declaration.allow_nil,
            default,
        }
    }

    fn check(&self, value: &mut Value) -> Result<(), ArgumentError> {
        let checked = match value {
            Value::Null if self.allow_nil => Ok(()),
            Value::Null => {
                let what = format!("expected {}, got null", self.rule.expected());
                Err(Fault::new(Kind::Nil, what))
            }
            value => self.rule.check(value),
        };
        checked.map_err(|fault| fault.of(&self.name))
    }

    fn absent(&self) -> Result<Value, ArgumentError> {
        match &self.default {
            Some(default) => default.clone().map_err(|fault| fault.of(&self.name)),
            None if self.allow_nil => Ok(Value::Null),
            None => {
                let what = format!("expected {}, got nothing", self.rule.expected());
                Err(Fault::new(Kind::Missing, what).of(&self.name))
            }
        }
    }
}

fn undeclared(name: String) -> ArgumentError {
    Fault::new(Kind::Extra, "the function takes no such argument").of(name)
}

/// The first by name, so that the answer does not depend on how serde_json was built to order its maps.
fn first(known: Option<String>, name: String) -> String {
    match known {
        Some(known) if known < name => known,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};
    use serde_json::json;

    use super::{super::ArgType, *};

    fn plan(arg_types: Value, arg_orders: Value) -> ArgumentPlan {
        ArgumentPlan::compile(
            &serde_json::from_value(arg_types).unwrap(),
            &serde_json::from_value(arg_orders).unwrap(),
            &Limits::default(),
        )
    }

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn where_nothing_is_declared_everything_sent_is_dropped() {
        for orders in [json!([]), json!(null), json!("map")] {
            let args = plan(json!({}), orders).convert(object(json!({"x": 1})));
            assert_eq!(args, Ok(CallArgs::List(vec![])));
        }
    }

    #[test]
    fn the_first_undeclared_argument_by_name_is_reported() {
        for orders in [json!(["a"]), json!("map")] {
            let error = plan(json!({"a": "num"}), orders)
                .convert(object(json!({"z": 1, "b": 1, "a": "no number"})))
                .unwrap_err();
            assert_eq!((error.kind, error.arg.as_str()), (Kind::Extra, "b"));
        }
    }

    #[test]
    fn a_default_is_handed_on_in_its_converted_form() {
        let types =
            json!({"at": {"type": "datetime", "default_value": "2024-01-15T10:30:00+07:00"}});
        let args = plan(types, json!(["at"])).convert(Map::new());
        assert_eq!(
            args,
            Ok(CallArgs::List(vec![json!("2024-01-15T03:30:00Z")]))
        );
    }

    #[test]
    fn an_order_that_disagrees_with_the_declarations_still_hands_on_every_argument_once() {
        let plan = plan(
            json!({"a": "num", "b": "num", "c": "num"}),
            json!(["c", "x", "c"]),
        );
        let args = plan.convert(object(json!({"a": 1, "b": 2, "c": 3})));
        assert_eq!(args, Ok(CallArgs::List(vec![json!(3), json!(1), json!(2)])));
    }

    proptest! {
        #[test]
        fn a_list_holds_the_sent_values_in_call_order(
            order in Just(["a", "b", "c", "d", "e"].to_vec()).prop_shuffle(),
            values in proptest::collection::vec(any::<i64>(), 5),
            sent in subsequence(vec![0_usize, 1, 2, 3, 4], 0..=5),
        ) {
            let types = order.iter().map(|name| {
                ((*name).to_owned(), ArgDeclaration::new(ArgType::Num).default_value(-7))
            });
            let plan = ArgumentPlan::compile(
                &types.collect(),
                &ArgOrders::names(order.clone()),
                &Limits::default(),
            );
            let args = sent.iter().map(|&index| (order[index].to_owned(), json!(values[index])));
            let expected = (0..5).map(|index| {
                if sent.contains(&index) { json!(values[index]) } else { json!(-7) }
            });
            prop_assert_eq!(plan.convert(args.collect()), Ok(CallArgs::List(expected.collect())));
        }

        #[test]
        fn no_arguments_make_converting_panic_and_none_are_invented(
            types in crate::any_json::near(&["a", "b"]),
            orders in crate::any_json::any(),
            args in crate::any_json::near(&["a", "b", "c"]),
        ) {
            let declared = serde_json::from_value::<BTreeMap<String, ArgDeclaration>>(types)
                .unwrap_or_else(|_| BTreeMap::from([("a".to_owned(), ArgType::Any.into())]));
            let orders = serde_json::from_value(orders).unwrap_or_default();
            let plan = ArgumentPlan::compile(&declared, &orders, &Limits::default());
            let sent = serde_json::from_value::<Map<_, _>>(args).unwrap_or_default();
            match plan.convert(sent) {
                Ok(CallArgs::List(list)) => prop_assert_eq!(list.len(), declared.len()),
                Ok(CallArgs::Map(map)) => prop_assert!(map.keys().eq(declared.keys())),
                Err(error) => prop_assert!(error.to_string().starts_with("invalid argument")),
            }
        }
    }
}

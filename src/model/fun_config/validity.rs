//! What makes a config valid: the table of specification, section 2, field by field.

use std::collections::BTreeSet;

use super::{FunConfig, Mfa, Timeout};
use crate::{
    arguments::{ArgOrders, Limits},
    model::{invalid_config::Fault, version::RESERVED_VERSION},
};

const UNNAMED: &str = "its module and function must not be empty";

impl FunConfig {
    /// Every fault, in the order of the fields.
    pub(in crate::model) fn faults(&self, limits: &Limits) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, reason: Option<&str>| {
            faults.extend(reason.map(|reason| Fault::new(field, reason)));
        };
        let unless = |valid: bool, reason: &'static str| (!valid).then_some(reason);
        let named = |mfa: &Mfa| unless(mfa.is_named(), UNNAMED);
        let callback = |mfa: &Option<Mfa>| mfa.as_ref().and_then(named);

        fault(
            "service",
            unless(!self.service.is_empty(), "must not be empty"),
        );
        fault(
            "request_type",
            unless(!self.request_type.is_empty(), "must not be empty"),
        );
        fault("version", self.version_fault());
        fault("nodes", self.nodes.fault());
        fault("choose_node_mode", self.choose_node_mode.fault());
        let (least, most) = (Timeout::VALID_MILLIS.start(), Timeout::VALID_MILLIS.end());
        let range = format!("must be {least} to {most} milliseconds or \"infinity\"");
        fault("timeout", (!self.timeout.is_valid()).then_some(&range));
        fault("mfa", named(&self.mfa));
        for (name, declaration) in self.declared_args() {
            if name.is_empty() {
                fault(
                    "arg_types",
                    Some("the name of an argument must not be empty"),
                );
            }
            if let Err(reason) = declaration.validate(limits) {
                fault("arg_types", Some(&format!("{name:?}: {reason}")));
            }
        }
        fault("arg_orders", self.order_fault().as_deref());
        fault("check_permission", self.check_permission.fault());
        fault("permission_callback", callback(&self.permission_callback));
        let retried = self.retry.is_none_or(|retry| retry.times() > 0);
        fault(
            "retry",
            unless(retried, "must be at least 1; null is for no retry"),
        );
        fault("before_execute", callback(&self.before_execute));
        fault("after_execute", callback(&self.after_execute));
        fault(
            "hook_timeout",
            unless(self.hook_timeout > 0, "must be at least 1 millisecond"),
        );
        faults
    }

    fn version_fault(&self) -> Option<&'static str> {
        match self.version.as_deref() {
            Some("") => Some("must not be empty; null is for an unversioned function"),
            Some(RESERVED_VERSION) => {
                Some("\"0.0.0\" is reserved; null is for an unversioned function")
            }
            _ => None,
        }
    }

    /// How the order disagrees with the declarations, if it does.
    fn order_fault(&self) -> Option<String> {
        let declared = self.declared_args();
        let order = match &self.arg_orders {
            ArgOrders::Names(names) if names.is_empty() => return None,
            ArgOrders::Names(names) => names,
            ArgOrders::Map if declared.is_empty() => {
                return Some("must not be \"map\" where no argument is declared".to_owned());
            }
            ArgOrders::Null if !declared.is_empty() => {
                return Some("must not be null where arguments are declared".to_owned());
            }
            _ => return None,
        };
        let mut left = declared.keys().collect::<BTreeSet<_>>();
        if let Some(name) = order.iter().find(|name| !left.remove(name)) {
            let why = if declared.contains_key(name) {
                "named twice"
            } else {
                "not declared"
            };
            return Some(format!("{name:?} is {why}"));
        }
        left.first()
            .map(|name| format!("the declared argument {name:?} is missing"))
    }
}

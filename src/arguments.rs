//! What a function takes: declared types, the check of what was sent, and the order in which it is handed on.
//!
//! A config declares its arguments once; an [`ArgumentPlan`] is compiled from that declaration once and then turns
//! the arguments of every request into what the function receives, moving the values (specification, section 4). [`convert`]
//! is the same in one step, for those who need it once.
//!
//! ```
//! use std::collections::BTreeMap;
//! use gen_api::arguments::{self, ArgDeclaration, ArgOrders, ArgType, CallArgs, Limits};
//! use serde_json::{Map, json};
//!
//! let declared = BTreeMap::from([
//!     ("name".to_owned(), ArgDeclaration::new(ArgType::String).max_bytes(50)),
//!     ("age".to_owned(), ArgDeclaration::new(ArgType::Num).default_value(18)),
//! ]);
//! let orders = ArgOrders::names(["name", "age"]);
//!
//! let sent = Map::from_iter([("name".to_owned(), json!("Ann"))]);
//! let args = arguments::convert(sent, &declared, &orders, &Limits::default())?;
//! assert_eq!(args, CallArgs::List(vec![json!("Ann"), json!(18)]));
//!
//! let sent = Map::from_iter([("name".to_owned(), json!(5))]);
//! let error = arguments::convert(sent, &declared, &orders, &Limits::default()).unwrap_err();
//! assert_eq!(error.to_string(), r#"invalid argument "name": expected a string, got 5"#);
//! # Ok::<(), arguments::ArgumentError>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod argument_type;
mod datetime;
mod declaration;
mod decode;
mod error;
mod plan;
mod rule;
mod text_rule;
mod variants;

pub use argument_type::{ArgumentType, ListItem, MapItem};
pub use declaration::{ArgDeclaration, ArgOrders, ArgType};
pub(crate) use decode::{Mismatch, decode};
pub(crate) use error::cut;
pub use error::{ArgumentError, ArgumentErrorKind};
pub use plan::{ArgumentPlan, CallArgs};

/// The sizes an argument may have where its declaration sets none (specification, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes (not characters) of a string, inner strings included; 3 000 by default.
    pub string_max_bytes: usize,
    /// The most items of a list, inner lists included; 1 000 by default.
    pub list_max_items: usize,
    /// The most entries of a map; 1 000 by default.
    pub map_max_items: usize,
}

impl Limits {
    /// Sets the most bytes of a string.
    #[must_use]
    pub fn with_string_max_bytes(mut self, bytes: usize) -> Self {
        self.string_max_bytes = bytes;
        self
    }

    /// Sets the most items of a list.
    #[must_use]
    pub fn with_list_max_items(mut self, items: usize) -> Self {
        self.list_max_items = items;
        self
    }

    /// Sets the most entries of a map.
    #[must_use]
    pub fn with_map_max_items(mut self, items: usize) -> Self {
        self.map_max_items = items;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            string_max_bytes: 3_000,
            list_max_items: 1_000,
            map_max_items: 1_000,
        }
    }
}

/// Checks and orders arguments in one step; a config that serves many requests keeps an [`ArgumentPlan`] instead.
///
/// # Errors
/// The first fault found: undeclared arguments first, then the declared ones by name.
pub fn convert(
    args: Map<String, Value>,
    arg_types: &BTreeMap<String, ArgDeclaration>,
    arg_orders: &ArgOrders,
    limits: &Limits,
) -> Result<CallArgs, ArgumentError> {
    ArgumentPlan::compile(arg_types, arg_orders, limits).convert(args)
}

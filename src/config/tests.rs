//! What the tests of pulling and receiving stand on: a gateway's configs over scripted nodes.

mod told;

use std::sync::Arc;

use serde_json::Value;

use super::{
    Allowlist, ConfigTable, FailedConfigs, ForeignRules,
    puller::{PullerSettings, Pulls},
    receiver::Pushes,
    scripted::Script,
};
use crate::{
    arguments::Limits,
    clock::{Clock, ManualClock},
    function::Functions,
    model::{Mfa, PushToken},
    node::{NodeResolver, NodeSelector, NodeSettings},
    telemetry::Telemetry,
};

/// A gateway's configs with all that refreshes them, over scripted nodes.
pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) script: Script,
    pub(super) table: Arc<ConfigTable>,
    pub(super) failed: FailedConfigs,
    pub(super) telemetry: Telemetry,
    pub(super) selector: NodeSelector,
    pub(super) pulls: Arc<Pulls>,
    pub(super) pushes: Arc<Pushes>,
}

impl World {
    pub(super) fn new(
        allowlist: Allowlist,
        token: Option<PushToken>,
        settings: PullerSettings,
    ) -> Self {
        Self::build(allowlist, ForeignRules::default(), token, settings)
    }

    /// A gateway without a token that holds configs of services to these rules.
    pub(super) fn with_foreign_rules(rules: ForeignRules) -> Self {
        Self::build(Allowlist::default(), rules, None, PullerSettings::default())
    }

    fn build(
        allowlist: Allowlist,
        rules: ForeignRules,
        token: Option<PushToken>,
        settings: PullerSettings,
    ) -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let script = Script::default();
        let table = ConfigTable::new(Arc::new(Functions::new()), allowlist, Limits::default());
        let table = Arc::new(table.with_foreign_rules(rules));
        let telemetry = Telemetry::new();
        let failed = FailedConfigs::new(Arc::clone(&shared));
        let resolver = NodeResolver::new(resolvers, Arc::clone(&shared), NodeSettings::default());
        let selector = NodeSelector::new(resolver.clone());
        let pulls = Arc::new(Pulls::new(
            Arc::new(script.clone()),
            resolver,
            Arc::clone(&table),
            failed.clone(),
            shared,
            settings,
            telemetry.clone(),
        ));
        let pushes = Pushes::new(
            Arc::clone(&table),
            failed.clone(),
            Arc::clone(&pulls),
            token,
            telemetry.clone(),
        );
        Self {
            clock,
            script,
            table,
            failed,
            telemetry,
            selector,
            pulls,
            pushes: Arc::new(pushes),
        }
    }
}

impl World {
    /// Whose receiver goes back to no older version.
    pub(super) fn refusing_older() -> Self {
        let world = Self::default();
        let pushes = Arc::into_inner(world.pushes).expect("nobody else has them");
        Self {
            pushes: Arc::new(pushes.refusing_older(true)),
            ..world
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new(Allowlist::default(), None, PullerSettings::default())
    }
}

/// The resolvers that the page of the vectors describes.
async fn resolvers(resolver: Mfa) -> Result<Value, String> {
    match (resolver.module.as_str(), resolver.function.as_str()) {
        ("Resolvers", "fixed") => resolver.args.into_iter().next().ok_or("no value".into()),
        ("Resolvers", "raises") => panic!("kaboom"),
        _ => Err(format!("there is no function {resolver}")),
    }
}

//! The owner of the configs as an actor, its messages, and the handle that everybody uses.

use std::{collections::BTreeSet, fmt, sync::Arc};

use actix::{Actor, Context, Handler, Message};
use actix_otp::ChildRef;

use super::{
    ConfigTable, FailedConfigs, FailedSource,
    failed::{Refused, reasons},
    table::{AddError, FunctionList, LookupError, SwitchError},
};
use crate::{
    clock::Clock,
    model::FunConfig,
    owner::{Unavailable, ask},
    telemetry::{ConfigEvent, Family, Telemetry},
};

/// Owns all changes to the configs; a supervised child of the engine. Its death loses nothing: the table outlives it.
pub struct ConfigDb {
    table: Arc<ConfigTable>,
    failed: FailedConfigs,
    telemetry: Telemetry,
}

impl ConfigDb {
    pub(crate) fn new(
        table: Arc<ConfigTable>,
        failed: FailedConfigs,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            table,
            failed,
            telemetry,
        }
    }

    /// Whether a config may be stored; one that may not is noted for people to look at.
    fn check(&self, config: &FunConfig) -> Result<(), AddError> {
        let checked = self.table.check(config);
        if let Err(error) = &checked {
            self.failed.note(Refused {
                service: Some(&config.service),
                request_type: Some(&config.request_type),
                version: config.version.as_deref(),
                source: FailedSource::Local,
                node: None,
                reasons: reasons(error),
            });
        }
        checked
    }
}

impl Actor for ConfigDb {
    type Context = Context<Self>;
}

impl fmt::Debug for ConfigDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigDb")
            .field("configs", &self.table.count())
            .finish()
    }
}

/// Stores a config; one of the same service, request type and version is replaced.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), AddError>")]
pub struct Add(pub FunConfig);

/// Stores a config in place of one of the same key; it is stored too where there was none.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), AddError>")]
pub struct Update(pub FunConfig);

/// Stores all valid configs of a list in one step, and reports the others.
#[derive(Clone, Debug, Message)]
#[rtype(result = "BatchReport")]
pub struct BatchAdd(pub Vec<FunConfig>);

/// Forgets one version; that it was not there is no error. `None` means the unversioned config.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Delete {
    /// The service.
    pub service: String,
    /// The request type.
    pub request_type: String,
    /// The exact version.
    pub version: Option<String>,
}

/// Switches one version on again. `None` means the unversioned config.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SwitchError>")]
pub struct Enable {
    /// The service.
    pub service: String,
    /// The request type.
    pub request_type: String,
    /// The exact version.
    pub version: Option<String>,
}

/// Switches one version off: it stays known, and requests for it are refused. `None` means the unversioned config.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), SwitchError>")]
pub struct Disable {
    /// The service.
    pub service: String,
    /// The request type.
    pub request_type: String,
    /// The exact version.
    pub version: Option<String>,
}

/// Forgets all configs.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Clear;

/// What became of a [`BatchAdd`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BatchReport {
    /// How many configs were stored.
    pub stored: usize,
    /// Those that were not, each with its reason.
    pub rejected: Vec<RejectedConfig>,
}

impl BatchReport {
    /// Whether nothing was stored; an empty batch stores nothing.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.stored == 0
    }
}

/// A config that was not stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RejectedConfig {
    /// The config as it came.
    pub config: FunConfig,
    /// Why it was not stored.
    pub reason: AddError,
}

impl Handler<Add> for ConfigDb {
    type Result = Result<(), AddError>;

    fn handle(&mut self, Add(config): Add, _: &mut Context<Self>) -> Self::Result {
        self.check(&config)?;
        let stored = self.table.store(config);
        self.telemetry.emit(Family::Config, || ConfigEvent::Add {
            service: &stored.config.service,
            request_type: &stored.config.request_type,
            version: stored.config.effective_version(),
        });
        Ok(())
    }
}

impl Handler<Update> for ConfigDb {
    type Result = Result<(), AddError>;

    fn handle(&mut self, Update(config): Update, ctx: &mut Context<Self>) -> Self::Result {
        self.handle(Add(config), ctx)
    }
}

impl Handler<BatchAdd> for ConfigDb {
    type Result = actix::MessageResult<BatchAdd>;

    fn handle(&mut self, BatchAdd(configs): BatchAdd, _: &mut Context<Self>) -> Self::Result {
        let mut report = BatchReport::default();
        let mut valid = Vec::with_capacity(configs.len());
        for config in configs {
            match self.check(&config) {
                Ok(()) => valid.push(config),
                Err(reason) => report.rejected.push(RejectedConfig { config, reason }),
            }
        }
        report.stored = valid.len();
        self.table.store_all(valid);
        self.telemetry
            .emit(Family::Config, || ConfigEvent::BatchAdd {
                stored: report.stored,
                rejected: report.rejected.len(),
            });
        actix::MessageResult(report)
    }
}

impl Handler<Delete> for ConfigDb {
    type Result = ();

    fn handle(&mut self, which: Delete, _: &mut Context<Self>) {
        self.table.delete(
            &which.service,
            &which.request_type,
            which.version.as_deref(),
        );
        self.telemetry.emit(Family::Config, || ConfigEvent::Delete {
            service: &which.service,
            request_type: &which.request_type,
            version: which.version.as_deref(),
        });
    }
}

impl Handler<Enable> for ConfigDb {
    type Result = Result<(), SwitchError>;

    fn handle(&mut self, which: Enable, _: &mut Context<Self>) -> Self::Result {
        self.table.switch(
            &which.service,
            &which.request_type,
            which.version.as_deref(),
            true,
        )?;
        self.telemetry.emit(Family::Config, || ConfigEvent::Enable {
            service: &which.service,
            request_type: &which.request_type,
            version: which.version.as_deref(),
        });
        Ok(())
    }
}

impl Handler<Disable> for ConfigDb {
    type Result = Result<(), SwitchError>;

    fn handle(&mut self, which: Disable, _: &mut Context<Self>) -> Self::Result {
        self.table.switch(
            &which.service,
            &which.request_type,
            which.version.as_deref(),
            false,
        )?;
        self.telemetry
            .emit(Family::Config, || ConfigEvent::Disable {
                service: &which.service,
                request_type: &which.request_type,
                version: which.version.as_deref(),
            });
        Ok(())
    }
}

impl Handler<Clear> for ConfigDb {
    type Result = ();

    fn handle(&mut self, _: Clear, _: &mut Context<Self>) {
        self.table.clear();
        self.telemetry.emit(Family::Config, || ConfigEvent::Clear);
    }
}

/// The door to the configs: reads look into the table, changes ask the [`ConfigDb`] actor.
#[derive(Clone)]
pub struct ConfigDbRef {
    actor: ChildRef<ConfigDb>,
    table: Arc<ConfigTable>,
    clock: Arc<dyn Clock>,
}

impl ConfigDbRef {
    pub(crate) fn new(
        actor: ChildRef<ConfigDb>,
        table: Arc<ConfigTable>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            actor,
            table,
            clock,
        }
    }

    /// The actor behind this handle, for those who send it messages.
    #[must_use]
    pub fn actor(&self) -> &ChildRef<ConfigDb> {
        &self.actor
    }

    /// Stores a config; one of the same service, request type and version is replaced, its switch position included.
    ///
    /// # Errors
    ///
    /// [`AddError`]: the config is invalid, its function is not on the allowlist, or the database is not available. A
    /// config that was refused is noted among the [failed configs](crate::GenApi::failed_configs).
    pub async fn add(&self, config: FunConfig) -> Result<(), AddError> {
        self.ask(Add(config)).await?
    }

    /// Replaces a config, or stores it where there was none.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add); what was stored before stays.
    pub async fn update(&self, config: FunConfig) -> Result<(), AddError> {
        self.ask(Update(config)).await?
    }

    /// Stores all valid configs of a list in one step, and reports the others with their reasons; these are noted among
    /// the [failed configs](crate::GenApi::failed_configs) too.
    ///
    /// Whoever has found one of them finds all of them, and a list of functions holds all of them or none.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the database did not answer.
    pub async fn batch_add(&self, configs: Vec<FunConfig>) -> Result<BatchReport, Unavailable> {
        self.ask(BatchAdd(configs)).await
    }

    /// Forgets one version, `None` meaning the unversioned config; that it was not there is no error.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the database did not answer.
    pub async fn delete(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<(), Unavailable> {
        let (service, request_type) = (service.to_owned(), request_type.to_owned());
        self.ask(Delete {
            service,
            request_type,
            version: version.map(str::to_owned),
        })
        .await
    }

    /// Switches one version on again, `None` meaning the unversioned config.
    ///
    /// # Errors
    ///
    /// [`SwitchError`]: there is no such config, or the database is not available.
    pub async fn enable(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<(), SwitchError> {
        let (service, request_type) = (service.to_owned(), request_type.to_owned());
        self.ask(Enable {
            service,
            request_type,
            version: version.map(str::to_owned),
        })
        .await?
    }

    /// Switches one version off, `None` meaning the unversioned config.
    ///
    /// # Errors
    ///
    /// [`SwitchError`]: there is no such config, or the database is not available.
    pub async fn disable(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<(), SwitchError> {
        let (service, request_type) = (service.to_owned(), request_type.to_owned());
        self.ask(Disable {
            service,
            request_type,
            version: version.map(str::to_owned),
        })
        .await?
    }

    /// Forgets all configs.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the database did not answer.
    pub async fn clear(&self) -> Result<(), Unavailable> {
        self.ask(Clear).await
    }

    /// The config of exactly this version, `None` meaning the unversioned one; `"0.0.0"` finds nothing.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: not found, or disabled.
    pub fn get(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<FunConfig, LookupError> {
        self.table
            .exact(service, request_type, version)
            .map(|route| route.config.clone())
    }

    /// The config that answers a request without a version: the latest enabled version, else the unversioned one.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: not found, or the only one there is is disabled.
    pub fn get_fast(&self, service: &str, request_type: &str) -> Result<FunConfig, LookupError> {
        self.table
            .fast(service, request_type)
            .map(|route| route.config.clone())
    }

    /// The latest enabled version; the unversioned config does not count.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`].
    pub fn get_latest(&self, service: &str, request_type: &str) -> Result<FunConfig, LookupError> {
        self.table
            .latest(service, request_type)
            .map(|route| route.config.clone())
    }

    /// Whether the engine finds a config for such a request: what [`get`](Self::get) and [`get_fast`](Self::get_fast) look
    /// for, without a copy of it. `None` and the version `"0.0.0"` ask for whatever answers a request without a version.
    ///
    /// A door can refuse by it what nobody would answer, before it reads a body.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: not found, or disabled.
    pub fn answers(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<(), LookupError> {
        self.table
            .asked(service, request_type, version)
            .map(|_route| ())
    }

    /// How many configs are stored, every version counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// The names of all services.
    #[must_use]
    pub fn get_all_services(&self) -> BTreeSet<String> {
        self.table.services()
    }

    /// All request types with all their versions, disabled ones included.
    #[must_use]
    pub fn get_all_functions(&self) -> FunctionList {
        self.table.functions(&[])
    }

    /// The same for some services only; a service without functions is left out.
    #[must_use]
    pub fn get_functions_of(&self, services: &[&str]) -> FunctionList {
        if services.is_empty() {
            FunctionList::new()
        } else {
            self.table.functions(services)
        }
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result, Unavailable>
    where
        ConfigDb: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        ask(&self.actor, &*self.clock, message).await
    }
}

impl fmt::Debug for ConfigDbRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigDbRef")
            .field("configs", &self.count())
            .finish_non_exhaustive()
    }
}

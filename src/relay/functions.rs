//! The verbs for clients: functions of the module `Relay`, and the configs that offer them.

use serde::Serialize;
use serde_json::Value;

use super::{
    RelayRef,
    error::RelayError,
    group::{GroupInfo, GroupType, MemberStatus},
};
use crate::{
    arguments::ArgType,
    function::{FunctionError, Functions, RequestInfo, State},
    model::{CheckPermission, FunConfig, FunConfigBuilder, InvalidConfig, connection::Connection},
};

/// The name of the module in which the engine registers the relay's functions.
pub const MODULE: &str = "Relay";

/// The configs that offer all functions of the relay under one service, to every user who is logged in.
///
/// [`GenApiBuilder::relay`](crate::GenApiBuilder::relay) adds them; this is for those who change them first, or add them
/// to an engine that runs:
///
/// ```
/// use gen_api::{GenApi, model::CheckPermission, relay};
///
/// let api = GenApi::builder().start_blocking()?;
/// let mut configs = relay::configs("chat")?;
/// for config in &mut configs {
///     if config.mfa.function == "create" {
///         config.check_permission = CheckPermission::Role(vec!["host".into()]);
///     }
/// }
/// api.block_on(api.config_db().batch_add(configs))?;
/// assert!(api.config_db().get_fast("chat", "relay_msg").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the service's name is empty.
pub fn configs(service: impl Into<String>) -> Result<Vec<FunConfig>, InvalidConfig> {
    let service = service.into();
    let offer = |request_type: &str, function: &str| {
        FunConfig::builder(&service, request_type)
            .call(MODULE, function)
            .local()
            .check_permission(CheckPermission::AnyAuthenticated)
            .arg("group_id", ArgType::String)
    };
    let on_member = |config: FunConfigBuilder| config.arg("user_id", ArgType::String);
    [
        offer("create_group", "create").arg("group_type", ArgType::String),
        offer("join_group", "join"),
        offer("attach_to_group", "attach"),
        offer("leave_group", "leave"),
        on_member(offer("accept_member", "accept")),
        on_member(offer("mute_member", "mute")),
        on_member(offer("unmute_member", "unmute")),
        offer("relay_msg", "send").arg("message", ArgType::Any),
        offer("get_group_info", "info"),
        offer("delete_group", "delete"),
    ]
    .into_iter()
    .map(FunConfigBuilder::build)
    .collect()
}

/// Adds the functions of the module [`MODULE`], and the door as a shared state for all functions.
pub(crate) fn register(functions: Functions, relay: RelayRef) -> Functions {
    functions
        .state(relay)
        .register(MODULE, "create", create)
        .register(MODULE, "join", join)
        .register(MODULE, "attach", attach)
        .register(MODULE, "leave", leave)
        .register(MODULE, "accept", accept)
        .register(MODULE, "mute", mute)
        .register(MODULE, "unmute", unmute)
        .register(MODULE, "send", send)
        .register(MODULE, "info", info)
        .register(MODULE, "delete", delete)
}

type Answer<T> = Result<T, FunctionError>;

/// The answer of a command that has nothing to tell.
const OK: &str = "ok";

#[derive(Serialize)]
struct Joined {
    joined: MemberStatus,
}

#[derive(Serialize)]
struct Relayed {
    status: &'static str,
    recipients_count: usize,
}

async fn create(
    group_id: String,
    group_type: Value,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let Ok(group_type) = serde_json::from_value::<GroupType>(group_type) else {
        return Err(FunctionError::public(
            "invalid argument \"group_type\": must be public, private or strict_private",
        ));
    };
    let (user, connection) = (user(&client)?, connection(&client)?);
    let created = relay.create(&group_id, group_type, user, connection).await;
    created.map_err(public)?;
    Ok(OK)
}

async fn join(
    group_id: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<Joined> {
    let (user, connection) = (user(&client)?, connection(&client)?);
    let joined = relay.join(&group_id, user, connection).await;
    let joined = joined.map_err(public)?;
    Ok(Joined { joined })
}

async fn attach(
    group_id: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<Joined> {
    let (user, connection) = (user(&client)?, connection(&client)?);
    let joined = relay.attach(&group_id, user, connection).await;
    let joined = joined.map_err(public)?;
    Ok(Joined { joined })
}

async fn leave(
    group_id: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let left = relay.leave(&group_id, user(&client)?).await;
    left.map_err(public)?;
    Ok(OK)
}

async fn accept(
    group_id: String,
    target: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let accepted = relay.accept(&group_id, user(&client)?, &target).await;
    accepted.map_err(public)?;
    Ok(OK)
}

async fn mute(
    group_id: String,
    target: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let muted = relay.mute(&group_id, user(&client)?, &target).await;
    muted.map_err(public)?;
    Ok(OK)
}

async fn unmute(
    group_id: String,
    target: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let unmuted = relay.unmute(&group_id, user(&client)?, &target).await;
    unmuted.map_err(public)?;
    Ok(OK)
}

async fn send(
    group_id: String,
    message: Value,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<Relayed> {
    let request_id = &client.request_id;
    let sent = relay
        .send(&group_id, user(&client)?, message, request_id)
        .await
        .map_err(FunctionError::public)?;
    Ok(Relayed {
        status: "relayed",
        recipients_count: sent.recipients,
    })
}

async fn info(
    group_id: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<GroupInfo> {
    relay.info_for(&group_id, user(&client)?).map_err(public)
}

async fn delete(
    group_id: String,
    client: RequestInfo,
    State(relay): State<RelayRef>,
) -> Answer<&'static str> {
    let deleted = relay.delete_by(&group_id, user(&client)?).await;
    deleted.map_err(public)?;
    Ok(OK)
}

/// On whose behalf the request is made; a config may have let it in without.
fn user(client: &RequestInfo) -> Answer<&str> {
    let user = client.user_id.as_deref().filter(|user| !user.is_empty());
    user.ok_or_else(|| FunctionError::public("Authentication required"))
}

fn connection(client: &RequestInfo) -> Answer<Connection> {
    let connection = client.connection().cloned();
    connection.ok_or_else(|| FunctionError::public("no_connection"))
}

fn public(error: RelayError) -> FunctionError {
    FunctionError::public(error.code())
}

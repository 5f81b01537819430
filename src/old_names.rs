//! The names of PhoenixGenApi beside those of this crate, for those who come from Elixir (specification, section 22).
//!
//! This module holds nothing but this page. `api` is a [`GenApi`]; where a message is named, the actor takes it too.
//! [`Pusher`] and `ServiceNode` (feature `grpc`) are on the side of a service.
//!
//! | PhoenixGenApi | here |
//! |---|---|
//! | `Executor.execute!`, `execute_params!` | [`api.execute(request)`](GenApi::execute), [`api.execute_json(identity, bytes)`](GenApi::execute_json); message [`Execute`] |
//! | `execute_with_timeout!` | [`api.execute_with_timeout(request, duration)`](GenApi::execute_with_timeout) |
//! | `check_rate_limit(request)` | [`api.rate_limiter()`](GenApi::rate_limiter)[`.check(&request)`](RateLimiter::check); message [`Check`] to [`api.rate_limiter_actor()`](GenApi::rate_limiter_actor) |
//! | `check_rate_limit(key, scope, kind)` | [`.check_key(..)`](RateLimiter::check_key); message [`CheckKey`] |
//! | `get_global_limits`, `set_global_limits` | [`.global_limits()`](RateLimiter::global_limits), [`.set_global_limits(..)`](RateLimiter::set_global_limits); messages [`GetGlobalLimits`], [`SetGlobalLimits`] |
//! | `add_global_limit`, `remove_global_limit` | [`.add_global_limit(..)`](RateLimiter::add_global_limit), [`.remove_global_limit(key)`](RateLimiter::remove_global_limit); messages [`AddGlobalLimit`], [`RemoveGlobalLimit`] |
//! | `get_rate_limit_config`, `update_rate_limit_config` | [`.config()`](RateLimiter::config), [`.update_config(..)`](RateLimiter::update_config); messages [`GetConfig`], [`UpdateConfig`] |
//! | `get_rate_limit_status`, `reset_rate_limit` | [`.status(key, scope, kind)`](RateLimiter::status), [`.reset(key, scope, kind)`](RateLimiter::reset); messages [`GetStatus`], [`Reset`] |
//! | `push_config`, `verify_config` | [`api.receiver()`](GenApi::receiver)[`.push(..)`](ReceiverRef::push), [`.verify(..)`](ReceiverRef::verify); messages [`Push`], [`Verify`] |
//! | `ConfigPusher.push`, `ConfigPusher.push_on_startup` | [`PusherRef::push`], [`PusherRef::push_on_startup`]; messages [`PushTo`], [`PushOnStartup`] |
//! | `ConfigPusher.verify`, `ConfigPusher.from_service_config` | [`PusherRef::verify`], message [`VerifyAt`]; [`Pusher::from_service_config`] |
//! | `ConfigPuller.add`, `delete` | [`api.puller()`](GenApi::puller)[`.add(..)`](PullerRef::add), [`.delete(..)`](PullerRef::delete); messages [`AddServices`], [`DeleteServices`] |
//! | `ConfigPuller.pull`, `force_pull` | [`PullerRef::pull`], [`PullerRef::force_pull`]; messages [`Pull`], [`ForcePull`] |
//! | `ConfigPuller.get_services`, `get_api_list` | [`PullerRef::get_services`], [`PullerRef::get_api_list`] |
//! | `ConfigPuller.get_service_version`, `get_all_versions` | [`PullerRef::get_service_version`], [`PullerRef::get_all_versions`] |
//! | `ConfigPuller.child_spec`, `start_link` | nothing to call: the [`Puller`] is a supervised child of the engine, by its [`ChildSpec`](actix_otp::ChildSpec) |
//! | `ConfigDb.add`, `update`, `batch_add` | [`api.config_db()`](GenApi::config_db)[`.add(config)`](ConfigDbRef::add), [`.update(config)`](ConfigDbRef::update), [`.batch_add(configs)`](ConfigDbRef::batch_add); messages [`Add`], [`Update`], [`BatchAdd`] |
//! | `ConfigDb.delete`, `clear` | [`.delete(..)`](ConfigDbRef::delete), [`.clear()`](ConfigDbRef::clear); messages [`Delete`], [`Clear`] |
//! | `ConfigDb.enable`, `disable` | [`.enable(..)`](ConfigDbRef::enable), [`.disable(..)`](ConfigDbRef::disable); messages [`Enable`], [`Disable`] |
//! | `ConfigDb.get`, `get_fast`, `get_latest` | [`.get(..)`](ConfigDbRef::get), [`.get_fast(..)`](ConfigDbRef::get_fast), [`.get_latest(..)`](ConfigDbRef::get_latest) |
//! | `ConfigDb.get_all_functions`, `get_all_services`, `count` | [`.get_all_functions()`](ConfigDbRef::get_all_functions), [`.get_all_services()`](ConfigDbRef::get_all_services), [`.count()`](ConfigDbRef::count) |
//! | `StreamCall.start_link` | message [`StartStream`] to an [executor](GenApi::executor); so does [`api.execute(request)`](GenApi::execute) for a request whose config streams |
//! | `StreamCall.stop_stream(pid or id)` | [`api.stop_stream(id)`](GenApi::stop_stream); message [`StopStream`] to the [`StreamCall`], which [`StartedStream::stream`] hands out |
//! | `StreamHelper.send_result`, `send_last_result` | [`StreamHandle::send_result`], [`StreamHandle::send_last_result`] |
//! | `StreamHelper.send_complete`, `send_error` | [`StreamHandle::complete`], [`StreamHandle::fail`] |
//! | `NodeSelector.get_node`, `get_nodes` | [`NodeSelector::pick`], [`NodeSelector::order`] |
//! | `Permission.check_permission` | [`permission::check`] |
//! | `ArgumentHandler.convert_args!` | [`arguments::convert`] |
//! | `WorkerPool.execute_async`, `status` | message [`Run`] to [`api.async_pool()`](GenApi::async_pool) or a [`WorkerPoolActor`] of your own, [`api.pool_status()`](GenApi::pool_status) |
//! | `Relay.create_group`, `delete_group`, `get_group_info` | [`api.relay()`](GenApi::relay)[`.create(..)`](RelayRef::create), [`.delete(..)`](RelayRef::delete), [`.info(..)`](RelayRef::info); messages [`CreateGroup`], [`DeleteGroup`], [`GetGroupInfo`] |
//! | `Relay.join_group`, `leave_group` | [`.join(..)`](RelayRef::join), [`.leave(..)`](RelayRef::leave); messages [`JoinGroup`], [`LeaveGroup`] |
//! | `Relay.accept_member`, `mute_member`, `unmute_member` | [`.accept(..)`](RelayRef::accept), [`.mute(..)`](RelayRef::mute), [`.unmute(..)`](RelayRef::unmute); messages [`AcceptMember`], [`MuteMember`], [`UnmuteMember`] |
//! | `Relay.handle_relay` | the function `Relay.send`, offered as `relay_msg` by [`GenApiBuilder::relay`]; [`.send(..)`](RelayRef::send), message [`SendMessage`] |
//! | `attach_telemetry`, `detach_telemetry` | [`api.telemetry()`](GenApi::telemetry)[`.attach(id, filter, handler)`](Telemetry::attach), [`.detach(id)`](Telemetry::detach) |
//! | `cache_status`, `pool_status` | [`api.cache_status()`](GenApi::cache_status), [`api.pool_status()`](GenApi::pool_status); they print as tables |
//! | `pushed_services_status` | [`api.pushed_services_status()`](GenApi::pushed_services_status); it prints as a table |
//! | `rl_config`, `rl_global`, `rl_status` | [`api.rl_config()`](GenApi::rl_config), [`api.rl_global()`](GenApi::rl_global), [`api.rl_status(user_id)`](GenApi::rl_status); they print as tables |
//! | `use PhoenixGenApi` in a channel | feature `channel`: `channel::ChannelEndpoint` |
//! | `client_mode: true` | feature `grpc`: `ServiceNode`, with functions, configs and the gRPC door, and no gateway parts |

// For the links alone.
#[cfg(doc)]
use crate::{
    Execute, GenApi, GenApiBuilder, StartStream, StartedStream, arguments,
    config::{
        Add, AddServices, BatchAdd, Clear, ConfigDbRef, Delete, DeleteServices, Disable, Enable,
        ForcePull, Pull, Puller, PullerRef, Push, PushOnStartup, PushTo, Pusher, PusherRef,
        ReceiverRef, Update, Verify, VerifyAt,
    },
    function::StreamHandle,
    node::NodeSelector,
    permission,
    rate_limiter::{
        AddGlobalLimit, Check, CheckKey, GetConfig, GetGlobalLimits, GetStatus, RateLimiter,
        RemoveGlobalLimit, Reset, SetGlobalLimits, UpdateConfig,
    },
    relay::{
        AcceptMember, CreateGroup, DeleteGroup, GetGroupInfo, JoinGroup, LeaveGroup, MuteMember,
        RelayRef, SendMessage, UnmuteMember,
    },
    stream::{StopStream, StreamCall},
    telemetry::Telemetry,
    worker_pool::{Run, WorkerPoolActor},
};

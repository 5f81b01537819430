//! The server of one incarnation of a door, from its first connection to its last.

use std::{net::TcpListener, sync::Arc, time::Duration};

use tonic::{
    server::NamedService,
    transport::{Server, server::Router},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower_layer::layer_fn;

use super::{
    DoorPlan,
    connection::incoming,
    guard::{DoorState, Guarded},
    handlers::{GatewayHandler, NodeHandler},
};
use crate::{
    grpc::proto::{gateway_server::GatewayServer, node_server::NodeServer},
    log_text::printed,
};

/// How many calls one gateway may have open at a time; each stream is one for as long as it lasts.
const CALLS_A_CONNECTION: u32 = 100_000;

/// How many calls may be cancelled before they were looked at: more than fit into what a connection reads in one
/// [turn](super::connection), so that no burst of them ends the calls beside.
const CANCELLED_AT_ONCE: usize = 4_096;

/// Serves until the door is stopped and its last call has ended, or until it is cut.
pub(super) async fn serve(plan: Arc<DoorPlan>, socket: TcpListener, state: Arc<DoorState>) {
    // However this ends, those who wait for it are told.
    let ended = EndOnDrop(Arc::clone(&state));
    let address = plan.address;
    if let Err(error) = run(plan, socket, state).await {
        let error = printed(error);
        tracing::error!(%address, error, "the gRPC server failed");
    }
    drop(ended);
}

struct EndOnDrop(Arc<DoorState>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn run(
    plan: Arc<DoorPlan>,
    socket: TcpListener,
    state: Arc<DoorState>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let guarded = {
        let (plan, state) = (Arc::clone(&plan), Arc::clone(&state));
        layer_fn(move |inner| Guarded::new(inner, Arc::clone(&plan), Arc::clone(&state)))
    };
    let millis = Duration::from_millis;
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(millis(plan.settings.keepalive_interval_ms)))
        .http2_keepalive_timeout(Some(millis(plan.settings.keepalive_timeout_ms)))
        .max_concurrent_streams(CALLS_A_CONNECTION)
        .http2_max_pending_accept_reset_streams(Some(CANCELLED_AT_ONCE))
        .layer(guarded);
    let largest = plan.settings.max_message_bytes;
    let mut served = vec![""];
    let node = plan.offered.node.clone().map(|core| {
        served.push(<NodeServer<NodeHandler> as NamedService>::NAME);
        NodeServer::new(NodeHandler::new(core, &plan))
            .max_decoding_message_size(largest)
            .max_encoding_message_size(largest)
    });
    let gateway = plan.offered.gateway.clone().map(|receiver| {
        served.push(<GatewayServer<GatewayHandler> as NamedService>::NAME);
        GatewayServer::new(GatewayHandler::new(receiver, Arc::clone(&plan)))
            .max_decoding_message_size(largest)
            .max_encoding_message_size(largest)
    });
    let router: Router<_> = server
        .add_service(health_service)
        .add_optional_service(node)
        .add_optional_service(gateway);
    for service in &served {
        health
            .set_service_status(service, ServingStatus::Serving)
            .await;
    }
    let stopped = state.stopped();
    let stop = async move {
        stopped.await;
        not_serving(health, &served).await;
    };
    let connections = incoming(listener, Arc::clone(&plan), Arc::clone(&state));
    router
        .serve_with_incoming_shutdown(connections, stop)
        .await?;
    Ok(())
}

/// Tells those who watch, and ends their watching: a stop does not wait for people who only look.
async fn not_serving(mut health: HealthReporter, served: &[&str]) {
    for service in served {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
    }
    // The state stays for those who ask while the last calls end, under the name of the whole.
    for service in served {
        health.clear_service_status(service).await;
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
    }
}

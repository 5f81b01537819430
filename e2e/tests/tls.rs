//! TLS and mutual TLS between a gateway and its nodes (specification, section 19).

#[allow(dead_code)]
#[path = "../../tests/grpc_client/node.rs"]
mod node;

use std::{fs, time::Duration};

use gen_api::{
    ServiceNode,
    grpc::{GrpcClient, GrpcSetupError, TlsError},
    node::{Address, NodeCallError, NodeClient},
    settings::{GrpcSettings, TlsSettings},
};
use gen_api_e2e::{Authority, Identity};
use node::{Node, SECRET};
use tokio::runtime::Handle;
use tonic::transport::{Certificate, Identity as Shown, Server, ServerTlsConfig};

fn door(identity: &Identity) -> ServerTlsConfig {
    let shown = Shown::from_pem(&identity.certificate_pem, &identity.key_pem);
    ServerTlsConfig::new().identity(shown)
}

async fn serving(door: ServerTlsConfig) -> Node {
    let server = Server::builder().tls_config(door).unwrap();
    Node::serve("127.0.0.1:0".parse().unwrap(), server).await
}

fn client(tls: TlsSettings) -> GrpcClient {
    let settings = GrpcSettings::default()
        .with_cluster_secret(SECRET)
        .with_tls(tls);
    GrpcClient::new(&settings, Handle::current()).unwrap()
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings::default().with_ca(authority.file())
}

/// The node at its IP address, with this name for its certificate.
fn named(node: &Node, name: &str) -> Address {
    Address::new(format!("https://{}#{name}", node.at)).unwrap()
}

async fn ask(client: &GrpcClient, node: &Address) -> Result<bool, NodeCallError> {
    let asked = client.function_exists(node, "M", "echo", Duration::from_secs(10));
    asked.await
}

fn unreachable(answer: Result<bool, NodeCallError>) -> String {
    match answer {
        Err(NodeCallError::Unreachable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_that_shows_a_certificate_of_the_authority_is_called() {
    let authority = Authority::new();
    let node = serving(door(&authority.sign("users"))).await;
    let caller = client(trusting(&authority));
    assert_eq!(ask(&caller, &named(&node, "users")).await, Ok(true));

    let by_setting = client(trusting(&authority).with_domain("users"));
    let address = Address::new(format!("https://{}", node.at)).unwrap();
    assert_eq!(ask(&by_setting, &address).await, Ok(true));
}

#[tokio::test]
async fn a_node_with_an_ip_address_in_its_certificate_needs_no_name() {
    let authority = Authority::new();
    let node = serving(door(&authority.sign("127.0.0.1"))).await;
    let address = Address::new(format!("https://{}", node.at)).unwrap();
    assert_eq!(ask(&client(trusting(&authority)), &address).await, Ok(true));
}

#[tokio::test]
async fn all_nodes_behind_a_name_show_certificates_for_that_name() {
    let authority = Authority::new();
    let node = serving(door(&authority.sign("localhost"))).await;
    let caller = client(trusting(&authority));
    let name = Address::new(format!("dns://localhost:{}", node.at.port())).unwrap();
    let nodes = caller.expand(&name).expect("a group").await.unwrap();
    assert!(nodes.contains(&named(&node, "localhost")), "{nodes:?}");
    assert_eq!(ask(&caller, &named(&node, "localhost")).await, Ok(true));
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_makes_the_node_unreachable() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.sign_until("users", 2020);
    for (shown, name, reason) in [
        (stranger.sign("users"), "users", "UnknownIssuer"),
        (authority.sign("users"), "orders", "not valid for name"),
        (expired, "users", "expired"),
    ] {
        let node = serving(door(&shown)).await;
        let caller = client(trusting(&authority));
        let address = named(&node, name);
        let met = unreachable(ask(&caller, &address).await);
        assert!(met.starts_with("TLS: ") && met.contains(reason), "{met}");
        assert_eq!(caller.is_up(&address), Some(false));
    }
}

#[tokio::test]
async fn a_door_with_mutual_tls_lets_only_those_in_who_show_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let door =
        door(&authority.sign("users")).client_ca_root(Certificate::from_pem(authority.pem()));
    let node = serving(door).await;
    let address = named(&node, "users");
    let with = |identity: &Identity| {
        let shown = trusting(&authority).with_identity(&identity.certificate, &identity.key);
        client(shown)
    };
    assert_eq!(
        ask(&with(&authority.sign("gateway")), &address).await,
        Ok(true)
    );
    unreachable(ask(&client(trusting(&authority)), &address).await);
    unreachable(ask(&with(&stranger.sign("gateway")), &address).await);
    let expired = authority.sign_until("gateway", 2020);
    unreachable(ask(&with(&expired), &address).await);
}

#[tokio::test]
async fn the_secret_never_goes_out_in_the_clear_where_tls_is_set() {
    let node = Node::start().await;
    let caller = client(trusting(&Authority::new()));
    let reason = unreachable(ask(&caller, &node.address()).await);
    assert!(
        reason.contains("only https:// addresses are called"),
        "{reason}"
    );
    assert!(node.seen.headers.lock().unwrap().is_none());
    // A node in the clear does not pass for one over TLS either.
    unreachable(ask(&caller, &named(&node, "users")).await);
}

#[tokio::test]
async fn a_key_of_another_certificate_is_an_error_of_the_start() {
    let authority = Authority::new();
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    let tls = trusting(&authority).with_identity(&one.certificate, &other.key);
    let settings = GrpcSettings::default()
        .with_cluster_secret(SECRET)
        .with_tls(tls);
    let error = GrpcClient::new(&settings, Handle::current()).unwrap_err();
    assert!(
        matches!(&error, GrpcSetupError::Tls(TlsError::Unusable { key, path, .. })
            if *key == "grpc.tls.key" && *path == other.key),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_on_both_sides_when_their_files_change() {
    let (old, new) = (Authority::new(), Authority::new());
    let (shown, renewed) = (old.sign("127.0.0.1"), new.sign("127.0.0.1"));
    let settings = GrpcSettings::default()
        .with_listen("127.0.0.1:0".parse().unwrap())
        .with_cluster_secret(SECRET)
        .with_tls(TlsSettings::default().with_identity(&shown.certificate, &shown.key));
    let served = ServiceNode::builder().grpc(settings).start().await.unwrap();
    let address = Address::new(format!("https://{}", served.address())).unwrap();
    let before = client(trusting(&old));
    assert_eq!(ask(&before, &address).await, Ok(false));
    // It has read its file, and connects only later.
    let caller = client(trusting(&old));

    // A certificate without its key: the old ones stay.
    fs::copy(&renewed.certificate, &shown.certificate).unwrap();
    assert_eq!(ask(&client(trusting(&old)), &address).await, Ok(false));
    fs::copy(&renewed.key, &shown.key).unwrap();
    while ask(&client(trusting(&new)), &address).await.is_err() {
        tokio::task::yield_now().await;
    }
    unreachable(ask(&client(trusting(&old)), &address).await);
    // A connection that stands goes on.
    assert_eq!(ask(&before, &address).await, Ok(false));

    fs::copy(new.file(), old.file()).unwrap();
    while ask(&caller, &address).await.is_err() {
        tokio::task::yield_now().await;
    }
    served.stop().await;
}

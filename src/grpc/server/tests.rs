use std::{
    io::{Read, Write},
    net::TcpStream,
};

use actix_otp::{
    ArbiterPool, ChildRef, Intensity, Placement, Strategy, SupervisorRef, SupervisorSpec,
};

use super::*;
use crate::{
    clock::{ManualClock, SystemClock},
    function::Functions,
    grpc::{
        W3cTraceContext,
        proto::{FunctionName, node_client::NodeClient},
    },
    settings::TlsSettings,
};

/// A door on any port, under a supervisor.
struct World {
    plan: Arc<DoorPlan>,
    door: ChildRef<Door>,
    tree: SupervisorRef,
    arbiters: ArbiterPool,
}

/// Settings for a door with a certificate of its own, in files that are gone with the first part of the answer.
fn with_tls(name: &str) -> (Files, GrpcSettings) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = format!("gen_api-door-{}-{name}", std::process::id());
    let files = Files(std::env::temp_dir().join(directory));
    std::fs::create_dir_all(&files.0).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|file| files.0.join(file));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = TlsSettings::default().with_identity(certificate, key);
    (files, GrpcSettings::default().with_tls(tls))
}

struct Files(std::path::PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn open() -> World {
    let clock = Arc::new(SystemClock::new(Handle::current()));
    open_with(GrpcSettings::default(), clock).await
}

async fn open_with(settings: GrpcSettings, clock: Arc<dyn Clock>) -> World {
    let runtime = Handle::current();
    let settings = settings.with_cluster_secret("s3cret");
    let offered = Offered {
        node: Some(NodeCore::new(Arc::new(Functions::new()), runtime.clone())),
        ..Offered::default()
    };
    let plan = Arc::new(
        DoorPlan::bind(
            &settings,
            "127.0.0.1:0".parse().unwrap(),
            offered,
            Arc::new(W3cTraceContext::default()),
            clock,
            runtime,
        )
        .unwrap(),
    );
    let child = Door::child(Arc::clone(&plan));
    let door = child.child_ref();
    let arbiters = ArbiterPool::new(1).unwrap();
    let tree = SupervisorSpec::new(Strategy::OneForOne)
        .intensity(Intensity::new(100, Duration::from_secs(1)))
        .child(child);
    let tree = tree
        .start_on("root", Placement::Arbiter(arbiters.get(0)))
        .await
        .unwrap();
    World {
        plan,
        door,
        tree,
        arbiters,
    }
}

/// What the door says first: its side of HTTP/2 begins with a settings frame.
async fn greeted(address: SocketAddr) -> TcpStream {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .unwrap();
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[3], 4, "a settings frame");
        stream
    })
    .await
    .unwrap()
}

async fn ended(mut stream: TcpStream) {
    let read = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new()));
    // A reset is an end too.
    let _ = read.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_was_killed_is_open_again_on_the_same_port() {
    let world = open().await;
    let address = world.plan.address();
    for _ in 0..5 {
        let stream = greeted(address).await;
        let before = world.door.wait_until_running(0).await;
        world.door.kill().await;
        ended(stream).await;
        world.door.wait_until_running(before).await;
    }
    greeted(address).await;
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_by_itself_is_started_again() {
    let world = open().await;
    let address = world.plan.address();
    greeted(address).await;
    let before = world.door.wait_until_running(0).await;
    // The actor is told of the end, as when the server had failed.
    let addr = world.door.addr().unwrap();
    addr.send(EndServer).await.unwrap();
    world.door.wait_until_running(before).await;
    greeted(address).await;
    world.tree.shutdown().await;
    world.arbiters.stop();
}

struct EndServer;

impl actix::Message for EndServer {
    type Result = ();
}

impl actix::Handler<EndServer> for Door {
    type Result = ();

    fn handle(&mut self, _: EndServer, _: &mut Self::Context) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_door_ends_idle_connections() {
    let world = open().await;
    let idle = greeted(world.plan.address()).await;
    world.tree.shutdown().await;
    ended(idle).await;
    world.arbiters.stop();
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let world = open().await;
    let settings = GrpcSettings::default().with_cluster_secret("s3cret");
    let runtime = Handle::current();
    let clock = Arc::new(SystemClock::new(runtime.clone()));
    let trace = Arc::new(W3cTraceContext::default());
    let taken = world.plan.address();
    let offered = Offered::default();
    let error = DoorPlan::bind(&settings, taken, offered, trace, clock, runtime).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("grpc.listen: cannot listen on {taken}")),
        "{text}"
    );
    world.tree.shutdown().await;
    world.arbiters.stop();
}

type Caller = NodeClient<tonic::transport::Channel>;

async fn caller(world: &World) -> Caller {
    let endpoint = tonic::transport::Endpoint::from_shared(world.plan.url()).unwrap();
    NodeClient::new(endpoint.connect().await.unwrap())
}

fn refusal() -> Result<(), String> {
    Err("unauthenticated".to_owned())
}

/// What becomes of a call that shows this secret, or what it is told.
async fn call(caller: &mut Caller, secret: &str) -> Result<(), String> {
    let mut request = tonic::Request::new(FunctionName::default());
    let shown = format!("Bearer {secret}").parse().unwrap();
    request.metadata_mut().insert("authorization", shown);
    let answer = caller.function_exists(request).await;
    answer
        .map(|_| ())
        .map_err(|status| status.message().to_owned())
}

async fn connected(address: SocketAddr, bytes: &'static [u8]) -> TcpStream {
    let connect = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    });
    connect.await.unwrap()
}

/// Goes on when the door has so many connections.
async fn until_open(world: &World, connections: usize) {
    while world.plan.admission.taken() != connections {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_show_the_secret_in_time_is_closed() {
    let clock = ManualClock::new();
    let world = open_with(GrpcSettings::default(), Arc::new(clock.clone())).await;
    let address = world.plan.address();
    let mut trusted = caller(&world).await;
    assert_eq!(call(&mut trusted, "s3cret").await, Ok(()));
    let mut stranger = caller(&world).await;
    let refused = call(&mut stranger, "wrong").await;
    assert_eq!(refused, refusal());
    let strangers = [
        connected(address, b"").await,
        connected(address, b"PRI * HTTP/2.0\r\n").await,
        greeted(address).await,
    ];
    until_open(&world, 5).await;
    // Each waits for its limit by now, and the trusted one no longer does.
    while clock.sleepers() < 4 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(world.plan.admission.taken(), 5);
    clock.advance(Duration::from_millis(1));
    for stranger in strangers {
        ended(stranger).await;
    }
    until_open(&world, 1).await;
    assert_eq!(call(&mut trusted, "s3cret").await, Ok(()));
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_finish_tls_in_time_is_closed() {
    let clock = ManualClock::new();
    let (_files, settings) = with_tls("half");
    let world = open_with(settings, Arc::new(clock.clone())).await;
    let address = world.plan.address();
    let strangers = [
        connected(address, b"").await,
        // The beginning of a ClientHello that is 512 bytes long.
        connected(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await,
        // A whole alert, which begins nothing.
        connected(address, b"\x15\x03\x01").await,
    ];
    until_open(&world, 3).await;
    while clock.sleepers() < 3 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(world.plan.admission.taken(), 3);
    clock.advance(Duration::from_millis(1));
    for stranger in strangers {
        ended(stranger).await;
    }
    until_open(&world, 0).await;
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_tls_is_turned_away_at_once() {
    let (_files, settings) = with_tls("plain");
    let world = open_with(settings, Arc::new(ManualClock::new())).await;
    let plain = connected(world.plan.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    ended(plain.await).await;
    until_open(&world, 0).await;
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_no_more_connections_than_the_settings_say() {
    let settings = GrpcSettings::default().with_max_connections(10, 2);
    let clock = Arc::new(ManualClock::new());
    let world = open_with(settings, clock).await;
    let address = world.plan.address();
    let first = greeted(address).await;
    let second = greeted(address).await;
    ended(connected(address, b"").await).await;
    drop(first);
    until_open(&world, 1).await;
    let third = greeted(address).await;
    drop((second, third));
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_the_secret_is_slowed_down_and_who_has_shown_it_is_not() {
    let clock = ManualClock::new();
    let world = open_with(GrpcSettings::default(), Arc::new(clock.clone())).await;
    let mut trusted = caller(&world).await;
    assert_eq!(call(&mut trusted, "s3cret").await, Ok(()));
    let mut guesser = caller(&world).await;
    for _ in 0..20 {
        assert_eq!(call(&mut guesser, "guess").await, refusal());
    }
    // Not even looked at.
    let held = Err(guard::HELD.to_owned());
    assert_eq!(call(&mut guesser, "guess").await, held);
    assert_eq!(call(&mut guesser, "s3cret").await, held);
    assert_eq!(call(&mut caller(&world).await, "s3cret").await, held);
    assert_eq!(call(&mut trusted, "s3cret").await, Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(call(&mut guesser, "s3cret").await, Ok(()));
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_refused_again_and_again_is_closed() {
    let clock = Arc::new(ManualClock::new());
    let world = open_with(GrpcSettings::default(), clock).await;
    let mut guesser = caller(&world).await;
    // The door has it once it has answered.
    let _ = call(&mut guesser, "guess").await;
    let mut calls = 1;
    while world.plan.admission.taken() == 1 {
        let _ = call(&mut guesser, "guess").await;
        calls += 1;
    }
    assert!(calls >= connection::MOST_REFUSED, "{calls}");
    world.tree.shutdown().await;
    world.arbiters.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_takes_every_secret_of_its_list() {
    let settings = GrpcSettings::default().with_cluster_secrets(["older"]);
    let world = open_with(settings, Arc::new(ManualClock::new())).await;
    let mut caller = caller(&world).await;
    for secret in ["s3cret", "older"] {
        assert_eq!(call(&mut caller, secret).await, Ok(()));
    }
    assert_eq!(call(&mut caller, "oldest").await, refusal());
    world.tree.shutdown().await;
    world.arbiters.stop();
}

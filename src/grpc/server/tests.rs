use std::{
    io::{Read, Write},
    net::TcpStream,
};

use actix_otp::{
    ArbiterPool, ChildRef, Intensity, Placement, Strategy, SupervisorRef, SupervisorSpec,
};

use super::*;
use crate::{clock::SystemClock, function::Functions, grpc::W3cTraceContext};

/// A door on any port, under a supervisor.
struct World {
    plan: Arc<DoorPlan>,
    door: ChildRef<Door>,
    tree: SupervisorRef,
    arbiters: ArbiterPool,
}

async fn open() -> World {
    let runtime = Handle::current();
    let settings = GrpcSettings::default().with_cluster_secret("s3cret");
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
            Arc::new(SystemClock::new(runtime.clone())),
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

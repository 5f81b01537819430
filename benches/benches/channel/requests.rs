//! Requests a second and their p99, beside jsonrpsee's WebSocket server with the same echo.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use gen_api_benches::{Table, grouped, median, time};
use tokio::task::JoinSet;

use crate::{
    client::{Client, contains, masked},
    process::Server,
    servers::{GATEWAY, JSONRPSEE},
};

/// The loads: how many connections, and how many requests each has in flight.
const LOADS: [(usize, usize); 4] = [(1, 1), (100, 1), (1_000, 1), (100, 16)];

const ROUNDS: usize = 9;

/// How long one turn of a server takes.
const TURN: Duration = Duration::from_millis(700);

/// How a server is spoken to.
struct Dialect {
    server: &'static str,
    path: &'static str,
    /// What is sent first, and what its answer holds.
    join: Option<(&'static str, &'static str)>,
    /// The request with a number.
    request: fn(usize) -> String,
    /// What the frames hold that answer a request, one after the other.
    answer: &'static [&'static str],
}

const DIALECTS: [Dialect; 2] = [
    Dialect {
        server: GATEWAY,
        path: "/socket/websocket?vsn=2.0.0",
        join: Some((JOIN, r#""status":"ok""#)),
        request: |n| {
            format!(
                r#"["1","{n}","api:main","phoenix_gen_api",{{"service":"svc","request_type":"echo","request_id":"request-{n}","args":{{"value":"hello"}}}}]"#
            )
        },
        answer: &[r#""result":"hello""#, r#""status":"ok""#],
    },
    Dialect {
        server: JSONRPSEE,
        path: "/",
        join: None,
        request: |n| format!(r#"{{"jsonrpc":"2.0","id":{n},"method":"echo","params":["hello"]}}"#),
        answer: &[r#""result":"hello""#],
    },
];

/// Joins the channel of the [gateway](crate::servers).
pub(crate) const JOIN: &str = r#"["1","1","api:main","phx_join",{}]"#;

/// What one turn showed.
struct Turn {
    a_second: f64,
    p99: f64,
    /// The processor time of the server, in nanoseconds a request.
    processor: f64,
}

/// Measures both servers under each load, in turns, and prints the table.
pub(crate) async fn compare() {
    let columns = ["requests/s", "ratio", "p99", "server CPU a request"];
    let mut table = Table::new("requests over WebSocket", columns);
    for (connections, in_flight) in LOADS {
        let mut turns: [Vec<Turn>; 2] = Default::default();
        let mut sides = Vec::new();
        for dialect in &DIALECTS {
            let server = Server::start(dialect.server);
            let clients = connect(&server, dialect, connections).await;
            sides.push((server, clients));
        }
        for round in 0..=ROUNDS {
            for ((dialect, side), turns) in DIALECTS.iter().zip(&mut sides).zip(&mut turns) {
                let turn = take_turn(dialect, side, in_flight).await;
                // The first round warms up.
                if round > 0 {
                    turns.push(turn);
                }
            }
        }
        let [own, peer] = &turns;
        let ratio = median(
            own.iter()
                .zip(peer)
                .map(|(own, peer)| own.a_second / peer.a_second),
        );
        for (name, turns, ratio) in [("jsonrpsee", peer, 1.0), ("gateway", own, ratio)] {
            table.row(
                format!("{connections} connections, {in_flight} in flight each: {name}"),
                [
                    grouped(median(turns.iter().map(|turn| turn.a_second))),
                    format!("{ratio:.2}"),
                    time(median(turns.iter().map(|turn| turn.p99))),
                    time(median(turns.iter().map(|turn| turn.processor))),
                ],
            );
        }
    }
    table.print();
}

async fn connect(server: &Server, dialect: &Dialect, count: usize) -> Vec<Client> {
    let path = |_| dialect.path.to_owned();
    let begin = async |client: &mut Client| match dialect.join {
        Some((join, joined)) => {
            client.send(&masked(join)).await?;
            client.receive_until(joined).await
        }
        None => Ok(()),
    };
    Client::connect_many(server.address, count, path, begin).await
}

/// Lets all connections ask for as long as a turn takes, and waits for the last answers.
async fn take_turn(dialect: &Dialect, side: &mut (Server, Vec<Client>), in_flight: usize) -> Turn {
    let (server, clients) = side;
    let processor = server.processor_time();
    let start = Instant::now();
    let mut asking = JoinSet::new();
    for client in clients.drain(..) {
        asking.spawn(ask(
            client,
            dialect.request,
            dialect.answer,
            in_flight,
            start + TURN,
        ));
    }
    let mut latencies = Vec::new();
    for asked in asking.join_all().await {
        let (client, times) = asked.expect("the server answers");
        clients.push(client);
        latencies.extend(times);
    }
    let elapsed = start.elapsed();
    let processor = server.processor_time() - processor;
    latencies.sort_unstable();
    let requests = latencies.len();
    Turn {
        a_second: requests as f64 / elapsed.as_secs_f64(),
        p99: latencies
            .get(requests * 99 / 100)
            .map_or(f64::NAN, |time| *time as f64),
        processor: processor.as_nanos() as f64 / requests as f64,
    }
}

/// Keeps as many requests in flight until `end`; how long each took, in nanoseconds. Answers are taken to come in the
/// order of the requests.
async fn ask(
    mut client: Client,
    request: fn(usize) -> String,
    answer: &'static [&'static str],
    in_flight: usize,
    end: Instant,
) -> io::Result<(Client, Vec<u64>)> {
    let frames: Vec<_> = (0..in_flight).map(|n| masked(&request(n + 1))).collect();
    let mut asked = VecDeque::new();
    let mut times = Vec::new();
    let mut missing = answer.iter().cycle();
    let mut next = frames.iter().cycle();
    let mut sending = Vec::new();
    let mut free = in_flight;
    loop {
        let now = Instant::now();
        if now < end {
            sending.clear();
            for frame in next.by_ref().take(free) {
                sending.extend_from_slice(frame);
                asked.push_back(now);
            }
            client.send(&sending).await?;
        } else if asked.is_empty() {
            return Ok((client, times));
        }
        free = 0;
        client
            .receive(|payload| {
                let expected = missing.next().expect("they go round");
                assert!(
                    contains(payload, expected),
                    "{}",
                    String::from_utf8_lossy(payload)
                );
                if std::ptr::eq(*expected, answer[answer.len() - 1]) {
                    let asked = asked.pop_front().expect("it was asked for");
                    times.push(asked.elapsed().as_nanos() as u64);
                    free += 1;
                }
            })
            .await?;
    }
}

//! What the listeners bear: slow, long and many requests, over plain sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{any, get, post};
use conversationd::http::serve::{Bounds, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{PATIENCE, World};

/// Longer than a machine that is busy takes between two packets, short enough to wait for.
const HEAD_TIMEOUT: Duration = Duration::from_millis(300);

/// Nothing ends by its time within a test that waits for it.
const LAX: Bounds = Bounds { head_timeout: NEVER, write_timeout: NEVER, connections: 10, half_closed: false };

/// Longer than any test waits.
const NEVER: Duration = Duration::from_mins(10);

struct TestServer {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// Serves `router`.
async fn serve(bounds: Bounds, router: Router) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let server = Server { name: "test", listener, router, bounds };
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let running = tokio::spawn(server.run(stop.clone()));
    TestServer { address, stop, running }
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Sends `bytes` on a connection of its own.
async fn connect(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

/// Everything until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A server that closes with something unread resets the connection behind its reply.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8(bytes).unwrap()
}

/// One reply, which ends in `end`.
async fn reply(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while !bytes.ends_with(end.as_bytes()) {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "it is not closed");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a reply comes");
    String::from_utf8(bytes).unwrap()
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn half_a_head_and_an_idle_connection_are_closed_in_time() {
    let server = serve(Bounds { head_timeout: HEAD_TIMEOUT, ..LAX }, hello()).await;
    let mut half = connect(server.address, "GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(rest(&mut half).await, "");
    let mut idle = connect(server.address, REQUEST).await;
    assert!(reply(&mut idle, "hello").await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn a_long_url_is_refused_with_414_and_a_large_head_with_431() {
    let daemon = World::default().start().await;
    for address in [daemon.private_address(), daemon.public_address()] {
        for (filling, status) in [(8_100, "200"), (8_200, "414"), (20_000, "414"), (40_000, "431")] {
            let url = format!("/livez?{}", "x".repeat(filling));
            let request = format!("GET {url} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let told = rest(&mut connect(address, &request).await).await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{filling}: {told}");
            assert_eq!(status == "414", told.contains("application/problem+json"), "{told}");
        }
        let headers = "x: y\r\n".repeat(200);
        let told = rest(&mut connect(address, &format!("GET /livez HTTP/1.1\r\n{headers}\r\n")).await).await;
        assert!(told.starts_with("HTTP/1.1 431 "), "{told}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_bound_closes_the_one_that_was_idle_longest() {
    let server = serve(Bounds { connections: 2, ..LAX }, hello()).await;
    let mut first = connect(server.address, REQUEST).await;
    reply(&mut first, "hello").await;
    let mut second = connect(server.address, REQUEST).await;
    reply(&mut second, "hello").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    first.write_all(REQUEST.as_bytes()).await.unwrap();
    reply(&mut first, "hello").await;
    let mut third = connect(server.address, REQUEST).await;
    assert!(reply(&mut third, "hello").await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut second).await, "", "the first was used later");
    first.write_all(REQUEST.as_bytes()).await.unwrap();
    assert!(reply(&mut first, "hello").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_that_have_sent_nothing_or_half_a_head_give_way() {
    let server = serve(Bounds { connections: 1, ..LAX }, hello()).await;
    let mut silent = connect(server.address, "").await;
    let mut half = connect(server.address, "GET / HTTP/1.1\r\nhost:").await;
    let mut whole = connect(server.address, REQUEST).await;
    assert!(reply(&mut whole, "hello").await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut half).await, "");
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_where_all_are_at_work() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (begun.clone(), go.clone());
    let slow = async move || {
        begins.notify_one();
        goes.notified().await;
        "done"
    };
    let server = serve(Bounds { connections: 1, ..LAX }, hello().route("/slow", get(slow))).await;
    let mut busy = connect(server.address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    begun.notified().await;
    let mut waiting = connect(server.address, REQUEST).await;
    let early = tokio::time::timeout(HEAD_TIMEOUT, waiting.readable()).await;
    assert!(early.is_err(), "nobody is closed in the middle of a request");
    go.notify_one();
    assert!(reply(&mut busy, "done").await.starts_with("HTTP/1.1 200"));
    assert!(reply(&mut waiting, "hello").await.starts_with("HTTP/1.1 200"));
}

/// A request whose body does not come.
const HEAD_ALONE: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n";

/// Answers a `POST` when it has the whole of it.
fn taking() -> Router {
    hello().route("/", post(async |body: String| format!("took {body}")))
}

#[tokio::test]
async fn requests_whose_bodies_do_not_come_give_way_after_idle_connections() {
    let server = serve(Bounds { connections: 2, ..LAX }, taking()).await;
    let mut first = connect(server.address, HEAD_ALONE).await;
    let mut idle = connect(server.address, REQUEST).await;
    reply(&mut idle, "hello").await;
    let mut third = connect(server.address, HEAD_ALONE).await;
    assert_eq!(rest(&mut idle).await, "", "the idle one goes first");
    let mut whole = connect(server.address, REQUEST).await;
    assert!(reply(&mut whole, "hello").await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut first).await, "", "the one that began first goes first");
    third.write_all(b"12345").await.unwrap();
    assert!(reply(&mut third, "took 12345").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_keeps_no_place() {
    let server = serve(Bounds { connections: 1, ..LAX }, taking()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    let mut dripping = connect(server.address, head).await;
    let mut whole = connect(server.address, REQUEST).await;
    let drip = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        loop {
            turns.tick().await;
            if dripping.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let told = tokio::select! {
        () = drip => unreachable!("it never ends"),
        told = reply(&mut whole, "hello") => told,
    };
    assert!(told.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_that_is_whole_or_pipelined_is_not_closed_for_another() {
    for request in [
        "POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345",
        // The handler wants nothing of it.
        "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /unread HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345",
    ] {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes) = (begun.clone(), go.clone());
        let work = async move || {
            begins.notify_one();
            goes.notified().await;
            "done"
        };
        let unread = work.clone();
        let router = hello()
            .route("/slow", post(async move |_: String| work().await))
            .route("/unread", any(async move || unread().await));
        let server = serve(Bounds { connections: 1, ..LAX }, router).await;
        let mut busy = connect(server.address, request).await;
        tokio::time::timeout(PATIENCE, begun.notified()).await.expect("it is worked on");
        let mut waiting = connect(server.address, REQUEST).await;
        let early = tokio::time::timeout(Duration::from_secs(2), waiting.readable()).await;
        assert!(early.is_err(), "{request}: nobody is closed in the middle of a request");
        go.notify_one();
        assert!(reply(&mut busy, "done").await.starts_with("HTTP/1.1 200"), "{request}");
        assert!(reply(&mut waiting, "hello").await.starts_with("HTTP/1.1 200"), "{request}");
    }
}

/// An answer that never ends, and a sign when it is given up.
fn endless() -> (Router, Arc<Notify>) {
    struct GivenUp(Arc<Notify>);
    impl Drop for GivenUp {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let given_up = Arc::new(Notify::new());
    let sign = Arc::clone(&given_up);
    let answer = async move || {
        let guard = GivenUp(Arc::clone(&sign));
        Body::from_stream(futures_util::stream::repeat_with(move || {
            let _ = &guard;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 65_536]))
        }))
    };
    (hello().route("/endless", get(answer)), given_up)
}

const ENDLESS: &str = "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_given_up_in_time() {
    let (router, given_up) = endless();
    let server = serve(Bounds { write_timeout: HEAD_TIMEOUT, ..LAX }, router).await;
    let _client = connect(server.address, ENDLESS).await;
    tokio::time::timeout(PATIENCE, given_up.notified()).await.expect("the answer is given up");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_given_up() {
    let (router, given_up) = endless();
    let server = serve(Bounds { write_timeout: Duration::from_secs(2), ..LAX }, router).await;
    let mut client = connect(server.address, ENDLESS).await;
    let mut bytes = vec![0; 1024 * 1024];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        client.read_exact(&mut bytes).await.expect("the answer goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(tokio::time::timeout(Duration::ZERO, given_up.notified()).await.is_err());
}

#[tokio::test]
async fn clients_that_take_nothing_give_way_to_others() {
    let (router, given_up) = endless();
    let server = serve(Bounds { connections: 1, ..LAX }, router).await;
    let _stuck = connect(server.address, ENDLESS).await;
    for _ in 0..3 {
        let mut other = connect(server.address, REQUEST).await;
        assert!(reply(&mut other, "hello").await.starts_with("HTTP/1.1 200"));
    }
    given_up.notified().await;
}

#[tokio::test]
async fn the_stop_waits_for_a_request_and_not_for_an_idle_connection() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (begun.clone(), go.clone());
    let slow = async move || {
        begins.notify_one();
        goes.notified().await;
        "done"
    };
    let server = serve(LAX, hello().route("/slow", get(slow))).await;
    let mut idle = connect(server.address, REQUEST).await;
    reply(&mut idle, "hello").await;
    let mut busy = connect(server.address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    begun.notified().await;
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing more is taken");
    go.notify_one();
    let told = rest(&mut busy).await;
    assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("done"), "{told}");
    tokio::time::timeout(PATIENCE, server.running).await.expect("it ends").unwrap();
}

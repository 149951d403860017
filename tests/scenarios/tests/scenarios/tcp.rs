//! TCP proxying: bytes, ends, resets, limits and the lives of connections.

mod failures;
mod lives;
mod tls;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy, wait_until, within};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The listener `edge` passes everything on to the cluster `upstream`; `more` are fields of the chain's `tcp`.
fn passing(endpoints: &[SocketAddr], more: &str) -> Document {
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(", {more}")
    };
    Document::to(endpoints).listener(&format!(
        "filter_chains: [{{ name: bytes, tcp: {{ cluster: upstream{more} }} }}]"
    ))
}

/// Reads exactly as many bytes.
async fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within("bytes", stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Everything until the end, and whether it was an end in order.
async fn to_end(stream: &mut TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut bytes = Vec::new();
    let result = within("an end", stream.read_to_end(&mut bytes)).await;
    (bytes, result)
}

async fn connect(address: SocketAddr) -> TcpStream {
    within("a connection", TcpStream::connect(address)).await.unwrap()
}

/// Sends everything back, and ends its side when the client has.
async fn echoing() -> Scripted {
    Scripted::start(|mut script| async move {
        let (mut read, mut write) = script.wire().stream().split();
        tokio::io::copy(&mut read, &mut write).await?;
        write.shutdown().await
    })
    .await
}

/// Says this at once, and then waits for the client's end.
async fn saying(words: &'static str) -> Scripted {
    Scripted::start(move |mut script| async move {
        script.send(words).await?;
        script.until_closed().await
    })
    .await
}

fn reset(stream: TcpStream) {
    // Zero seconds to linger: the close is a reset.
    let socket = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    socket.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_both_ways_and_are_counted_and_logged() {
    let upstream = echoing().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tcp.log");
    let format = "%BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %FILTER_CHAIN_NAME% \
                  %RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %PROTOCOL% %REQ(:METHOD)% %RESPONSE_CODE%";
    let log = format!(
        "access_logs: [{{ path: '{}', format: {{ text: \"{format}\\n\" }} }}]",
        file.display()
    );
    let proxy = Proxy::start(passing(&[upstream.address()], &log)).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"hello").await.unwrap();
    assert_eq!(take(&mut client, 5).await, b"hello");
    let large: Vec<u8> = (0..3_000_000u32).map(|place| (place % 251) as u8).collect();
    let (mut read, mut write) = client.split();
    let mut back = vec![0; large.len()];
    let (wrote, read_back) = tokio::join!(
        write.write_all(&large),
        within("an echo", read.read_exact(&mut back))
    );
    wrote.unwrap();
    read_back.unwrap();
    assert_eq!(back, large);
    client.shutdown().await.unwrap();
    let (rest, end) = to_end(&mut client).await;
    assert_eq!((rest.len(), end.unwrap()), (0, 0));

    let admin = proxy.admin();
    admin
        .wait_for_metric("outrigger_listener_tcp_connection_duration_seconds_count", 1.0)
        .await;
    for (series, value) in [
        ("outrigger_listener_tcp_connections_total", 1.0),
        ("outrigger_listener_received_bytes_total", 3_000_005.0),
        ("outrigger_listener_sent_bytes_total", 3_000_005.0),
        ("outrigger_cluster_sent_bytes_total", 3_000_005.0),
        (
            "outrigger_cluster_connections_opened_total{protocol=\"tcp\"}",
            1.0,
        ),
        (
            "outrigger_cluster_connections_closed_total{reason=\"downstream\"}",
            1.0,
        ),
        (
            "outrigger_listener_connections_closed_total{reason=\"peer\"}",
            1.0,
        ),
        ("outrigger_cluster_connections_active", 0.0),
    ] {
        assert_eq!(admin.metric(series).await, value, "{series}");
    }
    let line = wait_until("a log line", async || {
        std::fs::read_to_string(&file)
            .ok()
            .filter(|text| text.ends_with('\n'))
    })
    .await;
    let expected = format!(
        "3000005 3000005 upstream {} bytes - - - - 0\n",
        upstream.address()
    );
    assert_eq!(line, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_side_still_hears_the_server() {
    let upstream = Scripted::start(|mut script| async move {
        let said = script.wire().to_close().await?;
        script.send(format!("you said {} bytes", said.len())).await
    })
    .await;
    let proxy = Proxy::start(passing(&[upstream.address()], "")).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"all of it").await.unwrap();
    client.shutdown().await.unwrap();
    let (answer, end) = to_end(&mut client).await;
    end.unwrap();
    assert_eq!(answer, b"you said 9 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_its_side_still_hears_the_client() {
    let upstream = Scripted::start(|mut script| async move {
        script.send("that is all").await?;
        script.half_close().await?;
        let heard = script.wire().to_close().await?;
        assert_eq!(heard, b"and yet I speak");
        script.ran(
            outrigger_fixtures::wire::Head {
                start_line: "TCP".to_owned(),
                fields: Vec::new(),
            },
            outrigger_fixtures::wire::Body::default(),
        );
        Ok(())
    })
    .await;
    let proxy = Proxy::start(passing(&[upstream.address()], "")).await;
    let mut client = connect(proxy.address()).await;
    let (words, end) = to_end(&mut client).await;
    end.unwrap();
    assert_eq!(words, b"that is all");
    client.write_all(b"and yet I speak").await.unwrap();
    drop(client);
    wait_until("the server to hear it", async || {
        (upstream.request_count() == 1).then_some(())
    })
    .await;
    proxy
        .admin()
        .wait_for_metric(
            "outrigger_listener_connections_closed_total{reason=\"upstream\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weighted_clusters_share_connections() {
    let (one, two) = (saying("1").await, saying("2").await);
    let document = Document::to(&[])
        .with_cluster("one", &[one.address()], "")
        .with_cluster("two", &[two.address()], "")
        .listener(
            "filter_chains: [{ tcp: { weighted_clusters: [{ cluster: one, weight: 1 }, { cluster: two, weight: 1 }] } }]",
        );
    let proxy = Proxy::start(document).await;
    let mut heard = [0; 2];
    // Both are heard unless 64 coins fall on one side.
    for _ in 0..64 {
        let mut client = connect(proxy.address()).await;
        let word = take(&mut client, 1).await;
        heard[usize::from(word[0] - b'1')] += 1;
    }
    assert!(heard[0] > 0 && heard[1] > 0, "{heard:?}");
}

//! What a client sees when there is no server, or when one of the two is torn away.

use super::*;

/// An address at which nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn line_of(file: &std::path::Path) -> String {
    wait_until("a log line", async || {
        std::fs::read_to_string(file)
            .ok()
            .filter(|text| text.ends_with('\n'))
    })
    .await
}

fn flags_log(file: &std::path::Path) -> String {
    format!(
        "access_logs: [{{ path: '{}', format: {{ text: \"%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% \
         %UPSTREAM_REQUEST_ATTEMPT_COUNT%\\n\" }} }}]",
        file.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_is_a_reset_with_its_reason_logged() {
    let directory = tempfile::tempdir().unwrap();
    let gone = nowhere().await;
    for (name, endpoints, expected) in [
        ("empty", vec![], "UH no_healthy_upstream 1\n"),
        ("refused", vec![gone], "UF,URX connection_refused 2\n"),
    ] {
        let file = directory.path().join(name);
        let proxy = Proxy::start(passing(&endpoints, &flags_log(&file))).await;
        // The reset may come before the client knows that it is connected.
        if let Ok(mut client) = TcpStream::connect(proxy.address()).await {
            let (words, end) = to_end(&mut client).await;
            assert!(words.is_empty() && end.is_err(), "{name}: {words:?} {end:?}");
        }
        assert_eq!(line_of(&file).await, expected);
        let closed = "outrigger_listener_connections_closed_total{reason=\"upstream\"}";
        proxy.admin().wait_for_metric(closed, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_is_tried() {
    let upstream = saying("here").await;
    let document = passing(&[nowhere().await, upstream.address()], "").workers(1);
    let proxy = Proxy::start(document).await;
    for _ in 0..4 {
        let mut client = connect(proxy.address()).await;
        assert_eq!(take(&mut client, 4).await, b"here");
    }
    let failures = "outrigger_cluster_connection_failures_total{reason=\"refused\"}";
    assert!(proxy.admin().metric(failures).await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded() {
    let upstream = saying("here").await;
    let document = passing(&[nowhere().await, upstream.address()], "connect_attempts_max: 1").workers(1);
    let proxy = Proxy::start(document).await;
    let mut served = 0;
    for _ in 0..4 {
        let Ok(mut client) = TcpStream::connect(proxy.address()).await else {
            continue;
        };
        let mut word = [0; 4];
        served += usize::from(within("an answer", client.read_exact(&mut word)).await.is_ok());
    }
    assert_eq!(
        served, 2,
        "every other connection meets the endpoint that is not there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_reset_reaches_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let upstream = Scripted::start(|mut script| async move {
        script.wire().take(5).await?;
        script.reset()
    })
    .await;
    let proxy = Proxy::start(passing(&[upstream.address()], &flags_log(&file))).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"hello").await.unwrap();
    let (_, end) = to_end(&mut client).await;
    assert!(end.is_err(), "{end:?}");
    assert_eq!(line_of(&file).await, "UC upstream_remote_reset 1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_reset_reaches_the_server_even_where_it_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Scripted::start(move |mut script| {
        let told = told.clone();
        async move {
            script.send("go").await?;
            let ended = script.wire().to_close().await.is_ok();
            // Whether it saw an end first, and whether it can still speak.
            let spoke = async {
                loop {
                    script.send("more").await?;
                    tokio::task::yield_now().await;
                }
            };
            let failed: io::Result<()> = spoke.await;
            told.send((ended, failed.is_err())).unwrap();
            Ok(())
        }
    })
    .await;
    let proxy = Proxy::start(passing(&[upstream.address()], &flags_log(&file))).await;
    // It ends its side, hears nothing any more, and resets: nothing of this can be read.
    let mut client = connect(proxy.address()).await;
    take(&mut client, 2).await;
    client.shutdown().await.unwrap();
    reset(client);
    let heard = within("the server to see it", tell.recv()).await.unwrap();
    assert!(heard.1);
    assert_eq!(line_of(&file).await, "DC downstream_remote_reset 1\n");
}

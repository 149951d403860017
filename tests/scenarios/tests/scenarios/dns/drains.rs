//! Names that change while the proxy drains.

use super::*;
use outrigger_harness::within;
use std::time::Duration;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_still_change_during_a_drain() {
    let (go, gone) = watch::channel(false);
    let halting = Scripted::start(move |mut script| {
        let mut gone = gone.clone();
        async move {
            script.request().await?;
            script
                .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
                .await?;
            let _ = gone.wait_for(|go| *go).await;
            script.send("half").await
        }
    })
    .await;
    let ups = upstreams(&["127.0.0.1", "127.0.0.2"]).await;
    let server = DnsServer::start().await;
    let zone = |address: &str| server.set(NAME, Kind::A, Reply::addresses(60, &[address]));
    zone("127.0.0.1");
    let routes = "{ match: { prefix: / }, forward: { cluster: long } }";
    let document = document(&server, "strict_dns", ups[0].address().port(), FAST)
        .with_cluster("long", &[halting.address()], "")
        .routes(routes);
    let proxy = Proxy::start(document).await;
    let address = proxy.address();
    let mut long = Client::connect(address).await;
    long.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(long.head().await.status(), 200);

    let whole = proxy.drain(Duration::ZERO, Duration::from_secs(600));
    wait_until("the listener to close", async || {
        tokio::net::TcpStream::connect(address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    for (zone_address, upstream) in [("127.0.0.2", &ups[1]), ("127.0.0.1", &ups[0])] {
        zone(zone_address);
        wait_for_endpoints(&proxy, &texts(&[upstream])).await;
    }
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "endpoints open no socket"
    );
    go.send(true).unwrap();
    assert_eq!(long.take(8).await, b"halfhalf");
    assert!(within("the drain", whole).await.unwrap(), "nothing was cut");
}

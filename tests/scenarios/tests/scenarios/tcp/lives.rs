//! How long connections live: idle, old, limited, reloaded, drained.

use super::*;

async fn is_cut(stream: &mut TcpStream) -> bool {
    to_end(stream).await.1.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_cut() {
    let upstream = echoing().await;
    let proxy = Proxy::start(passing(&[upstream.address()], "idle_timeout: 200ms")).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"x").await.unwrap();
    take(&mut client, 1).await;
    assert!(is_cut(&mut client).await);
    let closed = "outrigger_listener_connections_closed_total{reason=\"idle\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;
    wait_until("the server's side", async || {
        (upstream.open_connections() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_connection_is_cut_at_its_greatest_age() {
    let upstream = echoing().await;
    let document = passing(
        &[upstream.address()],
        "connection_duration_max: 300ms, idle_timeout: 1h",
    );
    let proxy = Proxy::start(document).await;
    let mut client = connect(proxy.address()).await;
    let busy = async {
        loop {
            if client.write_all(b"x").await.is_err() || client.read_u8().await.is_err() {
                break;
            }
        }
    };
    within("the cut", busy).await;
    let closed = "outrigger_listener_connections_closed_total{reason=\"age_max\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_number_and_a_rate() {
    let upstream = saying("hi").await;
    let chains = "filter_chains: [{ tcp: { cluster: upstream } }]";
    let document = Document::to(&[upstream.address()]).listener(&format!("connections_max: 2\n{chains}"));
    let proxy = Proxy::start(document).await;
    let mut first = connect(proxy.address()).await;
    let mut second = connect(proxy.address()).await;
    take(&mut first, 2).await;
    take(&mut second, 2).await;
    let mut third = connect(proxy.address()).await;
    assert!(to_end(&mut third).await.0.is_empty());
    let refused = "outrigger_listener_connections_refused_total{reason=\"limit\"}";
    assert_eq!(proxy.admin().metric(refused).await, 1.0);

    let rate = "connection_rate_max: { per_second: 1, burst: 3 }";
    let document = Document::to(&[upstream.address()]).listener(&format!("{rate}\n{chains}"));
    let proxy = Proxy::start(document).await;
    let mut served = 0;
    // They would have to take seventeen seconds to be within the rate.
    for _ in 0..20 {
        let mut client = connect(proxy.address()).await;
        let mut word = [0; 2];
        served += usize::from(within("a word", client.read_exact(&mut word)).await.is_ok());
    }
    assert!((3..20).contains(&served), "{served}");
    let refused = "outrigger_listener_connections_refused_total{reason=\"rate\"}";
    assert_eq!(proxy.admin().metric(refused).await, (20 - served) as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_connection_outlives_its_chain_and_its_cluster() {
    let upstream = echoing().await;
    let proxy = Proxy::start(passing(&[upstream.address()], "")).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"a").await.unwrap();
    take(&mut client, 1).await;
    // The chain, the cluster's endpoint and at last the listener go.
    proxy.reload(Document::to(&[])).await.unwrap();
    client.write_all(b"b").await.unwrap();
    assert_eq!(take(&mut client, 1).await, b"b");
    client.shutdown().await.unwrap();
    assert!(to_end(&mut client).await.1.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_chain_is_gone_has_as_long_as_a_drain() {
    let upstream = echoing().await;
    let draining = "drain: { timeout: 200ms }";
    let document = passing(&[upstream.address()], "idle_timeout: 1h").with(draining);
    let proxy = Proxy::start(document).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"a").await.unwrap();
    take(&mut client, 1).await;
    proxy.reload(Document::to(&[]).with(draining)).await.unwrap();
    assert!(is_cut(&mut client).await);
    let closed = "outrigger_listener_connections_closed_total{reason=\"drain\"}";
    proxy.admin().wait_for_metric(closed, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_connections_and_cuts_them_at_its_deadline() {
    let upstream = echoing().await;
    let proxy = Proxy::start(passing(&[upstream.address()], "")).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"a").await.unwrap();
    take(&mut client, 1).await;
    let address = proxy.address();
    let whole = proxy.drain(Duration::ZERO, Duration::from_secs(600));
    wait_until("the listener to close", async || {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    client.write_all(b"b").await.unwrap();
    assert_eq!(take(&mut client, 1).await, b"b");
    drop(client);
    assert!(within("the drain", whole).await.unwrap());

    let proxy = Proxy::start(passing(&[upstream.address()], "")).await;
    let mut client = connect(proxy.address()).await;
    client.write_all(b"a").await.unwrap();
    take(&mut client, 1).await;
    let whole = proxy.drain(Duration::ZERO, Duration::from_millis(200));
    assert!(!within("the drain", whole).await.unwrap());
    assert!(to_end(&mut client).await.0.is_empty());
}

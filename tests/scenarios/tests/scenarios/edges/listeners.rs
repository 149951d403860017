//! A listener under another name, and one that comes back.

use outrigger_fixtures::Scripted;
use outrigger_harness::client::fetch;
use outrigger_harness::{Admin, Client, Document, Proxy, wait_until};
use std::net::SocketAddr;
use tokio::sync::watch;

/// An upstream that holds requests to `/held` until it is let go.
async fn holding(go: watch::Receiver<bool>) -> Scripted {
    Scripted::start(move |mut script| {
        let mut go = go.clone();
        async move {
            while let Some(request) = script.request().await? {
                if request.head.target() == "/held" {
                    let _ = go.wait_for(|go| *go).await;
                }
                script.send(super::OK).await?;
            }
            Ok(())
        }
    })
    .await
}

/// A free address. Nobody else listens on or connects from it, so it stays free while it is left.
fn free_address(loopback: &str) -> SocketAddr {
    let listener = std::net::TcpListener::bind((loopback, 0)).unwrap();
    listener.local_addr().unwrap()
}

async fn of_listener(admin: Admin, metric: &str, listener: &str) -> f64 {
    admin
        .metric(&format!("outrigger_listener_{metric}{{listener=\"{listener}\"}}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_listener_counts_under_its_new_name() {
    let (go, gone) = watch::channel(false);
    let upstream = holding(gone).await;
    let address = free_address("127.0.78.1");
    let document = Document::to(&[upstream.address()])
        .listener(&format!("address: '{address}'"))
        .workers(1)
        .to_string();
    let proxy = Proxy::start(&document).await;
    let admin = proxy.admin();
    let mut kept = Client::connect(address).await;
    assert_eq!(kept.fetch("/", "").await.status(), 200);
    wait_until("the first request's bytes", async || {
        (of_listener(admin, "received_bytes_total", "edge").await > 0.0).then_some(())
    })
    .await;
    let before = of_listener(admin, "received_bytes_total", "edge").await;

    let renamed = document.replace("- name: edge\n", "- name: renamed\n");
    assert_ne!(renamed, document);
    proxy.reload(renamed).await.unwrap();
    let mut new = Client::connect(address).await;
    for (what, client, active) in [("kept", &mut kept, 1.0), ("new", &mut new, 2.0)] {
        client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wait_until(
            &format!("the {what} connection's request under the new name"),
            async || (of_listener(admin, "requests_active", "renamed").await == active).then_some(()),
        )
        .await;
        assert_eq!(of_listener(admin, "requests_active", "edge").await, 0.0, "{what}");
    }
    go.send(true).unwrap();
    for client in [&mut kept, &mut new] {
        let response = client.response("GET").await;
        assert_eq!((response.status(), response.field("connection")), (200, None));
    }
    let request = "GET /held HTTP/1.1\r\nhost: a\r\n\r\n".len() as f64;
    wait_until("the requests' bytes under the new name", async || {
        (of_listener(admin, "received_bytes_total", "renamed").await >= 2.0 * request).then_some(())
    })
    .await;
    assert_eq!(
        of_listener(admin, "connections_accepted_total", "renamed").await,
        1.0
    );
    let after = of_listener(admin, "received_bytes_total", "edge").await;
    assert!(
        after <= before,
        "{before} bytes became {after} under the old name"
    );
    drop((kept, new));
    for name in ["edge", "renamed"] {
        wait_until(&format!("no connection and no request of {name}"), async || {
            let open = of_listener(admin, "connections_active", name).await;
            let active = of_listener(admin, "requests_active", name).await;
            (open == 0.0 && active == 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_removed_comes_back_on_its_port() {
    let address = free_address("127.0.77.1");
    let upstream = Scripted::ok().await;
    // Each worker has a socket of its own on the port, and all must have closed theirs.
    let without = Document::to(&[upstream.address()]).workers(4);
    let with = without.clone().with_listener_text(&format!(
        "- {{ name: back, address: '{address}', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n"
    ));
    let proxy = Proxy::start(&with).await;
    let mut stays = Client::connect(proxy.address()).await;
    for round in 0..20 {
        let mut idle = Client::connect(address).await;
        assert_eq!(idle.fetch("/", "").await.status(), 200, "round {round}");
        proxy.reload(&without).await.unwrap();
        if let Err(reason) = proxy.reload(&with).await {
            panic!("round {round}: {reason}");
        }
        assert_eq!(fetch(address, "/", "").await.status(), 200, "round {round}");
        assert_eq!(
            stays.fetch("/", "").await.status(),
            200,
            "round {round}: the other listener's connection"
        );
    }
}

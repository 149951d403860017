//! WebSocket clients and servers that nobody here wrote, between all pairs of versions: `websockets` for HTTP/1,
//! hypercorn, and h2 with wsproto, for HTTP/2.

use super::{Beside, output, peer, python};
use outrigger_harness::{Document, Proxy};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_back_whole_between_all_pairs_of_versions() {
    let Some(python) = python() else { return };
    for upstream in ["http1", "http2"] {
        let mut server = Command::new(&python);
        server.arg(peer("websocket_server.py")).arg(upstream);
        let (_server, address) = Beside::listening(server);
        let document = Document::to(&[address]).cluster(&format!("protocol: {upstream}"));
        let proxy = Proxy::start(document).await;
        for downstream in ["http1", "http2"] {
            let mut client = Command::new(&python);
            client
                .arg(peer("websocket_client.py"))
                .arg(downstream)
                .arg(proxy.address().port().to_string());
            assert_eq!(output(client).await, "ok\n", "{downstream} to {upstream}");
        }
        let series = "outrigger_listener_upgrades_established_total{protocol=\"websocket\"}";
        proxy.admin().wait_for_metric(series, 2.0).await;
        proxy
            .admin()
            .wait_for_metric("outrigger_listener_tunnels_active", 0.0)
            .await;
    }
}

//! What logs and counts are told of who a client is.

use super::*;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_says_who_and_by_what() {
    let mesh = Mesh::new();
    let log = mesh.authority.path("access.log");
    let fields = [
        "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_PEER_SUBJECT",
        "DOWNSTREAM_PEER_ISSUER",
        "DOWNSTREAM_PEER_SERIAL",
        "DOWNSTREAM_PEER_FINGERPRINT_256",
        "DOWNSTREAM_PEER_CERT_V_START",
        "DOWNSTREAM_PEER_CERT_V_END",
        "DOWNSTREAM_LOCAL_URI_SAN",
        "DOWNSTREAM_LOCAL_DNS_SAN",
        "DOWNSTREAM_TLS_VERSION",
        "DOWNSTREAM_TLS_CIPHER",
    ];
    let json: Vec<String> = fields
        .iter()
        .map(|field| format!("{field}: '%{field}%'"))
        .collect();
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200 } }")
        .chain(&format!("tls: {{ mode: permissive, {} }}", mesh.mutual()))
        .http(&format!(
            "access_logs: [{{ path: '{}', format: {{ json: {{ {} }} }} }}]",
            log.display(),
            json.join(", ")
        ));
    let proxy = Proxy::start(document).await;
    fetch_by(proxy.address(), mesh.known()).await.unwrap();
    let told: Value = serde_json::from_str(&line(&log, 1).await).unwrap();
    for (field, expected) in [
        ("DOWNSTREAM_PEER_URI_SAN", CLIENT),
        ("DOWNSTREAM_PEER_ISSUER", "CN=root"),
        ("DOWNSTREAM_LOCAL_URI_SAN", SERVER),
        ("DOWNSTREAM_LOCAL_DNS_SAN", "a.example,localhost"),
        ("DOWNSTREAM_TLS_VERSION", "TLSv1.3"),
        ("DOWNSTREAM_TLS_CIPHER", "TLS_AES_256_GCM_SHA384"),
    ] {
        assert_eq!(told[field], expected, "{told}");
    }
    let text = |field: &str| told[field].as_str().unwrap().to_owned();
    assert!(text("DOWNSTREAM_PEER_SUBJECT").contains("CN=client"), "{told}");
    assert_eq!(text("DOWNSTREAM_PEER_FINGERPRINT_256").len(), 64);
    assert!(!text("DOWNSTREAM_PEER_SERIAL").is_empty());
    assert!(text("DOWNSTREAM_PEER_CERT_V_START") < text("DOWNSTREAM_PEER_CERT_V_END"));

    Client::connect(proxy.address()).await.fetch("/", "").await;
    let told: Value = serde_json::from_str(&line(&log, 2).await).unwrap();
    assert!(
        fields.iter().all(|field| told[field].is_null()),
        "plain text is nobody's: {told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_for_who_made_them_by_resumed_sessions_too() {
    let mesh = Mesh::new();
    let log = mesh.authority.path("access.log");
    let document = Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 404 } }")
        .chain(&format!("tls: {{ {} }}", mesh.mutual()))
        .http(&format!(
            "access_logs: [{{ path: '{}', format: json }}]",
            log.display()
        ))
        // Lines of one worker stand in the order of its requests.
        .workers(1);
    let proxy = Proxy::start(document).await;
    let config = mesh.known();
    for _ in 0..2 {
        // The same configuration: the second session is the first's.
        fetch_by(proxy.address(), Arc::clone(&config)).await.unwrap();
    }
    let other = mesh.authority.issue("by-dns", &["client.example"]);
    let config = mesh.authority.client_config(&["http/1.1"], Some(&other));
    fetch_by(proxy.address(), config).await.unwrap();
    let admin = proxy.admin();
    for (identity, count) in [(CLIENT, 2.0), ("client.example", 1.0)] {
        let series = format!(
            "outrigger_downstream_identity_requests_total{{source_identity=\"{identity}\",code_class=\"4xx\"}}"
        );
        admin.wait_for_metric(&series, count).await;
    }
    for (kind, count) in [("full", 2.0), ("resumed", 1.0)] {
        let series = format!("outrigger_listener_tls_handshakes_total{{kind=\"{kind}\"}}");
        admin.wait_for_metric(&series, count).await;
    }
    // A session that goes on is the same client's, also in the log's usual fields.
    for count in 1..=2 {
        let told: Value = serde_json::from_str(&line(&log, count).await).unwrap();
        assert_eq!(told["source_identity"], CLIENT);
    }
}

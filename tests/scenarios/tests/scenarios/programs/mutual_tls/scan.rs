//! sslyze looks for weak protocols, suites and renegotiation.

use super::super::{output, peer, python};
use super::{Mesh, file};
use outrigger_harness::{Document, Proxy};
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn sslyze_finds_nothing_weak() {
    let Some(python) = python() else { return };
    let mesh = Mesh::new();
    let open = format!("tls: {{ certificates: [{}] }}", mesh.server.yaml());
    for (tls, certificate, key) in [
        (open, "-".to_owned(), "-".to_owned()),
        (
            mesh.downstream(),
            file(&mesh.client.certificate),
            file(&mesh.client.key),
        ),
    ] {
        let document = Document::to(&[])
            .chain(&tls)
            .routes("{ match: { prefix: / }, direct_response: { status: 200 } }");
        let proxy = Proxy::start(document).await;
        let mut command = Command::new(&python);
        command
            .arg(peer("tls_scan.py"))
            .arg(proxy.address().ip().to_string())
            .arg(proxy.address().port().to_string())
            .args(["server.example", &certificate, &key]);
        let found: Value = serde_json::from_str(&output(command).await).unwrap();
        for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
            assert_eq!(found["suites"][version], json!([]), "{version}");
        }
        assert_eq!(
            found["suites"]["tls_1_2"],
            json!([
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
            ])
        );
        assert_eq!(
            found["suites"]["tls_1_3"],
            json!([
                "TLS_AES_128_GCM_SHA256",
                "TLS_AES_256_GCM_SHA384",
                "TLS_CHACHA20_POLY1305_SHA256"
            ])
        );
        for harmless in [
            "compression",
            "early_data",
            "heartbleed",
            "ccs_injection",
            "client_renegotiation",
        ] {
            assert_eq!(found[harmless], false, "{harmless}");
        }
        assert_eq!(found["secure_renegotiation"], true);
        assert_eq!(found["robot"], "NOT_VULNERABLE_RSA_NOT_SUPPORTED");
        assert_eq!(found["curves"], json!(["X25519", "secp256r1", "secp384r1"]));
    }
}

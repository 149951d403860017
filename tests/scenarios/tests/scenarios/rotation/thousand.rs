//! A thousand rotations under load, of what we show to clients and of what we show to upstreams.

use super::load::Load;
use super::*;
use outrigger_fixtures::{Authority, Echo};
use outrigger_harness::Document;
use std::sync::Arc;

/// Times that all four certificates change at once.
const SWAPS: usize = 250;
const ROTATIONS: usize = 4 * SWAPS;
/// Different certificates of each name, over and over.
const VARIANTS: usize = 6;
const NAMES: [&str; 4] = ["server", "other", "one", "two"];

/// A variant's files as the volume holds them.
fn files(variant: &[Issued]) -> Vec<(String, PathBuf)> {
    let pairs = NAMES.iter().zip(variant);
    pairs
        .flat_map(|(name, issued)| {
            [
                (format!("{name}.crt"), issued.certificate.clone()),
                (format!("{name}.key"), issued.key.clone()),
            ]
        })
        .collect()
}

fn swap(volume: &mut Volume, files: &[(String, PathBuf)]) {
    let files: Vec<(&str, &Path)> = files
        .iter()
        .map(|(name, path)| (name.as_str(), path.as_path()))
        .collect();
    volume.swap(&files);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_certificates_rotate_a_thousand_times() {
    let authority = Authority::new("root");
    let variants: Vec<Vec<(String, PathBuf)>> = (0..VARIANTS)
        .map(|variant| {
            let issue = |name: &&str| {
                let subject = if *name == "server" { NAME } else { "other.example" };
                authority.issue(&format!("{name}-{variant}"), &[subject])
            };
            files(&NAMES.iter().map(issue).collect::<Vec<_>>())
        })
        .collect();
    let mut volume = Volume::new(&[]);
    swap(&mut volume, &variants[0]);
    for (file, _) in &variants[0] {
        symlink(Path::new("..data").join(file), volume.path(file)).unwrap();
    }
    let upstream = authority.issue("upstream", &["upstream.example"]);
    let one = Echo::start_tls(upstream.mutual_server_config(&["http/1.1"], &authority)).await;
    let two = Echo::start_tls(upstream.mutual_server_config(&["h2"], &authority)).await;
    let pair = |name: &str| {
        format!(
            "certificate_file: {}, private_key_file: {}",
            volume.path(&format!("{name}.crt")).display(),
            volume.path(&format!("{name}.key")).display()
        )
    };
    let tls = |name: &str| {
        let root = authority.root();
        format!(
            "tls: {{ ca_file: {}, server_name: upstream.example, certificate: {{ {} }} }}",
            root.display(),
            pair(name)
        )
    };
    let document = Document::to(&[one.address()])
        .cluster(&tls("one"))
        .with_cluster(
            "two",
            &[two.address()],
            &format!("{}, protocol: http2", tls("two")),
        )
        .routes(
            "{ match: { prefix: /two }, forward: { cluster: two } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        )
        .chain(&format!(
            "tls: {{ certificates: [{{ identity: server }}, {{ {} }}] }}",
            pair("other")
        ))
        .with(&format!(
            "identities: [{{ name: server, files: {{ {} }} }}]",
            pair("server")
        ));
    let proxy = Proxy::start(document).await;
    let admin = proxy.admin();

    let client = |protocol: &str| Some(authority.client_config(&[protocol], None));
    let mut load = Load::default();
    load.http1(proxy.address(), "/one", client("http/1.1"));
    load.http1(proxy.address(), "/two", client("http/1.1"));
    load.http2(proxy.address(), "/one", client("h2"));
    load.http2(proxy.address(), "/two", client("h2"));
    load.goes_on(20).await;
    let renewals = "outrigger_certificate_renewals_total{result=\"success\"}";
    for round in 1..=SWAPS {
        swap(&mut volume, &variants[round % VARIANTS]);
        admin.wait_for_metric(renewals, (4 * round) as f64).await;
    }
    load.goes_on(20).await;
    let answered = load.end(async || admin.metrics().await.0).await;
    assert!(answered > SWAPS, "{answered} answers are no load");

    let metrics = admin.metrics().await;
    assert_eq!(metrics.sum(renewals), ROTATIONS as f64);
    assert_eq!(
        metrics.sum("outrigger_identity_material_generation"),
        SWAPS as f64
    );
    assert_eq!(
        metrics.sum("outrigger_certificate_renewals_total{result=\"failure\"}"),
        0.0
    );
    // Both sides show the last ones.
    let last = &variants[SWAPS % VARIANTS];
    let shown = shown_by(&proxy, &authority).await;
    assert_eq!(shown, leaf(&last[0].1));
    for (name, file) in [("server", &last[0].1)] {
        let told = certificate(&proxy, name).await;
        let facts = &told["certificate"];
        assert_eq!(facts["names"], serde_json::json!([format!("DNS:{NAME}")]));
        assert_eq!(told["used_by"][0], "listener edge, filter chain chain-0");
        assert!(facts["seconds_to_expiry"].as_i64().unwrap() > 0, "{facts}");
        assert!(!fs::read_to_string(file).unwrap().is_empty());
    }
}

/// The certificate that a client is shown, in DER.
pub(super) async fn shown_by(proxy: &Proxy, authority: &Authority) -> Vec<u8> {
    let config = authority.client_config(&["http/1.1"], None);
    let stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
    let stream = connector.connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The first certificate of a file, in DER.
pub(super) fn leaf(file: &Path) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

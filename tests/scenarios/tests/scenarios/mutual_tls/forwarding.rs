//! `x-forwarded-client-cert`: what upstreams are told of a client's certificate, and who may tell them.

use super::*;
use outrigger_fixtures::authority::{rcgen, uri};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What a client says that nobody has proved.
const SAID: &str = "By=spiffe://evil/proxy;URI=spiffe://evil/admin";

fn document(mesh: &Mesh, upstream: &Scripted, forwarding: &str) -> Document {
    Document::to(&[upstream.address()])
        .chain(&format!(
            "tls: {{ mode: permissive, certificates: [{}], client: {{ certificate: optional, ca_file: {} }} }}",
            mesh.server.yaml(),
            mesh.authority.root().display()
        ))
        .http(&format!("forward_client_certificate: {{ {forwarding} }}"))
}

/// What the upstream of the next request is told, by the fields that it gets.
async fn told(client: &mut Client, upstream: &Scripted) -> Vec<String> {
    let fields = format!("x-forwarded-client-cert: {SAID}\r\nX-Forwarded-Client-Cert: second\r\n");
    assert_eq!(client.fetch("/", &fields).await.status(), 200);
    let request = upstream.last_request();
    request
        .head
        .all("x-forwarded-client-cert")
        .map(str::to_owned)
        .collect()
}

fn sha256(der: &[u8]) -> String {
    let hash = TLS13_AES_128_GCM_SHA256.tls13().unwrap().common.hash_provider;
    let text = |byte: &u8| format!("{byte:02x}");
    hash.hash(der).as_ref().iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_tells_what_envoy_would() {
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let hash = sha256(&mesh.client.chain()[0]);
    let element = format!("By={SERVER};Hash={hash};URI={CLIENT}");
    let both = [SAID, "second"].map(str::to_owned).to_vec();
    let table = [
        ("mode: sanitize", vec![], vec![]),
        ("mode: forward_only", both.clone(), vec![]),
        (
            "mode: append_forward, details: [uri]",
            vec![format!("{SAID},second,{element}")],
            vec![],
        ),
        (
            "mode: sanitize_set, details: [uri]",
            vec![element.clone()],
            vec![],
        ),
        ("mode: always_forward_only", both.clone(), both),
    ];
    let proxy = Proxy::start(document(&mesh, &upstream, "mode: sanitize")).await;
    let anonymous = mesh.authority.client_config(&["http/1.1"], None);
    for (forwarding, proved, unproved) in table {
        proxy
            .reload(document(&mesh, &upstream, forwarding))
            .await
            .unwrap();
        let mut client = Client::connect_tls(proxy.address(), mesh.known(), NAME)
            .await
            .unwrap();
        // The second is told as the first is.
        for _ in 0..2 {
            assert_eq!(told(&mut client, &upstream).await, proved, "{forwarding}");
        }
        let mut client = Client::connect_tls(proxy.address(), Arc::clone(&anonymous), NAME)
            .await
            .unwrap();
        assert_eq!(told(&mut client, &upstream).await, unproved, "{forwarding}");
        let mut client = Client::connect(proxy.address()).await;
        assert_eq!(told(&mut client, &upstream).await, unproved, "{forwarding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_detail_is_told_in_envoys_order_and_form() {
    let mesh = Mesh::new();
    let upstream = Scripted::ok().await;
    let below = mesh.authority.intermediate("below", |_| {});
    let client = below.issue_with("client", &["one.example", "two.example"], |params| {
        params.subject_alt_names.push(uri(CLIENT));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Shop, Inc.");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "a\";URI=spiffe://evil/admin,By=\"b");
    });
    let details = "mode: sanitize_set, details: [dns, uri, subject, chain, cert]";
    let proxy = Proxy::start(document(&mesh, &upstream, details)).await;
    let config = mesh.authority.client_config(&["http/1.1"], Some(&client));
    let mut connection = Client::connect_tls(proxy.address(), config, NAME).await.unwrap();
    let told = told(&mut connection, &upstream).await.join(" and ");
    let rest = told
        .strip_prefix(&format!(
            "By={SERVER};Hash={};Cert=\"",
            sha256(&client.chain()[0])
        ))
        .unwrap_or_else(|| panic!("{told}"));
    let (certificate, rest) = rest.split_once("\";Chain=\"").unwrap();
    let (chain, rest) = rest.split_once("\";Subject=\"").unwrap();
    assert_eq!(decoded(certificate), client.chain()[..1]);
    assert_eq!(decoded(chain), client.chain());
    assert_eq!(client.chain().len(), 2, "the intermediate is shown");
    let subject = "CN=a\\\"\\;URI=spiffe://evil/admin\\,By=\\\"b,O=Shop\\, Inc.";
    assert_eq!(
        rest,
        format!("{subject}\";URI={CLIENT};DNS=one.example;DNS=two.example")
    );
}

/// The certificates of URL-encoded PEM.
fn decoded(text: &str) -> Vec<CertificateDer<'static>> {
    let unsafe_in_urls = |character: char| !(character.is_ascii_alphanumeric() || "-%".contains(character));
    assert!(!text.contains(unsafe_in_urls), "{text}");
    let mut pem = text.to_owned();
    for (code, character) in [
        ("%20", " "),
        ("%0A", "\n"),
        ("%2B", "+"),
        ("%2F", "/"),
        ("%3D", "="),
    ] {
        pem = pem.replace(code, character);
    }
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

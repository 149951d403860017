//! Authorization policies: what is let through, what is refused and how, on HTTP, TCP and where it is detected which.

mod auto;
mod bytes;
mod changes;
mod conditions;
mod tricks;

use outrigger_fixtures::authority::Issued;
use outrigger_fixtures::frames::{Frame, FrameConnection};
use outrigger_fixtures::{Authority, Scripted};
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Proxy, Response, wait_until};
use rustls::ClientConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The id of the client that is let through.
const FRIEND: &str = "spiffe://example.org/ns/shop/sa/friend";
/// The id of the other.
const STRANGER: &str = "spiffe://example.org/ns/shop/sa/stranger";
/// The name that clients ask for.
const NAME: &str = "a.example";

/// An authority, a server's certificate, and two clients.
struct Mesh {
    authority: Authority,
    server: Issued,
    friend: Issued,
    stranger: Issued,
}

impl Mesh {
    fn new() -> Mesh {
        let authority = Authority::new("root");
        Mesh {
            server: authority.issue("server", &[NAME, "localhost"]),
            friend: authority.issue_svid("friend", FRIEND),
            stranger: authority.issue_svid("stranger", STRANGER),
            authority,
        }
    }

    /// The field `tls` of a chain on which clients show certificates.
    fn mutual(&self) -> String {
        format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
            self.server.yaml(),
            self.authority.root().display()
        )
    }

    fn config(&self, client: &Issued, protocols: &[&str]) -> Arc<ClientConfig> {
        self.authority.client_config(protocols, Some(client))
    }
}

/// The block of policies: items of a flow list.
fn policies(items: &str) -> String {
    format!("authorization_policies: [{items}]")
}

/// Forwards everything to `upstream` as far as these policies let it; `names` apply to the chain.
fn guarded(upstream: &Scripted, items: &str, names: &str) -> Document {
    Document::to(&[upstream.address()])
        .with(&policies(items))
        .chain(&format!("authorization: [{names}]"))
}

/// How policies' refusals look to a client.
fn assert_denied(response: &Response) {
    assert_eq!(response.status(), 403);
    assert_eq!(response.text(), "RBAC: access denied\n");
    for (name, value) in &response.head.fields {
        assert!(
            !value.contains("secret-policy") && !name.starts_with("x-"),
            "{name}: {value} tells too much"
        );
    }
}

async fn assert_decided(proxy: &Proxy, outcome: &str, count: f64) {
    let series =
        format!("outrigger_authorization_decisions_total{{listener=\"edge\",outcome=\"{outcome}\"}}");
    proxy.admin().wait_for_metric(&series, count).await;
}

async fn assert_decided_by(proxy: &Proxy, policy: &str, outcome: &str, count: f64) {
    let series = format!(
        "outrigger_authorization_policy_decisions_total{{policy=\"{policy}\",outcome=\"{outcome}\"}}"
    );
    proxy.admin().wait_for_metric(&series, count).await;
}

/// A log of lines of this format, and its place.
fn logged(format: &str) -> (tempfile::TempDir, PathBuf, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let field = format!(
        "access_logs: [{{ path: '{}', format: {{ text: \"{format}\\n\" }} }}]",
        file.display()
    );
    (directory, file, field)
}

/// The lines of a log, once there are so many.
async fn lines(file: &Path, count: usize) -> Vec<String> {
    wait_until("lines of the log", async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn deny_comes_before_allow_and_what_none_allows_is_denied() {
    let upstream = Scripted::ok().await;
    let (_kept, file, log) = logged("%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
    let items = "{ name: everything-below, action: allow, rules: [{ paths: [{ prefix: /open }] }] }, \
                 { name: secret-policy, action: deny, rules: [{ paths: [{ prefix: /open/closed }] }] }";
    let document = guarded(&upstream, items, "everything-below, secret-policy").http(&log);
    let proxy = Proxy::start(document).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/open/a", "").await.status(), 200);
    assert_denied(&client.fetch("/open/closed/b", "").await);
    assert_denied(&client.fetch("/other", "").await);
    // A refusal costs the connection nothing.
    assert_eq!(client.fetch("/open", "").await.status(), 200);
    assert_eq!(upstream.request_count(), 2);
    assert_eq!(
        lines(&file, 4).await[1..3],
        [
            "/open/closed/b 403 - rbac_access_denied_matched_policy[secret-policy]",
            "/other 403 - rbac_access_denied_matched_policy[none]"
        ]
    );
    assert_decided(&proxy, "allowed", 2.0).await;
    assert_decided(&proxy, "denied", 2.0).await;
    assert_decided_by(&proxy, "everything-below", "allowed", 2.0).await;
    assert_decided_by(&proxy, "secret-policy", "denied", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_narrow_what_their_chain_allows_whatever_they_do() {
    let upstream = Scripted::ok().await;
    let items = "{ name: reads, action: allow, rules: [{ methods: [GET] }] }, \
                 { name: all, action: allow, rules: [{ always: true }] }, \
                 { name: nobody, action: deny, rules: [{ always: true }] }, \
                 { name: friends, action: allow, rules: [{ headers: [{ name: x-friend, exact: 'yes' }] }] }";
    let routes = "{ match: { prefix: /open }, forward: { cluster: upstream }, authorization: [all] }, \
                  { match: { prefix: /friends }, forward: { cluster: upstream }, authorization: [friends] }, \
                  { match: { prefix: /away }, redirect: { path: /elsewhere }, authorization: [nobody] }, \
                  { match: { prefix: /said }, direct_response: { status: 200, body: said }, authorization: [nobody] }";
    let proxy = Proxy::start(guarded(&upstream, items, "reads").routes(routes)).await;
    let mut client = Client::connect(proxy.address()).await;
    assert_eq!(client.fetch("/open", "").await.status(), 200);
    let put = "PUT /open HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_denied(&client.exchange(put).await);
    assert_denied(&client.fetch("/friends", "").await);
    assert_eq!(client.fetch("/friends", "x-friend: yes\r\n").await.status(), 200);
    assert_denied(&client.fetch("/away", "").await);
    assert_denied(&client.fetch("/said", "").await);
    assert_eq!(upstream.request_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_and_audit_policies_are_told_and_change_nothing() {
    let upstream = Scripted::ok().await;
    let format = "%REQ(:PATH)% %RESPONSE_CODE% %AUTHORIZATION_SHADOW_RESULT% %AUTHORIZATION_AUDITED%";
    let (_kept, file, log) = logged(format);
    let items = "{ name: some-day, action: deny, shadow: true, rules: [{ paths: [{ prefix: /old }] }] }, \
                 { name: watched, action: audit, rules: [{ paths: [{ prefix: /old/x }] }] }, \
                 { name: seen, action: audit, rules: [{ methods: [GET] }] }";
    let proxy = Proxy::start(guarded(&upstream, items, "some-day, watched, seen").http(&log)).await;
    let mut client = Client::connect(proxy.address()).await;
    for path in ["/new", "/old", "/old/x"] {
        assert_eq!(client.fetch(path, "").await.status(), 200, "{path}");
    }
    assert_eq!(
        lines(&file, 3).await,
        [
            "/new 200 allowed[none] seen",
            "/old 200 denied[some-day] seen",
            "/old/x 200 denied[some-day] watched,seen"
        ]
    );
    assert_decided(&proxy, "allowed", 3.0).await;
    assert_decided(&proxy, "shadow_denied", 2.0).await;
    assert_decided(&proxy, "shadow_allowed", 1.0).await;
    assert_decided(&proxy, "audited", 4.0).await;
    assert_decided_by(&proxy, "some-day", "shadow_denied", 2.0).await;
    assert_decided_by(&proxy, "watched", "audited", 1.0).await;
    let metrics = proxy.admin().metrics().await;
    assert_eq!(
        metrics.sum("outrigger_authorization_decisions_total{outcome=\"denied\"}"),
        0.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_told_by_its_status() {
    let items = "{ name: secret-policy, action: deny, rules: [{ paths: [{ prefix: /a.S }] }] }";
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&upstream, items, "secret-policy")).await;
    let mut client = FrameConnection::connect(proxy.address(), &[]).await.unwrap();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", NAME),
        (":path", "/a.S/M"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    client.send(Frame::headers(1, &fields, true)).await.unwrap();
    let frame = client.next_headers().await.unwrap();
    assert_eq!(frame.field(":status"), Some("200"));
    assert_eq!(frame.field("grpc-status"), Some("7"));
    assert_eq!(frame.field("grpc-message"), Some("RBAC: access denied"));
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_upgrades_are_asked_about_too() {
    let upstream = Scripted::ok().await;
    let items = "{ name: secret-policy, action: deny, rules: [{ methods: [CONNECT] }, \
                 { headers: [{ name: upgrade, present: true }] }, { paths: [{ prefix: /chat }] }] }";
    let routes = "{ match: { connect: true }, forward: { cluster: upstream } }, \
                  { match: { prefix: / }, forward: { cluster: upstream, upgrades: [websocket] } }";
    let proxy = Proxy::start(guarded(&upstream, items, "secret-policy").routes(routes)).await;
    let connect = "CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n";
    assert_denied(&Client::connect(proxy.address()).await.exchange(connect).await);
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert_denied(&fetch(proxy.address(), "/chat", upgrade).await);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_chosen_by_who_asks() {
    let mesh = Mesh::new();
    let said = |body: &str| format!("direct_response: {{ status: 200, body: {body} }}");
    let routes = format!(
        "{{ match: {{ prefix: /, source_identities: [{{ spiffe_id: '{FRIEND}' }}] }}, {} }}, {{ match: {{ prefix: / }}, {} }}",
        said("friend"),
        said("other")
    );
    let proxy = Proxy::start(Document::to(&[]).chain(&mesh.mutual()).routes(&routes)).await;
    for (client, wanted) in [(&mesh.friend, "friend"), (&mesh.stranger, "other")] {
        let config = mesh.config(client, &["http/1.1"]);
        let mut client = Client::connect_tls(proxy.address(), config, NAME).await.unwrap();
        assert_eq!(client.fetch("/", "").await.text(), wanted);
    }
}

//! Cross-origin requests as browsers make them, and what a browser makes of the answers.

use outrigger_fixtures::Scripted;
use outrigger_harness::client::Response;
use outrigger_harness::{Client, Document, Proxy};

const APP: &str = "https://app.example";

/// Fields that a browser sends with everything.
const USUAL: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\naccept: */*\r\n\
    accept-language: en-US,en;q=0.5\r\naccept-encoding: gzip, deflate, br, zstd\r\nreferer: https://app.example/\r\n\
    sec-fetch-dest: empty\r\nsec-fetch-mode: cors\r\nsec-fetch-site: cross-site\r\nconnection: keep-alive\r\n";

const POLICY: &str = "cors: { allow_origins: ['https://app.example', { suffix: '.trusted.example' }], \
    allow_methods: [GET, PUT], allow_headers: [content-type, x-token], expose_headers: [x-total, etag], max_age: 10m, \
    allow_credentials: true }";

/// What the upstream says of origins by itself: none of it may reach a browser where there is a policy.
const PERMISSIVE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-total: 7\r\nvary: accept-encoding\r\n\
    access-control-allow-origin: *\r\naccess-control-allow-origin: https://evil.example\r\n\
    access-control-allow-credentials: true\r\naccess-control-expose-headers: *\r\n\r\nok";

fn preflight(origin: &str, method: &str, headers: Option<&str>) -> String {
    let headers = headers.map_or(String::new(), |headers| {
        format!("access-control-request-headers: {headers}\r\n")
    });
    format!(
        "OPTIONS /api/item HTTP/1.1\r\nhost: api.example\r\n{USUAL}origin: {origin}\r\n\
         access-control-request-method: {method}\r\n{headers}\r\n"
    )
}

fn actual(path: &str, origin: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: api.example\r\n{USUAL}origin: {origin}\r\ncookie: a=b\r\n\r\n")
}

fn list(response: &Response, name: &str) -> Vec<String> {
    response
        .head
        .all(name)
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .collect()
}

/// The Fetch standard's "CORS check", for a request with credentials or without.
fn may_read(response: &Response, origin: &str, credentials: bool) -> bool {
    let allowed: Vec<&str> = response.head.all("access-control-allow-origin").collect();
    match (allowed.as_slice(), credentials) {
        (["*"], false) => true,
        ([allowed], credentials) => {
            *allowed == origin
                && (!credentials || response.field("access-control-allow-credentials") == Some("true"))
        }
        _ => false,
    }
}

/// The Fetch standard's "CORS-preflight fetch": whether the request may follow.
fn may_follow(response: &Response, origin: &str, method: &str, headers: &[&str], credentials: bool) -> bool {
    let (methods, names) = (
        list(response, "access-control-allow-methods"),
        list(response, "access-control-allow-headers"),
    );
    may_read(response, origin, credentials)
        && (200..300).contains(&response.status())
        && (["GET", "HEAD", "POST"].contains(&method) || methods.contains(&method.to_ascii_lowercase()))
        && headers.iter().all(|name| names.contains(&(*name).to_owned()))
}

async fn proxy_with(upstream: &Scripted, cors: &str) -> Proxy {
    let hosts = format!(
        "{{ name: all, domains: ['*'], {cors}, routes: [{{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}"
    );
    Proxy::start(Document::to(&[upstream.address()]).virtual_hosts(&hosts)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_here_and_a_browser_is_content_with_it() {
    let upstream = Scripted::answering(PERMISSIVE).await;
    let proxy = proxy_with(&upstream, POLICY).await;
    let mut client = Client::connect(proxy.address()).await;
    for origin in [APP, "https://a.trusted.example"] {
        let asked = preflight(origin, "PUT", Some("content-type,x-token"));
        let response = client.exchange(asked).await;
        assert_eq!((response.status(), response.text().as_str()), (200, ""));
        assert!(may_follow(
            &response,
            origin,
            "PUT",
            &["content-type", "x-token"],
            true
        ));
        assert!(!may_follow(&response, origin, "DELETE", &[], true));
        assert!(!may_follow(&response, origin, "PUT", &["x-other"], true));
        assert_eq!(response.field("access-control-max-age"), Some("600"));
        assert_eq!(response.field("access-control-expose-headers"), None);
        assert_eq!(response.field("vary"), Some("origin"));
    }
    assert_eq!(upstream.request_count(), 0);
    let admin = proxy.admin();
    admin
        .wait_for_metric("outrigger_route_cors_requests_total{origin=\"valid\"}", 2.0)
        .await;
    admin
        .wait_for_metric("outrigger_route_requests_total{code_class=\"2xx\"}", 2.0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_allowed_preflight_goes_to_the_upstream() {
    let upstream = Scripted::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let proxy = proxy_with(&upstream, POLICY).await;
    let mut client = Client::connect(proxy.address()).await;
    let evil = "https://evil.example";
    for (request, origin) in [
        (preflight(evil, "PUT", None), evil),
        (preflight("https://app.example.evil.example", "PUT", None), evil),
        (preflight("null", "PUT", None), "null"),
        (format!("OPTIONS / HTTP/1.1\r\nhost: a\r\n{USUAL}\r\n"), APP),
        (
            "OPTIONS / HTTP/1.1\r\nhost: a\r\naccess-control-request-method: PUT\r\n\r\n".to_owned(),
            APP,
        ),
    ] {
        let before = upstream.request_count();
        let response = client.exchange(&request).await;
        assert_eq!(response.status(), 204, "{request}");
        assert!(!may_follow(&response, origin, "PUT", &[], false), "{request}");
        assert_eq!(upstream.request_count(), before + 1, "{request}");
        assert_eq!(upstream.last_request().head.method(), "OPTIONS");
        assert_eq!(
            response.field("vary"),
            Some("origin"),
            "caches must know: {request}"
        );
    }
    proxy
        .admin()
        .wait_for_metric("outrigger_route_cors_requests_total{origin=\"invalid\"}", 3.0)
        .await;
    // An OPTIONS request that names an origin and no method is an ordinary one.
    let plain = format!("OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: {APP}\r\n\r\n");
    let response = client.exchange(plain).await;
    assert_eq!((response.status(), may_read(&response, APP, true)), (204, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_who_may_read_them_whatever_the_upstream_says() {
    let upstream = Scripted::answering(PERMISSIVE).await;
    let proxy = proxy_with(&upstream, POLICY).await;
    let mut client = Client::connect(proxy.address()).await;
    let response = client.exchange(actual("/", APP)).await;
    assert_eq!(response.text(), "ok");
    assert!(may_read(&response, APP, true));
    assert_eq!(
        list(&response, "access-control-expose-headers"),
        ["x-total", "etag"]
    );
    assert_eq!(list(&response, "vary"), ["accept-encoding", "origin"]);
    assert_eq!(
        upstream.last_request().head.field("origin"),
        Some(APP),
        "passed on"
    );
    // As in Envoy: what an upstream tells origins that the policy does not know is its own affair.
    let other = client.exchange(actual("/", "https://evil.example")).await;
    assert_eq!(
        list(&other, "access-control-allow-origin"),
        ["*", "https://evil.example"]
    );
    let same = client.fetch("/", "").await;
    assert_eq!(list(&same, "vary"), ["accept-encoding", "origin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_origin_may_read_what_nobody_signs_in_for() {
    let upstream = Scripted::answering(PERMISSIVE).await;
    let proxy = proxy_with(&upstream, "cors: { allow_origins: '*' }").await;
    let mut client = Client::connect(proxy.address()).await;
    let origin = "https://anyone.example";
    let asked = preflight(origin, "PATCH", Some("x-one, x-two"));
    let response = client.exchange(asked).await;
    assert!(may_follow(&response, origin, "PATCH", &["x-one", "x-two"], false));
    let response = client.exchange(actual("/", origin)).await;
    assert!(may_read(&response, origin, false) && !may_read(&response, origin, true));
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    assert_eq!(response.field("access-control-expose-headers"), None);
    assert_eq!(
        list(&response, "vary"),
        ["accept-encoding"],
        "it is the same for all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_here_can_be_read_too() {
    let hosts = format!(
        "{{ name: all, domains: ['*'], {POLICY}, routes: [{{ match: {{ path: /direct }}, direct_response: {{ status: 200, body: hi }} }}, \
         {{ match: {{ path: /moved }}, redirect: {{ path: /direct }} }}, {{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}"
    );
    let proxy = Proxy::start(Document::to(&[]).virtual_hosts(&hosts)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (path, status) in [("/direct", 200), ("/moved", 301), ("/none", 503)] {
        let response = client.exchange(actual(path, APP)).await;
        assert_eq!(response.status(), status);
        assert!(may_read(&response, APP, true), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_have_a_policy_of_its_own_or_none() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let hosts = format!(
        "{{ name: all, domains: ['*'], {POLICY}, routes: [\
         {{ match: {{ prefix: /off }}, forward: {{ cluster: upstream }}, cors: off }}, \
         {{ match: {{ prefix: /own }}, forward: {{ cluster: upstream }}, cors: {{ allow_origins: ['https://own.example'] }} }}, \
         {{ match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}] }}"
    );
    let proxy = Proxy::start(Document::to(&[upstream.address()]).virtual_hosts(&hosts)).await;
    let mut client = Client::connect(proxy.address()).await;
    for (path, origin, allowed) in [
        ("/", APP, true),
        ("/off", APP, false),
        ("/own", APP, false),
        ("/own", "https://own.example", true),
        ("/", "https://own.example", false),
    ] {
        let response = client.exchange(actual(path, origin)).await;
        assert_eq!(may_read(&response, origin, false), allowed, "{path} {origin}");
    }
    let response = client.fetch("/off", "").await;
    assert_eq!(response.field("vary"), None);
}

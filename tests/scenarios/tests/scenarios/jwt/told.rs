//! What upstreams see: the token or not, its payload, its claims, and never what a client wrote in their place.

use super::*;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::issuer::{claims, claims_with, encode};
use outrigger_harness::wait_until;
use serde_json::json;

const TOLD: &str = "payload_header: x-jwt-payload, claim_headers: [{ header: x-user, claim: sub }, \
     { header: x-roles, claim: realm_access.roles }, { header: x-level, claim: level }, \
     { header: x-admin, claim: admin }, { header: x-nothing, claim: nothing.here }]";

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_upstream_and_the_token_does_not_unless_it_is_to() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    for forward in [false, true] {
        let more = format!("{TOLD}, forward: {forward}");
        let proxy = Proxy::start(guarded(&[upstream.address()], &[provider(&[&issuer], &more)])).await;
        let token = issuer.token(&claims());
        assert_eq!(fetch(&proxy, &bearer(&token)).await.status(), 200);
        let head = upstream.last_request().head;
        let payload = token.split('.').nth(1).unwrap();
        assert_eq!(head.field("x-jwt-payload"), Some(payload));
        assert_eq!(head.field("x-user"), Some("alice"));
        assert_eq!(head.field("x-level"), Some("3"));
        assert_eq!(head.field("x-admin"), Some("false"));
        assert_eq!(head.field("x-nothing"), None);
        let roles = encode(r#"["reader","writer"]"#);
        assert_eq!(head.field("x-roles"), Some(roles.as_str()));
        let passed_on = forward.then(|| format!("Bearer {token}"));
        assert_eq!(head.field("authorization"), passed_on.as_deref());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_writes_in_place_of_the_proxy_never_arrives() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let forward = "forward: { cluster: upstream }";
    let routes = format!(
        "{{ match: {{ prefix: /, headers: [{{ name: x-admin, present: true }}] }}, \
            direct_response: {{ status: 299 }}, jwt: off }}, \
         {{ match: {{ prefix: /off }}, {forward}, jwt: off }}, \
         {{ match: {{ prefix: /optional }}, {forward}, jwt: {{ allow_missing: true }} }}, \
         {{ match: {{ prefix: / }}, {forward} }}"
    );
    let document = guarded(&[upstream.address()], &[provider(&[&issuer], TOLD)]).routes(&routes);
    let proxy = Proxy::start(document).await;
    let forged = "x-user: root\r\nX-USER: root\r\nx-User: root\r\nx_user: root\r\nX_Jwt-Payload: e30\r\n\
                  x-jwt-payload: e30\r\nx-admin: true\r\nx-nothing: more\r\nx-users: kept\r\n";
    let token = bearer(&issuer.token(&claims()));
    for (path, fields, user) in [
        ("/", &*token, Some("alice")),
        ("/optional", &*token, Some("alice")),
        ("/optional", "", None),
        ("/off", "", None),
        ("/off", &*token, None),
    ] {
        let response = fetch_path(&proxy, path, &format!("{forged}{fields}")).await;
        assert_eq!(response.status(), 200, "{path}");
        let head = upstream.last_request().head;
        let users: Vec<&str> = head.all("x-user").collect();
        assert_eq!(users, user.into_iter().collect::<Vec<_>>(), "{path}");
        assert_eq!(head.field("x-admin"), user.map(|_| "false"), "{path}");
        assert_eq!(head.field("x-nothing"), None, "{path}");
        for written in ["x_user", "x_jwt-payload"] {
            assert_eq!(head.field(written), None, "{path}");
        }
        assert_eq!(head.field("x-users"), Some("kept"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_no_header_value_is_not_told() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let proxy = Proxy::start(guarded(&[upstream.address()], &[provider(&[&issuer], TOLD)])).await;
    for (value, told) in [
        (json!("alice\r\nx-admin: true"), None),
        (json!("alice\u{0}"), None),
        (json!(" alice"), None),
        (json!(""), None),
        (json!("J\u{fc}rgen"), Some("J\u{fc}rgen")),
    ] {
        let token = issuer.token(&claims_with("sub", value));
        assert_eq!(fetch(&proxy, &bearer(&token)).await.status(), 200);
        let head = upstream.last_request().head;
        assert_eq!(head.field("x-user"), told);
        assert_eq!(head.all("x-admin").collect::<Vec<_>>(), ["false"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_parameters_and_cookies_are_found_and_taken_off() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let places = "locations: [{ header: x-token }, { query: access_token }, { cookie: session }]";
    let document = guarded(&[upstream.address()], &[provider(&[&issuer], places)]).http(&format!(
        "access_logs: [{{ path: '{}', format: {{ text: \"%REQ(:PATH)%\\n\" }} }}]",
        log.display()
    ));
    let proxy = Proxy::start(document).await;
    let token = issuer.token(&claims());
    let table = [
        ("/a".to_owned(), format!("x-token: {token}\r\n"), "/a", None),
        (
            format!("/a?access_token={token}&b=1"),
            String::new(),
            "/a?b=1",
            None,
        ),
        (format!("/a?%61ccess_token={token}"), String::new(), "/a", None),
        (
            "/a".to_owned(),
            format!("cookie: session={token}\r\n"),
            "/a",
            None,
        ),
        (
            "/a".to_owned(),
            format!("cookie: a=1; session={token}; b=2\r\n"),
            "/a",
            Some("a=1; b=2"),
        ),
        // The same token in two places is one token.
        (
            format!("/a?access_token={token}"),
            format!("x-token: {token}\r\n"),
            "/a",
            None,
        ),
    ];
    for (path, fields, seen, cookie) in &table {
        let response = fetch_path(&proxy, path, fields).await;
        assert_eq!(response.status(), 200, "{path} {fields}");
        let head = upstream.last_request().head;
        assert_eq!((head.target(), head.field("cookie")), (*seen, *cookie));
        assert_eq!(head.field("x-token"), None);
    }
    let other = issuer.token(&claims_with("sub", json!("bob")));
    let path = format!("/a?access_token={token}");
    let response = fetch_path(&proxy, &path, &format!("cookie: session={other}\r\n")).await;
    assert_eq!(response.text(), "Found multiple Jwt tokens\n");
    // `authorization` is no place of this provider.
    assert_eq!(fetch(&proxy, &bearer(&token)).await.text(), "Jwt is missing\n");
    // Nothing of a token is in the log.
    let lines = wait_until("the log", || async {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == table.len() + 2).then_some(text)
    })
    .await;
    // Each on a connection of its own: workers write in no order.
    let mut expected: Vec<&str> = table.iter().map(|row| row.2).chain(["/a", "/"]).collect();
    expected.sort_unstable();
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_passed_on_is_in_no_logged_path_even_where_it_is_rewritten() {
    let issuer = Issuer::p256("one");
    let upstream = Scripted::ok().await;
    let directory = tempfile::tempdir().unwrap();
    let (text, json) = (directory.path().join("text"), directory.path().join("json"));
    let places = "locations: [{ query: access_token }], forward: true";
    let document = guarded(&[upstream.address()], &[provider(&[&issuer], places)])
        .http(&format!(
            "xff_num_trusted_hops: 1, access_logs: [{{ path: '{}' }}, {{ path: '{}', format: json }}]",
            text.display(),
            json.display()
        ))
        .routes(
            "{ match: { prefix: /old }, forward: { cluster: upstream, prefix_rewrite: /new } }, \
             { match: { prefix: / }, forward: { cluster: upstream } }",
        );
    let proxy = Proxy::start(document).await;
    let token = issuer.token(&claims());
    let query = format!("?access_token={token}&b=1");
    let told = format!("x-envoy-original-path: /front{query}\r\n");
    for (path, fields, seen, original) in [("/old", "", "/new", "/old"), ("/kept", &*told, "/kept", "/front")]
    {
        let response = fetch_path(&proxy, &format!("{path}{query}"), fields).await;
        assert_eq!(response.status(), 200, "{path}");
        let head = upstream.last_request().head;
        assert_eq!(head.target(), format!("{seen}{query}"));
        let forwarded = head.field("x-envoy-original-path");
        assert_eq!(forwarded, Some(&*format!("{original}{query}")));
    }
    for file in [text, json] {
        let lines = wait_until("both lines", || async {
            let lines = std::fs::read_to_string(&file).ok()?;
            (lines.lines().count() == 2).then_some(lines)
        })
        .await;
        assert!(!lines.contains(&token), "{lines}");
        for path in ["/old?b=1", "/front?b=1"] {
            assert!(lines.contains(path), "no {path} in {lines}");
        }
    }
}

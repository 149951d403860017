//! What let a request through.

use super::{PATH, fetched, told};
use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy, client};
use serde_json::Value;

const POLICIES: &str = "authorization_policies: [\
     { name: team, action: allow, rules: [{ headers: [{ name: x-team, exact: red }], methods: [GET] }] }, \
     { name: readers, action: allow, rules: [{ paths: [{ prefix: /other }] }, { paths: [{ prefix: /case }], methods: [GET] }] }, \
     { name: closed, action: deny, rules: [{ paths: [{ prefix: /admin }] }] }, \
     { name: watched, action: audit, rules: [{ paths: [{ prefix: /case }] }] }, \
     { name: strict, action: deny, shadow: true, rules: [{ methods: [DELETE] }] }, \
     { name: tested, action: allow, rules: [{ headers: [{ name: x-tested, exact: 'yes' }] }] }]";

const LIMITS: &str = "rate_limits: [{ name: few, local: { limit: { requests: 100, per: 1h } } }, \
     { name: seen, shadow: true, local: { limit: { requests: 1, per: 1h } } }]";

fn said(record: &Value) -> String {
    let lines = record["explanation"].as_array().unwrap().iter();
    lines
        .map(|line| format!("{}\n", line.as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_let_a_request_through_is_told_as_far_as_it_is_certain() {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()])
        .chain("authorization: [team, readers, closed, watched, strict]")
        .http("rate_limits: [few]")
        .route("authorization: [tested], rate_limits: [seen]")
        .with(POLICIES)
        .with(LIMITS);
    let proxy = Proxy::start(document).await;
    let response = client::fetch(proxy.address(), PATH, "x-tested: yes\r\n").await;
    assert_eq!(response.status(), 200);
    let said = said(&told(&proxy).await);
    for part in [
        "No DENY policy of filter chain `",
        "matched it: `closed` (test.yaml:",
        "authorization policy `readers` (test.yaml:",
        ", by rule 2: ",
        "matches it; it may have been let through before by: authorization policy `team`",
        "what came is not kept: header `x-team` that",
        "An ALLOW policy of route `all/0` (test.yaml:",
        "let it through: authorization policy `tested` (test.yaml:",
        "what came is not kept: header `x-tested` that",
        "AUDIT authorization policy `watched` (test.yaml:",
        "With its shadow policies in force, it would have passed as well.",
        "none refused it: rate limit `few` (test.yaml:",
        "rate limit `seen` (test.yaml:",
        "a shadow",
    ] {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_asked_is_not_told_to_have_passed() {
    let denied = Document::to(&[])
        .chain("authorization: [nobody]")
        .http("rate_limits: [few]")
        .with("authorization_policies: [{ name: nobody, action: deny, rules: [{ paths: [{ prefix: / }] }] }]")
        .with(LIMITS);
    let said = said(&fetched(denied).await);
    assert!(
        !said.contains("No DENY policy") && !said.contains("none refused it"),
        "{said}"
    );
    let upstream = Scripted::ok().await;
    let plain = super::decisions::said(&fetched(Document::to(&[upstream.address()])).await);
    assert!(
        plain.contains("No authorization policy stands on its filter chain or its route."),
        "{plain}"
    );
    assert!(!plain.contains("rate limit"), "{plain}");
}

//! What `outrigger explain` says of the examples' policies.

use std::path::Path;
use std::process::Command;

/// The lines that are said of a request to an example, and whether a route takes it.
fn explained(example: &str, request: &str, headers: &[&str]) -> Vec<String> {
    explained_to(example, request, headers, &[])
}

/// The same with more flags.
fn explained_to(example: &str, request: &str, headers: &[&str], flags: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args([
            "explain",
            "-c",
            &format!("config/examples/{example}.yaml"),
            "--request",
            request,
        ])
        .args(headers.iter().flat_map(|header| ["-H", header]))
        .args(flags)
        .current_dir(root)
        .output()
        .expect("the binary runs");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines().map(str::to_owned).collect()
}

fn says(example: &str, request: &str, headers: &[&str], expected: &str) {
    let lines = explained(example, request, headers);
    assert!(
        lines.iter().any(|line| line == expected),
        "no `{expected}` in {lines:#?}"
    );
}

#[test]
fn mirrors_and_their_shares() {
    for expected in [
        "copies to cluster `shop-next`, 10 %",
        "copies to cluster `recorder`, 100 %",
    ] {
        says("mirroring", "GET http://127.0.0.1:8080/", &[], expected);
    }
}

#[test]
fn origins_and_what_becomes_of_them() {
    let url = "http://127.0.0.1:8080/items";
    let preflight = [
        "origin: https://app.example",
        "access-control-request-method: PUT",
    ];
    let lines = explained("cors", &format!("OPTIONS {url}"), &preflight);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("answer: preflight, 200"),
        "{lines:#?}"
    );
    for (header, expected) in [
        ("x-a: b", "CORS of the virtual host: the request names no origin"),
        (
            "origin: https://a.preview.example",
            "CORS of the virtual host: origin `https://a.preview.example` is allowed, the answer says so",
        ),
        (
            "origin: https://evil.example",
            "CORS of the virtual host: origin `https://evil.example` is not allowed, the request is passed on as it is",
        ),
    ] {
        says("cors", &format!("GET {url}"), &[header], expected);
    }
    let own = "CORS of the route: origin `https://evil.example` is allowed, the answer says so";
    says(
        "cors",
        "GET http://127.0.0.1:8080/fonts/a",
        &["origin: https://evil.example"],
        own,
    );
    let lines = explained(
        "cors",
        "GET http://127.0.0.1:8080/internal",
        &["origin: https://app.example"],
    );
    assert!(!lines.iter().any(|line| line.starts_with("CORS")), "{lines:#?}");
}

#[test]
fn session_cookies_and_where_they_lead() {
    let request = "GET http://127.0.0.1:8080/";
    for (header, expected) in [
        (
            "x-a: b",
            "session cookie `stay`: there is none, the answer brings one",
        ),
        (
            "cookie: a=b; stay=010bd1195b609c36eba8bb3f7c3cecc4",
            "session cookie `stay`: goes to 127.0.0.1:9001 of cluster `shop`",
        ),
        (
            "cookie: stay=00000000000000000000000000000000",
            "session cookie `stay`: its endpoint is not written here; if it is not found either: goes to another, and the \
             answer brings its cookie",
        ),
    ] {
        says("session-persistence", request, &[header], expected);
    }
}

#[test]
fn path_variables_and_where_they_go() {
    let request = "GET http://a.example/reports/2024/a%2Fb";
    for expected in [
        "path variable `year` is `2024`",
        "path variable `name` is `a%2Fb`",
        "path sent: `/v3/a%2Fb/2024`",
    ] {
        says("routing", request, &["x-beta: 1"], expected);
    }
}

#[test]
fn which_policy_decides_and_what_the_nearest_wants() {
    let said = |request: &str, headers: &[&str], flags: &[&str], expected: &str| {
        let lines = explained_to("authorization", request, headers, flags);
        let found = lines.iter().any(|line| line.contains(expected));
        assert!(found, "no `{expected}` in {lines:#?}");
    };
    let put = "PUT http://127.0.0.1:8080/catalog/1";
    said(put, &[], &[], "authorization: no ALLOW policy matches it");
    said(
        put,
        &[],
        &[],
        "not policy `stock` (config/examples/authorization.yaml:25:5): rule 1 needs header `x-team`",
    );
    said(put, &[], &[], "answer: 403, or gRPC status 7");
    said(put, &[], &[], "audited by policy `changes`");
    let stock = ["x-team: stock"];
    said(
        put,
        &stock,
        &[],
        "authorization: policy `stock` (config/examples/authorization.yaml:25:5) allows it: rule 1",
    );
    let delete = "DELETE http://127.0.0.1:8080/catalog/1";
    said(delete, &stock, &[], "with shadow policies: policy `no-deletes`");
    let admin = "GET http://127.0.0.1:8080/admin/x";
    said(admin, &[], &[], "authorization: policy `closed`");
    said(
        "GET http://127.0.0.1:8080/catalog/..%2fadmin",
        &[],
        &[],
        "which may or may not hold",
    );
    let ann = [
        "--peer-id",
        "spiffe://example.org/ns/admin/ann",
        "--remote-address",
        "10.1.2.3",
    ];
    said(admin, &[], &ann, "policy `from-here`");
    said(
        "GET http://127.0.0.1:13306/",
        &[],
        &["--remote-address", "192.0.2.1"],
        "the connection is closed",
    );
    said(
        "GET http://127.0.0.1:13306/",
        &[],
        &[],
        "its bytes are passed on as they are",
    );
}

#[test]
fn faults_and_until_when() {
    let until = "until 2030-01-31T18:00:00Z";
    let of_chain = format!(
        "fault of the filter chain, {until}: 20 % delayed by 2s, 10 % answered 503; only requests with certain headers; \
         at most 10 % of requests"
    );
    for (path, expected) in [
        ("", of_chain),
        ("broken", format!("fault of the route, {until}: 100 % reset")),
        (
            "slow",
            format!("fault of the route, {until}: 100 % answered at 16384 bytes a second"),
        ),
    ] {
        says(
            "fault-injection",
            &format!("GET http://127.0.0.1:8080/{path}"),
            &[],
            &expected,
        );
    }
    let spared = explained("fault-injection", "GET http://127.0.0.1:8080/payments", &[]);
    assert!(
        !spared.iter().any(|line| line.starts_with("fault")),
        "{spared:#?}"
    );
}

#[test]
fn rate_limits_and_what_they_count_by() {
    let request = "GET http://127.0.0.1:8080/search?q=a";
    let lines = explained("rate-limits", request, &["x-plan: gold", "x-user: u"]);
    let said: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("rate limit"))
        .collect();
    assert_eq!(
        said,
        [
            "rate limit `everything`: 1000 in 1s, at most 2000 at once, all requests together",
            "rate limit `each-client`: 600 in 60s, at most 50 at once, by masked_remote_address",
            "rate limit `tighter` (shadow): 60 in 60s, at most 60 at once, by remote_address, path_template",
            "rate limit `search`: 5 in 10s, at most 5 at once, by plan=gold, user=u",
        ]
    );
    says(
        "rate-limits",
        "GET http://127.0.0.1:8080/api",
        &[],
        "rate limit `mesh-wide`: the service in cluster `limits` is asked for domain `shop`, by service=api, user (lacking: \
         the limit does not count this)",
    );
    says(
        "rate-limits",
        "GET http://127.0.0.1:8081/",
        &[],
        "rate limit `connections`: 10 in 1s, at most 10 at once, by remote_address",
    );
}

#[test]
fn keys_and_subsets() {
    let carts = "GET http://127.0.0.1:8080/carts";
    says("balancing", carts, &["x-user: ada"], "hashed by header `x-user`");
    let without = "hashed by header `x-user`, which the request does not have";
    says("balancing", carts, &[], without);
    says("balancing", carts, &[], "hashed by cookie `cart`");
    let search = "GET http://127.0.0.1:8080/search";
    says("balancing", search, &[], "subset of cluster `search`: version=v2");
}

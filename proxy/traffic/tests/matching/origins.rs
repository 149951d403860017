//! CORS policies: which requests are what, against a reading of the policy line by line.

use crate::tables::routes;
use outrigger_config::model::Cors;
use outrigger_traffic::{CorsDecision, CorsPolicy};
use proptest::prelude::*;

fn cors(policy: &str) -> Cors {
    let configuration = routes(&format!(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    cors: {policy}\n    \
         routes:\n    - {{match: {{prefix: /}}, direct_response: {{status: 200}}}}\n"
    ));
    configuration.virtual_hosts()[0].cors().clone().expect("a policy")
}

const POLICY: &str = "{allow_origins: ['https://a.example', {prefix: 'http://localhost:'}, \
    {suffix: '.b.example'}, {regex: 'https://[0-9]+\\.c\\.example'}]}";

/// The same policy, spelt out.
fn naive(origin: &str) -> bool {
    let digits = origin
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(".c.example"));
    origin == "https://a.example"
        || origin.starts_with("http://localhost:")
        || origin.ends_with(".b.example")
        || digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[test]
fn headers_are_worded_once() {
    let policy = CorsPolicy::compile(&cors(
        "{allow_origins: [https://x], allow_methods: [GET, PUT], allow_headers: [x-a, x-b], \
         expose_headers: [etag], max_age: 2m, allow_credentials: true}",
    ));
    assert_eq!(policy.allow_methods.as_deref(), Some("GET, PUT"));
    assert_eq!(policy.allow_headers.as_deref(), Some("x-a, x-b"));
    assert_eq!(policy.expose_headers.as_deref(), Some("etag"));
    assert_eq!(policy.max_age.as_deref(), Some("120"));
    assert_eq!(policy.allow_origin(b"https://x"), b"https://x");
    assert!(policy.depends_on_origin());
    let open = CorsPolicy::compile(&cors("{allow_origins: '*'}"));
    assert_eq!(open.allow_origin(b"https://x"), b"*");
    assert!(!open.depends_on_origin());
    assert_eq!((open.allow_methods, open.max_age), (None, None));
}

#[test]
fn an_absent_origin_is_allowed_nothing_and_refused_nothing() {
    for policy in ["{allow_origins: '*'}", POLICY] {
        let policy = CorsPolicy::compile(&cors(policy));
        assert_eq!(policy.decide("OPTIONS", None, true), CorsDecision::SameOrigin);
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_a_reader(
        scheme in prop::sample::select(vec!["https://", "http://", ""]),
        host in prop::sample::select(vec!["a.example", "localhost:80", "x.b.example", "b.example", "42.c.example", ".c.example", "4x.c.example", "null"]),
        tail in prop::sample::select(vec!["", ".example", ":1"]),
        method in prop::sample::select(vec!["OPTIONS", "GET", "options"]),
        asks in any::<bool>(),
    ) {
        let origin = format!("{scheme}{host}{tail}");
        let policy = CorsPolicy::compile(&cors(POLICY));
        let expected = match (naive(&origin), method == "OPTIONS" && asks) {
            (false, _) => CorsDecision::NotAllowed,
            (true, true) => CorsDecision::Preflight,
            (true, false) => CorsDecision::Allowed,
        };
        prop_assert_eq!(policy.decide(method, Some(origin.as_bytes()), asks), expected, "{}", origin);
    }
}

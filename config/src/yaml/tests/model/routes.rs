//! Virtual hosts, routes, matches and actions.

use super::super::{valid, with_route};
use super::http;
use crate::model::{
    ConnectAction, Domain, Forward, HeaderEditKind, HeaderName, HeaderValue, HeaderValuePart, PathMatch,
    PathRewrite, Redirect, RedirectPath, Route, RouteAction, SameSite, StringMatch, TemplateSegment,
    defaults,
};
use std::time::Duration;

fn route(text: &str) -> Route {
    valid(&with_route(text)).config.route_configurations()[0].virtual_hosts()[0].routes()[0].clone()
}

fn path(matches: &str) -> PathMatch {
    route(&format!("{{match: {matches}, forward: {{cluster: a}}}}"))
        .matches()
        .path()
        .clone()
}

fn forward(fields: &str) -> Forward {
    match route(&format!("{{match: {{prefix: /a}}, forward: {{{fields}}}}}")).action() {
        RouteAction::Forward(forward) => forward.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn domains_are_exact_suffix_prefix_or_any() {
    let text = with_route("{match: {prefix: /}, forward: {cluster: a}}").replace(
        "['*']",
        "[A.example, '*.b.example', '*-c.example', 'api.*', '*', '[::1]']",
    );
    let config = valid(&text).config;
    assert_eq!(
        config.route_configurations()[0].virtual_hosts()[0].domains(),
        &[
            Domain::Exact("a.example".into()),
            Domain::Suffix(".b.example".into()),
            Domain::Suffix("-c.example".into()),
            Domain::Prefix("api.".into()),
            Domain::Any,
            Domain::Exact("[::1]".into()),
        ]
    );
}

#[test]
fn paths_are_matched_in_six_ways() {
    assert_eq!(path("{path: /a%2Fb}"), PathMatch::Exact("/a%2Fb".into()));
    assert_eq!(path("{prefix: /}"), PathMatch::Prefix("/".into()));
    assert_eq!(path("{string_prefix: /a}"), PathMatch::StringPrefix("/a".into()));
    assert_eq!(path("{grpc: {service: a.B}}"), PathMatch::Prefix("/a.B/".into()));
    assert_eq!(
        path("{grpc: {service: a.B, method: C}}"),
        PathMatch::Exact("/a.B/C".into())
    );
    let PathMatch::Template(template) = path("{template: '/a/{id}/'}") else {
        panic!()
    };
    let segments = [
        TemplateSegment::Literal("a".into()),
        TemplateSegment::Variable("id".into()),
        TemplateSegment::Literal("".into()),
    ];
    assert_eq!(template.segments(), &segments);
    let PathMatch::Regex(pattern) = path("{regex: '/a|/b'}") else {
        panic!()
    };
    assert!(
        pattern.anchored().is_match("/b") && !pattern.anchored().is_match("/bc"),
        "the whole path"
    );
    assert!(
        route("{match: {grpc: {service: a.B}}, forward: {cluster: a}}")
            .matches()
            .grpc()
    );
}

#[test]
fn forwards_have_timeouts_rewrites_and_shares() {
    let plain = forward("cluster: a");
    assert_eq!(
        (plain.timeout(), plain.timeout_explicit()),
        (Some(defaults::ROUTE_TIMEOUT), false)
    );
    assert_eq!(plain.stream_idle_timeout(), None);
    for (written, expected) in [("15s", Some(15)), ("0s", None), ("off", None)] {
        let timed = forward(&format!("cluster: a, timeout: {written}"));
        assert_eq!(
            (timed.timeout(), timed.timeout_explicit()),
            (expected.map(Duration::from_secs), true)
        );
    }
    assert_eq!(
        forward("cluster: a, stream_idle_timeout: off").stream_idle_timeout(),
        Some(None)
    );
    let shares = forward("weighted_clusters: [{cluster: a, weight: 0}, {cluster: backend, weight: 3}]");
    let shares: Vec<_> = shares
        .clusters()
        .iter()
        .map(|one| (one.cluster().as_str().to_owned(), one.weight()))
        .collect();
    assert_eq!(shares, [("a".to_owned(), 0), ("backend".to_owned(), 3)]);
    let rewrite = forward("cluster: a, regex_rewrite: {pattern: '(b+)', substitution: '<\\1$1\\\\>'}");
    let Some(PathRewrite::Regex(rewrite)) = rewrite.path_rewrite() else {
        panic!()
    };
    assert_eq!(
        rewrite.regex().replace_all("/abbc", rewrite.substitution()),
        "/a<bb$1\\>c"
    );
    assert_eq!(
        forward("cluster: a, host_rewrite: 'b:81'")
            .host_rewrite()
            .as_deref(),
        Some("b:81")
    );
}

#[test]
fn redirects_and_direct_responses() {
    let redirect = |fields: &str| -> Redirect {
        match route(&format!("{{match: {{prefix: /a}}, redirect: {{{fields}}}}}")).action() {
            RouteAction::Redirect(redirect) => redirect.clone(),
            other => panic!("{other:?}"),
        }
    };
    let full = redirect("scheme: https, host: b, port: 8443, path: /c, status: 307, strip_query: true");
    assert_eq!(full.scheme().as_deref(), Some("https"));
    assert_eq!(
        (full.port(), full.status(), full.strip_query()),
        (Some(8443), 307, true)
    );
    assert_eq!(full.path(), &Some(RedirectPath::Full("/c".into())));
    assert_eq!(redirect("scheme: https").status(), defaults::REDIRECT_STATUS);
    assert!(matches!(
        redirect("prefix_rewrite: /b").path(),
        Some(RedirectPath::Rewrite(PathRewrite::Prefix(_)))
    ));
    let answer = route("{match: {path: /}, direct_response: {status: 200, body: 5}, request_body_max: 1MiB}");
    let RouteAction::DirectResponse(response) = answer.action() else {
        panic!()
    };
    assert_eq!((response.status(), response.body().as_str()), (200, "5"));
    assert_eq!(response.content_type(), defaults::DIRECT_RESPONSE_CONTENT_TYPE);
    assert_eq!(answer.request_body_bytes_max(), Some(1 << 20));
}

#[test]
fn header_edits_keep_their_order() {
    let edits = route(
        "{match: {prefix: /}, forward: {cluster: a}, response_headers: \
         {append: {X-C: [a, b]}, set: {x-b: 1}, add: {x-a: 'x: y'}, remove: [X-D]}}",
    );
    let edits = edits.response_headers();
    let written: Vec<_> = edits
        .write()
        .iter()
        .map(|edit| (edit.kind(), edit.name().as_str(), edit.value().to_string()))
        .collect();
    assert_eq!(
        written,
        [
            (HeaderEditKind::Add, "x-a", "x: y".to_owned()),
            (HeaderEditKind::Set, "x-b", "1".to_owned()),
            (HeaderEditKind::Append, "x-c", "a".to_owned()),
            (HeaderEditKind::Append, "x-c", "b".to_owned()),
        ]
    );
    assert_eq!(edits.remove()[0].as_str(), "x-d");
}

#[test]
fn conditions_compare_in_six_ways() {
    let route = route(
        "{match: {prefix: /, methods: [GET, M-SEARCH], headers: [{name: X, exact: ''}, {name: x, prefix: a}, \
         {name: x, suffix: a}, {name: x, contains: a}, {name: x, regex: a+, invert: true}], query: [{name: Q, present: true}]}, \
         forward: {cluster: a}}",
    );
    let matches = route.matches();
    assert_eq!(matches.methods(), &["GET", "M-SEARCH"]);
    let values: Vec<_> = matches.headers().iter().map(|one| one.value().clone()).collect();
    assert_eq!(values[0], StringMatch::Exact("".into()));
    assert_eq!(
        values[1..4],
        [
            StringMatch::Prefix("a".into()),
            StringMatch::Suffix("a".into()),
            StringMatch::Contains("a".into())
        ]
    );
    assert!(matches!(&values[4], StringMatch::Regex(pattern) if pattern.source() == "a+"));
    assert!(matches.headers()[4].invert() && !matches.headers()[0].invert());
    assert_eq!(
        (matches.query()[0].name().as_str(), matches.query()[0].value()),
        ("Q", &StringMatch::Present)
    );
}

#[test]
fn upgrades_are_lower_case_and_may_be_turned_off() {
    assert_eq!(http("").upgrades(), &["websocket"]);
    assert_eq!(
        http("").upgrade_idle_timeout(),
        Some(defaults::UPGRADE_IDLE_TIMEOUT)
    );
    assert!(http("upgrades: []").upgrades().is_empty());
    let several = http("upgrades: [WebSocket, Foo/2.1], upgrade_idle_timeout: off");
    assert_eq!(several.upgrades(), &["websocket", "foo/2.1"]);
    assert_eq!(several.upgrade_idle_timeout(), None);
    let plain = forward("cluster: a");
    assert_eq!((plain.upgrades(), plain.upgrade_idle_timeout()), (&None, None));
    let none = forward("cluster: a, upgrades: [], upgrade_idle_timeout: off");
    assert_eq!(
        (none.upgrades(), none.upgrade_idle_timeout()),
        (&Some(Vec::new()), Some(None))
    );
}

#[test]
fn connect_requests_have_routes_of_their_own() {
    let action = |fields: &str| {
        let route = route(&format!(
            "{{match: {{connect: true}}, forward: {{cluster: a{fields}}}}}"
        ));
        assert!(route.matches().connect());
        assert_eq!(route.matches().path(), &PathMatch::Prefix("/".into()));
        match route.action() {
            RouteAction::Forward(forward) => forward.connect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(action(""), ConnectAction::Terminate);
    assert_eq!(action(", connect: terminate"), ConnectAction::Terminate);
    assert_eq!(action(", connect: pass"), ConnectAction::Pass);
    let usual = route("{match: {prefix: /}, forward: {cluster: a}}");
    assert!(!usual.matches().connect());
}

#[test]
fn templates_are_rewritten_to_templates() {
    let text = "{match: {template: '/a/{id}/{name}'}, forward: {cluster: a, template_rewrite: '/b/{name}/x/{name}'}}";
    let route = route(text);
    let RouteAction::Forward(forward) = route.action() else {
        panic!()
    };
    let Some(PathRewrite::Template(template)) = forward.path_rewrite() else {
        panic!()
    };
    assert_eq!(template.source(), "/b/{name}/x/{name}");
    assert_eq!(template.variables().collect::<Vec<_>>(), ["name", "name"]);
    assert_eq!(template.segments()[2], TemplateSegment::Literal("x".into()));
}

#[test]
fn mirrors_have_shares() {
    assert!(forward("cluster: a").mirrors().is_empty());
    let shares = [
        ("", 1_000_000),
        (", percent: 100", 1_000_000),
        (", percent: 12.5", 125_000),
        (", percent: 0.0001", 1),
        (", percent: 0", 0),
        (", percent: 099.9990", 999_990),
    ];
    for (percent, expected) in shares {
        let mirrored = forward(&format!("cluster: a, mirrors: [{{cluster: backend{percent}}}]"));
        let mirror = &mirrored.mirrors()[0];
        assert_eq!(mirror.cluster().as_str(), "backend");
        assert_eq!(mirror.fraction().parts_per_million(), expected, "{percent}");
    }
    let loaded = valid(&with_route(
        "{match: {prefix: /}, forward: {cluster: a, mirrors: [{cluster: backend}]}}",
    ));
    assert!(loaded.warnings.is_empty(), "a mirror uses its cluster");
}

#[test]
fn session_cookies_have_attributes() {
    let cookie = |fields: &str| {
        let forward = forward(&format!("cluster: a, session_cookie: {{name: at{fields}}}"));
        forward.session_cookie().clone().unwrap()
    };
    let plain = cookie("");
    assert_eq!((plain.name().as_str(), plain.path().as_str()), ("at", "/"));
    assert_eq!(
        (plain.max_age(), plain.strict(), plain.same_site()),
        (None, false, None)
    );
    let full = cookie(", max_age: 1h, path: /b, strict: true, same_site: none");
    assert_eq!(full.max_age(), Some(Duration::from_secs(3600)));
    assert_eq!((full.path().as_str(), full.strict()), ("/b", true));
    assert_eq!(full.same_site(), Some(SameSite::None));
}

#[test]
fn cross_origin_requests_are_allowed_by_host_or_route() {
    let cors = |cors: &str| {
        route(&format!(
            "{{match: {{prefix: /}}, forward: {{cluster: a}}, cors: {cors}}}"
        ))
        .cors()
        .clone()
    };
    assert_eq!(cors("off"), Some(None));
    for any in ["'*'", "['*']"] {
        let any = cors(&format!("{{allow_origins: {any}}}")).flatten().unwrap();
        assert_eq!(any.allow_origins(), &[StringMatch::Present]);
        assert!(any.allow_methods().is_empty() && !any.allow_credentials());
        assert_eq!(any.max_age(), None);
    }
    let full = cors(
        "{allow_origins: [https://a.example, {exact: 'null'}, {suffix: .b.example}, {regex: 'http://x[0-9]+'}, \
         'http://[::1]:81'], allow_methods: [PUT], allow_headers: [X-A], expose_headers: ['*'], max_age: 0s}",
    );
    let full = full.flatten().unwrap();
    let exact = |text: &str| StringMatch::Exact(text.into());
    assert_eq!(
        full.allow_origins()[..2],
        [exact("https://a.example"), exact("null")]
    );
    assert_eq!(full.allow_origins()[2], StringMatch::Suffix(".b.example".into()));
    assert_eq!(full.allow_origins()[4], exact("http://[::1]:81"));
    assert_eq!(full.allow_methods(), &["PUT"]);
    assert_eq!(full.allow_headers()[0].as_str(), "x-a");
    assert_eq!(full.max_age(), Some(Duration::ZERO));
    let plain = route("{match: {prefix: /}, forward: {cluster: a}}");
    assert_eq!(plain.cors(), &None);
    let text = with_route("{match: {prefix: /}, forward: {cluster: a}}").replace(
        "    domains",
        "    cors: {allow_origins: [https://a.example], allow_credentials: true}\n    domains",
    );
    let config = valid(&text).config;
    let host = &config.route_configurations()[0].virtual_hosts()[0];
    assert!(host.cors().as_ref().unwrap().allow_credentials());
}

#[test]
fn responses_have_limits_and_may_stay_as_they_are() {
    let plain = route("{match: {prefix: /}, forward: {cluster: a}}");
    assert_eq!(
        (plain.response_body_bytes_max(), plain.compression()),
        (None, true)
    );
    let other =
        route("{match: {prefix: /}, forward: {cluster: a}, response_body_max: 1KiB, compression: off}");
    assert_eq!(
        (other.response_body_bytes_max(), other.compression()),
        (Some(1024), false)
    );
}

#[test]
fn header_values_have_operators() {
    let value = |value: &str| {
        let route = route(&format!(
            "{{match: {{template: '/a/{{id}}'}}, forward: {{cluster: a}}, response_headers: {{set: {{x: '{value}'}}}}}}"
        ));
        route.response_headers().write()[0].value().clone()
    };
    use HeaderValue as Value;
    use HeaderValuePart as Part;
    assert_eq!(value("a b"), Value::Text("a b".into()));
    assert_eq!(value("100%%"), Value::Text("100%".into()));
    assert_eq!(value("100%%").to_string(), "100%%");
    assert_eq!(value("%%REQ(x)%%"), Value::Text("%REQ(x)%".into()));
    assert_eq!(
        value(
            "%PATH_VARIABLE(id)%-%%%REQ(X-Name)%%PROTOCOL% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%%UPSTREAM_HOST%."
        ),
        Value::Parts(vec![
            Part::PathVariable("id".into()),
            Part::Text("-%".into()),
            Part::RequestHeader(HeaderName("x-name".into())),
            Part::Protocol,
            Part::Text(" ".into()),
            Part::DownstreamRemoteAddress,
            Part::UpstreamHost,
            Part::Text(".".into()),
        ])
    );
}

#[test]
fn retries() {
    use crate::model::{HedgeAfter, Idempotence, RetryConditions};
    use std::time::Duration;
    let text = with_route(
        "{match: {path: /own}, forward: {cluster: a, retry: {retry_on: [5xx, retriable-status-codes], retries_max: 3, \
         per_try_timeout: 2s, backoff: {base: 10ms}, retry_after_max: 9s, retriable_status_codes: [429], idempotent: \
         {header: Idempotency-Key}, hedging: {after: {quantile: 99.9}}}}}\n    \
         - {match: {path: /off}, forward: {cluster: a, retry: off}}\n    \
         - {match: {path: /inherited}, forward: {cluster: backend}}",
    )
    .replace("domains: ['*']", "domains: ['*']\n    retry: {retry_on: [reset]}");
    let config = valid(&text).config;
    let routes = config.route_configurations()[0].virtual_hosts()[0].routes();
    let policies: Vec<_> = routes
        .iter()
        .map(|route| match route.action() {
            RouteAction::Forward(forward) => forward.retry().clone(),
            _ => panic!(),
        })
        .collect();
    let own = policies[0].as_ref().unwrap();
    let words: Vec<&str> = own.retry_on().names().collect();
    assert_eq!(words, ["5xx", "retriable-status-codes"]);
    assert_eq!(
        (own.retries_max(), own.retriable_status_codes().as_slice()),
        (3, &[429][..])
    );
    assert_eq!(own.per_try_timeout(), Some(Duration::from_secs(2)));
    assert_eq!(own.backoff_max(), Duration::from_millis(100));
    assert_eq!(own.retry_after_max(), Some(Duration::from_secs(9)));
    assert!(matches!(own.idempotence(), Idempotence::ByHeader(name) if name.as_str() == "idempotency-key"));
    let HedgeAfter::Quantile { quantile, .. } = own.hedging().as_ref().unwrap().after() else {
        panic!()
    };
    assert_eq!(quantile, 99_900);
    assert!(policies[1].is_none());
    let inherited = policies[2].as_ref().unwrap();
    assert_eq!(*inherited.retry_on(), RetryConditions::RESET);
    assert_eq!(inherited.backoff_max(), Duration::from_millis(250));
}

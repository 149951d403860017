//! Rewritten paths and redirects of real routes.

use crate::tables::routes;
use outrigger_config::model::{
    EscapedSlashes, PathMatch, PathRewrite, Redirect, RepeatedSlashes, Route, RouteAction,
};
use outrigger_traffic::path::normalize;
use outrigger_traffic::rewrite::{redirect_location, rewrite_path};
use proptest::prelude::*;

fn route(matches: &str, action: &str) -> Route {
    let configuration = routes(&format!(
        "route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n    \
         - {{match: {matches}, {action}}}\nclusters: [{{name: a, endpoints: [{{address: 127.0.0.1:1}}]}}]\n"
    ));
    configuration.virtual_hosts()[0].routes()[0].clone()
}

fn rewritten(pattern: &str, substitution: &str, path: &str) -> String {
    let action = format!(
        "forward: {{cluster: a, regex_rewrite: {{pattern: '{pattern}', substitution: '{substitution}'}}}}"
    );
    let route = route("{prefix: /}", &action);
    let RouteAction::Forward(forward) = route.action() else {
        panic!("a forward")
    };
    rewrite_path(
        forward.path_rewrite().as_ref().expect("a rewrite"),
        route.matches().path(),
        path,
    )
}

#[test]
fn every_match_of_a_pattern_is_replaced() {
    assert_eq!(rewritten("/v[0-9]+", "/api", "/v1/x/v22"), "/api/x/api");
    assert_eq!(rewritten("^/([^/]+)/([^/]+)", r"/\2/\1", "/a/b/c"), "/b/a/c");
    assert_eq!(rewritten("^/none$", "/x", "/a//b/%2F"), "/a//b/%2F");
}

fn moved(matched: &str, template: &str, path: &str) -> String {
    let action = format!("forward: {{cluster: a, template_rewrite: '{template}'}}");
    let route = route(&format!("{{template: '{matched}'}}"), &action);
    let RouteAction::Forward(forward) = route.action() else {
        panic!("a forward")
    };
    rewrite_path(
        forward.path_rewrite().as_ref().expect("a rewrite"),
        route.matches().path(),
        path,
    )
}

#[test]
fn a_template_puts_segments_elsewhere_as_they_stand() {
    assert_eq!(moved("/a/{x}/b/{y}", "/{y}/c/{x}/", "/a/1/b/2"), "/2/c/1/");
    assert_eq!(moved("/a/{x}", "/b/{x}", "/a/%2F%20;="), "/b/%2F%20;=");
    assert_eq!(moved("/{x}", "/", "/a"), "/");
    assert_eq!(
        moved("/{x}/{y}", "/{x}/{y}", "/{y}/{x}"),
        "/{y}/{x}",
        "nothing is replaced twice"
    );
}

proptest! {
    /// The compiled rewrite, and replacing names in the text one segment at a time; and the result is a path.
    #[test]
    fn templates_rewrite_as_a_reader_would(
        segments in prop::collection::vec("[a-c%;=.~-]{1,4}", 3),
        order in prop::collection::vec(0..3usize, 0..5),
    ) {
        let path = format!("/p/{}", segments.join("/"));
        let normal = normalize(&path, EscapedSlashes::Keep, RepeatedSlashes::Keep);
        prop_assume!(normal.is_ok_and(|normal| !normal.is_rewritten()));
        let template: String = order.iter().map(|place| format!("/{{v{place}}}")).collect();
        let template = format!("/q{template}");
        let expected: String = order.iter().map(|place| format!("/{}", segments[*place])).collect();
        let rewritten = moved("/p/{v0}/{v1}/{v2}", &template, &path);
        prop_assert_eq!(&rewritten, &format!("/q{expected}"));
        let again = normalize(&rewritten, EscapedSlashes::Keep, RepeatedSlashes::Keep);
        prop_assert!(again.is_ok_and(|again| !again.is_rewritten()));
    }
}

#[test]
fn no_substitution_builds_a_path_that_climbs_or_breaks() {
    assert_eq!(rewritten("x", "", "/a/.x./secret"), "/secret");
    assert_eq!(rewritten("x", "", "/x.x./x.x./secret"), "/secret");
    assert_eq!(rewritten("25", "", "/a/%252e%252e/b"), "/b");
    assert_eq!(
        rewritten("F", "", "/a/%2Fz"),
        "/a/%252z",
        "half an escape is escaped"
    );
    assert_eq!(rewritten("^/", "", "/a"), "/a");
    assert_eq!(rewritten("^.*$", "", "/a"), "/");
}

fn location(
    redirect: &str,
    matches: &str,
    scheme: &str,
    host: &str,
    path: &str,
    query: Option<&str>,
) -> String {
    let route = route(matches, &format!("redirect: {redirect}"));
    let RouteAction::Redirect(redirect) = route.action() else {
        panic!("a redirect")
    };
    let (redirect, matched): (&Redirect, &PathMatch) = (redirect, route.matches().path());
    redirect_location(redirect, matched, scheme, host, path, query)
}

#[test]
fn a_redirect_changes_what_it_names_and_keeps_the_rest() {
    let any = "{prefix: /}";
    let table = [
        ("{scheme: https}", "http", "a.example:80", "https://a.example/p?q"),
        ("{scheme: https}", "http", "a.example", "https://a.example/p?q"),
        (
            "{scheme: https}",
            "http",
            "a.example:8080",
            "https://a.example:8080/p?q",
        ),
        ("{scheme: http}", "https", "a.example:443", "http://a.example/p?q"),
        (
            "{scheme: http}",
            "https",
            "a.example:80",
            "http://a.example:80/p?q",
        ),
        ("{path: /x}", "http", "a.example:80", "http://a.example:80/x?q"),
        (
            "{scheme: https, port: 8443}",
            "http",
            "a.example:80",
            "https://a.example:8443/p?q",
        ),
        ("{port: 81}", "http", "a.example:8080", "http://a.example:81/p?q"),
        (
            "{host: b.example}",
            "http",
            "a.example:8080",
            "http://b.example/p?q",
        ),
        (
            "{host: b.example, port: 1}",
            "https",
            "a.example:8080",
            "https://b.example:1/p?q",
        ),
        ("{scheme: https}", "http", "[::1]:80", "https://[::1]/p?q"),
        ("{scheme: https}", "http", "[::1]", "https://[::1]/p?q"),
        ("{scheme: https}", "http", "[::1]:81", "https://[::1]:81/p?q"),
        (
            "{scheme: https, port: 444}",
            "http",
            "[::1]",
            "https://[::1]:444/p?q",
        ),
        (
            "{scheme: https, strip_query: true}",
            "http",
            "a.example",
            "https://a.example/p",
        ),
        (
            "{prefix_rewrite: /x}",
            "http",
            "a.example",
            "http://a.example/x/p?q",
        ),
        (
            "{regex_rewrite: {pattern: p, substitution: z}}",
            "http",
            "a.example",
            "http://a.example/z?q",
        ),
    ];
    for (redirect, scheme, host, wanted) in table {
        assert_eq!(
            location(redirect, any, scheme, host, "/p", Some("q")),
            wanted,
            "{redirect} {host}"
        );
    }
    assert_eq!(
        location("{scheme: https}", any, "http", "a", "/p", None),
        "https://a/p"
    );
    assert_eq!(
        location("{prefix_rewrite: /x}", "{prefix: /p}", "http", "a", "/p/y", None),
        "http://a/x/y"
    );
    assert_eq!(
        location("{prefix_rewrite: /x}", "{path: /p}", "http", "a", "/p", Some("")),
        "http://a/x?"
    );
}

#[test]
fn one_slash_stands_where_a_prefix_was_replaced() {
    let prefix = |text: &str| PathMatch::Prefix(text.into());
    let table = [
        (prefix("/a"), "/x", "/a", "/x"),
        (prefix("/a"), "/x", "/a/", "/x/"),
        (prefix("/a"), "/x", "/a/b", "/x/b"),
        (prefix("/a"), "/x/", "/a/b", "/x/b"),
        (prefix("/a"), "/", "/a/b", "/b"),
        (prefix("/a"), "/", "/a", "/"),
        (prefix("/a/"), "/x", "/a/b", "/x/b"),
        (prefix("/a/"), "/x", "/a/", "/x"),
        (prefix("/a/"), "/x/", "/a/b", "/x/b"),
        (prefix("/a"), "/x", "/a//b", "/x//b"),
        (prefix("/"), "/x", "/b", "/x/b"),
        (prefix("/"), "/x", "/", "/x"),
        (prefix("/"), "/x", "*", "/x/*"),
        (PathMatch::Exact("/a".into()), "/x", "/a", "/x"),
        // As it stands.
        (PathMatch::StringPrefix("/a".into()), "/x", "/ab", "/xb"),
        (PathMatch::StringPrefix("/a".into()), "/", "/a/b", "//b"),
        (PathMatch::StringPrefix("/a/".into()), "/x", "/a/b", "/xb"),
        (PathMatch::StringPrefix("/".into()), "/x", "/b", "/xb"),
    ];
    for (matched, replacement, path, wanted) in table {
        let rewrite = PathRewrite::Prefix(replacement.into());
        assert_eq!(
            rewrite_path(&rewrite, &matched, path),
            wanted,
            "{matched:?} by {replacement} in {path}"
        );
    }
}

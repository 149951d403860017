//! Routes of other control planes: what they become, and what is refused by which path.

mod actions;
mod refusals;

use crate::decode::{Decoded, Refusal, decode, type_url};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier as Header;
use envoy_types::pb::envoy::config::route::v3::route_action as action;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier as Path;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher, StringMatcher};
use envoy_types::pb::google::protobuf::{BoolValue, Duration, UInt32Value};
use outrigger_config::{Environment, Source, load, to_yaml};
use prost::Message;

fn whole(hosts: Vec<pb::VirtualHost>) -> pb::RouteConfiguration {
    pb::RouteConfiguration {
        name: "r".into(),
        virtual_hosts: hosts,
        ..Default::default()
    }
}

fn host(routes: Vec<pb::Route>) -> pb::VirtualHost {
    pb::VirtualHost {
        name: "v".into(),
        domains: vec!["*".into()],
        routes,
        ..Default::default()
    }
}

fn to_cluster() -> pb::RouteAction {
    pb::RouteAction {
        cluster_specifier: Some(action::ClusterSpecifier::Cluster("a".into())),
        ..Default::default()
    }
}

fn route(path: Path, action: pb::RouteAction) -> pb::Route {
    pb::Route {
        r#match: Some(pb::RouteMatch {
            path_specifier: Some(path),
            ..Default::default()
        }),
        action: Some(pb::route::Action::Route(action)),
        ..Default::default()
    }
}

fn prefix(text: &str) -> Path {
    Path::Prefix(text.into())
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.into(),
        engine_type: None,
    }
}

fn decoded(message: &pb::RouteConfiguration) -> Result<Decoded, Refusal> {
    decode(
        &type_url::<pb::RouteConfiguration>(),
        "r",
        &message.encode_to_vec(),
    )
}

/// The message becomes what the document's text does.
fn becomes(message: &pb::RouteConfiguration, virtual_hosts: &str) {
    let text = format!(
        "clusters: [{{name: a, subsets: {{selectors: [[v], [v, w]]}}}}, {{name: b, subsets: {{selectors: [[v]]}}}}]\n\
         route_configurations: [{{name: r, virtual_hosts: {virtual_hosts}}}]\n"
    );
    let source = Source {
        name: "wanted.yaml".into(),
        text: text.as_str().into(),
    };
    let wanted = load(&source, &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    let parts = match decoded(message) {
        Ok(Decoded::RouteConfiguration(parts)) => parts,
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => panic!("{refusal}"),
    };
    let clusters = outrigger_config::document::Parts {
        clusters: wanted.clusters().clone(),
        ..Default::default()
    };
    let base = load(
        &Source {
            name: "base.yaml".into(),
            text: "{}\n".into(),
        },
        &Environment::empty(),
    );
    let found = outrigger_config::document::assemble(&base.unwrap().config, [&clusters, &parts]).unwrap();
    let routes = |yaml: String| yaml[yaml.find("route_configurations").unwrap()..].to_owned();
    assert_eq!(routes(to_yaml(&found.config)), routes(to_yaml(&wanted)));
}

/// One route becomes what the document's text does.
fn route_becomes(route: pb::Route, wanted: &str) {
    let hosts = format!("[{{name: v, domains: ['*'], routes: [{wanted}]}}]");
    becomes(&whole(vec![host(vec![route])]), &hosts);
}

/// The message is refused, for this path among others.
fn is_refused(message: &pb::RouteConfiguration, path: &str) {
    let refusal = decoded(message).expect_err(path);
    let paths: Vec<&str> = refusal.faults.iter().map(|fault| fault.path.as_str()).collect();
    assert!(
        paths.contains(&path),
        "{path} is not among the faults of {refusal}"
    );
}

fn route_is_refused(route: pb::Route, path: &str) {
    let message = whole(vec![host(vec![route])]);
    is_refused(&message, &format!("virtual_hosts[0].routes[0].{path}"));
}

fn action_is_refused(action: pb::RouteAction, path: &str) {
    route_is_refused(route(prefix("/"), action), &format!("route.{path}"));
}

#[test]
fn prefixes_keep_what_they_mean_to_envoy() {
    for (path, wanted) in [
        (prefix(""), "prefix: /"),
        (prefix("/"), "prefix: /"),
        (prefix("/a/"), "prefix: /a/"),
        (prefix("/a"), "string_prefix: /a"),
        (Path::PathSeparatedPrefix("/a".into()), "prefix: /a"),
        (Path::Path("/a".into()), "path: /a"),
        (Path::SafeRegex(regex("/a.*")), "regex: /a.*"),
    ] {
        route_becomes(
            route(path, to_cluster()),
            &format!("{{match: {{{wanted}}}, forward: {{cluster: a}}}}"),
        );
    }
}

#[test]
fn what_is_written_in_a_prefixs_place_is_what_envoy_writes() {
    let rewritten = |path: Path, to: &str| {
        let action = pb::RouteAction {
            prefix_rewrite: to.into(),
            ..to_cluster()
        };
        route(path, action)
    };
    for (path, to, matched, forward) in [
        (prefix("/a"), "/b", "string_prefix: /a", "prefix_rewrite: /b"),
        (prefix("/a/"), "/b/", "prefix: /a/", "prefix_rewrite: /b/"),
        (prefix("/a/"), "/b", "string_prefix: /a/", "prefix_rewrite: /b"),
        (prefix("/"), "/b", "string_prefix: /", "prefix_rewrite: /b"),
        (
            Path::PathSeparatedPrefix("/a".into()),
            "/b",
            "prefix: /a",
            "prefix_rewrite: /b",
        ),
        (
            Path::PathSeparatedPrefix("/a.b".into()),
            "/",
            "prefix: /a.b",
            "regex_rewrite: {pattern: '^/a\\.b', substitution: /}",
        ),
        (Path::Path("/a".into()), "/b", "path: /a", "prefix_rewrite: /b"),
        (
            Path::SafeRegex(regex("/a|/b")),
            "/c",
            "regex: /a|/b",
            "regex_rewrite: {pattern: '^.*$', substitution: /c}",
        ),
    ] {
        let wanted = format!("{{match: {{{matched}}}, forward: {{cluster: a, {forward}}}}}");
        route_becomes(rewritten(path, to), &wanted);
    }
}

fn header(name: &str, specifier: Header) -> pb::HeaderMatcher {
    pb::HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(specifier),
        ..Default::default()
    }
}

fn text(pattern: MatchPattern) -> Header {
    Header::StringMatch(StringMatcher {
        ignore_case: false,
        match_pattern: Some(pattern),
    })
}

fn matching(change: impl FnOnce(&mut pb::RouteMatch)) -> pb::Route {
    let mut route = route(prefix("/"), to_cluster());
    change(route.r#match.as_mut().unwrap());
    route
}

#[test]
fn conditions_are_those_of_the_document() {
    let route = matching(|matches| {
        matches.headers = vec![
            header(":method", text(MatchPattern::SafeRegex(regex("GET|HEAD")))),
            header("x", text(MatchPattern::Exact("y".into()))),
            // To Envoy only where there is such a header.
            pb::HeaderMatcher {
                invert_match: true,
                ..header("z", text(MatchPattern::Prefix("w".into())))
            },
            pb::HeaderMatcher {
                invert_match: true,
                treat_missing_header_as_empty: true,
                ..header("u", text(MatchPattern::Suffix("v".into())))
            },
        ];
        matches.grpc = Some(Default::default());
        matches.query_parameters = vec![pb::QueryParameterMatcher {
            name: "q".into(),
            query_parameter_match_specifier: None,
        }];
    });
    route_becomes(
        route,
        "{match: {prefix: /, methods: [GET, HEAD], headers: [{name: x, exact: 'y'}, {name: z, prefix: w, invert: true}, \
         {name: z, present: true}, {name: u, suffix: v, invert: true}, {name: content-type, prefix: application/grpc}], query: [{name: q, present: true}]}, forward: {cluster: a}}",
    );
    let mut grpc = self::route(Path::Path("/a.B/C".into()), to_cluster());
    grpc.r#match.as_mut().unwrap().grpc = Some(Default::default());
    route_becomes(
        grpc,
        "{match: {grpc: {service: a.B, method: C}}, forward: {cluster: a}}",
    );
}

fn share(name: &str, weight: u32) -> pb::weighted_cluster::ClusterWeight {
    pb::weighted_cluster::ClusterWeight {
        name: name.into(),
        weight: Some(UInt32Value { value: weight }),
        ..Default::default()
    }
}

#[test]
fn a_domain_with_a_port_needs_the_same_without() {
    let mut message = whole(vec![host(vec![route(prefix("/"), to_cluster())])]);
    message.virtual_hosts[0].domains = ["A.example", "a.example:80", "[::1]", "[::1]:80", "*.b"]
        .map(str::to_owned)
        .into();
    becomes(
        &message,
        "[{name: v, domains: [a.example, '[::1]', '*.b'], routes: [{match: {prefix: /}, forward: {cluster: a}}]}]",
    );
    message.virtual_hosts[0].domains = vec!["a.example:80".into()];
    is_refused(&message, "virtual_hosts[0].domains[0]");
}

#[test]
fn names_of_routes_are_remarks() {
    let named = |name: &str| pb::Route {
        name: name.into(),
        ..route(prefix("/"), to_cluster())
    };
    becomes(
        &whole(vec![host(vec![
            named("default"),
            named("default"),
            named("a b"),
            named(""),
        ])]),
        "[{name: v, domains: ['*'], routes: [{name: default, match: {prefix: /}, forward: {cluster: a}}, \
         {match: {prefix: /}, forward: {cluster: a}}, {match: {prefix: /}, forward: {cluster: a}}, \
         {match: {prefix: /}, forward: {cluster: a}}]}]",
    );
}

fn any<M: Message + prost::Name>(message: &M) -> envoy_types::pb::google::protobuf::Any {
    envoy_types::pb::google::protobuf::Any {
        type_url: type_url::<M>(),
        value: message.encode_to_vec(),
    }
}

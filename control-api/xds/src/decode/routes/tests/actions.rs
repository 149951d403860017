//! What is done with requests.

use super::*;

#[test]
fn timeouts_are_those_that_envoy_keeps() {
    #[allow(deprecated, reason = "it is read")]
    let timed = |timeout, grpc, limits| pb::RouteAction {
        timeout,
        max_grpc_timeout: grpc,
        max_stream_duration: limits,
        idle_timeout: seconds(0),
        ..to_cluster()
    };
    let limits = |whole, grpc| {
        Some(action::MaxStreamDuration {
            max_stream_duration: whole,
            grpc_timeout_header_max: grpc,
            grpc_timeout_header_offset: None,
        })
    };
    for (action, wanted) in [
        (timed(None, None, None), ""),
        (timed(seconds(0), None, None), ", timeout: 0s"),
        (timed(seconds(3), None, None), ", timeout: 3s"),
        (timed(None, seconds(0), None), ""),
        (timed(seconds(15), seconds(0), None), ""),
        (timed(seconds(3), seconds(3), None), ", timeout: 3s"),
        // Beside `max_stream_duration` there is no `timeout`.
        (
            timed(seconds(3), None, limits(seconds(9), None)),
            ", timeout: off, stream_duration_max: 9s",
        ),
        (
            timed(None, None, limits(seconds(0), seconds(4))),
            ", timeout: off, client_timeout_max: 4s",
        ),
        (timed(None, None, limits(None, seconds(0))), ", timeout: off"),
    ] {
        let wanted =
            format!("{{match: {{prefix: /}}, forward: {{cluster: a, stream_idle_timeout: off{wanted}}}}}");
        route_becomes(route(prefix("/"), action), &wanted);
    }
    action_is_refused(timed(seconds(3), seconds(9), None), "max_grpc_timeout");
    action_is_refused(timed(None, seconds(9), limits(None, None)), "max_stream_duration");
}

#[test]
fn a_retry_policy_as_other_control_planes_write_it() {
    let policy = pb::RetryPolicy {
        retry_on: "connect-failure, refused-stream,unavailable,retriable-status-codes".into(),
        num_retries: Some(UInt32Value { value: 2 }),
        retry_host_predicate: vec![pb::retry_policy::RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".into(),
            config_type: None,
        }],
        host_selection_retry_max_attempts: 5,
        rate_limited_retry_back_off: Some(pb::retry_policy::RateLimitedRetryBackOff {
            reset_headers: vec![pb::retry_policy::ResetHeader {
                name: "Retry-After".into(),
                format: 0,
            }],
            max_interval: None,
        }),
        ..Default::default()
    };
    let action = pb::RouteAction {
        retry_policy: Some(policy.clone()),
        ..to_cluster()
    };
    route_becomes(
        route(prefix("/"), action),
        "{match: {prefix: /}, forward: {cluster: a, retry: {retry_on: [connect-failure, refused-stream, unavailable], \
         retries_max: 2, retry_after_max: 300s}}}",
    );
    let none = pb::RouteAction {
        retry_policy: Some(pb::RetryPolicy {
            num_retries: Some(UInt32Value { value: 0 }),
            ..policy.clone()
        }),
        ..to_cluster()
    };
    route_becomes(
        route(prefix("/"), none),
        "{match: {prefix: /}, forward: {cluster: a, retry: 'off'}}",
    );
    type Change = fn(&mut pb::RetryPolicy);
    let changes: &[(&str, Change)] = &[
        ("retry_on", |policy| {
            policy.retry_on = "http3-post-connect-failure".into()
        }),
        ("retry_priority", |policy| {
            policy.retry_priority = Some(Default::default())
        }),
        ("retry_options_predicates", |policy| {
            policy.retry_options_predicates = vec![Default::default()]
        }),
        ("refresh_cluster_on_retry", |policy| {
            policy.refresh_cluster_on_retry = true
        }),
        ("retriable_request_headers", |policy| {
            policy.retriable_request_headers = vec![Default::default()]
        }),
        ("retry_host_predicate[0].typed_config", |policy| {
            policy.retry_host_predicate = vec![Default::default()];
        }),
        ("rate_limited_retry_back_off.reset_headers[0].name", |policy| {
            policy.rate_limited_retry_back_off = Some(pb::retry_policy::RateLimitedRetryBackOff {
                reset_headers: vec![pb::retry_policy::ResetHeader {
                    name: "x-reset".into(),
                    format: 0,
                }],
                max_interval: None,
            });
        }),
    ];
    for (path, change) in changes {
        let mut policy = policy.clone();
        change(&mut policy);
        let action = pb::RouteAction {
            retry_policy: Some(policy),
            ..to_cluster()
        };
        action_is_refused(action, &format!("retry_policy.{path}"));
    }
}

fn option(key: &str, value: &str, action: i32) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: key.into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        append_action: action,
        ..Default::default()
    }
}

#[test]
fn edits_of_all_levels_come_together() {
    let mut message = whole(vec![host(vec![route(prefix("/"), to_cluster())])]);
    message.request_headers_to_add = vec![option("x-c", "3", 0)];
    message.virtual_hosts[0].request_headers_to_add = vec![
        option("x-a", "1", 0),
        option("x-empty", "", 2),
        option("x-a", "%REQ(y)%", 0),
        option("x-b", "2", 1),
    ];
    message.virtual_hosts[0].request_headers_to_remove = vec!["x-a".into()];
    message.response_headers_to_remove = vec!["server".into()];
    becomes(
        &message,
        "[{name: v, domains: ['*'], request_headers: {remove: [x-a], add: {x-b: '2'}, \
         append: {x-a: ['1', '%REQ(y)%'], x-c: '3'}}, response_headers: {remove: [server]}, \
         routes: [{match: {prefix: /}, forward: {cluster: a}}]}]",
    );
    // The document's order is another.
    message.virtual_hosts[0].request_headers_to_add = vec![option("x-a", "1", 0), option("X-A", "2", 2)];
    is_refused(&message, "virtual_hosts[0].request_headers_to_add[1].header");
    message.virtual_hosts[0].request_headers_to_add = vec![option("x-a", "1", 3)];
    is_refused(
        &message,
        "virtual_hosts[0].request_headers_to_add[0].append_action",
    );
    message.virtual_hosts[0].request_headers_to_add = vec![option("x-a", "%START_TIME%", 0)];
    is_refused(
        &message,
        "virtual_hosts[0].request_headers_to_add[0].header.value",
    );
    message.most_specific_header_mutations_wins = true;
    is_refused(&message, "most_specific_header_mutations_wins");
}

#[test]
fn shares_and_subsets() {
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
    let subset = |key: &str, value: &str| {
        let value = Value {
            kind: Some(Kind::StringValue(value.into())),
        };
        let fields = Struct {
            fields: [(key.to_owned(), value)].into(),
        };
        Some(core::Metadata {
            filter_metadata: [("envoy.lb".to_owned(), fields)].into(),
            ..Default::default()
        })
    };
    let action = pb::RouteAction {
        cluster_specifier: Some(action::ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: vec![
                pb::weighted_cluster::ClusterWeight {
                    metadata_match: subset("w", "2"),
                    ..share("a", 1)
                },
                share("b", 2),
            ],
            ..Default::default()
        })),
        metadata_match: subset("v", "1"),
        ..Default::default()
    };
    route_becomes(
        route(prefix("/"), action),
        "{match: {prefix: /}, forward: {weighted_clusters: [{cluster: a, weight: 1, subset: {v: '1', w: '2'}}, \
         {cluster: b, weight: 2, subset: {v: '1'}}]}}",
    );
}

#[test]
fn answers_are_redirects_and_texts() {
    use pb::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
    let mut redirect = route(prefix("/a"), to_cluster());
    redirect.action = Some(pb::route::Action::Redirect(pb::RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        host_redirect: "b.example".into(),
        response_code: 3,
        path_rewrite_specifier: Some(PathRewriteSpecifier::RegexRewrite(RegexMatchAndSubstitute {
            pattern: Some(regex("^/(a)")),
            substitution: "/b\\1".into(),
        })),
        ..Default::default()
    }));
    route_becomes(
        redirect,
        "{match: {string_prefix: /a}, redirect: {scheme: https, host: b.example, status: 307, \
         regex_rewrite: {pattern: '^/(a)', substitution: '/b\\1'}}}",
    );
    let mut answer = route(prefix("/"), to_cluster());
    answer.action = Some(pb::route::Action::DirectResponse(pb::DirectResponseAction {
        status: 418,
        body: Some(core::DataSource {
            watched_directory: None,
            specifier: Some(core::data_source::Specifier::InlineBytes(b"tea".to_vec())),
        }),
        body_format: None,
    }));
    route_becomes(
        answer.clone(),
        "{match: {prefix: /}, direct_response: {status: 418, body: tea}}",
    );
    if let Some(pb::route::Action::DirectResponse(response)) = &mut answer.action {
        response.body = Some(core::DataSource {
            watched_directory: None,
            specifier: Some(core::data_source::Specifier::Filename("/etc/passwd".into())),
        });
        response.body_format = Some(Default::default());
    }
    route_is_refused(answer.clone(), "direct_response.body.filename");
    route_is_refused(answer, "direct_response.body_format");
}

//! What is refused, by its path.

use super::*;

#[test]
fn conditions_that_are_not_known_are_refused() {
    let refused = |path: &str, change: fn(&mut pb::RouteMatch)| route_is_refused(matching(change), path);
    refused("match.case_sensitive", |matches| {
        matches.case_sensitive = Some(BoolValue { value: false })
    });
    refused("match.runtime_fraction", |matches| {
        matches.runtime_fraction = Some(Default::default())
    });
    refused("match.cookies", |matches| {
        matches.cookies = vec![Default::default()]
    });
    refused("match.tls_context", |matches| {
        matches.tls_context = Some(Default::default())
    });
    refused("match.dynamic_metadata", |matches| {
        matches.dynamic_metadata = vec![Default::default()]
    });
    refused("match.filter_state", |matches| {
        matches.filter_state = vec![Default::default()]
    });
    refused("match.headers[0].range_match", |matches| {
        matches.headers = vec![header("x", Header::RangeMatch(Default::default()))];
    });
    refused("match.headers[0]", |matches| {
        matches.headers = vec![pb::HeaderMatcher {
            invert_match: true,
            ..header(":method", text(MatchPattern::Exact("GET".into())))
        }];
    });
    refused("match.headers[0].name", |matches| {
        matches.headers = vec![header(":path", text(MatchPattern::Exact("/".into())))];
    });
    refused("match.safe_regex.regex", |matches| {
        matches.path_specifier = Some(Path::SafeRegex(regex("(")))
    });
    refused("match.path_match_policy.typed_config", |matches| {
        matches.path_specifier = Some(Path::PathMatchPolicy(Default::default()));
    });
    route_is_refused(pb::Route::default(), "match");
}

#[test]
fn templates_that_are_wider_are_refused() {
    use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
    for template in ["/a/*", "/a/**", "/{a=**}", "/{a=x/*}"] {
        let config = UriTemplateMatchConfig {
            path_template: template.into(),
        };
        let policy = core::TypedExtensionConfig {
            name: "t".into(),
            typed_config: Some(any(&config)),
        };
        route_is_refused(
            route(Path::PathMatchPolicy(policy), to_cluster()),
            "match.path_match_policy.typed_config.path_template",
        );
    }
}

#[test]
fn actions_that_are_not_known_are_refused() {
    use action::{ClusterSpecifier as Cluster, HostRewriteSpecifier as Host};
    type Change = fn(&mut pb::RouteAction);
    #[allow(deprecated, reason = "they are refused")]
    let changes: &[(&str, Change)] = &[
        ("cluster_header", |action| {
            action.cluster_specifier = Some(Cluster::ClusterHeader("x".into()))
        }),
        ("cluster_specifier_plugin", |action| {
            action.cluster_specifier = Some(Cluster::ClusterSpecifierPlugin("x".into()));
        }),
        ("inline_cluster_specifier_plugin", |action| {
            action.cluster_specifier = Some(Cluster::InlineClusterSpecifierPlugin(Default::default()));
        }),
        ("auto_host_rewrite", |action| {
            action.host_rewrite_specifier = Some(Host::AutoHostRewrite(BoolValue { value: true }));
        }),
        ("host_rewrite_header", |action| {
            action.host_rewrite_specifier = Some(Host::HostRewriteHeader("x".into()));
        }),
        ("host_rewrite_path_regex", |action| {
            action.host_rewrite_specifier = Some(Host::HostRewritePathRegex(Default::default()));
        }),
        ("host_rewrite", |action| {
            action.host_rewrite_specifier = Some(Host::HostRewrite("x".into()))
        }),
        ("path_rewrite", |action| action.path_rewrite = "/x".into()),
        ("append_x_forwarded_host", |action| {
            action.append_x_forwarded_host = true
        }),
        ("flush_timeout", |action| action.flush_timeout = seconds(1)),
        ("early_data_policy", |action| {
            action.early_data_policy = Some(Default::default())
        }),
        ("retry_policy_typed_config", |action| {
            action.retry_policy_typed_config = Some(Default::default())
        }),
        ("rate_limits", |action| {
            action.rate_limits = vec![Default::default()]
        }),
        ("include_vh_rate_limits", |action| {
            action.include_vh_rate_limits = Some(BoolValue { value: true })
        }),
        ("cors", |action| action.cors = Some(Default::default())),
        ("grpc_timeout_offset", |action| {
            action.grpc_timeout_offset = seconds(1)
        }),
        ("internal_redirect_policy", |action| {
            action.internal_redirect_policy = Some(Default::default())
        }),
        ("internal_redirect_action", |action| {
            action.internal_redirect_action = 1
        }),
        ("max_internal_redirects", |action| {
            action.max_internal_redirects = Some(UInt32Value { value: 1 })
        }),
        ("timeout", |action| action.timeout = seconds(-1)),
        ("priority", |action| action.priority = 7),
        ("hedge_policy.initial_requests", |action| {
            action.hedge_policy = Some(pb::HedgePolicy {
                initial_requests: Some(UInt32Value { value: 2 }),
                ..Default::default()
            });
        }),
        ("hedge_policy.additional_request_chance", |action| {
            action.hedge_policy = Some(pb::HedgePolicy {
                additional_request_chance: Some(Default::default()),
                ..Default::default()
            });
        }),
        ("hedge_policy", |action| {
            action.hedge_policy = Some(pb::HedgePolicy {
                hedge_on_per_try_timeout: true,
                ..Default::default()
            });
        }),
        ("upgrade_configs[0]", |action| {
            action.upgrade_configs = vec![action::UpgradeConfig {
                upgrade_type: "CONNECT".into(),
                ..Default::default()
            }];
        }),
        ("hash_policy[0].filter_state", |action| {
            action.hash_policy = vec![action::HashPolicy {
                terminal: false,
                policy_specifier: Some(action::hash_policy::PolicySpecifier::FilterState(
                    Default::default(),
                )),
            }];
        }),
        ("request_mirror_policies[0].trace_sampled", |action| {
            action.request_mirror_policies = vec![action::RequestMirrorPolicy {
                cluster: "b".into(),
                trace_sampled: Some(BoolValue { value: true }),
                ..Default::default()
            }];
        }),
        ("metadata_match.filter_metadata[\"other\"]", |action| {
            action.metadata_match = Some(core::Metadata {
                filter_metadata: [("other".to_owned(), Default::default())].into(),
                ..Default::default()
            });
        }),
        ("weighted_clusters.total_weight", |action| {
            action.cluster_specifier = Some(Cluster::WeightedClusters(pb::WeightedCluster {
                clusters: vec![share("a", 3)],
                total_weight: Some(UInt32Value { value: 100 }),
                ..Default::default()
            }));
        }),
        ("weighted_clusters.clusters[0].cluster_header", |action| {
            let mut share = share("a", 3);
            share.cluster_header = "x".into();
            action.cluster_specifier = Some(Cluster::WeightedClusters(pb::WeightedCluster {
                clusters: vec![share],
                ..Default::default()
            }));
        }),
    ];
    for (path, change) in changes {
        let mut action = to_cluster();
        change(&mut action);
        action_is_refused(action, path);
    }
}

#[test]
fn parts_of_a_route_configuration_that_are_not_known_are_refused() {
    let plain = whole(vec![host(vec![route(prefix("/"), to_cluster())])]);
    type Change = fn(&mut pb::RouteConfiguration);
    #[allow(deprecated, reason = "they are refused")]
    let changes: &[(&str, Change)] = &[
        ("vhds", |message| message.vhds = Some(Default::default())),
        ("internal_only_headers", |message| {
            message.internal_only_headers = vec!["x".into()]
        }),
        ("cluster_specifier_plugins", |message| {
            message.cluster_specifier_plugins = vec![Default::default()]
        }),
        ("vhost_header", |message| message.vhost_header = "x".into()),
        ("ignore_path_parameters_in_path_matching", |message| {
            message.ignore_path_parameters_in_path_matching = true;
        }),
        ("name", |message| message.name = "other".into()),
        ("virtual_hosts[0].matcher", |message| {
            message.virtual_hosts[0].matcher = Some(Default::default())
        }),
        ("virtual_hosts[0].virtual_clusters", |message| {
            message.virtual_hosts[0].virtual_clusters = vec![Default::default()];
        }),
        ("virtual_hosts[0].rate_limits", |message| {
            message.virtual_hosts[0].rate_limits = vec![Default::default()];
        }),
        ("virtual_hosts[0].cors", |message| {
            message.virtual_hosts[0].cors = Some(Default::default())
        }),
        ("virtual_hosts[0].require_tls", |message| {
            message.virtual_hosts[0].require_tls = 1
        }),
        ("virtual_hosts[0].routes[0].tracing", |message| {
            message.virtual_hosts[0].routes[0].tracing = Some(Default::default());
        }),
        ("virtual_hosts[0].routes[0].filter_action", |message| {
            message.virtual_hosts[0].routes[0].action =
                Some(pb::route::Action::FilterAction(Default::default()));
        }),
        ("virtual_hosts[0].routes[0].non_forwarding_action", |message| {
            message.virtual_hosts[0].routes[0].action =
                Some(pb::route::Action::NonForwardingAction(Default::default()));
        }),
        ("virtual_hosts[0].routes[0]", |message| {
            message.virtual_hosts[0].routes[0].action = None
        }),
    ];
    for (path, change) in changes {
        let mut message = plain.clone();
        change(&mut message);
        is_refused(&message, path);
    }
}

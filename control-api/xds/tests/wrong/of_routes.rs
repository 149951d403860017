//! Wrong route configurations.

use super::good::{Good, spoilt, wrapped};
use crate::Wrong;
use envoy_types::pb::envoy::config::route::v3::{
    RouteAction, RouteConfiguration, WeightedCluster, route::Action, route_action::ClusterSpecifier,
    route_match::PathSpecifier,
};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use outrigger_xds::resource::ResourceType;
use prost::Message;

type Edit = fn(&mut RouteConfiguration);

/// The route with weights is the first, the plain one the second.
fn action(routes: &mut RouteConfiguration, index: usize) -> &mut RouteAction {
    match &mut routes.virtual_hosts[0].routes[index].action {
        Some(Action::Route(action)) => action,
        other => panic!("{other:?}"),
    }
}

fn weights(routes: &mut RouteConfiguration) -> &mut WeightedCluster {
    match &mut action(routes, 0).cluster_specifier {
        Some(ClusterSpecifier::WeightedClusters(weights)) => weights,
        other => panic!("{other:?}"),
    }
}

fn path(routes: &mut RouteConfiguration, path: PathSpecifier) {
    let matches = routes.virtual_hosts[0].routes[1].r#match.as_mut().unwrap();
    matches.path_specifier = Some(path);
}

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.to_owned(),
        ..RegexMatcher::default()
    }
}

const EDITS: &[(&str, &str, Edit)] = &[
    ("no domains", "virtual_hosts[0].domains", |one| {
        one.virtual_hosts[0].domains.clear()
    }),
    ("a domain that is none", "virtual_hosts[0].domains[0]", |one| {
        one.virtual_hosts[0].domains[0] = "a b".to_owned();
    }),
    ("a domain twice", "virtual_hosts[1].domains[0]", |one| {
        let mut again = one.virtual_hosts[0].clone();
        again.name = "again".to_owned();
        one.virtual_hosts.push(again);
    }),
    ("a virtual host without a name", "virtual_hosts[0].name", |one| {
        one.virtual_hosts[0].name.clear()
    }),
    ("no match", "virtual_hosts[0].routes[1].match", |one| {
        one.virtual_hosts[0].routes[1].r#match = None
    }),
    ("no action", "virtual_hosts[0].routes[1]", |one| {
        one.virtual_hosts[0].routes[1].action = None
    }),
    (
        "a regular expression that does not compile",
        "routes[1].match.safe_regex",
        |one| {
            path(one, PathSpecifier::SafeRegex(regex("/(")));
        },
    ),
    ("a prefix that is none", "routes[1].match.prefix", |one| {
        path(one, PathSpecifier::Prefix("no slash".to_owned()));
    }),
    ("a cluster without a name", "routes[1].route.cluster", |one| {
        action(one, 1).cluster_specifier = Some(ClusterSpecifier::Cluster(String::new()));
    }),
    ("weights of nothing", "routes[0].route.weighted_clusters", |one| {
        for cluster in &mut weights(one).clusters {
            cluster.weight = Some(UInt32Value { value: 0 });
        }
    }),
    (
        "a sum of weights that is not theirs",
        "routes[0].route.weighted_clusters.total_weight",
        |one| {
            weights(one).total_weight = Some(UInt32Value { value: 99 });
        },
    ),
    (
        "no weighted clusters",
        "routes[0].route.weighted_clusters",
        |one| weights(one).clusters.clear(),
    ),
    ("a timeout below nothing", "routes[1].route.timeout", |one| {
        action(one, 1).timeout = Some(Duration {
            seconds: -1,
            nanos: 0,
        });
    }),
    ("a duration that is none", "routes[1].route.timeout", |one| {
        action(one, 1).timeout = Some(Duration {
            seconds: 1,
            nanos: -2_000_000_000,
        });
    }),
    ("an unknown priority", "routes[1].route.priority", |one| {
        action(one, 1).priority = 7
    }),
    ("a field that is not supported", "vhds", |one| {
        one.vhds = Some(Default::default())
    }),
    ("a plugin of a specifier", "cluster_specifier_plugins", |one| {
        one.cluster_specifier_plugins = vec![Default::default()];
    }),
];

pub(crate) fn all(good: &Good) -> Vec<Wrong> {
    let resource_type = ResourceType::RouteConfiguration;
    let wrong = |(what, field, edit): &(&'static str, &'static str, Edit)| {
        let mut message: RouteConfiguration = good.message(resource_type);
        edit(&mut message);
        Wrong {
            what,
            resource_type,
            resource: wrapped(resource_type, spoilt(resource_type), "", message.encode_to_vec()),
            name: spoilt(resource_type),
            field,
        }
    };
    EDITS.iter().map(wrong).collect()
}

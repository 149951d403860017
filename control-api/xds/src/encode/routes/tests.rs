//! Routes there and back.

use super::*;
use crate::decode::{Decoded, decode};
use crate::encode::{EncodeOptions, encode};
use outrigger_config::{Environment, MeshConfig, Source, load};

fn loaded(name: &str, text: &str) -> MeshConfig {
    let source = Source {
        name: name.into(),
        text: text.into(),
    };
    match load(&source, &Environment::empty()) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("{faults}"),
    }
}

/// Every route configuration comes back as it was.
fn there_and_back(config: &MeshConfig, what: &str) {
    let encoded = encode(config, &EncodeOptions::default());
    assert_eq!(
        encoded.route_configurations.len(),
        config.route_configurations().len()
    );
    let type_url = crate::decode::type_url::<pb::RouteConfiguration>();
    for ((name, body), part) in encoded
        .route_configurations
        .iter()
        .zip(config.route_configurations())
    {
        let decoded = decode(&type_url, name, body).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        let Decoded::RouteConfiguration(parts) = decoded else {
            panic!("{decoded:?}");
        };
        assert_eq!(parts.route_configurations.len(), 1, "{what}");
        let (back, part) = (&parts.route_configurations[0], part);
        for (back, host) in back.virtual_hosts().iter().zip(part.virtual_hosts()) {
            for (back, route) in back.routes().iter().zip(host.routes()) {
                assert_eq!(back, route, "{what}");
            }
        }
        assert!(back == part, "{what}: {name}");
        for policy in &parts.authorization_policies {
            assert!(
                config.authorization_policies().contains(policy),
                "{what}: {policy:?}"
            );
        }
        for limit in &parts.rate_limits {
            assert!(config.rate_limits().contains(limit), "{what}: {limit:?}");
        }
    }
}

#[test]
fn every_example_comes_back_as_it_was() {
    let examples = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples"));
    let mut count = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.to_str().unwrap();
        let source = Source {
            name: name.into(),
            text: text.as_str().into(),
        };
        let Ok(config) = load(&source, &Environment::empty()) else {
            continue;
        };
        there_and_back(&config.config, name);
        count += 1;
    }
    assert!(count > 20, "{count} examples were read");
}

/// Routes that the examples do not have, one a line.
const ROUTES: &[&str] = &[
    "{match: {path: /a%2Fb}, forward: {cluster: a, prefix_rewrite: /c}}",
    "{match: {prefix: /a/}, forward: {cluster: a, prefix_rewrite: /b}}",
    "{match: {prefix: /a/}, forward: {cluster: a, prefix_rewrite: /b/}}",
    "{match: {prefix: /a.b}, forward: {cluster: a, prefix_rewrite: /}}",
    "{match: {prefix: /}, forward: {cluster: a, prefix_rewrite: /x}}",
    "{match: {string_prefix: /a}, forward: {cluster: a, prefix_rewrite: /x}}",
    "{match: {string_prefix: /a/}, forward: {cluster: a, prefix_rewrite: /x}}",
    "{match: {string_prefix: /a/}, forward: {cluster: a, prefix_rewrite: /x/}}",
    "{match: {string_prefix: /}, redirect: {prefix_rewrite: /x}}",
    "{match: {template: '/a/{long_name_of_a_variable}/*'}, forward: {cluster: a, template_rewrite: '/{long_name_of_a_variable}'}}",
    "{match: {template: '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}'}, forward: {cluster: a, template_rewrite: '/{j}'}}",
    "{match: {template: '/a/{b}/'}, redirect: {template_rewrite: '/c/{b}'}}",
    "{match: {template: '/a/{b}'}, forward: {cluster: a, template_rewrite: '/c/{b}'}, \
     request_headers: {set: {x-c: c, x-b: '%PATH_VARIABLE(b)%', x-a: '%%'}, append: {x: ['1', '%PATH_VARIABLE(b)%', '2']}}}",
    "{match: {prefix: /, methods: [GET]}, forward: {cluster: a, timeout: 3s}, request_headers: {add: {x: ''}, remove: [y]}}",
    "{match: {prefix: /, source_identities: [{spiffe_id: 'spiffe://a/b'}]}, direct_response: {status: 200}}",
    "{match: {prefix: /, query: [{name: a, present: true}, {name: b, exact: c, invert: true}]}, direct_response: {status: 204}}",
    "{match: {prefix: /, headers: [{name: x, exact: ''}, {name: y, suffix: z, invert: true}, {name: z, present: true, invert: true}], \
     query: [{name: q, present: true, invert: true}]}, \
     redirect: {scheme: https}}",
    "{match: {prefix: /, headers: [{name: w, exact: v}, {name: x, exact: '', invert: true}, {name: y, regex: z, invert: true}]}, \
     redirect: {scheme: https}}",
    "{match: {prefix: /}, forward: {cluster: a, retry: {retry_on: [retriable-headers], \
     retriable_headers: [{name: x, regex: y, invert: true}, {name: z, exact: w}]}}}",
    "{match: {connect: true}, forward: {cluster: a, connect: pass}}",
    "{match: {grpc: {service: a.B}}, forward: {cluster: a, prefix_rewrite: /x, timeout: 0s, stream_duration_max: 5s}}",
    "{match: {prefix: /}, forward: {cluster: a, timeout: off, client_timeout_max: 2s}}",
    "{match: {prefix: /}, forward: {cluster: a, timeout: 5s, client_timeout_max: 2s, stream_duration_max: 7s}}",
    "{match: {prefix: /}, forward: {cluster: a, stream_idle_timeout: off, upgrades: [], upgrade_idle_timeout: off}}",
    "{match: {prefix: /}, forward: {cluster: a, upgrades: [websocket, x/2], priority: high}}",
    "{match: {prefix: /}, forward: {cluster: a, subset: {v: '1', w: ''}}}",
    "{match: {prefix: /}, forward: {weighted_clusters: [{cluster: a, weight: 0}, {cluster: b, weight: 3, subset: {v: x}}]}}",
    "{match: {prefix: /}, forward: {weighted_clusters: [{cluster: a, weight: 3}]}}",
    "{match: {prefix: /}, forward: {cluster: a, mirrors: [{cluster: b, percent: 0.0001}, {cluster: a}]}}",
    "{match: {prefix: /}, forward: {cluster: a, session_cookie: {name: c, strict: true, path: /x, same_site: none}}}",
    "{match: {prefix: /}, forward: {cluster: a, hash_policy: [{header: x, terminal: true}, {cookie: {name: c}}, \
     {cookie: {name: d, ttl: 0s, path: /y}}, {source_address: true}, {query: q}]}}",
    "{match: {prefix: /}, forward: {cluster: a, retry: {retry_on: [5xx, unavailable, retriable-status-codes, retriable-headers], \
     retries_max: 3, per_try_timeout: 500ms, per_try_idle_timeout: 1ms, backoff: {base: 7ms, max: 2s}, retry_after_max: 9s, \
     retriable_status_codes: [503, 429], retriable_headers: [{name: x, prefix: y, invert: true}], idempotent: {header: key}, \
     avoid_tried_endpoints: false, hedging: {after: per_try_timeout, extra_load_max: 20}}}}",
    "{match: {prefix: /}, forward: {cluster: a, retry: {retry_on: [reset], idempotent: declared, hedging: {after: 30ms}}}}",
    "{match: {prefix: /}, forward: {cluster: a, retry: {retry_on: [reset], hedging: {after: {quantile: 99.9}}}}}",
    "{match: {regex: '/a|/b'}, forward: {cluster: a, regex_rewrite: {pattern: '/(a)\\$', substitution: '/$x\\\\\\\\\\1'}}}",
    "{match: {prefix: /x}, redirect: {host: b.example, port: 8443, path: /y, status: 307, strip_query: true}}",
    "{match: {prefix: /y}, redirect: {regex_rewrite: {pattern: y, substitution: z}, status: 302}}",
    "{match: {prefix: /y}, redirect: {prefix_rewrite: /, status: 303}}",
    "{match: {prefix: /z}, direct_response: {status: 503, body: 'so %that%', content_type: text/html}}",
    "{match: {prefix: /z}, direct_response: {status: 200, body: b}, rate_limits: [limit], authorization: [policy], \
     fault: 'off', cors: 'off', compression: 'off', request_body_max: 1MiB, response_body_max: 7}",
];

fn rich() -> MeshConfig {
    let routes: Vec<String> = ROUTES.iter().map(|route| format!("    - {route}\n")).collect();
    let text = format!(
        "clusters: [{{name: a, subsets: {{selectors: [[v, w]]}}}}, {{name: b, subsets: {{selectors: [[v]]}}}}]\n\
         rate_limits: [{{name: limit, local: {{limit: {{requests: 3}}}}}}]\n\
         authorization_policies: [{{name: policy, action: deny, rules: [{{methods: [PUT]}}]}}]\n\
         route_configurations:\n\
         - name: other|x*~\n\
         - name: r\n  virtual_hosts:\n  - name: v\n    domains: [a.example, '*.b.example', 'api.*', '*-x', '[::1]']\n\
         \x20   https_redirect: {{port: 8443, status: 308}}\n    hsts: true\n    rate_limits: [limit]\n\
         \x20   response_headers: {{set: {{server: us}}, remove: [via]}}\n\
         \x20   cors: {{allow_origins: '*'}}\n\
         \x20   error_pages: [{{statuses: [503], page: {{body: x}}}}]\n\
         \x20   routes:\n{}  - name: w\n    domains: ['*']\n    https_redirect: true\n",
        routes.concat(),
    );
    loaded("rich.yaml", &text)
}

#[test]
fn whatever_routes_can_say_comes_back_as_it_was() {
    there_and_back(&rich(), "rich");
}

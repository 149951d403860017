//! What nodes are told.

use super::*;

/// What a view refers to and does not have.
const SECRETS: &str = "
identities: [{name: default, workload_api: {socket: /run/spire/agent.sock}}]
trust_bundles: [{name: roots, trust_domain: example.org, identity: default}]
";

/// Holds a view to the document that somebody would have written for the node.
#[track_caller]
fn holds(mesh: &Mesh, role: &NodeRole, expected: &str) {
    let text = match expected.contains("identity: default") {
        true => format!("{expected}{SECRETS}"),
        false => expected.to_owned(),
    };
    let mut loaded = crate::load(&source("expected.yaml", &text), &Environment::empty())
        .unwrap_or_else(|faults| panic!("{faults}"))
        .config;
    loaded.identities.clear();
    loaded.trust_bundles.clear();
    let (made, expected) = (shown(mesh, role), to_yaml(&loaded));
    let different = made
        .lines()
        .zip(expected.lines())
        .position(|(made, expected)| made != expected);
    if let Some(at) = different {
        let around = |text: &str| {
            text.lines()
                .skip(at.saturating_sub(12))
                .take(30)
                .collect::<Vec<_>>()
                .join("\n")
        };
        panic!("made:\n{}\n\nexpected:\n{}", around(&made), around(&expected));
    }
    assert_eq!(made.lines().count(), expected.lines().count(), "{made}");
}

#[test]
fn the_example_s_sidecar_has_its_inbound_and_what_it_uses() {
    let mesh = example();
    mesh.validate().unwrap_or_else(|faults| panic!("{faults}"));
    assert!(mesh.warnings().is_empty(), "{}", mesh.warnings()[0]);
    let logs = "access_logs: [{path: stdout, format: json}]";
    holds(
        &mesh,
        &sidecar("shop/web"),
        &format!(
            "
listeners:
- name: inbound/80
  address: 127.0.0.1:15106
  filter_chains:
  - name: \"80\"
    tls: {{certificates: [{{identity: default}}], client: {{roots: spiffe}}}}
    authorization: [shop/from-gateway]
    http: {{route_configuration: inbound/80, {logs}}}
- name: outbound
  address: 127.0.0.1:15101
  filter_chains: [{{http: {{route_configuration: outbound, {logs}}}}}]
route_configurations:
- name: inbound/80
  virtual_hosts:
  - name: \"80\"
    domains: ['*']
    routes: [{{match: {{prefix: /}}, forward: {{cluster: inbound/80, timeout: off}}}}]
- name: outbound
  virtual_hosts:
  - name: catalog.shop:80
    domains: [catalog.shop, catalog.shop.mesh, catalog.example, catalog]
    retry: {{retry_on: [connect-failure, refused-stream, reset]}}
    routes:
    - match: {{prefix: /, methods: [GET, HEAD]}}
      forward:
        weighted_clusters:
        - {{cluster: catalog.shop:80, subset: {{version: v1}}, weight: 90}}
        - {{cluster: catalog.shop:80, subset: {{version: v2}}, weight: 10}}
        timeout: 5s
        retry: {{retry_on: [5xx], retries_max: 2, per_try_timeout: 500ms}}
    - match: {{prefix: /}}
      forward: {{cluster: catalog.shop:80, timeout: 5s}}
clusters:
- name: catalog.shop:80
  endpoints:
  - {{address: 127.0.0.1:15206, metadata: {{version: v1}}}}
  - {{address: 127.0.0.1:15306, metadata: {{version: v2}}}}
  protocol: http1
  load_balancing: least_request
  subsets: {{selectors: [[version]], fallback: any}}
  circuit_breakers: {{default: {{requests_max: 512}}}}
  retry_budget: {{percent: 20, concurrency_min: 3}}
  connect_timeout: 1s
  outlier_detection: {{consecutive_5xx: 5}}
  tls:
    roots: spiffe
    peers: [{{spiffe_id: spiffe://example.org/ns/shop/sa/catalog}}]
    certificate: {{identity: default}}
- name: inbound/80
  endpoints: [{{address: 127.0.0.1:9001}}]
authorization_policies:
- name: shop/from-gateway
  action: allow
  rules: [{{spiffe_ids: [spiffe://example.org/ns/edge/sa/public]}}]
"
        ),
    );
    let made = view(&mesh, &sidecar("shop/web"));
    assert_eq!(
        made.services.into_iter().collect::<Vec<_>>(),
        ["shop/catalog", "shop/web"]
    );
}

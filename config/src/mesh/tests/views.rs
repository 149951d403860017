//! What nodes are told.

mod callers;
mod parts;

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
    let warnings = mesh
        .validate(std::time::SystemTime::now())
        .unwrap_or_else(|faults| panic!("{faults}"));
    assert!(warnings.is_empty(), "{}", warnings[0]);
    let logs = "access_logs: [{path: stdout, format: json}]";
    holds(
        &mesh,
        &sidecar("shop/web"),
        &format!(
            "
listeners:
- name: inbound/80
  address: 127.0.0.1:15106
  direction: inbound
  filter_chains:
  - name: \"80\"
    tls: {{certificates: [{{identity: default}}], client: {{roots: spiffe}}}}
    authorization: [shop/from-gateway]
    http: {{route_configuration: inbound/80, {logs}}}
- name: outbound
  address: 127.0.0.1:15101
  direction: outbound
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
        made.services.iter().cloned().collect::<Vec<_>>(),
        ["shop/catalog", "shop/web"]
    );
}

#[test]
fn a_declared_node_differs_by_its_addresses_alone() {
    let mesh = example();
    let role = mesh.sidecar("shop/catalog", "catalog-v2");
    let expected = shown(&mesh, &sidecar("shop/catalog"))
        .replace("address: 127.0.0.1:15206", "address: 127.0.0.1:15306")
        .replace("address: 127.0.0.1:9002", "address: 127.0.0.1:9003");
    assert_eq!(shown(&mesh, &role), expected);
    // Nobody else is told apart.
    assert_eq!(mesh.sidecar("shop/catalog", "catalog-7"), sidecar("shop/catalog"));
    assert_eq!(mesh.sidecar("shop/web", "catalog-v2"), sidecar("shop/web"));
}

#[test]
fn a_gateway_has_the_routes_of_its_services_and_its_own() {
    holds(
        &example(),
        &NodeRole::Gateway {
            name: "edge/public".into(),
        },
        "
listeners:
- name: http
  address: 127.0.0.1:8080
  filter_chains:
  - name: http
    http: {route_configuration: gateway, rate_limits: [edge/clients], access_logs: [{path: stdout, format: json}]}
route_configurations:
- name: gateway
  virtual_hosts:
  - name: shop
    domains: [shop.example]
    retry: {retry_on: [connect-failure, refused-stream, reset]}
    routes: [{match: {prefix: /}, forward: {cluster: web.shop:80, timeout: 5s}}]
  - name: api
    domains: [api.example]
    retry: {retry_on: [connect-failure, refused-stream, reset]}
    routes: [{match: {prefix: /catalog}, forward: {cluster: catalog.shop:80, prefix_rewrite: /, timeout: 1s}}]
clusters:
- name: catalog.shop:80
  protocol: http1
  endpoints:
  - {address: 127.0.0.1:15206, metadata: {version: v1}}
  - {address: 127.0.0.1:15306, metadata: {version: v2}}
  load_balancing: least_request
  subsets: {selectors: [[version]], fallback: any}
  circuit_breakers: {default: {requests_max: 512}}
  connect_timeout: 1s
  outlier_detection: {consecutive_5xx: 5}
  tls: &tls
    roots: spiffe
    peers: [{spiffe_id: spiffe://example.org/ns/shop/sa/catalog}]
    certificate: {identity: default}
- name: web.shop:80
  protocol: http1
  endpoints: [{address: 127.0.0.1:15106}]
  connect_timeout: 1s
  outlier_detection: {consecutive_5xx: 5}
  tls:
    roots: spiffe
    peers: [{spiffe_id: spiffe://example.org/ns/shop/sa/web}]
    certificate: {identity: default}
rate_limits:
- name: edge/clients
  descriptors: [[remote_address]]
  local: {limit: {requests: 100, per: 1s}}
",
    );
}

/// Of every protocol a service, and one that calls them all.
const PROTOCOLS: &str = "
services:
- name: shop/all
  ports: [{port: 80, application_port: 8080}, {port: 81, name: raw, protocol: tcp}, {port: 82, protocol: auto}]
  uses: [shop/http, shop/grpc, other/db, {service: other/cache, address: 127.0.0.1:6379}]
  sidecar: {}
- {name: shop/http, ports: [{port: 80}], endpoints: [{address: 10.0.0.1:8080, weight: 3}]}
- name: shop/grpc
  ports: [{port: 80, protocol: grpc}, {port: 81, name: admin, application_port: 8081}, {port: 82}]
  endpoints: [{address: 10.0.0.2:8080, ports: {admin: 9999}}]
- name: other/db
  ports: [{port: 5432, protocol: tcp, addresses: [10.96.0.5/32]}]
  discovery: {type: strict_dns, names: [{host: db.example, port: 5432}]}
- {name: other/cache, ports: [{port: 6379, protocol: tcp}], endpoints: [{address: 10.0.0.4:6379}]}
";

#[test]
fn intercepted_connections_are_told_apart_by_port_host_and_address() {
    holds(
        &mesh(PROTOCOLS),
        &sidecar("shop/all"),
        "
listeners:
- name: inbound
  address: 0.0.0.0:15006
  direction: inbound
  interception: redirect
  filter_chains:
  - {name: '80', match: {destination_port: 8080}, http: {route_configuration: inbound/80}}
  - {name: raw, match: {destination_port: 81}, tcp: {cluster: inbound/raw}}
  - {name: '82', match: {destination_port: 82}, http: {route_configuration: inbound/82}, tcp: {cluster: inbound/82}}
- name: outbound/cache.other:6379
  address: 127.0.0.1:6379
  direction: outbound
  filter_chains: [{tcp: {cluster: cache.other:6379}}]
- name: outbound
  address: 127.0.0.1:15001
  direction: outbound
  interception: redirect
  filter_chains:
  - name: tcp/db.other:5432
    match: {destination_port: 5432, destination_prefixes: [10.96.0.5/32]}
    tcp: {cluster: db.other:5432}
  - {name: http/80, match: {destination_port: 80}, http: {route_configuration: outbound/80}}
  - {name: http/81, match: {destination_port: 81}, http: {route_configuration: outbound/81}}
  - {name: http/82, match: {destination_port: 82}, http: {route_configuration: outbound/82}}
route_configurations:
- name: inbound/80
  virtual_hosts: [{name: '80', domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: inbound/80, timeout: off}}]}]
- name: inbound/82
  virtual_hosts: [{name: '82', domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: inbound/82, timeout: off}}]}]
- name: outbound/80
  virtual_hosts:
  - {name: http.shop:80, domains: [http.shop, http.shop.mesh, http], routes: [{match: {prefix: /}, forward: {cluster: http.shop:80}}]}
  - {name: grpc.shop:80, domains: [grpc.shop, grpc.shop.mesh, grpc], routes: [{match: {prefix: /}, forward: {cluster: grpc.shop:80}}]}
- name: outbound/81
  virtual_hosts:
  - {name: grpc.shop:81, domains: [grpc.shop, grpc.shop.mesh, grpc], routes: [{match: {prefix: /}, forward: {cluster: grpc.shop:81}}]}
- name: outbound/82
  virtual_hosts:
  - {name: grpc.shop:82, domains: [grpc.shop, grpc.shop.mesh, grpc], routes: [{match: {prefix: /}, forward: {cluster: grpc.shop:82}}]}
clusters:
- {name: cache.other:6379, endpoints: [{address: 10.0.0.4:6379}]}
- name: db.other:5432
  discovery: {type: strict_dns, names: [{host: db.example, port: 5432}]}
- {name: grpc.shop:80, protocol: http2, endpoints: [{address: 10.0.0.2:8080}]}
- {name: grpc.shop:81, endpoints: [{address: 10.0.0.2:9999}]}
- {name: grpc.shop:82, endpoints: [{address: 10.0.0.2:82}]}
- {name: http.shop:80, endpoints: [{address: 10.0.0.1:8080, weight: 3}]}
- {name: inbound/80, endpoints: [{address: 127.0.0.1:8080}]}
- {name: inbound/82, endpoints: [{address: 127.0.0.1:82}]}
- {name: inbound/raw, endpoints: [{address: 127.0.0.1:81}]}
",
    );
}

#[test]
fn what_is_not_known_passes_only_where_that_is_said() {
    let passes = PROTOCOLS.replace(
        "[shop/http, shop/grpc, other/db, {service: other/cache, address: 127.0.0.1:6379}]",
        "[shop/http]",
    ) + "\n- {name: shop/passing, ports: [{port: 80}], uses: [shop/http], outbound: {unknown: pass}, sidecar: {inbound: 10.1.2.3:15006}}";
    let mesh = read(&passes).unwrap();
    mesh.validate(std::time::SystemTime::now()).unwrap();
    assert!(!shown(&mesh, &sidecar("shop/all")).contains("original_destination"));
    holds(
        &mesh,
        &sidecar("shop/passing"),
        "
listeners:
- name: inbound
  address: 10.1.2.3:15006
  direction: inbound
  interception: redirect
  filter_chains: [{name: '80', match: {destination_port: 80}, http: {route_configuration: inbound/80}}]
- name: outbound
  address: 127.0.0.1:15001
  direction: outbound
  interception: redirect
  filter_chains:
  - {name: http/80, match: {destination_port: 80}, http: {route_configuration: outbound/80}}
  - {name: passed, tcp: {cluster: passed}}
route_configurations:
- name: inbound/80
  virtual_hosts: [{name: '80', domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: inbound/80, timeout: off}}]}]
- name: outbound/80
  virtual_hosts:
  - {name: http.shop:80, domains: [http.shop, http.shop.mesh, http], routes: [{match: {prefix: /}, forward: {cluster: http.shop:80}}]}
  - {name: passed, domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: passed}}]}
clusters:
- {name: http.shop:80, endpoints: [{address: 10.0.0.1:8080, weight: 3}]}
- {name: inbound/80, endpoints: [{address: 127.0.0.1:80}]}
- {name: passed, discovery: {type: original_destination}}
",
    );
}

#[test]
fn addressed_sidecars_have_a_listener_for_each_port_and_one_proxy() {
    let mesh = mesh(
        "
services:
- name: shop/web
  ports: [{port: 80}, {port: 9090, name: admin}]
  sidecar:
    interception: off
    inbound: [127.0.0.1:15006, '[::1]:15006']
    inbound_ports: {admin: 127.0.0.1:15007}
    application_ports: {admin: 9091}
  uses: [shop/api, {service: shop/db, port: 5432, address: 127.0.0.1:15432}]
- name: shop/api
  ports: [{port: 80}, {port: 81}]
- name: shop/db
  ports: [{port: 80}, {port: 5432, protocol: tcp}]
",
    );
    let made = &view(&mesh, &sidecar("shop/web")).config;
    let listeners: Vec<String> = made
        .listeners
        .iter()
        .map(|listener| format!("{} {}", listener.name, listener.address))
        .collect();
    assert_eq!(
        listeners,
        [
            "inbound/80 127.0.0.1:15006",
            "inbound/80/2 [::1]:15006",
            "inbound/admin 127.0.0.1:15007",
            "outbound/db.shop:5432 127.0.0.1:15432",
            "outbound 127.0.0.1:15001",
        ]
    );
    let clusters: Vec<&str> = made
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(
        clusters,
        ["api.shop:80", "db.shop:5432", "inbound/80", "inbound/admin"]
    );
    let admin = &made.clusters[3].endpoints[0];
    assert_eq!(admin.address.to_string(), "127.0.0.1:9091");
}

#[test]
fn a_view_names_its_secrets_and_the_services_it_depends_on() {
    let mesh = example();
    let web = view(&mesh, &sidecar("shop/web"));
    let secrets: Vec<_> = web
        .secrets
        .iter()
        .map(|secret| (secret.kind, secret.name.as_str()))
        .collect();
    assert_eq!(
        secrets,
        [
            (crate::document::ReferenceKind::Identity, "default"),
            (crate::document::ReferenceKind::SomeTrustDomain, ""),
        ]
    );
    assert_eq!(
        mesh.clusters()
            .filter(|(_, service)| service == "shop/catalog")
            .map(|(cluster, _)| cluster)
            .collect::<Vec<_>>(),
        ["catalog.shop:80"]
    );
    assert_eq!(
        mesh.identities_of("shop/web"),
        ["spiffe://example.org/ns/shop/sa/web"]
    );
    assert_eq!(
        mesh.identities_of("edge/public"),
        ["spiffe://example.org/ns/edge/sa/public"]
    );
    assert_eq!(Mesh::namespace_of("shop/web"), "shop");
}

#[test]
fn policies_find_the_services_that_they_ask() {
    let mesh = mesh(
        "
services:
- name: shop/web
  ports: [{port: 80}]
  sidecar: {}
  inbound:
    http:
      rate_limits: [shop/counted]
      external_authorization: {grpc: {service: shop/guard}}
- {name: shop/guard, ports: [{port: 9000, protocol: grpc}], endpoints: [{address: 10.0.0.1:9000}]}
- {name: shop/limits, ports: [{port: 1}, {port: 8081, protocol: grpc}], endpoints: [{address: 10.0.0.2:8081}]}
rate_limits:
- name: shop/counted
  descriptors: [[remote_address]]
  global: {service: shop/limits, port: 8081, domain: shop}
",
    );
    let made = view(&mesh, &sidecar("shop/web"));
    let clusters: Vec<&str> = made
        .config
        .clusters
        .iter()
        .map(|cluster| cluster.name.as_str())
        .collect();
    assert_eq!(clusters, ["guard.shop:9000", "inbound/80", "limits.shop:8081"]);
    assert_eq!(made.services.len(), 3);
}

//! What is written of a service or a gateway stands in views as it was written, with services in place of clusters.

use super::*;

#[test]
fn a_service_s_own_words_come_before_the_mesh_s() {
    let mesh = mesh(
        "
defaults:
  timeout: 5s
  retry: {retry_on: [reset]}
  access_logs: [{path: stdout}]
  cluster: {connect_timeout: 1s, panic_threshold: 10}
services:
- name: shop/web
  ports: [{port: 80}, {port: 81, name: raw, protocol: tcp}]
  sidecar: {}
  uses: [shop/api]
  outbound: {http: {idle_timeout: 1m, access_logs: []}}
  inbound:
    http: {request_timeout: 3s, accept_http_10: true}
    tcp: {idle_timeout: 2m}
    cluster: {circuit_breakers: {default: {requests_max: 10}}}
    routes:
    - {match: {path: /health}, direct_response: {status: 200}}
    - {match: {prefix: /api}, forward: {service: shop/api}}
    - {match: {prefix: /}, forward: {timeout: 9s}}
- name: shop/api
  ports: [{port: 80}]
  cluster: {panic_threshold: 20}
  virtual_host: {retry: off, hsts: true}
  routes:
  - match: {prefix: /}
    forward: {mirrors: [{service: shop/copy, port: 82, percent: 5}], timeout: 7s}
- {name: shop/copy, ports: [{port: 81}, {port: 82, protocol: http2}]}
",
    );
    holds(
        &mesh,
        &sidecar("shop/web"),
        "
listeners:
- name: inbound
  address: 0.0.0.0:15006
  direction: inbound
  interception: redirect
  filter_chains:
  - name: '80'
    match: {destination_port: 80}
    http:
      route_configuration: inbound/80
      request_timeout: 3s
      accept_http_10: true
      access_logs: [{path: stdout}]
  - {name: raw, match: {destination_port: 81}, tcp: {cluster: inbound/raw, idle_timeout: 2m, access_logs: [{path: stdout}]}}
- name: outbound
  address: 127.0.0.1:15001
  direction: outbound
  interception: redirect
  filter_chains:
  - {name: http/80, match: {destination_port: 80}, http: {route_configuration: outbound/80, idle_timeout: 1m}}
route_configurations:
- name: inbound/80
  virtual_hosts:
  - name: '80'
    domains: ['*']
    routes:
    - {match: {path: /health}, direct_response: {status: 200}}
    - {match: {prefix: /api}, forward: {cluster: api.shop:80, timeout: off}}
    - {match: {prefix: /}, forward: {cluster: inbound/80, timeout: 9s}}
- name: outbound/80
  virtual_hosts:
  - name: api.shop:80
    domains: [api.shop, api.shop.mesh, api]
    retry: off
    hsts: true
    routes:
    - match: {prefix: /}
      forward: {cluster: api.shop:80, timeout: 7s, mirrors: [{cluster: copy.shop:82, percent: 5}]}
clusters:
- {name: api.shop:80, connect_timeout: 1s, panic_threshold: 20}
- {name: copy.shop:82, protocol: http2, connect_timeout: 1s, panic_threshold: 10}
- {name: inbound/80, endpoints: [{address: 127.0.0.1:80}], circuit_breakers: {default: {requests_max: 10}}}
- {name: inbound/raw, endpoints: [{address: 127.0.0.1:81}], circuit_breakers: {default: {requests_max: 10}}}
",
    );
}

#[test]
fn a_gateway_ends_tls_passes_bytes_on_and_has_hosts_for_each_listener() {
    let mesh = mesh(
        "
defaults: {access_logs: [{path: stderr}]}
services:
- {name: shop/web, ports: [{port: 80}]}
- {name: shop/db, ports: [{port: 5432, protocol: tcp}]}
- {name: shop/db-next, ports: [{port: 5432, protocol: tcp}]}
gateways:
- name: edge/public
  virtual_hosts: [{name: web, domains: ['*'], service: shop/web}]
  listeners:
  - name: https
    address: 0.0.0.0:8443
    connections_max: 500
    authorization: [edge/guests]
    tls: {certificates: [{certificate_file: a.pem, private_key_file: a.key}], minimum_version: TLSv1.3}
  - name: http
    address: 0.0.0.0:8080
    http: {idle_timeout: 1m}
    virtual_hosts:
    - {name: up, domains: ['*'], https_redirect: true, routes: []}
  - name: database
    address: 0.0.0.0:5432
    proxy_protocol: {mode: required}
    tcp: {weighted_services: [{service: shop/db, weight: 9}, {service: shop/db-next, weight: 1}], idle_timeout: 1m}
authorization_policies: [{name: edge/guests, action: allow, rules: [{methods: [GET]}]}]
",
    );
    holds(
        &mesh,
        &NodeRole::Gateway { name: "edge/public".into() },
        "
listeners:
- name: https
  address: 0.0.0.0:8443
  connections_max: 500
  filter_chains:
  - name: https
    tls: {certificates: [{certificate_file: a.pem, private_key_file: a.key}], minimum_version: TLSv1.3}
    authorization: [edge/guests]
    http: {route_configuration: gateway, access_logs: [{path: stderr}]}
- name: http
  address: 0.0.0.0:8080
  filter_chains:
  - {name: http, http: {route_configuration: gateway/http, idle_timeout: 1m, access_logs: [{path: stderr}]}}
- name: database
  address: 0.0.0.0:5432
  proxy_protocol: {mode: required}
  filter_chains:
  - name: database
    tcp:
      weighted_clusters: [{cluster: db.shop:5432, weight: 9}, {cluster: db-next.shop:5432, weight: 1}]
      idle_timeout: 1m
      access_logs: [{path: stderr}]
route_configurations:
- name: gateway
  virtual_hosts: [{name: web, domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: web.shop:80}}]}]
- name: gateway/http
  virtual_hosts: [{name: up, domains: ['*'], https_redirect: true}]
clusters:
- {name: db-next.shop:5432}
- {name: db.shop:5432}
- {name: web.shop:80}
authorization_policies: [{name: edge/guests, action: allow, rules: [{methods: [GET]}]}]
",
    );
}

#[test]
fn policies_come_with_those_that_they_name_and_no_others() {
    let mesh = mesh(
        "
services:
- name: shop/web
  ports: [{port: 80}]
  sidecar: {}
  inbound:
    authorization: [shop/staff]
    routes:
    - {match: {prefix: /admin}, forward: {}, jwt: {provider: shop/admins}}
    - {match: {prefix: /}, forward: {}, jwt: {provider: shop/users}}
- name: shop/other
  ports: [{port: 80}]
  sidecar: {}
  inbound: {authorization: [shop/nobody]}
authorization_policies:
- {name: shop/staff, action: allow, rules: [{claims: [{provider: shop/users, path: role, exact: staff}]}]}
- {name: shop/nobody, action: deny, rules: [{always: true}]}
jwt_providers:
- {name: shop/users, issuer: a, audiences: [b], keys: {file: users.json}}
- {name: shop/admins, issuer: a, audiences: [b], keys: {file: admins.json}}
",
    );
    let made = &view(&mesh, &sidecar("shop/web")).config;
    let policies: Vec<&str> = made
        .authorization_policies
        .iter()
        .map(|policy| policy.name.as_str())
        .collect();
    let providers: Vec<&str> = made
        .jwt_providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(
        (policies, providers),
        (vec!["shop/staff"], vec!["shop/admins", "shop/users"])
    );
    let other = &view(&mesh, &sidecar("shop/other")).config;
    assert_eq!(
        (other.authorization_policies.len(), other.jwt_providers.len()),
        (1, 0)
    );
}

#[test]
fn views_are_equal_where_nothing_that_they_tell_has_changed() {
    let (before, role) = (example(), sidecar("shop/web"));
    let sources = before.documents().map(|(name, text)| Source {
        name: name.to_owned(),
        text: format!("# moved by a line\n{text}"),
    });
    let sources: Vec<Source> = sources.collect();
    let load = |sources: &[Source]| load_mesh(sources, &Environment::empty()).unwrap();
    let same = load(&sources);
    assert_eq!(view(&before, &role), view(&same, &role));
    let other: Vec<Source> = sources
        .iter()
        .map(|document| Source {
            name: document.name.clone(),
            text: document.text.replace("requests_max: 512", "requests_max: 513"),
        })
        .collect();
    let other = load(&other);
    assert_ne!(view(&before, &role), view(&other, &role));
    // Its own clusters are no business of the catalog's.
    assert_eq!(
        view(&before, &sidecar("shop/catalog")),
        view(&other, &sidecar("shop/catalog"))
    );
}

#[test]
fn threads_share_meshes() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Mesh>();
    shared::<View>();
}

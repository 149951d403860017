//! Who calls: clients without a proxy, callers without an identity, names that callers use.

use super::*;

#[test]
fn clients_without_a_proxy_have_routes_by_host_and_port() {
    let mesh = mesh(
        "
services:
- {name: shop/batch, ports: [{port: 1}], uses: [shop/api, other/db]}
- {name: shop/api, ports: [{port: 80, protocol: grpc}, {port: 81}], hosts: [api.example], endpoints: [{address: 10.0.0.1:80}]}
- {name: other/db, ports: [{port: 5432, protocol: tcp}]}
",
    );
    let role = NodeRole::Client {
        service: "shop/batch".into(),
    };
    let made = view(&mesh, &role);
    let targets: Vec<String> = made
        .targets
        .iter()
        .map(|(host, routes)| format!("{host} {routes}"))
        .collect();
    assert_eq!(
        targets,
        [
            "api api.shop:80",
            "api.example api.shop:80",
            "api.example:80 api.shop:80",
            "api.example:81 api.shop:81",
            "api.shop api.shop:80",
            "api.shop.mesh api.shop:80",
            "api.shop.mesh:80 api.shop:80",
            "api.shop.mesh:81 api.shop:81",
            "api.shop:80 api.shop:80",
            "api.shop:81 api.shop:81",
            "api:80 api.shop:80",
            "api:81 api.shop:81",
        ]
    );
    assert!(made.config.listeners.is_empty());
    let names: Vec<&str> = made
        .config
        .route_configurations
        .iter()
        .map(|routes| routes.name.as_str())
        .collect();
    assert_eq!(names, ["api.shop:80", "api.shop:81"]);
}

#[test]
fn who_has_no_identity_speaks_plain_text_where_that_is_allowed() {
    let text = |mode: &str, own: &str| {
        format!(
            "
services:
- {{name: shop/web, ports: [{{port: 80}}], uses: [shop/api]{own}}}
- name: shop/api
  ports: [{{port: 80}}]
  identity: [spiffe://a.example/api, spiffe://b.example/api]
  mutual_tls: {mode}
  sidecar: {{}}
"
        )
    };
    let client = NodeRole::Client {
        service: "shop/web".into(),
    };
    let plain = mesh(&text("permissive", ""));
    assert!(view(&plain, &client).config.clusters[0].tls.is_none());
    let inbound = shown(&plain, &sidecar("shop/api"));
    assert!(inbound.contains("mode: permissive"), "{inbound}");
    let own = mesh(&text("permissive", ", identity: spiffe://a.example/web"));
    let made = shown(&own, &client);
    for id in ["a.example/api", "b.example/api"] {
        assert!(
            made.contains(&format!("- spiffe_id: \"spiffe://{id}\"")),
            "{made}"
        );
    }
    let off = mesh(&text("\"off\"", ", identity: spiffe://a.example/web"));
    assert!(view(&off, &client).config.clusters[0].tls.is_none());
    assert!(!shown(&off, &sidecar("shop/api")).contains("tls:"));
}

#[test]
fn a_host_that_is_said_comes_before_one_that_follows() {
    let mesh = mesh(
        "
services:
- {name: shop/web, ports: [{port: 80}], sidecar: {}, uses: [shop/api, other/api]}
- {name: shop/api, ports: [{port: 80}]}
- {name: other/api, ports: [{port: 80}], hosts: [api]}
",
    );
    let made = &view(&mesh, &sidecar("shop/web")).config;
    let outbound = made.route_configurations.last().unwrap();
    let domains: Vec<usize> = outbound
        .virtual_hosts
        .iter()
        .map(|host| host.domains.len())
        .collect();
    assert_eq!(domains, [2, 3], "`api` is other/api's");
}

#[test]
fn what_is_named_twice_is_meant_once() {
    for (protocol, interception) in [("http", "redirect"), ("http", "\"off\""), ("tcp", "redirect")] {
        let mesh = mesh(&format!(
            "
services:
- name: shop/web
  ports: [{{port: 80}}]
  sidecar: {{interception: {interception}, inbound: 127.0.0.1:15006}}
  uses: [shop/api, {{service: shop/api, port: 90}}]
- {{name: shop/api, ports: [{{port: 90, protocol: {protocol}}}]}}
"
        ));
        let once = "shop/api, {service: shop/api, port: 90}";
        let text = mesh.documents().next().unwrap().1.replace(once, "shop/api");
        let (twice, once) = (
            view(&mesh, &sidecar("shop/web")),
            view(&read(&text).unwrap(), &sidecar("shop/web")),
        );
        assert_eq!(twice, once);
        let client = NodeRole::Client {
            service: "shop/web".into(),
        };
        let names = view(&mesh, &client).config.route_configurations.len();
        assert_eq!(names, usize::from(protocol == "http"));
    }
}

//! Faulty meshes, each with the exact place («marked») and message of all its faults.

mod nodes;

use super::*;
use crate::Diagnostic;
use crate::yaml::tests::{expect, unmark};

/// What is wrong with a mesh, to itself or to a node of it.
fn found(sources: &[Source]) -> Vec<Diagnostic> {
    let faults = match load_mesh(sources, &Environment::empty()) {
        Ok(mesh) => mesh.validate(std::time::SystemTime::now()).err(),
        Err(faults) => Some(faults),
    };
    faults.map(Diagnostics::into_vec).unwrap_or_default()
}

/// Checks a table of (marked fragment, messages) in the document that `around` makes of each.
#[track_caller]
fn check(around: impl Fn(&str) -> String, table: &[(&str, &[&str])]) {
    let mut failures = Vec::new();
    for (fragment, messages) in table {
        let marked = around(fragment);
        let (text, _) = unmark(&marked);
        let found = found(&[source("mesh.yaml", &text)]);
        failures.extend(expect(&marked, &found, messages).err());
    }
    let (failed, all) = (failures.len(), table.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all} cases:\n{}",
        failures.join("\n")
    );
}

/// A mesh of `shop/web`, which is in question, and `shop/catalog`, which it uses.
fn with_web(fields: &str) -> String {
    format!(
        "defaults: {{trust_domain: example.org}}
services:
- name: shop/catalog
  ports: [{{port: 80}}, {{port: 9090, name: admin}}, {{port: 5432, protocol: tcp}}]
  endpoints: [{{address: 10.0.0.1:80}}]
  sidecar: {{}}
- name: shop/web
  {fields}
"
    )
}

/// The same with what every service needs.
fn with_web_field(fields: &str) -> String {
    with_web(&format!("ports: [{{port: 80}}]\n  sidecar: {{}}\n  {fields}"))
}

#[test]
fn services() {
    check(
        |service| format!("services:\n- {service}\n"),
        &[
            ("«{»name: shop/web}", &["missing field `ports` in service"]),
            (
                "{name: «web», ports: [{port: 80}]}",
                &[
                    "`web` is not a namespace and a name | such as `shop/catalog`: each of a-z 0-9 and -, at most 63",
                ],
            ),
            (
                "{name: «shop/Web», ports: [{port: 80}]}",
                &[
                    "`shop/Web` is not a namespace and a name | such as `shop/catalog`: each of a-z 0-9 and -, at most 63",
                ],
            ),
            ("{name: a/b, ports: «[»]}", &["this list may not be empty"]),
            (
                "{name: a/b, ports: [{port: «0»}]}",
                &["0 is not between 1 and 65535"],
            ),
            (
                "{name: a/b, ports: [{port: 80, protocol: «htp»}]}",
                &["expected `http`, `http2`, `grpc`, `tcp` or `auto`, found `htp` | did you mean `http`?"],
            ),
            (
                "{name: a/b, ports: [{port: 80}, {port: «80», name: b}]}",
                &["a second port `80` | the first stands at 2:30"],
            ),
            (
                "{name: a/b, ports: [{port: 80, name: x}, {port: 81, name: «x»}]}",
                &["a second port `x` | the first stands at 2:40"],
            ),
            (
                "{name: a/b, ports: [{port: 80}], «endpoint»: []}",
                &["unknown field `endpoint` in service | did you mean `endpoints`?"],
            ),
            (
                "{name: a/b, ports: [{port: 80}], endpoints: [], «discovery»: {type: static}}",
                &[
                    "`endpoints` and `discovery` exclude each other | give at most one of `endpoints` and `discovery`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], endpoints: [{address: 127.0.0.1:80, ports: {«adm»: 1}}]}",
                &["no port of `a/b` is named `adm`"],
            ),
            (
                "{name: a/b, ports: [{port: 80}, {port: 81}], discovery: «{»type: strict_dns, names: [{host: a.b, port: 80}]}}",
                &[
                    "`discovery` of a service with several ports | make it a service for each, or list its `endpoints`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], discovery: {type: «original_destination»}}",
                &[
                    "`original_destination` finds no endpoints of a service | for what is not known there is `unknown: pass` in `outbound`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], identity: [«http://a/b»]}",
                &[
                    "`http://a/b` is not a SPIFFE id: it does not begin with `spiffe://` | such as `spiffe://example.org/ns/prod/sa/api`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], mutual_tls: «strict»}",
                &[
                    "mutual TLS with `a/b`, which has no identity | give it an `identity`, or the mesh a `trust_domain`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], identity: spiffe://a.b/c, tls: «{»roots: system, server_name: a.b}}",
                &[
                    "`tls` of a service whose sidecars ask for mutual TLS | remove it, or write `mutual_tls: off`",
                ],
            ),
            (
                "{name: a/b, ports: [{port: 80}], hosts: [«b.a»]}",
                &["the host `b.a` twice | the first stands at 2:10"],
            ),
            (
                "{name: a/b, ports: [{port: 80}], inbound: {http: «{»}}}",
                &["what sidecars of `a/b` do, which has none | give it `sidecar: {}`"],
            ),
            (
                "{name: a/b, ports: [{port: 80, protocol: tcp}], routes: «[»]}",
                &[
                    "`routes` of `a/b`, no port of which speaks HTTP | remove it, or say so by a port's `protocol`",
                ],
            ),
        ],
    );
}

#[test]
fn what_a_document_of_a_configuration_refuses_is_refused_here() {
    check(
        with_web_field,
        &[
            (
                "cluster: {«name»: a}",
                &[
                    "unknown field `name` in service cluster | it may have `load_balancing`, `slow_start`, `locality_balancing`, \
                   `locality_weights`, `overprovisioning_factor`, `panic_threshold`, `fails_in_panic`, `subsets`, `proxy_protocol`, \
                   `connect_timeout`, `health_check`, `outlier_detection`, `circuit_breakers`, `retry_budget`, `adaptive_concurrency`, \
                   `pool`, `http2`, `tcp_keepalive`, `tcp_user_timeout`, `response_headers_bytes_max` and `response_headers_count_max`",
                ],
            ),
            (
                "cluster: {connect_timeout: «5»}",
                &["the duration `5` has no unit | such as `5s`"],
            ),
            (
                "endpoints: [{address: «nowhere»}]",
                &[
                    "expected an IP address and a port, found `nowhere` | such as `127.0.0.1:8080` or `[::1]:8080`",
                ],
            ),
            (
                "routes: [{match: {prefix: «x»}, forward: {}}]",
                &["the path `x` does not begin with `/` | write `/x`"],
            ),
            (
                "inbound: {http: {«fualt»: off}}",
                &["unknown field `fualt` in mesh http | did you mean `fault`?"],
            ),
            (
                "virtual_host: {«domains»: [a]}",
                &[
                    "unknown field `domains` in service virtual host | it may have `request_headers`, `response_headers`, `cors`, \
                   `https_redirect`, `hsts`, `maintenance`, `error_pages`, `retry`, `rate_limits` and `tracing`",
                ],
            ),
        ],
    );
}

#[test]
fn references() {
    check(
        with_web_field,
        &[
            (
                "uses: [«shop/catalogue»]",
                &["no service is named `shop/catalogue` | did you mean `shop/catalog`?"],
            ),
            (
                "uses: [«catalog»]",
                &["no service is named `catalog` | did you mean `shop/catalog`?"],
            ),
            (
                "uses: [shop/catalog, «shop/catalog»]",
                &["a second use of `shop/catalog` | the first stands at 10:10"],
            ),
            (
                "uses: [{service: shop/catalog, port: «81»}]",
                &["`shop/catalog` has no port 81 | it has 80, 9090, 5432"],
            ),
            (
                "uses: [{service: «shop/catalog», address: 127.0.0.1:9999}]",
                &["one address for the 3 ports of `shop/catalog` | say which is meant by `port`"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {service: «shop/catalg»}}]",
                &["no service is named `shop/catalg` | did you mean `shop/catalog`?"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {service: shop/catalog, port: «1»}}]",
                &["`shop/catalog` has no port 1 | it has 80, 9090, 5432"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {«port»: 80}}]",
                &["`port` without `service` | say whose port it is"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {«cluster»: shop/catalog}}]",
                &["`cluster` in a mesh, which has services | write `service`"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {«weighted_clusters»: []}}]",
                &["`weighted_clusters` in a mesh, which has services | write `weighted_services`"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {«servce»: shop/catalog}}]",
                &["unknown field `servce` in forward | did you mean `service`?"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {weighted_services: [{service: «shop/cat», weight: 1}]}}]",
                &["no service is named `shop/cat` | did you mean `shop/catalog`?"],
            ),
            (
                "routes: [{match: {prefix: /}, forward: {mirrors: [{service: «shop/x»}]}}]",
                &["no service is named `shop/x`"],
            ),
            (
                "inbound: {authorization: [«shop/nobody»]}",
                &["no authorization policy is named `shop/nobody`"],
            ),
            (
                "inbound: {http: {rate_limits: [«shop/nothing»]}}",
                &["no rate limit is named `shop/nothing`"],
            ),
        ],
    );
}

#[test]
fn policies() {
    check(
        |policy| {
            format!(
                "{}authorization_policies:\n- {policy}\n- {{name: shop/closed, action: deny}}\n",
                with_web_field("inbound: {authorization: [shop/closed]}")
            )
        },
        &[
            (
                "{name: «closed», action: deny}",
                &["`closed` names no namespace | such as `shop/only-web`"],
            ),
            (
                "«{»action: deny}",
                &["missing field `name` in authorization policy"],
            ),
            (
                "«closed»",
                &["expected a map (authorization policy), found `closed`"],
            ),
            // Nobody refers to it, and it is looked at all the same.
            (
                "{name: shop/open, action: «alow»}",
                &["expected `allow`, `deny` or `audit`, found `alow` | did you mean `allow`?"],
            ),
        ],
    );
    check(
        |name| {
            let text = with_web_field(&format!("inbound: {{authorization: [{name}]}}"));
            format!("{text}authorization_policies:\n- {{name: shop/closed, action: deny}}\n")
        },
        &[(
            "«shop/closd»",
            &["no authorization policy is named `shop/closd` | did you mean `shop/closed`?"],
        )],
    );
}

#[test]
fn faults_between_documents_name_both() {
    let one =
        "services: [{name: shop/web, ports: [{port: 80}], hosts: [a.example]}]\ndefaults: {domain: mesh}\n";
    let two = "services:\n- {name: shop/web, ports: [{port: 80}]}\n- {name: shop/api, ports: [{port: 80}], hosts: [A.example]}\n\
               defaults: {}\n";
    let faults = found(&[source("one.yaml", one), source("two.yaml", two)]);
    let shown: Vec<String> = faults
        .iter()
        .map(|fault| {
            let (file, line, column) = (fault.file(), fault.line(), fault.column());
            format!(
                "{file}:{line}:{column} {} | {}",
                fault.message(),
                fault.help().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "one.yaml:1:58 the host `a.example` is the service `shop/api`'s already | the first stands at two.yaml:3:49",
            "two.yaml:2:10 a second service `shop/web` | the first stands at one.yaml:1:19",
            "two.yaml:4:1 second defaults of one mesh | the first stand at one.yaml:2:11",
        ]
    );
    assert!(
        faults[1].to_string().contains("2 | - {name: shop/web, ports"),
        "{}",
        faults[1]
    );
}

#[test]
fn every_fault_is_told_once_and_in_the_order_of_documents() {
    let text = with_web_field(
        "routes: [{match: {prefix: x}, forward: {}}]\n  uses: [shop/catalog]\n- name: shop/third\n  ports: \
                               [{port: 80}]\n  sidecar: {}\n  uses: [shop/web]\n- name: shop/fourth\n  ports: [{port: 80}]\n  \
                               sidecar: {}\n  uses: [shop/web]",
    );
    let faults = found(&[source("mesh.yaml", &text)]);
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn views_of_nobody_say_who_there_is() {
    let mesh = example();
    for (role, message) in [
        (
            sidecar("shop/we"),
            "no service of the mesh is named `shop/we` | did you mean `shop/web`?",
        ),
        (
            NodeRole::Gateway {
                name: "edge/publc".into(),
            },
            "no gateway of the mesh is named `edge/publc` | did you mean `edge/public`?",
        ),
        (
            NodeRole::Sidecar {
                service: "shop/web".into(),
                node: Some("web-9".into()),
            },
            "no node of the mesh is named `web-9` | name one that is declared",
        ),
    ] {
        let faults = mesh.view(&role).unwrap_err();
        let fault = faults.iter().next().unwrap();
        assert_eq!(
            format!("{} | {}", fault.message(), fault.help().unwrap()),
            message
        );
    }
}

#[test]
fn what_nobody_refers_to_is_warned_of() {
    let mesh = read(
        "services: [{name: shop/db, ports: [{port: 5432, protocol: tcp}]}]\n\
         rate_limits: [{name: shop/slow, local: {limit: {requests: 1, per: 1s}}}]\n",
    );
    let warnings = mesh.unwrap().validate(std::time::SystemTime::now()).unwrap();
    let warned: Vec<&str> = warnings.iter().map(Diagnostic::message).collect();
    assert_eq!(
        warned,
        [
            "nothing calls the service `shop/db`",
            "nothing refers to the rate limit `shop/slow`"
        ]
    );
}

#[test]
fn what_a_view_warns_of_is_told_once_with_its_line() {
    let text = with_web_field(
        "virtual_host: {retry: {retry_on: [5xx]}}\n  routes: [{match: {prefix: /}, forward: {retry: off}}]",
    );
    let callers = "- {name: a/b, ports: [{port: 80}], sidecar: {}, uses: [shop/web]}\n\
                   - {name: a/c, ports: [{port: 80}], sidecar: {}, uses: [shop/web]}\n";
    let warnings = read(&format!("{text}{callers}"))
        .unwrap()
        .validate(std::time::SystemTime::now())
        .unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let shown = warnings[0].to_string();
    assert!(shown.contains("10 |   virtual_host: {retry"), "{shown}");
}

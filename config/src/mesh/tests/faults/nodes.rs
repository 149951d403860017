//! Sidecars, nodes, gateways; who they are.

use super::{check, with_web};

#[test]
fn sidecars_and_nodes() {
    check(
        with_web,
        &[
            (
                "ports: [{port: «80»}]\n  sidecar: {interception: off}",
                &[
                    "no address for the port 80 of `shop/web`, where its sidecars are to listen without interception | give it in \
                   `inbound` of `sidecar`",
                ],
            ),
            (
                "ports: [{port: 80}, {port: «81»}]\n  sidecar: {interception: off, inbound: 127.0.0.1:15006}",
                &[
                    "no address for the port 81 of `shop/web`, where its sidecars are to listen without interception | give it in \
                   `inbound_ports` of `sidecar`",
                ],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {interception: off, inbound: «127.0.0.1:80»}",
                &[
                    "the application is looked for at 127.0.0.1:80, where the sidecar listens | requests would go round; give one of \
                   them another port",
                ],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {inbound_ports: {htp: «127.0.0.1:1»}}",
                &["no port of `shop/web` is named `htp`"],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {interception: off, inbound: 127.0.0.1:1, outbound: «127.0.0.1:1»}",
                &["127.0.0.1:1 is where a sidecar listens for callers | that stands at 9:41"],
            ),
            (
                "ports: [{port: 80}]\n  endpoints: [{address: «127.0.0.1:2»}]\n  sidecar: {interception: off, inbound: \
                 127.0.0.1:1, outbound: 127.0.0.1:2}",
                &[
                    "requests would go round: a sidecar listens there for its own application | that stands at 10:64",
                ],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {interception: off, inbound: 127.0.0.1:1}\nnodes:\n- {name: web-2, service: \
                 shop/web, sidecar: {inbound: «127.0.0.1:1»}}",
                &["a second sidecar listens on 127.0.0.1:1 | the first stands at 9:41"],
            ),
            (
                "ports: [{port: 80}]\n  uses: [shop/catalog]\nnodes:\n- {name: web-2, service: «shop/web», sidecar: {}}",
                &["a sidecar of `shop/web`, which has none | give it `sidecar: {}`"],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {}\nnodes:\n- {name: web-2, service: «shop/wb», sidecar: {}}",
                &["no service is named `shop/wb` | did you mean `shop/web`?"],
            ),
            (
                "ports: [{port: 80}]\n  sidecar: {interception: off, inbound: 127.0.0.1:1}\n  uses: [«shop/catalog»]",
                &[
                    "`shop/catalog` speaks TCP on 5432, and without interception nothing tells what is meant for it | give it an \
                   `address` in `uses`, with its `port`",
                ],
            ),
            (
                "ports: [{port: 80}]\n  uses: [{service: «shop/catalog», port: 80}]",
                &[
                    "`shop/catalog` asks its callers for an identity, and this one has none | give it an `identity`, or that \
                   service `mutual_tls: permissive`",
                ],
            ),
        ],
    );
}

#[test]
fn tcp_services_of_one_port_need_addresses() {
    let other = |protocol: &str| {
        format!(
            "ports: [{{port: 1}}]\n  sidecar: {{}}\n  uses: [shop/catalog, «shop/other»]\n- name: shop/other\n  ports: \
             [{{port: 5432, protocol: {protocol}}}]\n  mutual_tls: off\n"
        )
    };
    let message = "`shop/catalog` and `shop/other` are both called on port 5432, and nothing tells which is meant by a connection \
                   | give the port of the one that speaks TCP `addresses`, or its use an `address`";
    check(
        with_web,
        &[(&other("tcp"), &[message]), (&other("http"), &[message])],
    );
}

#[test]
fn gateways() {
    check(
        |gateway| {
            format!(
                "{}gateways:\n- {gateway}\n",
                with_web("ports: [{port: 5, protocol: tcp}]\n  sidecar: {}")
            )
        },
        &[
            ("«{»name: edge/a}", &["missing field `listeners` in gateway"]),
            (
                "{name: edge/a, listeners: [«{»name: l, address: 127.0.0.1:1}]}",
                &[
                    "a listener for HTTP without virtual hosts would answer nothing but 404 | give the gateway or the listener \
                   `virtual_hosts`",
                ],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1, tcp: {service: shop/web}, «virtual_hosts»: []}]}",
                &["`virtual_hosts` on a listener that passes bytes on"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1}, {name: m, address: «127.0.0.1:1»}], virtual_hosts: \
                 [{name: v, domains: [a], service: shop/catalog}]}",
                &["a second listener with the address `127.0.0.1:1` | the first stands at 11:49"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1}], virtual_hosts: [{name: v, domains: [a], service: \
                 «shop/catalo»}]}",
                &["no service is named `shop/catalo` | did you mean `shop/catalog`?"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1}], virtual_hosts: [{name: v, domains: [a], service: \
                 «shop/web»}]}",
                &["no port of `shop/web` speaks HTTP"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1}], virtual_hosts: [{name: v, domains: [a], routes: \
                 [{match: {prefix: /}, forward: «{»}}]}]}",
                &["one of `service` and `weighted_services` is missing in forward"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1, tcp: «{»}}]}",
                &["one of `service` and `weighted_services` is missing in tcp"],
            ),
            (
                "{name: edge/a, listeners: [{name: l, address: 127.0.0.1:1}], virtual_hosts: [{name: v, domains: [a], service: \
                 shop/catalog, «routes»: []}]}",
                &["`service` and `routes` exclude each other | give at most one of `service` and `routes`"],
            ),
        ],
    );
}

#[test]
fn endpoints_and_applications_of_intercepted_ports() {
    check(
        with_web,
        &[
            (
                "ports: [{port: 80}]\n  sidecar: {}\n  endpoints: [{address: «10.0.0.1:8080»}]",
                &[
                    "the endpoint's port is 8080, and sidecars take connections to 80 for the port 80 | say `application_port: \
                   8080`, or have the endpoint at 80",
                ],
            ),
            (
                "ports: [{port: 80}, {port: 81, name: b}]\n  sidecar: {}\n  endpoints: [{address: 10.0.0.1:80, ports: {b: «82»}}]",
                &[
                    "the endpoint's port is 82, and sidecars take connections to 81 for the port b | say `application_port: 82`, or \
                   have the endpoint at 81",
                ],
            ),
        ],
    );
}

#[test]
fn identities_of_other_namespaces() {
    check(
        with_web,
        &[
            (
                "ports: [{port: 80}]\n  identity: «spiffe://example.org/ns/bank/sa/vault»",
                &[
                    "an identity of the namespace `bank` in the namespace `shop` | who may change one namespace speaks for no other",
                ],
            ),
            (
                "ports: [{port: 80}]\n  identity: «spiffe://example.org/vault»\n- name: bank/vault\n  ports: [{port: 80}]\n  \
                 identity: spiffe://example.org/vault",
                &[
                    "`spiffe://example.org/vault` is an identity in the namespaces `bank` and `shop` | the first stands at 12:13",
                ],
            ),
        ],
    );
}

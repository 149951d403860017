//! Changes of listeners and filter chains.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        &[(
            "\nlisteners:\n",
            "\ntelemetry: { latency_buckets: [1ms, 499ms, 501ms, 5s] }\nlisteners:\n",
        )],
        "latency-objective-not-measured",
        "",
        "",
        "latency_buckets",
    ),
    row(
        &[(
            "  - name: plain\n    address: 192.0.2.1:80\n",
            "  - name: plain\n    address: 0.0.0.0:443\n",
        )],
        "listener-covered",
        "listener `plain`",
        "address",
        "name: plain",
    ),
    row(
        &[("connections_max: 5000\n", "connections_max: 50000\n")],
        "listener-limit-never-reached",
        "listener `edge`",
        "connections_max",
        "name: edge",
    ),
    row(
        &[(
            "match: { destination_port: 443 }",
            "match: { destination_port: 8443 }",
        )],
        "chain-never-matches",
        "filter chain `secure`",
        "match.destination_port",
        "name: secure",
    ),
    row(
        &[(
            "match: { destination_port: 443 }",
            "match: { destination_prefixes: [10.0.0.0/8] }",
        )],
        "chain-never-matches",
        "filter chain `secure`",
        "match.destination_prefixes",
        "name: secure",
    ),
    row(
        &[(
            "match: { destination_port: 443 }",
            "match: { source_prefixes: ['2001:db8::/32'] }",
        )],
        "chain-never-matches",
        "filter chain `secure`",
        "match.source_prefixes",
        "name: secure",
    ),
    row(
        &[(
            "      - name: plain\n        http:",
            "      - name: other\n        match: { destination_port: 80 }\n        tcp: { cluster: pages }\n      - name: plain\n        http:",
        )],
        "chain-never-matches",
        "filter chain `plain`",
        "match",
        "name: plain",
    ),
    row(
        &[(
            "          route_configuration: plain\n",
            "          route_configuration: plain\n          forward_client_certificate: { mode: sanitize_set }\n",
        )],
        "client-certificate-never-known",
        "filter chain `plain`",
        "http.forward_client_certificate",
        "name: plain",
    ),
    row(
        &[(
            "          route_configuration: plain\n",
            "          route_configuration: plain\n          forward_client_certificate: { mode: forward_only }\n",
        )],
        "client-certificate-never-known",
        "filter chain `plain`",
        "http.forward_client_certificate",
        "name: plain",
    ),
    row(
        &[(
            "          route_configuration: plain\n",
            "          route_configuration: plain\n          hint_peers: { authenticated: false, identities: [{ spiffe_prefix: spiffe://example.org }] }\n",
        )],
        "identity-never-known",
        "filter chain `plain`",
        "http.hint_peers.identities",
        "name: plain",
    ),
    row(
        &[(
            "fault: { headers: [{ name: x-chaos, present: true }]",
            "fault: { identities: [{ spiffe_id: spiffe://example.org/a }]",
        )],
        "identity-never-known",
        "filter chain `plain`",
        "http.fault.identities",
        "name: plain",
    ),
    row(
        &[(
            "fault: { headers: [{ name: x-chaos, present: true }], ",
            "fault: { ",
        )],
        "fault-unguarded",
        "filter chain `plain`",
        "http.fault",
        "name: plain",
    ),
    row(
        &[(
            "abort: { percent: 100, status: 503 }",
            "delay: { percent: 0, duration: 1s }",
        )],
        "fault-of-nothing",
        "filter chain `plain`",
        "http.fault",
        "name: plain",
    ),
    row(
        &[("          xff_num_trusted_hops: 1\n", "")],
        "trusted-proxies-unused",
        "filter chain `secure`",
        "",
        "trusted_proxies",
    ),
    row(
        &[(
            "mode: sanitize_set, details",
            "mode: always_forward_only, details",
        )],
        "certificate-details-unused",
        "filter chain `secure`",
        "",
        "details",
    ),
    row(
        &[(
            "authenticated: false, identities",
            "authenticated: true, identities",
        )],
        "hint-identities-unused",
        "filter chain `secure`",
        "",
        "identities",
    ),
    row(
        &[(
            "          external_authorization: { grpc: { cluster: judge } }",
            "          external_authorization: { http: { cluster: judge } }",
        )],
        "authorization-context-unused",
        "route `internal`",
        "external_authorization.context",
        "name: internal",
    ),
    row(
        &[(
            "          client: { trust_bundle: mesh }\n",
            "          client: { roots: spiffe, peers: [{ trust_domain: other.example }] }\n",
        )],
        "peer-never-believed",
        "filter chain `secure`",
        "",
        "{ trust_domain: other",
    ),
    row(
        &[("          hash_source_address: true\n", "")],
        "hash-policy-missing",
        "filter chain `database`",
        "",
        "name: database",
    ),
    row(
        &[(
            "        tcp:\n          cluster: database",
            "        authorization: [closed]\n        tcp:\n          cluster: database",
        )],
        "deny-by-connection",
        "filter chain `database`",
        "",
        "name: database",
    ),
    row(
        &[(
            "runtime: { locality: eu/a }\n",
            "runtime: { locality: eu/a }\nrevocation: { list_required: true }\n",
        )],
        "revocation-list-missing",
        "",
        "",
        "list_required",
    ),
    row(
        &[(
            "  - { name: database, load",
            "  - { name: home, discovery: { type: original_destination } }\n  - { name: database, load",
        )],
        "part-unused",
        "cluster `home`",
        "",
        "{ name: home",
    ),
    row(
        &[
            ("client: { trust_bundle: mesh }", "client: { roots: system }"),
            (
                "  - { name: mesh, trust_domain: example.org, file: ca.pem }\n",
                "",
            ),
            ("trust_bundles:\n", ""),
        ],
        "public-authority",
        "filter chain `secure`",
        "",
        "system",
    ),
    row(
        &[
            (
                "tcp:\n          cluster: database",
                "tcp:\n          cluster: pages",
            ),
            (
                "  - { name: database, load_balancing: maglev, endpoints: [{ address: 127.0.0.1:5433 }, { address: 127.0.0.1:5434 }] }\n",
                "",
            ),
        ],
        "hash-policy-unused",
        "filter chain `database`",
        "",
        "name: database",
    ),
    row(
        &[(
            "{ name: pages, endpoints: [{ address: 127.0.0.1:9011 }] }",
            "{ name: pages, discovery: { type: original_destination } }",
        )],
        "connection-comes-back",
        "listener `edge`",
        "",
        "name: edge",
    ),
    row(
        &[
            (
                "  - name: members\n    action: allow\n",
                "  - name: watch\n    action: audit\n    rules: [{ methods: [GET] }]\n  - name: members\n    action: allow\n",
            ),
            (
                "        tcp:\n          cluster: database",
                "        authorization: [watch]\n        tcp:\n          cluster: database",
            ),
        ],
        "audit-never-known",
        "filter chain `database`",
        "",
        "name: database",
    ),
    row(
        &[
            (
                "  - name: plain\n    address: 192.0.2.1:80\n",
                "  - name: plain\n    address: 0.0.0.0:0\n",
            ),
            (
                "  - name: database\n    address: 192.0.2.1:5432\n",
                "  - name: database\n    address: 0.0.0.0:443\n",
            ),
        ],
        "listener-covered",
        "listener `database`",
        "address",
        "name: database",
    ),
    row(
        &[
            (
                "  - name: plain\n    address: 192.0.2.1:80\n",
                "  - name: plain\n    address: '[::]:80'\n",
            ),
            (
                "      - name: plain\n        http:",
                "      - name: plain\n        match: { destination_prefixes: [0.0.0.0/0] }\n        http:",
            ),
        ],
        "chain-never-matches",
        "filter chain `plain`",
        "match.destination_prefixes",
        "name: plain",
    ),
];

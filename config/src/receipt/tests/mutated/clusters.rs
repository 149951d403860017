//! Changes of clusters.

use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        &[("  - { name: shadow,", "  - { name: idle }\n  - { name: shadow,")],
        "part-unused",
        "cluster `idle`",
        "",
        "{ name: idle",
    ),
    row(
        &[(
            "endpoints: [{ address: 127.0.0.1:9004, locality: eu/a }, { address: 127.0.0.1:9005, locality: eu/b }]",
            "endpoints: [{ address: 127.0.0.1:9004 }, { address: 127.0.0.1:9005 }]",
        )],
        "locality-balancing-unused",
        "cluster `stock`",
        "locality_balancing",
        "name: stock",
    ),
    row(
        &[(", cluster_size_min: 2 }", " }")],
        "locality-balancing-unused",
        "cluster `stock`",
        "locality_balancing.zone_aware.cluster_size_min",
        "name: stock",
    ),
    row(
        &[(
            "{ locality: eu/a, weight: 3 }, { locality: eu/b, weight: 1 }",
            "{ locality: eu/a, weight: 0 }, { locality: eu/b, weight: 0 }",
        )],
        "locality-weights-nothing",
        "cluster `orders`",
        "locality_weights",
        "name: orders",
    ),
    row(
        &[(
            "{ locality: eu/a, weight: 3 }, { locality: eu/b, weight: 1 }",
            "{ locality: us/a, priority: 1, weight: 0 }",
        )],
        "locality-weights-nothing",
        "cluster `orders`",
        "locality_weights",
        "name: orders",
    ),
    row(
        &[("    locality_balancing: weighted\n", "")],
        "locality-weights-unused",
        "cluster `orders`",
        "",
        "locality_weights",
    ),
    row(
        &[(
            "load_balancing: maglev\n  - name: catalogue",
            "load_balancing: maglev\n    slow_start: { window: 1m }\n  - name: catalogue",
        )],
        "slow-start-with-hash",
        "cluster `carts`",
        "",
        "slow_start",
    ),
    row(
        &[(
            "    outlier_detection: { enforcing_failure_percentage: 100, failure_percentage_minimum_hosts: 2 }\n",
            "",
        )],
        "slow-start-unused",
        "cluster `catalogue`",
        "slow_start",
        "name: catalogue",
    ),
    row(
        &[(
            "    subsets: { selectors: [[version]], fallback: any }\n    slow_start",
            "    subsets: { selectors: [[version], [stage]], fallback: any }\n    locality_weights: [{ locality: eu/a, weight: 1 }]\n    slow_start",
        )],
        "locality-weights-unused",
        "cluster `catalogue`",
        "",
        "locality_weights",
    ),
    row(
        &[(
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]",
            "subsets: { selectors: [[a]] }\n    endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]",
        )],
        "subsets-unused",
        "cluster `carts`",
        "subsets",
        "name: carts",
    ),
    row(
        &[(
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]",
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007, priority: 1 }]",
        )],
        "priority-never-used",
        "cluster `carts`",
        "endpoints",
        "name: carts",
    ),
    row(
        &[(
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]",
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]\n    panic_threshold: 10",
        )],
        "panic-never",
        "cluster `carts`",
        "panic_threshold",
        "name: carts",
    ),
    row(
        &[(
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]",
            "endpoints: [{ address: 127.0.0.1:9006 }, { address: 127.0.0.1:9007 }]\n    fails_in_panic: true",
        )],
        "panic-never",
        "cluster `carts`",
        "fails_in_panic",
        "name: carts",
    ),
    row(
        &[(
            "{ name: shadow, endpoints: [{ address: 127.0.0.1:9010 }] }",
            "{ name: shadow, discovery: { type: logical_dns, names: [{ host: shadow.example, port: 80 }] }, slow_start: { window: 1m } }",
        )],
        "balancing-unused",
        "cluster `shadow`",
        "",
        "slow_start",
    ),
    row(
        &[(
            "{ name: pages, endpoints: [{ address: 127.0.0.1:9011 }] }",
            "{ name: pages, http2: { concurrent_streams_max: 10 }, endpoints: [{ address: 127.0.0.1:9011 }] }",
        )],
        "http2-settings-unused",
        "cluster `pages`",
        "",
        "http2",
    ),
    row(
        &[(
            "outlier_detection: { consecutive_5xx: 3, max_ejection_percent: 50 }",
            "outlier_detection: { max_ejection_percent: 0, always_eject_one: false }",
        )],
        "outlier-detection-unused",
        "cluster `orders`",
        "outlier_detection.max_ejection_percent",
        "name: orders",
    ),
    row(
        &[(
            "outlier_detection: { consecutive_5xx: 3, max_ejection_percent: 50 }",
            "outlier_detection: { enforcing_consecutive_5xx: 0, enforcing_success_rate: 0 }",
        )],
        "outlier-detection-unused",
        "cluster `orders`",
        "outlier_detection",
        "name: orders",
    ),
    row(
        &[(
            "{ name: pages, endpoints: [{ address: 127.0.0.1:9011 }] }",
            "{ name: pages, outlier_detection: true, endpoints: [{ address: 127.0.0.1:9011 }] }",
        )],
        "one-endpoint-never-ejected",
        "cluster `pages`",
        "outlier_detection",
        "{ name: pages",
    ),
    row(
        &[(
            "{ name: shadow, endpoints: [{ address: 127.0.0.1:9010 }] }",
            "{ name: shadow, discovery: { type: logical_dns, names: [{ host: shadow.example, port: 80 }] }, outlier_detection: true }",
        )],
        "outlier-detection-unused",
        "cluster `shadow`",
        "",
        "outlier_detection",
    ),
    row(
        &[(
            "failure_percentage_minimum_hosts: 2",
            "failure_percentage_minimum_hosts: 3",
        )],
        "outlier-statistics-never-counted",
        "cluster `catalogue`",
        "outlier_detection.failure_percentage_minimum_hosts",
        "name: catalogue",
    ),
    row(
        &[(
            "outlier_detection: { consecutive_5xx: 3, max_ejection_percent: 50 }",
            "outlier_detection: { success_rate_stdev_factor: 1500 }",
        )],
        "outlier-statistics-never-counted",
        "cluster `orders`",
        "outlier_detection.success_rate_minimum_hosts",
        "name: orders",
    ),
    row(
        &[(
            "outlier_detection: { consecutive_5xx: 3, max_ejection_percent: 50 }",
            "outlier_detection: { consecutive_local_origin_failure: 3 }",
        )],
        "local-origin-not-counted",
        "cluster `orders`",
        "",
        "consecutive_local_origin_failure",
    ),
    row(
        &[("interval: 5s }", "interval: 5s, timeout: 6s }")],
        "health-check-longer-than-interval",
        "cluster `orders`",
        "",
        "{ http",
    ),
    row(
        &[("interval: 5s }", "interval: 6m }")],
        "health-check-slower-than-ejection",
        "cluster `orders`",
        "health_check.interval",
        "name: orders",
    ),
    row(
        &[(
            "    health_check: { http: { path: /healthz }, interval: 5s }\n    outlier_detection: { consecutive_5xx: 3, max_ejection_percent: 50 }\n",
            "    health_check: { http: { path: /healthz }, interval: 30s }\n    outlier_detection: { base_ejection_time: 10s, max_ejection_time: 20s }\n",
        )],
        "health-check-slower-than-ejection",
        "cluster `orders`",
        "health_check.interval",
        "name: orders",
    ),
    row(
        &[(
            "pending_max: 100, requests_max: 400",
            "pending_max: 400, requests_max: 400",
        )],
        "pending-limit-never-reached",
        "cluster `orders`",
        "circuit_breakers.default.pending_max",
        "name: orders",
    ),
    row(
        &[(
            "pending_max: 200, requests_max: 600",
            "pending_max: 700, requests_max: 600",
        )],
        "pending-limit-never-reached",
        "cluster `orders`",
        "circuit_breakers.high.pending_max",
        "name: orders",
    ),
    row(
        &[("              priority: high\n", "")],
        "high-priority-unused",
        "cluster `orders`",
        "circuit_breakers.high",
        "name: orders",
    ),
    row(
        &[("requests_max: 150", "requests_max: 1000")],
        "endpoint-limit-never-reached",
        "cluster `orders`",
        "circuit_breakers.endpoint.requests_max",
        "name: orders",
    ),
    row(
        &[("connections_max: 100 }", "connections_max: 5000 }")],
        "endpoint-limit-never-reached",
        "cluster `orders`",
        "circuit_breakers.endpoint.connections_max",
        "name: orders",
    ),
    row(
        &[("concurrency_min: 10", "concurrency_min: 1000")],
        "adaptive-limit-never-reached",
        "cluster `orders`",
        "adaptive_concurrency.concurrency_min",
        "name: orders",
    ),
];

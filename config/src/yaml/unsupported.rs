//! Names that users of other proxies may write: those of what is not implemented, so that a document that uses one is
//! refused by name, and those of what is called otherwise here.

/// What a name asks for, if it is known and not implemented.
pub(crate) fn explain(name: &str) -> Option<&'static str> {
    let what = match name {
        "principals" | "permissions" => {
            "a policy's principals beside its permissions; its `rules` ask for both"
        }
        "eds" => "discovery of endpoints by xDS",
        "sds" | "sds_config" | "tls_certificate_sds_secret_configs" => "secrets by SDS",
        "hs256" | "hs384" | "hs512" => {
            "tokens signed with a shared secret: whoever verifies them could issue them"
        }
        "dynamic_resources" | "static_resources" | "ads" | "xds" | "control_api" => {
            "configuration by xDS; listeners, route_configurations and clusters stand at the top of the document"
        }
        "ext_proc" => "external processing",
        "wasm" => "WebAssembly extensions",
        "lua" => "Lua scripts",
        "grpc_web" => "gRPC-web",
        "grpc_json_transcoder" | "grpc_json_transcoding" | "transcoding" => "gRPC-JSON transcoding",
        "cache" | "caching" => "caching",
        "udp" | "udp_listener_config" => "UDP",
        "http3" | "quic" => "HTTP/3",
        "fips" => "FIPS builds",
        _ => return None,
    };
    Some(what)
}

/// Words of other proxies, and the field that has their meaning here. A word may stand for several, in different objects.
pub(crate) const MEANT: &[(&[&str], &str)] = &[
    (&["tcp_proxy"], "tcp"),
    (&["max_connect_attempts"], "connect_attempts_max"),
    (&["prefix_ranges"], "destination_prefixes"),
    (
        &["max_connection_duration", "max_downstream_connection_duration"],
        "connection_duration_max",
    ),
    (&["upgrade_configs"], "upgrades"),
    (&["connect_matcher"], "connect"),
    (
        &["dns", "hostname", "strict_dns", "logical_dns", "original_dst"],
        "discovery",
    ),
    (&["dns_lookup_family"], "family"),
    (&["dns_resolvers"], "resolvers"),
    (
        &["mirror", "request_mirror", "request_mirror_policies", "shadow"],
        "mirrors",
    ),
    (&["session_persistence", "stateful_session"], "session_cookie"),
    (
        &["path_template_rewrite", "path_rewrite_policy"],
        "template_rewrite",
    ),
    (
        &["circuit_breaker", "breakers", "connection_pool"],
        "circuit_breakers",
    ),
    (&["max_connections"], "connections_max"),
    (&["max_pending_requests", "max_pending"], "pending_max"),
    (&["max_requests"], "requests_max"),
    (&["per_host_thresholds"], "endpoint"),
    (&["budget_percent"], "percent"),
    (&["min_retry_concurrency"], "concurrency_min"),
    (&["gradient_controller_config"], "adaptive_concurrency"),
    (&["sample_aggregate_percentile"], "quantile"),
    (&["max_concurrency_limit"], "concurrency_max"),
    (&["min_concurrency"], "concurrency_min"),
    (
        &["rate_limit", "local_rate_limit", "global_rate_limit", "ratelimit"],
        "rate_limits",
    ),
    (&["token_bucket", "rate"], "limit"),
    (&["max_tokens"], "burst"),
    (&["tokens_per_fill", "requests_per_unit"], "requests"),
    (&["fill_interval", "unit"], "per"),
    (&["descriptor_key"], "key"),
    (&["descriptor_value", "generic_key"], "constant"),
    (&["masked_remote_address"], "remote_address"),
    (&["v4_prefix_mask_len"], "v4_prefix"),
    (&["v6_prefix_mask_len"], "v6_prefix"),
    (&["request_headers"], "header"),
    (&["descriptor", "actions"], "descriptors"),
    (&["failure_mode_deny"], "failure_denied"),
    (&["shadow_mode"], "shadow"),
    (&["enable_x_ratelimit_headers"], "headers"),
    (&["fault_injection"], "fault"),
    (&["fixed_delay"], "duration"),
    (&["percentage"], "percent"),
    (&["http_status"], "status"),
    (&["response_rate_limit"], "response_rate"),
    (&["max_active_faults"], "active_max"),
    (&["overload_manager"], "overload"),
    (&["refresh_interval"], "interval"),
    (&["max_heap_size_bytes"], "memory_max"),
    (
        &["lb_policy", "load_balancing_policy", "lb_algorithm"],
        "load_balancing",
    ),
    (&["choice_count"], "choices"),
    (&["minimum_ring_size"], "size_min"),
    (&["maximum_ring_size"], "size_max"),
    (&["hash_balance_factor"], "balance_factor"),
    (&["slow_start_config"], "slow_start"),
    (&["slow_start_window"], "window"),
    (&["min_weight_percent"], "weight_min"),
    (&["decay_time"], "decay"),
    (&["lb_subset_config", "subset_selectors"], "subsets"),
    (&["fallback_policy"], "fallback"),
    (&["default_subset"], "default"),
    (
        &[
            "common_lb_config",
            "locality_weighted_lb_config",
            "zone_aware_lb_config",
            "locality_lb",
        ],
        "locality_balancing",
    ),
    (&["routing_enabled"], "routing"),
    (&["min_cluster_size"], "cluster_size_min"),
    (&["healthy_panic_threshold"], "panic_threshold"),
    (&["fail_traffic_on_panic"], "fails_in_panic"),
    (&["health_status"], "status"),
    (&["load_balancing_weight"], "weight"),
    (&["health_checks", "health_checking"], "health_check"),
    (&["http_health_check"], "http"),
    (&["grpc_health_check"], "grpc"),
    (&["tcp_health_check"], "tcp"),
    (&["service_name"], "service"),
    (&["interval_jitter", "interval_jitter_percent"], "jitter"),
    (&["fall"], "unhealthy_threshold"),
    (&["rise"], "healthy_threshold"),
    (&["alt_port"], "port"),
    (&["request_headers_to_add"], "headers"),
    (&["outliers", "passive_health_check"], "outlier_detection"),
    (&["always_eject_one_host"], "always_eject_one"),
    (&["retries", "retry_policy"], "retry"),
    (&["num_retries", "max_retries"], "retries_max"),
    (&["retry_back_off"], "backoff"),
    (&["base_interval"], "base"),
    (&["max_interval"], "max"),
    (&["rate_limited_retry_back_off"], "retry_after_max"),
    (&["retriable_statuses"], "retriable_status_codes"),
    (
        &["retry_host_predicate", "previous_hosts"],
        "avoid_tried_endpoints",
    ),
    (&["hedge_policy", "hedge"], "hedging"),
    (&["max_stream_duration"], "stream_duration_max"),
    (
        &["max_grpc_timeout", "grpc_timeout_header_max"],
        "client_timeout_max",
    ),
    (&["hash_policies", "consistent_hash"], "hash_policy"),
    (&["header_name"], "header"),
    (&["connection_properties"], "source_address"),
    (&["query_parameter"], "query"),
    (&["metadata_match"], "subset"),
    (&["max_response_bytes"], "response_body_max"),
    (&["allow_origin", "allow_origin_string_match"], "allow_origins"),
    (&["compressor", "gzip"], "compression"),
    (&["min_content_length", "min_bytes"], "bytes_min"),
    (&["content_type"], "content_types"),
    (
        &[
            "forward_client_cert",
            "forward_client_cert_details",
            "set_current_client_cert_details",
            "xfcc",
        ],
        "forward_client_certificate",
    ),
    (&["require_tls"], "https_redirect"),
    (&["strict_transport_security"], "hsts"),
    (&["use_original_dst"], "interception"),
    (&["rbac"], "authorization"),
    (
        &["remote_ips", "remote_ip", "remote_ip_blocks"],
        "remote_addresses",
    ),
    (
        &["direct_remote_ip", "source_ip", "ip_blocks"],
        "direct_addresses",
    ),
    (&["jwt_authn", "jwt_requirement"], "jwt"),
    (&["jwks", "remote_jwks", "local_jwks", "jwks_uri"], "keys"),
    (&["ext_authz"], "external_authorization"),
    (&["traces", "opentelemetry"], "tracing"),
    (&["random_sampling", "ratio"], "percent"),
    (&["custom_tags"], "attributes"),
    (&["operation"], "span_name"),
    (&["failure_mode_allow"], "failure_allowed"),
    (&["status_on_error"], "error_status"),
    (&["with_request_body"], "body"),
    (&["source_identity", "source_principals"], "source_identities"),
    (&["sni"], "server_name"),
    (&["spiffe", "svid"], "workload_api"),
    (&["crl", "crls"], "lists"),
    (
        &["match_typed_subject_alt_names", "subject_alt_names", "san"],
        "peers",
    ),
    (&["source_ip"], "source_address"),
];

/// The fields that have the meaning of another proxy's word, if this document has them under another name.
pub(crate) fn meant(name: &str) -> impl Iterator<Item = &'static str> {
    MEANT
        .iter()
        .filter(move |(words, _)| words.contains(&name))
        .map(|(_, field)| *field)
}

/// What is written in place of a field of another version or proxy, where one name does not say it.
pub(crate) fn instead(name: &str) -> Option<&'static str> {
    let instead = match name {
        "retry" | "hash_policy" => "it stands in a route's `forward`; `retry` in a virtual host, too",
        "per_try_timeout" | "per_try_idle_timeout" | "retry_on" | "hedging" => "it stands in `retry`",
        "ring_hash" | "maglev" | "peak_ewma" | "least_request" => "write it in `load_balancing`",
        "localities" | "zone_aware" => "write `locality_balancing`, and the `locality` of each endpoint",
        "rate_limits" => "it stands in `http`, in `tcp`, in a virtual host or in a route",
        "thresholds" => "write `default` and `high`, for each priority of routes",
        "client_ca_file" | "ca_certificate_file" => "write `client: {ca_file: FILE}`",
        "crl_file" | "revoked" => "revocation lists stand in `revocation`, at the top of the document",
        "require_client_certificate" => "write `client: {certificate: required}` or `optional`",
        "tls_minimum_protocol_version" => "write `minimum_version`",
        "tls_maximum_protocol_version" => "write `maximum_version`",
        _ => return None,
    };
    Some(instead)
}

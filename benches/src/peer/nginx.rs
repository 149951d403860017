//! nginx, as Debian has it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Setup, strings};
use crate::scenario::Protocol;

pub(super) fn arguments(file: &Path, directory: &Path) -> Vec<OsString> {
    let mut arguments = strings(["-e", "stderr", "-p"]);
    arguments.push(directory.into());
    arguments.push("-c".into());
    arguments.push(file.into());
    arguments
}

pub(super) fn configuration(setup: &Setup) -> String {
    let listen = setup.listen;
    let (listen_options, tls) = match setup.downstream {
        Protocol::Http2 => (" http2", String::new()),
        Protocol::TlsHttp1 => (" ssl", termination(setup, false)),
        Protocol::MutualTlsHttp1 => (" ssl", termination(setup, true)),
        _ => ("", String::new()),
    };
    let headers = if setup.downstream == Protocol::WebSocket {
        r#"proxy_set_header Connection "upgrade"; proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 1h"#
    } else {
        r#"proxy_set_header Connection """#
    };
    let (target, to_second, second) = match setup.between {
        Some(address) => second_hop(setup, address),
        None => ("http://upstream", String::new(), String::new()),
    };
    format!(
        r#"daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{}
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    upstream upstream {{
        server {};
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
{second}    server {{
        listen {listen}{listen_options};
{tls}        location / {{
            proxy_pass {target};
{to_second}            proxy_http_version 1.1;
            {headers};
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"#,
        access_log(setup),
        setup.upstream,
    )
}

fn access_log(setup: &Setup) -> String {
    if !setup.access_log {
        return "    access_log off;".to_owned();
    }
    format!(
        r#"    log_format json escape=json '{{"time":"$time_iso8601","method":"$request_method","path":"$request_uri","protocol":"$server_protocol","status":$status,"bytes_sent":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr","downstream":"$remote_addr:$remote_port"}}';
    access_log {} json buffer=64k flush=1s;"#,
        setup.access_log_file().display()
    )
}

fn termination(setup: &Setup, mutual: bool) -> String {
    let files = &setup.certificate;
    let client = if mutual {
        format!(
            "        ssl_verify_client on;\n        ssl_client_certificate {};\n",
            files.authority.display()
        )
    } else {
        String::new()
    };
    format!(
        "        ssl_protocols TLSv1.3;
        ssl_certificate {};
        ssl_certificate_key {};
{client}",
        files.certificate.display(),
        files.key.display()
    )
}

/// Where the first hop sends to, how, and the second.
fn second_hop(setup: &Setup, address: SocketAddr) -> (&'static str, String, String) {
    let files = &setup.certificate;
    let to_second = format!(
        "            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_certificate {};
            proxy_ssl_certificate_key {};
            proxy_ssl_trusted_certificate {};
            proxy_ssl_verify on;
            proxy_ssl_name bench.example;
            proxy_ssl_server_name on;
",
        files.client_certificate.display(),
        files.client_key.display(),
        files.authority.display()
    );
    let second = format!(
        r#"    upstream between {{
        server {address};
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen {address} ssl;
{}        location / {{
            proxy_pass http://upstream;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }}
    }}
"#,
        termination(setup, true)
    );
    ("https://between", to_second, second)
}

//! nginx, as Debian has it.

use std::ffi::OsString;
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
        Protocol::Http1 | Protocol::WebSocket | Protocol::Tcp | Protocol::Detected => ("", String::new()),
        Protocol::Http2 => (" http2", String::new()),
        Protocol::TlsHttp1 => (
            " ssl",
            format!(
                "        ssl_protocols TLSv1.3;
        ssl_certificate {};
        ssl_certificate_key {};
",
                setup.certificate.certificate.display(),
                setup.certificate.key.display()
            ),
        ),
    };
    let headers = if setup.downstream == Protocol::WebSocket {
        r#"proxy_set_header Connection "upgrade"; proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 1h"#
    } else {
        r#"proxy_set_header Connection """#
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
    server {{
        listen {listen}{listen_options};
{tls}        location / {{
            proxy_pass http://upstream;
            proxy_http_version 1.1;
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

//! What a virtual host answers before any route, as `outrigger explain` tells it.

use super::{Request, line};
use outrigger_config::model::{HttpOptions, VirtualHost};
use outrigger_traffic::edge::{self, EdgeAnswer, EdgeRequest};
use outrigger_traffic::forwarded;
use std::net::{IpAddr, Ipv4Addr};

/// Tells what is answered in place of a route, if anything is: whether a route is never asked. Who connects is not known
/// here: where proxies are trusted it is taken to be one, and without `x-forwarded-for` the client is nobody in particular.
pub(super) fn describe(
    text: &mut String,
    options: &HttpOptions,
    host: &VirtualHost,
    request: &Request,
) -> bool {
    let hops = options.xff_num_trusted_hops();
    let values = |name: &'static str| {
        let fields = request.headers.iter().filter(move |(other, _)| other == name);
        fields.map(|(_, value)| value.as_bytes())
    };
    let told = forwarded::scheme(values("x-forwarded-proto")).filter(|_| hops > 0);
    let client = forwarded::client(values("x-forwarded-for"), hops);
    let is_grpc = values("content-type").any(|value| value.starts_with(b"application/grpc"));
    let answer = edge::answer_of(
        host,
        &EdgeRequest {
            method: &request.method,
            is_https: told.map_or(request.tls, |scheme| scheme == "https"),
            is_grpc,
            authority: &request.authority,
            target: &request.target,
            client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        },
    );
    match answer {
        None => return false,
        Some(EdgeAnswer::Redirect { status, location }) => line(
            text,
            format_args!("answer: redirect to HTTPS, {status}, to `{location}`, before any route"),
        ),
        Some(EdgeAnswer::HttpsRequired) => {
            let status = if is_grpc { "gRPC status 9" } else { "403" };
            line(
                text,
                format_args!("answer: {status}, details https_required, before any route"),
            );
        }
        Some(EdgeAnswer::HostMissing) => line(text, format_args!("answer: 400, details host_missing")),
        Some(EdgeAnswer::Maintenance) => describe_maintenance(text, host, is_grpc),
    }
    true
}

fn describe_maintenance(text: &mut String, host: &VirtualHost, is_grpc: bool) {
    let Some(maintenance) = host.maintenance() else {
        return;
    };
    let status = match maintenance.page().status() {
        _ if is_grpc => "gRPC status 14".to_owned(),
        Some(status) => status.to_string(),
        None => outrigger_config::model::defaults::MAINTENANCE_STATUS.to_string(),
    };
    let allowed: Vec<String> = maintenance.allow().iter().map(ToString::to_string).collect();
    let but = if allowed.is_empty() {
        String::new()
    } else {
        format!(", but for clients in {}", allowed.join(", "))
    };
    line(
        text,
        format_args!("answer: {status}, details maintenance, before any route{but}"),
    );
}

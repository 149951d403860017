//! What an edge gateway answers before any route is looked at, and what it adds to answers: redirects to HTTPS,
//! maintenance, `strict-transport-security`.

use outrigger_config::model::{Hsts, HttpsRedirect, Maintenance, VirtualHost};
use std::net::IpAddr;

/// What a virtual host answers in place of its routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeAnswer {
    /// A redirect to HTTPS.
    Redirect {
        /// [`redirect_status`].
        status: u16,
        /// [`redirect_location`].
        location: String,
    },
    /// The request should have come by HTTPS, and its client follows no redirect: it is gRPC or CONNECT.
    HttpsRequired,
    /// The request should have come by HTTPS, and does not say to which host a redirect would lead (HTTP/1.0).
    HostMissing,
    /// The maintenance page.
    Maintenance,
}

/// What is read of a request.
#[derive(Debug, Clone, Copy)]
pub struct EdgeRequest<'r> {
    /// Upper case.
    pub method: &'r str,
    /// It came by HTTPS: over TLS, or a trusted proxy says so.
    pub is_https: bool,
    /// It is gRPC.
    pub is_grpc: bool,
    /// With its port; may be empty.
    pub authority: &'r str,
    /// Path and query as they were sent, before normalization; `*` has none.
    pub target: &'r str,
    /// The client's address, by what is trusted.
    pub client: IpAddr,
}

/// What is answered before any route is looked at; none: routes decide. HTTPS comes first, so that a maintenance page is
/// seen over HTTPS too.
pub fn answer(
    redirect: Option<&HttpsRedirect>,
    maintenance: Option<&Maintenance>,
    request: &EdgeRequest<'_>,
) -> Option<EdgeAnswer> {
    if let (Some(redirect), false) = (redirect, request.is_https) {
        return Some(if request.is_grpc || request.method == "CONNECT" {
            EdgeAnswer::HttpsRequired
        } else if request.authority.is_empty() {
            EdgeAnswer::HostMissing
        } else {
            EdgeAnswer::Redirect {
                status: redirect_status(redirect, request.method),
                location: redirect_location(redirect, request.authority, request.target),
            }
        });
    }
    let allowed = |maintenance: &Maintenance| {
        let mut allow = maintenance.allow().iter();
        allow.any(|prefix| prefix.contains(&request.client))
    };
    maintenance
        .filter(|maintenance| !allowed(maintenance))
        .map(|_| EdgeAnswer::Maintenance)
}

/// The same for a virtual host of the model.
pub fn answer_of(host: &VirtualHost, request: &EdgeRequest<'_>) -> Option<EdgeAnswer> {
    answer(
        host.https_redirect().as_ref(),
        host.maintenance().as_ref(),
        request,
    )
}

/// The redirect's status. 301 and 302 let clients turn a method with a body into GET; for methods other than GET and
/// HEAD, 308 and 307 say the same and do not (RFC 9110 section 15.4).
pub fn redirect_status(redirect: &HttpsRedirect, method: &str) -> u16 {
    match (redirect.status(), method) {
        (status, "GET" | "HEAD") => status,
        (301, _) => 308,
        (302, _) => 307,
        (status, _) => status,
    }
}

/// The HTTPS URL of the same host, path and query. The port is the redirect's, never the request's.
pub fn redirect_location(redirect: &HttpsRedirect, authority: &str, target: &str) -> String {
    let host = match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    };
    let mut location = format!("https://{host}");
    if let Some(port) = redirect.port().filter(|port| *port != 443) {
        location.push_str(&format!(":{port}"));
    }
    if target.starts_with('/') {
        location.push_str(target);
    } else {
        // `OPTIONS *` asks for the server; so does its root.
        location.push('/');
    }
    location
}

/// The value of `strict-transport-security` (RFC 6797 section 6.1).
pub fn hsts_value(hsts: &Hsts) -> String {
    let mut value = format!("max-age={}", hsts.max_age().as_secs());
    if hsts.include_subdomains() {
        value.push_str("; includeSubDomains");
    }
    if hsts.preload() {
        value.push_str("; preload");
    }
    value
}

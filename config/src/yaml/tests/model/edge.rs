//! What an edge gateway does for browsers.

use super::super::{valid, with_route};
use super::http;
use crate::model::{CompressionAlgorithm, PageBody, VirtualHost, defaults};
use std::time::Duration;

fn host(fields: &str) -> VirtualHost {
    let text = with_route("{match: {prefix: /}, forward: {cluster: a}}")
        .replace("    domains", &format!("    {fields}\n    domains"));
    valid(&text).config.route_configurations()[0].virtual_hosts()[0]
        .as_ref()
        .clone()
}

#[test]
fn https_is_asked_for() {
    for off in ["", "https_redirect: false"] {
        assert_eq!(host(off).https_redirect(), &None);
    }
    for on in ["true", "{}"] {
        let redirect = host(&format!("https_redirect: {on}"))
            .https_redirect()
            .clone()
            .unwrap();
        assert_eq!(
            (redirect.port(), redirect.status()),
            (None, defaults::HTTPS_REDIRECT_STATUS)
        );
    }
    let other = host("https_redirect: {port: 8443, status: 308}");
    let other = other.https_redirect().as_ref().unwrap();
    assert_eq!((other.port(), other.status()), (Some(8443), 308));

    for off in ["", "hsts: false"] {
        assert_eq!(host(off).hsts(), &None);
    }
    for on in ["true", "{}"] {
        let hsts = host(&format!("hsts: {on}")).hsts().clone().unwrap();
        assert_eq!(hsts.max_age(), defaults::HSTS_MAX_AGE);
        assert!(!hsts.include_subdomains() && !hsts.preload());
    }
    let forget = host("hsts: {max_age: 0s}");
    assert_eq!(forget.hsts().as_ref().unwrap().max_age(), Duration::ZERO);
    let listed = host("hsts: {include_subdomains: true, preload: true}");
    assert!(listed.hsts().as_ref().unwrap().preload());
}

#[test]
fn pages_stand_for_answers() {
    let plain = host("maintenance: {page: {body: closed}}")
        .maintenance()
        .clone()
        .unwrap();
    assert_eq!(plain.page().status(), None, "that of the reply, which is 503");
    assert_eq!(plain.page().body(), &PageBody::Inline("closed".into()));
    assert_eq!(plain.page().content_type(), defaults::PAGE_CONTENT_TYPE);
    assert_eq!((plain.retry_after(), plain.allow().len()), (None, 0));
    let full = host(
        "maintenance: {page: {body_file: /closed.html, status: 200, content_type: text/plain}, retry_after: 5m, \
         allow: [192.0.2.7]}",
    );
    let full = full.maintenance().as_ref().unwrap();
    assert_eq!(full.page().status(), Some(200));
    assert_eq!(full.page().body(), &PageBody::File("/closed.html".into()));
    assert_eq!(full.page().content_type(), "text/plain");
    assert_eq!(full.retry_after(), Some(Duration::from_secs(300)));
    assert_eq!(full.allow()[0].to_string(), "192.0.2.7/32");
    let errors =
        host("error_pages: [{statuses: [404], page: {body: a}}, {statuses: [502, 503], page: {body: b}}]");
    let statuses: Vec<_> = errors
        .error_pages()
        .iter()
        .map(|page| page.statuses().clone())
        .collect();
    assert_eq!(statuses, [vec![404], vec![502, 503]]);
}

#[test]
fn responses_are_compressed_by_agreement() {
    assert_eq!(http("").compression(), &None);
    assert_eq!(http("compression: off").compression(), &None);
    let plain = http("compression: {algorithms: [zstd, br, gzip]}");
    let plain = plain.compression().as_ref().unwrap();
    assert_eq!(
        plain.algorithms(),
        &[
            CompressionAlgorithm::Zstd(defaults::ZSTD_LEVEL),
            CompressionAlgorithm::Brotli(defaults::BROTLI_QUALITY),
            CompressionAlgorithm::Gzip(defaults::GZIP_LEVEL),
        ]
    );
    assert_eq!(plain.content_types(), &defaults::COMPRESSION_CONTENT_TYPES);
    assert_eq!(plain.bytes_min(), defaults::COMPRESSION_BYTES_MIN);
    let full = http(
        "compression: {algorithms: [{gzip: {level: 9}}, {br: {}}, {zstd: {level: 1}}], \
         content_types: [Text/HTML, 'image/*'], bytes_min: 0}",
    );
    let full = full.compression().as_ref().unwrap();
    assert_eq!(
        full.algorithms(),
        &[
            CompressionAlgorithm::Gzip(9),
            CompressionAlgorithm::Brotli(defaults::BROTLI_QUALITY),
            CompressionAlgorithm::Zstd(1),
        ]
    );
    assert_eq!(full.content_types(), &["text/html", "image/*"]);
    assert_eq!(full.bytes_min(), 0);
}

#[test]
fn peers_are_trusted_by_address() {
    assert!(http("").trusted_proxies().is_empty());
    let trusted = http("xff_num_trusted_hops: 2, trusted_proxies: [10.0.0.0/8, '::1']");
    assert_eq!(trusted.xff_num_trusted_hops(), 2);
    assert_eq!(trusted.trusted_proxies()[1].to_string(), "::1/128");
}

#[test]
fn clients_certificates_are_told_in_envoys_order() {
    use crate::model::{ClientCertificateDetail as Detail, ForwardClientCertificateMode as Mode};
    let mode = |text: &str| http(text).forward_client_certificate().mode();
    assert_eq!(mode(""), Mode::Sanitize);
    for (word, expected) in [
        ("sanitize", Mode::Sanitize),
        ("forward_only", Mode::ForwardOnly),
        ("append_forward", Mode::AppendForward),
        ("sanitize_set", Mode::SanitizeSet),
        ("always_forward_only", Mode::AlwaysForwardOnly),
    ] {
        assert_eq!(
            mode(&format!("forward_client_certificate: {{mode: {word}}}")),
            expected
        );
    }
    let told = http("forward_client_certificate: {mode: sanitize_set, details: [dns, uri, cert]}");
    assert_eq!(
        told.forward_client_certificate().details(),
        &[Detail::Certificate, Detail::Uri, Detail::Dns]
    );
}

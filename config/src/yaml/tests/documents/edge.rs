//! What is done for browsers, for round trips.

use super::{maybe, quoted, text};
use proptest::prelude::*;

/// Fields of a virtual host.
pub(super) fn host() -> BoxedStrategy<String> {
    let redirect = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("{port: 8443, status: 308}".to_owned())
    ];
    let hsts = prop_oneof![
        Just("true".to_owned()),
        Just("{max_age: 0s, include_subdomains: true}".to_owned()),
        Just("{include_subdomains: true, preload: true}".to_owned())
    ];
    let maintenance = (
        page(),
        maybe("retry_after", Just("7m".to_owned())),
        maybe("allow", Just("[10.0.0.0/8, '::1']".to_owned())),
    )
        .prop_map(|(page, a, b)| format!("{{{a}{b}page: {page}}}"));
    let errors = (page(), page()).prop_map(|(one, two)| {
        format!("[{{statuses: [404], page: {one}}}, {{statuses: [502, 503], page: {two}}}]")
    });
    (
        maybe("https_redirect", redirect),
        maybe("hsts", hsts),
        maybe("maintenance", maintenance),
        maybe("error_pages", errors),
        super::tracing::route(),
    )
        .prop_map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}{e}"))
        .boxed()
}

fn page() -> BoxedStrategy<String> {
    let body = prop_oneof![
        text().prop_map(|body| format!("body: {}", quoted(&body))),
        Just("body_file: /x y.html".to_owned())
    ];
    (
        body,
        maybe("status", Just("404".to_owned())),
        maybe("content_type", Just("text/plain; charset=utf-8".to_owned())),
    )
        .prop_map(|(body, a, b)| format!("{{{a}{b}{body}}}"))
        .boxed()
}

/// Fields of a filter chain's `http`.
pub(super) fn http() -> BoxedStrategy<String> {
    let algorithms = prop_oneof![
        Just("[gzip, br, zstd]".to_owned()),
        (1..=9u32, 0..=11u32, 1..=19u32).prop_map(|(a, b, c)| format!(
            "[{{br: {{level: {b}}}}}, {{gzip: {{level: {a}}}}}, {{zstd: {{level: {c}}}}}]"
        ))
    ];
    let compression = (
        algorithms,
        maybe("content_types", Just("[text/*, Image/SVG+xml]".to_owned())),
        maybe("bytes_min", (0..9000u32).prop_map(|bytes| bytes.to_string())),
    )
        .prop_map(|(algorithms, a, b)| format!("{{{a}{b}algorithms: {algorithms}}}"));
    (
        maybe("compression", compression),
        maybe("trusted_proxies", Just("[10.0.0.0/8]".to_owned())),
        maybe("xff_num_trusted_hops", Just("2".to_owned())),
        maybe("forward_client_certificate", forward_client_certificate()),
    )
        .prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
        .boxed()
}

fn forward_client_certificate() -> BoxedStrategy<String> {
    let mode = prop_oneof![
        Just("sanitize"),
        Just("forward_only"),
        Just("append_forward"),
        Just("sanitize_set"),
        Just("always_forward_only"),
    ];
    let details = prop_oneof![
        Just(""),
        Just(", details: [uri]"),
        Just(", details: [dns, subject, cert, chain]")
    ];
    (mode, details)
        .prop_map(|(mode, details)| format!("{{mode: {mode}{details}}}"))
        .boxed()
}

//! Routes, for round trips.

use super::{duration_or_off, header_value, jwt, maybe, quoted, text, upgrades};
use proptest::prelude::*;

pub(super) fn edits() -> BoxedStrategy<String> {
    let appended = prop_oneof![
        header_value(),
        (header_value(), header_value()).prop_map(|(one, other)| format!("[{one}, {other}]"))
    ];
    let fields = (
        maybe("remove", Just("[x-r, X-S]".to_owned())),
        maybe(
            "add",
            header_value().prop_map(|value| format!("{{x-a: {value}}}")),
        ),
        maybe(
            "set",
            (header_value(), header_value()).prop_map(|(one, two)| format!("{{x-a: {one}, y: {two}}}")),
        ),
        maybe("append", appended.prop_map(|value| format!("{{x-b: {value}}}"))),
    );
    fields
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{c}{d}}}"))
        .boxed()
}

pub(super) fn condition() -> BoxedStrategy<String> {
    let part = "[ -~é]{1,8}".prop_map(|text| quoted(&text));
    let value = prop_oneof![
        text().prop_map(|text| format!("exact: {}", quoted(&text))),
        part.clone().prop_map(|text| format!("prefix: {text}")),
        part.clone().prop_map(|text| format!("suffix: {text}")),
        part.prop_map(|text| format!("contains: {text}")),
        Just("regex: '[a-z]+\\d{2}'".to_owned()),
        Just("present: true".to_owned()),
    ];
    (value, any::<bool>())
        .prop_map(|(value, invert)| format!("[{{name: X-Name, {value}, invert: {invert}}}]"))
        .boxed()
}

pub(super) fn target() -> BoxedStrategy<String> {
    prop_oneof![
        Just("cluster: a".to_owned()),
        Just("cluster: a, subset: {a: '', \"b c\": d}".to_owned()),
        Just(
            "weighted_clusters: [{cluster: a, weight: 1, subset: {v: 1}}, {cluster: a, weight: 1}]"
                .to_owned()
        ),
        (0..5u32, 1..5u32).prop_map(|(one, two)| {
            format!("weighted_clusters: [{{cluster: a, weight: {one}}}, {{cluster: b, weight: {two}}}]")
        }),
        Just("weighted_clusters: [{cluster: b, weight: 1}]".to_owned()),
    ]
    .boxed()
}

fn copies_and_cookies() -> BoxedStrategy<String> {
    let percent = (0..=1_000_000u32).prop_map(|parts| format!("{}.{:04}", parts / 10_000, parts % 10_000));
    let cookie = (
        maybe("max_age", Just("7m".to_owned())),
        maybe("path", Just("/b".to_owned())),
        maybe("strict", Just("true".to_owned())),
        maybe(
            "same_site",
            prop_oneof![Just("lax".to_owned()), Just("none".to_owned())],
        ),
    )
        .prop_map(|(a, b, c, d)| format!("{{{a}{b}{c}{d}name: at}}"));
    (
        maybe(
            "mirrors",
            maybe("percent", percent).prop_map(|percent| format!("[{{{percent}cluster: b}}]")),
        ),
        maybe("session_cookie", cookie),
    )
        .prop_map(|(a, b)| format!("{a}{b}"))
        .boxed()
}

pub(super) fn cors() -> BoxedStrategy<String> {
    let origins = prop_oneof![
        Just("'*'".to_owned()),
        Just("['*']".to_owned()),
        Just("['http://[::1]:81', {prefix: 'http://x:'}, {suffix: .b}, {contains: c}]".to_owned()),
        Just("[{regex: 'https://.*'}, 'null']".to_owned()),
    ];
    (
        origins,
        maybe("allow_methods", Just("[PUT, GET]".to_owned())),
        maybe("allow_headers", Just("[X-A, b]".to_owned())),
        maybe("expose_headers", Just("['*']".to_owned())),
        maybe("max_age", Just("0s".to_owned())),
    )
        .prop_map(|(a, b, c, d, e)| format!("{{{b}{c}{d}{e}allow_origins: {a}}}"))
        .boxed()
}

/// A route that matches by a template.
pub(super) fn template_route() -> BoxedStrategy<String> {
    let rewrite = prop_oneof![Just("'/x/{b}/{a}'".to_owned()), Just("/y".to_owned())];
    (maybe("template_rewrite", rewrite.clone()), rewrite, any::<bool>())
        .prop_map(|(forward, redirect, is_forward)| {
            let action = match is_forward {
                true => format!("forward: {{{forward}cluster: a}}"),
                false => format!("redirect: {{template_rewrite: {redirect}}}"),
            };
            format!("{{match: {{template: '/{{a}}/{{b}}'}}, response_headers: {{set: {{x: '%PATH_VARIABLE(a)%'}}}}, {action}}}")
        })
        .boxed()
}

/// A route for CONNECT requests.
pub(super) fn connect_route() -> BoxedStrategy<String> {
    let fields = (
        maybe("headers", condition()),
        maybe(
            "connect",
            prop_oneof![Just("terminate".to_owned()), Just("pass".to_owned())],
        ),
        maybe("upgrade_idle_timeout", duration_or_off()),
    );
    fields
        .prop_map(|(a, b, c)| format!("{{match: {{{a}connect: true}}, forward: {{{b}{c}cluster: a}}}}"))
        .boxed()
}

pub(super) fn route() -> BoxedStrategy<String> {
    let path = prop_oneof![
        "(/[a-z!$&'*+,;=:@~_.-]{1,5}x){1,3}/?".prop_map(|path| format!("path: {}", quoted(&path))),
        "/([a-z]{1,5}/){0,2}".prop_map(|path| format!("prefix: {path}")),
        "/[a-z]{0,4}".prop_map(|path| format!("string_prefix: {path}")),
        "/[a-z]{0,4}/\\{[a-z]{1,4}\\}".prop_map(|path| format!("template: '{path}'")),
        "/[a-z]{1,4}[.]\\*".prop_map(|path| format!("regex: '{path}'")),
        Just("grpc: {service: a.B}".to_owned()),
        Just("grpc: {service: a.B, method: C}".to_owned()),
    ];
    let matches = (
        path,
        maybe("headers", condition()),
        maybe("query", condition()),
        maybe("methods", Just("[POST, PUT]".into())),
        maybe(
            "source_identities",
            super::tls::spiffe().prop_map(|one| format!("[{one}]")),
        ),
    )
        .prop_map(|(a, b, c, d, e)| format!("match: {{{b}{c}{d}{e}{a}}}"));
    let substitution = "(\\\\1|\\\\\\\\|[!\"$-;=@-Z^-z]){0,6}"
        .prop_map(|text| format!("{{pattern: '/(a+)', substitution: {}}}", quoted(&text)));
    let action = prop_oneof![
        (
            target(),
            maybe("timeout", prop_oneof![duration_or_off(), Just("0s".to_owned())]),
            maybe("stream_idle_timeout", duration_or_off()),
            maybe("regex_rewrite", substitution.clone()),
            upgrades(),
            (copies_and_cookies(), super::resilience::forward()).prop_map(|(a, b)| a + &b)
        )
            .prop_map(|(a, b, c, d, e, f)| format!("forward: {{{b}{c}{d}{e}{f}{a}}}")),
        (
            maybe("port", Just("81".into())),
            maybe("regex_rewrite", substitution),
            any::<bool>()
        )
            .prop_map(|(a, b, strip)| {
                format!("redirect: {{{a}{b}host: h.example, status: 308, strip_query: {strip}}}")
            }),
        text().prop_map(|body| format!("direct_response: {{status: 200, body: {}}}", quoted(&body))),
    ];
    let size = (1..70_000u64).prop_map(|number| number.to_string());
    (
        matches,
        action,
        maybe("request_headers", edits()),
        maybe("response_headers", edits()),
        maybe("request_body_max", size.clone()),
        maybe("response_body_max", size),
        maybe("cors", prop_oneof![Just("off".to_owned()), cors()]),
        maybe("compression", Just("off".to_owned())),
        (
            maybe("authorization", Just("[q]".to_owned())),
            jwt::route(),
            super::resilience::route(),
            super::tracing::route(),
        )
            .prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}")),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| format!("{{{c}{d}{e}{f}{g}{h}{i}{a}, {b}}}"))
        .boxed()
}

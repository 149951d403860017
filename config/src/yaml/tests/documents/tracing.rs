//! Tracing, for round trips. The collector is `o`.

use super::{duration, maybe, quoted_key, text};
use proptest::prelude::*;

fn sampling() -> BoxedStrategy<String> {
    (
        maybe(
            "parent",
            prop_oneof![
                Just("ignore".to_owned()),
                Just("follow_believed".to_owned()),
                Just("follow".to_owned())
            ],
        ),
        maybe("percent", (0u32..=100).prop_map(|percent| percent.to_string())),
        maybe("traces_per_second", Just("7".to_owned())),
    )
        .prop_map(|(a, b, c)| format!("{{{a}{b}{c}}}"))
        .boxed()
}

fn value() -> BoxedStrategy<String> {
    prop_oneof![
        Just("'%REQ(x-a)% of %PROTOCOL%'".to_owned()),
        Just("'100%%'".to_owned()),
        Just("checkout".to_owned()),
    ]
    .boxed()
}

/// Fields of a filter chain's `http`.
pub(super) fn http() -> BoxedStrategy<String> {
    let attributes = (text(), value()).prop_map(|(key, value)| {
        let key = if key.is_empty() { "k".to_owned() } else { key };
        format!(
            "{{{}: {value}, {}: b}}",
            quoted_key(&key),
            quoted_key("a.b.c.d.e.f.g.h")
        )
    });
    let settings = (
        maybe("sampling", sampling()),
        maybe(
            "extract",
            prop_oneof![
                Just("[]".to_owned()),
                Just("[datadog, w3c, b3]".to_owned()),
                Just("[b3]".to_owned())
            ],
        ),
        maybe(
            "inject",
            prop_oneof![
                Just("[b3_multi]".to_owned()),
                Just("[datadog, w3c, b3]".to_owned())
            ],
        ),
        maybe(
            "force_header",
            prop_oneof![Just("off".to_owned()), Just("X-Trace".to_owned())],
        ),
        maybe("keep_errors", Just("true".to_owned())),
        maybe("keep_slow", duration()),
        maybe("span_name", value()),
        maybe("attributes", attributes),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| format!("{{{a}{b}{c}{d}{e}{f}{g}{h}collector: o}}"));
    maybe("tracing", prop_oneof![1 => Just("off".to_owned()), 4 => settings]).boxed()
}

/// Fields of a virtual host or a route.
pub(super) fn route() -> BoxedStrategy<String> {
    let changed = prop_oneof![
        sampling().prop_map(|sampling| format!("{{sampling: {sampling}}}")),
        value().prop_map(|value| format!("{{span_name: {value}}}")),
        (sampling(), value()).prop_map(|(a, b)| format!("{{sampling: {a}, span_name: {b}}}")),
    ];
    let fields = prop_oneof![1 => Just("off".to_owned()), 2 => changed];
    maybe("tracing", fields).boxed()
}

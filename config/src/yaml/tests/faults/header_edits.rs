//! Edits of heads.

use super::super::with_route;
use super::check;

#[test]
fn header_edits() {
    check(
        |edits| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a}}, request_headers: {edits}}}"
            ))
        },
        &[
            (
                "{set: {«host»: a}}",
                &["`host` is not edited as a header | use `host_rewrite`"],
            ),
            (
                "{set: {«':authority'»: a}}",
                &[
                    "`:authority` is not a header name | hosts are matched by `domains`, and written by `host_rewrite`",
                ],
            ),
            (
                "{remove: [«Content-Length»]}",
                &["`content-length` cannot be edited: it says where a message ends"],
            ),
            (
                "{add: {«transfer-encoding»: a}}",
                &["`transfer-encoding` cannot be edited: it says where a message ends"],
            ),
            (
                "{append: {«Connection»: a}}",
                &["`connection` cannot be edited: it belongs to one connection"],
            ),
            (
                "{remove: [«upgrade»]}",
                &["`upgrade` cannot be edited: it belongs to one connection"],
            ),
            (
                "{remove: [x-a, «X-A»]}",
                &["a second header `x-a` | the first stands at 9:78"],
            ),
            (
                "{set: {x-a: 1, «X-A»: 2}}",
                &["a second header `x-a` | the first stands at 9:75"],
            ),
            ("{set: {«x a»: 1}}", &["`x a` is not a header name"]),
            ("{set: {x-a: «[»a]}}", &["expected a header value, found a list"]),
            ("{append: {x-a: «[»]}}", &["this list may not be empty"]),
            (
                "{set: {x-a: «\"a\\nb\"»}}",
                &["a header value may not contain control characters"],
            ),
            (
                "{set: {x-a: «' a'»}}",
                &["a header value may not begin or end with a space"],
            ),
            (
                "{«sett»: {x-a: a}}",
                &["unknown field `sett` in header edits | did you mean `set`?"],
            ),
        ],
    );
}

#[test]
fn operators_in_values() {
    let existing = "there are `%PATH_VARIABLE(name)%`, `%REQ(name)%`, `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`, \
                    `%PROTOCOL%` and `%UPSTREAM_HOST%`; a percent sign is `%%`";
    let no = |operator: &str| format!("`{operator}` is no operator of header edits | {existing}");
    let open = |text: &str| format!("`{text}` is not closed | {existing}");
    let around = |matches: &'static str, field: &'static str| {
        move |value: &str| {
            with_route(&format!(
                "{{match: {{{matches}}}, forward: {{cluster: a}}, {field}: {{set: {{x-a: {value}}}}}}}"
            ))
        }
    };
    check(
        around("template: '/a/{id}'", "request_headers"),
        &[
            ("«'%START_TIME%'»", &[&no("%START_TIME%")]),
            ("«'to %REQ(a):5%'»", &[&no("%REQ(a):5%")]),
            ("«'%PROTOCOL(x)%'»", &[&no("%PROTOCOL(x)%")]),
            ("«'% %'»", &[&no("% %")]),
            ("«'100%'»", &[&open("%")]),
            ("«'%PROTOCOL% %REQ(x)'»", &[&open("%REQ(x)")]),
            ("«'%REQ%'»", &["`%REQ%` does not say which | write `%REQ(name)%`"]),
            ("«'%REQ(:path)%'»", &["`:path` is not a header name"]),
            (
                "«'%PATH_VARIABLE(other)%'»",
                &["the route's template has no variable `other` | it has `id`"],
            ),
            (
                "«'%UPSTREAM_HOST%'»",
                &["`%UPSTREAM_HOST%` is not known when a request is edited | use it in `response_headers`"],
            ),
        ],
    );
    check(
        around("prefix: /", "response_headers"),
        &[(
            "«'%PATH_VARIABLE(id)%'»",
            &["this route has no variable `{id}` | match by `template`, such as `/a/{id}`"],
        )],
    );
    check(
        |value| {
            with_route("{match: {prefix: /}, forward: {cluster: a}}").replace(
                "    domains",
                &format!("    response_headers: {{add: {{x-a: {value}}}}}\n    domains"),
            )
        },
        &[(
            "«'%PATH_VARIABLE(id)%'»",
            &[
                "`%PATH_VARIABLE(id)%` in the edits of a virtual host, which has no path | write it in the edits of its routes",
            ],
        )],
    );
    check(
        |value| super::super::with_http(&format!("server_header: {{set: {value}}}")),
        &[(
            "«'%PROTOCOL%'»",
            &["`%PROTOCOL%` would be sent as it stands | values are put into header edits alone"],
        )],
    );
}

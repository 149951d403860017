//! HTTPS, maintenance, pages, compression, trust of forwarded headers.

use super::super::{with_http, with_route};
use super::check;

/// A document around fields of one virtual host.
fn around(fields: &str) -> String {
    with_route("{match: {prefix: /}, forward: {cluster: a}}")
        .replace("    domains", &format!("    {fields}\n    domains"))
}

#[test]
fn https() {
    check(
        around,
        &[
            (
                "https_redirect: «yes»",
                &["expected true or false, found `yes` | write `true`"],
            ),
            ("https_redirect: {port: «0»}", &["0 is not between 1 and 65535"]),
            (
                "https_redirect: {status: «300»}",
                &["expected `301`, `302`, `303`, `307` or `308`, found 300"],
            ),
            (
                "hsts: «on»",
                &["expected true or false, found `on` | write `true`"],
            ),
            (
                "hsts: {max_age: «1500ms»}",
                &["`max_age` is counted in whole seconds"],
            ),
            (
                "hsts: {«preload»: true}",
                &["`preload` without subdomains | write `include_subdomains: true`, or remove `preload`"],
            ),
            (
                "hsts: {preload: true, include_subdomains: true, max_age: «8759h»}",
                &["`preload` for less than a year | write `31536000s` or more, or remove `preload`"],
            ),
            (
                "«strict_transport_security»: true",
                &["unknown field `strict_transport_security` in virtual host | did you mean `hsts`?"],
            ),
        ],
    );
}

#[test]
fn fields_of_a_virtual_host_without_a_name_are_read_all_the_same() {
    check(
        |host| format!("route_configurations: [{{name: r, virtual_hosts: [{host}]}}]\n"),
        &[(
            "«{»domains: ['*'], hsts: true, error_pages: [], routes: []}",
            &["missing field `name` in virtual host"],
        )],
    );
}

#[test]
fn pages() {
    check(
        around,
        &[
            (
                "maintenance: «true»",
                &["expected a map (maintenance), found `true`"],
            ),
            ("maintenance: «{»}", &["missing field `page` in maintenance"]),
            (
                "maintenance: {page: «{»}}",
                &["one of `body` and `body_file` is missing in page"],
            ),
            (
                "maintenance: {page: {body: a, «body_file»: b}}",
                &["`body` and `body_file` exclude each other | give exactly one of `body` and `body_file`"],
            ),
            (
                "maintenance: {page: {body: a, status: «100»}}",
                &["100 is not between 200 and 599"],
            ),
            (
                "maintenance: {page: {body: a, status: «204»}}",
                &["a response with status 204 has no body"],
            ),
            (
                "maintenance: {page: {body: a, content_type: «html»}}",
                &["`html` is not a media type | such as `text/plain`"],
            ),
            (
                "maintenance: {page: {body_file: «''»}}",
                &["expected a file name"],
            ),
            (
                "maintenance: {page: {body: a}, retry_after: «10ms»}",
                &["`retry_after` is counted in whole seconds"],
            ),
            (
                "maintenance: {page: {body: a}, allow: [«10.0.0.1/8»]}",
                &["`10.0.0.1/8` has bits set beyond its prefix length | did you mean `10.0.0.0/8`?"],
            ),
            (
                "error_pages: [«{»page: {body: a}}]",
                &["missing field `statuses` in error page"],
            ),
            (
                "error_pages: [{statuses: «[»], page: {body: a}}]",
                &["this list may not be empty"],
            ),
            (
                "error_pages: [{statuses: [«200»], page: {body: a}}]",
                &["200 is not between 400 and 599"],
            ),
            (
                "error_pages: [{statuses: [503], page: {body: a}}, {statuses: [404, «503»], page: {body: b}}]",
                &["a second page for the status `503` | the first stands at 7:31"],
            ),
        ],
    );
    let long = "x".repeat(64 * 1024 + 1);
    check(
        |body| around(&format!("maintenance: {{page: {{body: «{body}»}}}}")),
        &[(&long, &["the page has 65537 bytes; at most 65536 are allowed"])],
    );
}

#[test]
fn compression() {
    check(
        |settings| with_http(&format!("compression: {settings}")),
        &[
            ("«gzip»", &["expected `off` or a map, found `gzip`"]),
            ("«{»}", &["missing field `algorithms` in compression"]),
            ("{algorithms: «[»]}", &["this list may not be empty"]),
            (
                "{algorithms: [«deflate»]}",
                &["expected `gzip`, `br` or `zstd`, found `deflate`"],
            ),
            (
                "{algorithms: [gzip, «{»gzip: {level: 5}}]}",
                &["a second coding `gzip` | the first stands at 6:63"],
            ),
            (
                "{algorithms: [«{»}]}",
                &["one of `gzip`, `br` and `zstd` is missing in compression algorithm"],
            ),
            (
                "{algorithms: [{gzip: {level: «10»}}, {br: {level: «12»}}, {zstd: {level: «0»}}]}",
                &[
                    "10 is not between 1 and 9",
                    "12 is not between 0 and 11",
                    "0 is not between 1 and 19",
                ],
            ),
            (
                "{algorithms: [br], content_types: «[»]}",
                &["this list may not be empty"],
            ),
            (
                "{algorithms: [br], content_types: [«html»]}",
                &["`html` is not a media type | such as `application/json` or `text/*`"],
            ),
            (
                "{algorithms: [br], content_types: [«'*/*'»]}",
                &["`*/*` is not a media type | such as `application/json` or `text/*`"],
            ),
            (
                "{algorithms: [br], content_types: [«text/ht*»]}",
                &["`text/ht*` is not a media type | write `text/*`"],
            ),
            (
                "{algorithms: [br], content_types: [«text/html;charset=utf-8»]}",
                &[
                    "`text/html;charset=utf-8` is not a media type | leave its parameters out: they make no difference",
                ],
            ),
            (
                "{algorithms: [br], content_types: [text/html, «Text/HTML»]}",
                &["a second value `text/html` | the first stands at 6:84"],
            ),
            (
                "{algorithms: [br], bytes_min: «2GiB»}",
                &["2147483648 is not between 0 and 1073741824"],
            ),
            (
                "{algorithms: [br], «min_content_length»: 5}",
                &["unknown field `min_content_length` in compression | did you mean `bytes_min`?"],
            ),
        ],
    );
    check(
        with_http,
        &[(
            "xff_num_trusted_hops: 1, trusted_proxies: [«proxy»]",
            &["expected an address prefix, found `proxy` | such as `10.0.0.0/8` or `fd00::/8`"],
        )],
    );
}

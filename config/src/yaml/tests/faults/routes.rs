//! Virtual hosts, matches, actions, header edits.

use super::super::with_route;
use super::check;

#[test]
fn domains() {
    check(
        |domain| {
            format!(
                "route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: [{domain}], \
                 routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}]\n"
            )
        },
        &[
            (
                "«a.example:80»",
                &["`a.example:80` is not a domain | ports are ignored: write `a.example`"],
            ),
            (
                "«'a.*.example'»",
                &["`a.*.example` is not a domain | `*` stands alone, at the beginning or at the end"],
            ),
            (
                "«'a b'»",
                &["`a b` is not a domain | such as `a.example`, `*.a.example`, `api.*` or `*`"],
            ),
            (
                "«''»",
                &["`` is not a domain | such as `a.example`, `*.a.example`, `api.*` or `*`"],
            ),
            (
                "'*', «'*'»",
                &["a second virtual host with the domain `*` | the first stands at 1:70"],
            ),
        ],
    );
}

#[test]
fn routes() {
    check(
        with_route,
        &[
            (
                "«{»match: {prefix: /}}",
                &["one of `forward`, `redirect` and `direct_response` is missing in route"],
            ),
            ("«{»forward: {cluster: a}}", &["missing field `match` in route"]),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «direct_response»: {status: 200}}",
                &[
                    "`forward` and `direct_response` exclude each other | give exactly one of `forward`, `redirect` \
                   and `direct_response`",
                ],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «retry»: {}}",
                &[
                    "unknown field `retry` in route | not implemented: retry policies; the built-in retry of \
                   requests that provably never ran is always on",
                ],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «mirror»: {}}",
                &["unknown field `mirror` in route | not implemented: mirroring of requests"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «cors»: {}}",
                &["unknown field `cors` in route | not implemented: CORS"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «jwt»: {}}",
                &["unknown field `jwt` in route | not implemented: JWT authentication"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, request_body_max: «lots»}",
                &["expected a size, found `lots` | such as `65536`, `64KiB`, `1MiB`"],
            ),
            (
                "{name: x, match: {path: /a}, forward: {cluster: a}}\n    - {name: «x», match: {path: /b}, forward: {cluster: a}}",
                &["a second route `x` | the first stands at 9:14"],
            ),
            (
                "{match: {path: /a}, forward: {cluster: a}}\n    - {name: «v/0», match: {path: /b}, forward: {cluster: a}}",
                &["a second route `v/0` | the first stands at 9:7"],
            ),
        ],
    );
}

#[test]
fn path_matches() {
    check(
        |matches| with_route(&format!("{{match: {matches}, forward: {{cluster: a}}}}")),
        &[
            (
                "«{»}",
                &["one of `path`, `prefix`, `template`, `regex` and `grpc` is missing in route match"],
            ),
            (
                "{path: /a, «prefix»: /b}",
                &[
                    "`path` and `prefix` exclude each other | give exactly one of `path`, `prefix`, `template`, `regex` and `grpc`",
                ],
            ),
            (
                "{path: «a»}",
                &["the path `a` does not begin with `/` | write `/a`"],
            ),
            ("{path: «/a?b»}", &["a path may not contain `?`"]),
            ("{path: «/a b»}", &["a path may not contain ' ' | write `%20`"]),
            ("{path: «/é»}", &["a path may not contain 'é' | write `%C3%A9`"]),
            (
                "{prefix: «/a/../b»}",
                &[
                    "a path with `.` or `..` segments never matches | paths are normalized before they are matched",
                ],
            ),
            (
                "{prefix: «/%zz»}",
                &["`%` is not followed by two hexadecimal digits | a literal `%` is `%25`"],
            ),
            (
                "{prefix: «/%2f»}",
                &["`%2f` never matches | write `%2F`: paths are normalized"],
            ),
            (
                "{prefix: «/%00»}",
                &["`%00` is refused in every request, so this never matches"],
            ),
            (
                "{«preifx»: /}",
                &["unknown field `preifx` in route match | did you mean `prefix`?"],
            ),
            (
                "{template: «'a/{b}'»}",
                &["the path `a/{b}` does not begin with `/` | write `/a/{b}`"],
            ),
            (
                "{template: «'/a/b'»}",
                &["this template has no variable | write `path: /a/b`"],
            ),
            (
                "{template: «'/a/x{b}'»}",
                &["`x{b}` is not a segment of a template | a variable takes a whole segment: `/a/{id}/b`"],
            ),
            (
                "{template: «'/a/{}'»}",
                &["`{}` has no name of letters, digits and `_` | such as `{id}`"],
            ),
            ("{template: «'/{a}/{a}'»}", &["the variable `{a}` stands twice"]),
            (
                "{template: «'/{a/{b}'»}",
                &["`{a` is not a segment of a template | a variable takes a whole segment: `/a/{id}/b`"],
            ),
            ("{regex: «'/a('»}", &["not a regular expression: unclosed group"]),
            (
                "{regex: «'/a)|(b'»}",
                &["not a regular expression: unopened group"],
            ),
            (
                "{regex: «'/\\w{1000}{100}'»}",
                &["the regular expression is too large: more than 1048576 bytes when compiled"],
            ),
            ("{grpc: «{»method: M}}", &["missing field `service` in grpc"]),
            (
                "{grpc: {service: «a/b»}}",
                &["`a/b` is not the name of a gRPC service | such as `package.Service`"],
            ),
            (
                "{grpc: {service: a.B, method: «a/b»}}",
                &["`a/b` is not the name of a gRPC method"],
            ),
            (
                "{grpc: {service: a.B}, methods: «[»GET]}",
                &["a gRPC request has the method POST, so this never matches | remove `methods`"],
            ),
        ],
    );
}

#[test]
fn other_conditions() {
    check(
        |matches| {
            with_route(&format!(
                "{{match: {{prefix: /, {matches}}}, forward: {{cluster: a}}}}"
            ))
        },
        &[
            ("methods: «[»]", &["this list may not be empty"]),
            (
                "methods: [«get»]",
                &["methods are upper case, `get` is not | write `GET`"],
            ),
            (
                "methods: [GET, «GET»]",
                &["a second method `GET` | the first stands at 9:37"],
            ),
            ("methods: [«'G T'»]", &["`G T` is not a method"]),
            (
                "headers: [«{»name: x}]",
                &[
                    "one of `exact`, `prefix`, `suffix`, `contains`, `regex` and `present` is missing in header condition",
                ],
            ),
            (
                "headers: [{name: «':path'», exact: /}]",
                &[
                    "`:path` is not a header name | paths are matched by `path`, `prefix`, `template` or `regex`",
                ],
            ),
            (
                "headers: [{name: «'a b'», exact: x}]",
                &["`a b` is not a header name"],
            ),
            (
                "headers: [{name: x, exact: a, «prefix»: b}]",
                &[
                    "`exact` and `prefix` exclude each other | give exactly one of `exact`, `prefix`, `suffix`, `contains`, `regex` and `present`",
                ],
            ),
            (
                "headers: [{name: x, prefix: «''»}]",
                &["this matches every value | write `present: true`"],
            ),
            (
                "headers: [{name: x, present: «false»}]",
                &["`present: false` matches nothing | write `present: true` with `invert: true`"],
            ),
            (
                "headers: [{name: x, regex: «'['»}]",
                &["not a regular expression: unclosed character class"],
            ),
            (
                "query: [{name: «''», exact: a}]",
                &["a parameter's name may not be empty"],
            ),
            (
                "query: [{name: a, «exakt»: a}]",
                &["unknown field `exakt` in query condition | did you mean `exact`?"],
            ),
            (
                "«source_identity»: a",
                &[
                    "unknown field `source_identity` in route match | not implemented: matching by source identity",
                ],
            ),
        ],
    );
}

#[test]
fn forwards() {
    check(
        |forward| with_route(&format!("{{match: {{prefix: /}}, forward: {forward}}}")),
        &[
            (
                "«{»}",
                &["one of `cluster` and `weighted_clusters` is missing in forward"],
            ),
            ("{weighted_clusters: «[»]}", &["this list may not be empty"]),
            (
                "{weighted_clusters: [«{»cluster: a}]}",
                &["missing field `weight` in weighted cluster"],
            ),
            (
                "{weighted_clusters: «[»{cluster: a, weight: 0}]}",
                &["the weights sum to 0, so no cluster gets a request"],
            ),
            (
                "{weighted_clusters: «[»{cluster: a, weight: 4294967295}, {cluster: backend, weight: 1}]}",
                &["the weights sum to 4294967296, more than 4294967295"],
            ),
            (
                "{weighted_clusters: [{cluster: a, weight: 1}, {cluster: «a», weight: 1}]}",
                &["a second share of the cluster `a` | the first stands at 9:68"],
            ),
            (
                "{cluster: a, prefix_rewrite: /b, «regex_rewrite»: {pattern: a, substitution: b}}",
                &[
                    "`prefix_rewrite` and `regex_rewrite` exclude each other | give at most one of `prefix_rewrite` and `regex_rewrite`",
                ],
            ),
            (
                "{cluster: a, prefix_rewrite: «b»}",
                &["the path `b` does not begin with `/` | write `/b`"],
            ),
            (
                "{cluster: a, regex_rewrite: {pattern: «'('», substitution: b}}",
                &["not a regular expression: unclosed group"],
            ),
            (
                "{cluster: a, regex_rewrite: {pattern: «''», substitution: b}}",
                &["an empty pattern matches everywhere"],
            ),
            (
                "{cluster: a, regex_rewrite: {pattern: (a), substitution: «'\\2'»}}",
                &["the pattern has no group 2"],
            ),
            (
                "{cluster: a, regex_rewrite: {pattern: a, substitution: «'\\x'»}}",
                &["`\\` is not followed by a digit or `\\` | a literal `\\` is `\\\\`"],
            ),
            (
                "{cluster: a, regex_rewrite: {pattern: a, substitution: «'a?b'»}}",
                &[
                    "a substitution is at most 4096 visible ASCII characters, without `?` and `#` | percent-encode the rest",
                ],
            ),
            (
                "{cluster: a, host_rewrite: «'a b'»}",
                &["`a b` is not a host, with or without a port"],
            ),
            (
                "{cluster: a, timeout: «15»}",
                &["the duration `15` has no unit | such as `15s`"],
            ),
            (
                "{cluster: a, «per_try_timeout»: 1s}",
                &[
                    "unknown field `per_try_timeout` in forward | not implemented: timeouts other than `timeout` and `stream_idle_timeout`",
                ],
            ),
            (
                "{cluster: a, «timeuot»: 1s}",
                &["unknown field `timeuot` in forward | did you mean `timeout`?"],
            ),
        ],
    );
    check(
        |matches| {
            with_route(&format!(
                "{{match: {matches}, forward: {{cluster: a, «prefix_rewrite»: /b}}}}"
            ))
        },
        &[
            (
                "{regex: /a.*}",
                &[
                    "`prefix_rewrite` on a route that matches by `regex`: there is no prefix to replace | use \
                   `regex_rewrite`, or match by `prefix` or `path`",
                ],
            ),
            (
                "{template: '/a/{b}'}",
                &[
                    "`prefix_rewrite` on a route that matches by `template`: there is no prefix to replace | use \
                   `regex_rewrite`, or match by `prefix` or `path`",
                ],
            ),
        ],
    );
}

#[test]
fn answers_given_here() {
    let itself = "this redirects a request to itself | give it a `scheme`, `host`, `port` or another path";
    check(
        |action| with_route(&format!("{{match: {{prefix: /a}}, {action}}}")),
        &[
            ("redirect: «{»}", &[itself]),
            ("redirect: «{»status: 302}", &[itself]),
            ("redirect: «{»strip_query: true}", &[itself]),
            ("redirect: «{»prefix_rewrite: /a}", &[itself]),
            (
                "redirect: {scheme: «ftp»}",
                &["expected `http` or `https`, found `ftp`"],
            ),
            (
                "redirect: {host: «a:80»}",
                &["`a:80` has a port | write `a`, and the port in `port`"],
            ),
            ("redirect: {port: «0»}", &["0 is not between 1 and 65535"]),
            (
                "redirect: {host: a, status: «300»}",
                &["expected `301`, `302`, `303`, `307` or `308`, found 300"],
            ),
            (
                "redirect: {path: /b, «prefix_rewrite»: /c}",
                &[
                    "`path` and `prefix_rewrite` exclude each other | give at most one of `path`, `prefix_rewrite` and `regex_rewrite`",
                ],
            ),
            (
                "direct_response: «{»}",
                &["missing field `status` in direct_response"],
            ),
            (
                "direct_response: {status: «100»}",
                &["100 is not between 200 and 599"],
            ),
            (
                "direct_response: {status: 204, body: «x»}",
                &["a response with status 204 has no body"],
            ),
            (
                "direct_response: {status: 200, content_type: «text»}",
                &["`text` is not a media type | such as `text/plain`"],
            ),
        ],
    );
    check(
        |action| with_route(&format!("{{match: {{path: /a}}, {action}}}")),
        &[("redirect: «{»path: /a}", &[itself])],
    );
    let body = "x".repeat(4097);
    check(
        |action| {
            with_route(&format!(
                "{{match: {{path: /a}}, direct_response: {{status: 200, body: «{action}»}}}}"
            ))
        },
        &[(&body, &["the body has 4097 bytes; at most 4096 are allowed"])],
    );
}

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
                "{set: {x-a: «'%REQ(x-b)%'»}}",
                &["`%REQ(x-b)%` would be sent as it stands | not implemented: operators in header values"],
            ),
            (
                "{set: {x-a: «'to %DOWNSTREAM_REMOTE_ADDRESS%'»}}",
                &[
                    "`%DOWNSTREAM_REMOTE_ADDRESS%` would be sent as it stands | not implemented: operators in header values",
                ],
            ),
            (
                "{«sett»: {x-a: a}}",
                &["unknown field `sett` in header edits | did you mean `set`?"],
            ),
        ],
    );
}

//! Virtual hosts, routes and their matches.

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
                    "unknown field `retry` in route | it stands in a route's `forward`; `retry` in a virtual host, too",
                ],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a, «request_mirror_policies»: []}}",
                &["unknown field `request_mirror_policies` in forward | did you mean `mirrors`?"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, response_body_max: «lots»}",
                &["expected a size, found `lots` | such as `65536`, `64KiB`, `1MiB`"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, compression: «gzip»}",
                &["expected `on` or `off`, found `gzip`"],
            ),
            (
                "{match: {prefix: /}, forward: {cluster: a}, «jwt_authn»: {}}",
                &["unknown field `jwt_authn` in route | did you mean `jwt`?"],
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
                &[
                    "one of `path`, `prefix`, `string_prefix`, `template`, `regex`, `grpc` and `connect` is missing in route match",
                ],
            ),
            (
                "{path: /a, «prefix»: /b}",
                &[
                    "`path` and `prefix` exclude each other | give exactly one of `path`, `prefix`, `string_prefix`, `template`, `regex`, `grpc` and `connect`",
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
                "methods: [«CONNECT»]",
                &[
                    "a route with a path never takes CONNECT requests, which have none | give them a route with `match: {connect: true}`",
                ],
            ),
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
                &["unknown field `source_identity` in route match | did you mean `source_identities`?"],
            ),
        ],
    );
}

#[test]
fn connect_matches() {
    check(
        |matches| with_route(&format!("{{match: {{{matches}}}, forward: {{cluster: a}}}}")),
        &[
            (
                "connect: «false»",
                &[
                    "`connect: false` matches nothing | remove it: only `connect: true` takes CONNECT requests",
                ],
            ),
            (
                "connect: true, «prefix»: /",
                &[
                    "`connect` and `prefix` exclude each other | give exactly one of `path`, `prefix`, `string_prefix`, `template`, `regex`, `grpc` and `connect`",
                ],
            ),
            (
                "connect: true, «methods»: [GET]",
                &[
                    "`methods` on a route that takes CONNECT requests: the method is CONNECT | remove `methods`",
                ],
            ),
            (
                "connect: true, «query»: [{name: a, exact: b}]",
                &["`query` on a route that takes CONNECT requests: they have no query | remove `query`"],
            ),
        ],
    );
    check(
        |action| with_route(&format!("{{match: {{connect: true}}, {action}}}")),
        &[
            (
                "forward: {cluster: a, «prefix_rewrite»: /b}",
                &["`prefix_rewrite` on a route that takes CONNECT requests, which have no path | remove it"],
            ),
            (
                "redirect: {«regex_rewrite»: {pattern: a, substitution: b}}",
                &["`regex_rewrite` on a route that takes CONNECT requests, which have no path | remove it"],
            ),
            (
                "forward: {cluster: a, connect: «block»}",
                &["expected `terminate` or `pass`, found `block`"],
            ),
        ],
    );
}

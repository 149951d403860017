//! What is done with requests: forwards, redirects, direct responses.

use super::super::with_route;
use super::check;

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
                    "`prefix_rewrite` and `regex_rewrite` exclude each other | give at most one of `prefix_rewrite`, `regex_rewrite` and `template_rewrite`",
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
                &["unknown field `per_try_timeout` in forward | it stands in `retry`"],
            ),
            (
                "{cluster: a, upgrades: [websocket, «WebSocket»]}",
                &["a second protocol `websocket` | the first stands at 9:61"],
            ),
            (
                "{cluster: a, upgrade_idle_timeout: «0s»}",
                &["this duration may not be zero | write `off` for no limit"],
            ),
            (
                "{cluster: a, «connect»: pass}",
                &[
                    "`connect` on a route that takes no CONNECT requests | only one with `match: {connect: true}` does",
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
                    "`path` and `prefix_rewrite` exclude each other | give at most one of `path`, `prefix_rewrite`, `regex_rewrite` and `template_rewrite`",
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
fn template_rewrites() {
    check(
        |rewrite| {
            with_route(&format!(
                "{{match: {{template: '/a/{{id}}/{{name}}'}}, forward: {{cluster: a, template_rewrite: {rewrite}}}}}"
            ))
        },
        &[
            ("«b»", &["the path `b` does not begin with `/` | write `/b`"]),
            (
                "«'/b/{other}'»",
                &["the route's template has no variable `other` | it has `id` and `name`"],
            ),
            (
                "«'/b/x{id}'»",
                &["`x{id}` is not a segment of a template | a variable takes a whole segment: `/a/{id}/b`"],
            ),
        ],
    );
    check(
        |matches| {
            with_route(&format!(
                "{{match: {{{matches}}}, forward: {{cluster: a, «template_rewrite»: '/b/{{id}}'}}}}"
            ))
        },
        &[
            (
                "prefix: /",
                &[
                    "`template_rewrite` on a route that matches by `path`, `prefix`, `string_prefix` or `grpc`: there are no variables | \
                     use another rewrite, or match by `template`",
                ],
            ),
            (
                "regex: /",
                &[
                    "`template_rewrite` on a route that matches by `regex`: there are no variables | use another \
                     rewrite, or match by `template`",
                ],
            ),
            (
                "connect: true",
                &[
                    "`template_rewrite` on a route that takes CONNECT requests, which have no path | remove it",
                ],
            ),
        ],
    );
    check(
        |redirect| {
            with_route(&format!(
                "{{match: {{template: '/a/{{id}}'}}, redirect: {redirect}}}"
            ))
        },
        &[(
            "«{»template_rewrite: '/a/{id}'}",
            &["this redirects a request to itself | give it a `scheme`, `host`, `port` or another path"],
        )],
    );
}

#[test]
fn mirrors_and_session_cookies() {
    check(
        |fields| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: a, {fields}}}}}"
            ))
        },
        &[
            (
                "mirrors: [«{»percent: 5}]",
                &["missing field `cluster` in mirror"],
            ),
            ("mirrors: [{cluster: «c»}]", &["no cluster is named `c`"]),
            (
                "mirrors: [{cluster: backend}, {cluster: «backend», percent: 1}]",
                &["a second mirror to the cluster `backend` | the first stands at 9:70"],
            ),
            (
                "mirrors: [{cluster: backend, percent: «101»}]",
                &["101 is not between 0 and 100"],
            ),
            (
                "mirrors: [{cluster: backend, percent: «100.0001»}]",
                &["100.0001 is not between 0 and 100"],
            ),
            (
                "mirrors: [{cluster: backend, percent: «0.00001»}]",
                &["a percentage has at most four digits after the point"],
            ),
            (
                "mirrors: [{cluster: backend, percent: «5%»}]",
                &["expected a percentage, found `5%` | such as `10` or `12.5`"],
            ),
            (
                "mirrors: [{cluster: backend, percent: «-1»}]",
                &["expected a percentage, found `-1` | such as `10` or `12.5`"],
            ),
            (
                "session_cookie: «{»}",
                &["missing field `name` in session_cookie"],
            ),
            (
                "session_cookie: {name: «a b»}",
                &[
                    "`a b` is not the name of a cookie | it has 1 to 64 letters, digits and signs, no space and no `=`",
                ],
            ),
            (
                "session_cookie: {name: a, max_age: «0s»}",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "session_cookie: {name: a, max_age: «1500ms»}",
                &["`max_age` is counted in whole seconds"],
            ),
            (
                "session_cookie: {name: a, path: «a»}",
                &["the path `a` does not begin with `/` | write `/a`"],
            ),
            (
                "session_cookie: {name: a, path: «/a;b»}",
                &["the path of a cookie may not contain `;` or `,`"],
            ),
            (
                "session_cookie: {name: a, same_site: «Lax»}",
                &["expected `strict`, `lax` or `none`, found `Lax` | did you mean `lax`?"],
            ),
            (
                "«stateful_session»: {name: a}",
                &["unknown field `stateful_session` in forward | did you mean `session_cookie`?"],
            ),
        ],
    );
    check(
        |fields| {
            with_route(&format!(
                "{{match: {{connect: true}}, forward: {{cluster: a, {fields}}}}}"
            ))
        },
        &[(
            "«mirrors»: [{cluster: backend}]",
            &["`mirrors` on a route that takes CONNECT requests, which cannot be copied | remove it"],
        )],
    );
}

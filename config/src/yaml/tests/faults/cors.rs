//! Cross-origin resource sharing.

use super::super::with_route;
use super::check;

fn around(cors: &str) -> String {
    with_route(&format!(
        "{{match: {{prefix: /}}, forward: {{cluster: a}}, cors: {cors}}}"
    ))
}

#[test]
fn origins() {
    let like = "such as `https://a.example` or `http://a.example:8080`, without a path";
    let not = |origin: &str| format!("`{origin}` is not an origin | {like}");
    check(
        around,
        &[
            ("«on»", &["expected `off` or a map, found `on`"]),
            ("«{»}", &["missing field `allow_origins` in cors"]),
            ("{allow_origins: «[»]}", &["this list may not be empty"]),
            (
                "{allow_origins: «https://a.example»}",
                &["expected `*` or a list of origins, found `https://a.example`"],
            ),
            (
                "{allow_origins: [https://a.example, «'*'»]}",
                &["`*` allows every origin, the others too | write `*` alone, or remove it"],
            ),
            (
                "{allow_origins: [https://a.example, «https://a.example»]}",
                &["a second origin `https://a.example` | the first stands at 9:74"],
            ),
            ("{allow_origins: [«a.example»]}", &[&not("a.example")]),
            ("{allow_origins: [«https://»]}", &[&not("https://")]),
            (
                "{allow_origins: [«https://a.example/b»]}",
                &[&not("https://a.example/b")],
            ),
            (
                "{allow_origins: [«https://a.example/»]}",
                &["`https://a.example/` is not an origin | write `https://a.example`"],
            ),
            (
                "{allow_origins: [{exact: «https://A.example»}]}",
                &[
                    "browsers write origins in lower case, so `https://A.example` never matches | write `https://a.example`",
                ],
            ),
            (
                "{allow_origins: [«https://a.example:443»]}",
                &[
                    "browsers leave the usual port out, so `https://a.example:443` never matches | write `https://a.example`",
                ],
            ),
            (
                "{allow_origins: [«{»}]}",
                &["one of `exact`, `prefix`, `suffix`, `contains` and `regex` is missing in origin"],
            ),
            (
                "{allow_origins: [{regex: «'('»}]}",
                &["not a regular expression: unclosed group"],
            ),
        ],
    );
}

#[test]
fn what_is_allowed() {
    check(
        |fields| around(&format!("{{allow_origins: [https://a.example], {fields}}}")),
        &[
            (
                "allow_methods: [«get»]",
                &["methods are upper case, `get` is not | write `GET`"],
            ),
            (
                "allow_methods: [«'*'»]",
                &["`*` is not a method | leave `allow_methods` out to allow those that are asked for"],
            ),
            (
                "allow_headers: [«'*'»]",
                &[
                    "`*` is not the name of a header here | leave `allow_headers` out to allow those that are asked for",
                ],
            ),
            (
                "allow_headers: [x-a, «X-A»]",
                &["a second value `x-a` | the first stands at 9:110"],
            ),
            ("expose_headers: [«a b»]", &["`a b` is not a header name"]),
            (
                "expose_headers: «[»'*'], allow_credentials: true",
                &["with credentials `*` exposes nothing but a header of that name | name the headers"],
            ),
            ("max_age: «1ms»", &["`max_age` is counted in whole seconds"]),
            (
                "«allow_credential»: true",
                &["unknown field `allow_credential` in cors | did you mean `allow_credentials`?"],
            ),
        ],
    );
    let any = "every origin is allowed to send credentials: any page could act for its visitors | name the origins, or \
               remove `allow_credentials`";
    check(
        around,
        &[
            ("{allow_credentials: true, allow_origins: «'*'»}", &[any]),
            ("{allow_credentials: true, allow_origins: «[»'*']}", &[any]),
        ],
    );
}

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

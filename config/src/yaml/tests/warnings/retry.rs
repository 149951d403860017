//! Retries that never happen.

use super::super::{valid, with_route};
use super::check;

#[test]
fn retries_without_effect() {
    check(
        |retry| {
            with_route(&format!(
                "{{match: {{prefix: /}}, forward: {{cluster: backend, timeout: 1s, retry: {retry}}}}}\n    \
                 - {{match: {{prefix: /}}, forward: {{cluster: a}}}}"
            ))
            .replace(
                "prefix: /}, forward: {cluster: a}",
                "path: /a}, forward: {cluster: a}",
            )
            .replacen("{match: {prefix: /}", "{match: {prefix: /b}", 1)
        },
        &[
            ("{retry_on: [5xx], per_try_timeout: 999ms}", &[]),
            (
                "«{»retry_on: [5xx], per_try_timeout: 1s}",
                &[
                    "`per_try_timeout`, 1s, never passes: the route's `timeout` is 1s | give the route a longer `timeout`, or \
                     attempts a shorter one",
                ],
            ),
            (
                "{retry_on: [5xx], «retriable_status_codes»: [409]}",
                &[
                    "`retriable_status_codes` has no effect: `retriable-status-codes` is not in `retry_on` | add \
                     `retriable-status-codes` to `retry_on`, or remove `retriable_status_codes`",
                ],
            ),
            (
                "«{»}",
                &[
                    "this policy repeats nothing: `retry_on` names no condition | write `retry_on: [5xx]`, or `retry: off`",
                ],
            ),
            (
                "{retry_on: «[»5xx, unavailable, internal]}",
                &[
                    "`internal` and `unavailable` in `retry_on` has no effect: gRPC requests have the method POST, and what may \
                     have run is not sent again | write `idempotent: declared` if the methods that are called are, or \
                     `idempotent: {header: NAME}`",
                ],
            ),
            ("{retry_on: [unavailable], idempotent: declared}", &[]),
        ],
    );
}

#[test]
fn what_is_not_idempotent() {
    check(
        |retry| {
            with_route(&format!(
                "{{match: {{prefix: /, methods: [POST]}}, forward: {{cluster: backend, retry: {retry}}}}}\n    \
                 - {{match: {{prefix: /}}, forward: {{cluster: a}}}}"
            ))
        },
        &[
            ("{retry_on: [5xx, reset]}", &[]),
            (
                "«{»hedging: {after: 1s}}",
                &[
                    "`hedging` has no effect: the route takes only methods that are not idempotent | write `idempotent: \
                     declared` if what is done is, or `idempotent: {header: NAME}`",
                ],
            ),
            (
                "{hedging: {after: 1s}, idempotent: {header: idempotency-key}}",
                &[],
            ),
            (
                "«{»retry_on: [retriable-4xx]}",
                &[
                    "`retriable-4xx` in `retry_on` has no effect: the route takes only methods that are not idempotent, and \
                     what may have run is not sent again | write `idempotent: declared` if what is done is, or `idempotent: \
                     {header: NAME}`",
                ],
            ),
        ],
    );
}

#[test]
fn virtual_hosts_whose_policy_nobody_takes() {
    let document = |first: &str, second: &str| {
        with_route(&format!(
            "{{match: {{path: /}}, forward: {{cluster: a{first}}}}}\n    \
             - {{match: {{path: /b}}, forward: {{cluster: backend{second}}}}}"
        ))
        .replace("domains: ['*']", "domains: ['*']\n    retry: {retry_on: [5xx]}")
    };
    let own = ", retry: {retry_on: [reset]}";
    assert!(valid(&document("", own)).warnings.is_empty());
    let warnings = valid(&document(", retry: off", own)).warnings;
    assert_eq!(
        warnings[0].message(),
        "`retry` has no effect: no route forwards without saying otherwise"
    );
    assert_eq!((warnings[0].line(), warnings.len()), (8, 1));
}

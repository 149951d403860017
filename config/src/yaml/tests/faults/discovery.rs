//! Where endpoints come from.

use super::super::{read, with_cluster};
use super::check;
use crate::yaml::discovery::DNS_NAMES_MAX;

#[test]
fn types() {
    check(
        |fields| with_cluster(&format!("{{name: a, {fields}}}")),
        &[
            (
                "discovery: «strict_dns»",
                &["expected a map (discovery), found `strict_dns`"],
            ),
            ("discovery: «{»}", &["missing field `type` in discovery"]),
            (
                "discovery: {type: «STRICT_DNS», names: [{host: b, port: 1}]}",
                &[
                    "expected `static`, `strict_dns`, `logical_dns` or `original_destination`, found `STRICT_DNS` | \
                     did you mean `strict_dns`?",
                ],
            ),
            (
                "discovery: {type: «eds»}",
                &[
                    "expected `static`, `strict_dns`, `logical_dns` or `original_destination`, found `eds` | not \
                     implemented: discovery of endpoints by xDS",
                ],
            ),
            (
                "discovery: «{»type: strict_dns}",
                &["missing field `names` in discovery (strict_dns)"],
            ),
            (
                "discovery: {type: strict_dns, names: «[»]}",
                &["this list may not be empty"],
            ),
            (
                "discovery: {type: logical_dns, names: «[»{host: b, port: 1}, {host: c, port: 1}]}",
                &[
                    "logical_dns has one name, here are 2 | write `type: strict_dns`, or give each name a cluster",
                ],
            ),
            (
                "discovery: {type: strict_dns, names: [{host: b, port: 1}]}, «endpoints»: []",
                &[
                    "`endpoints` on a cluster whose endpoints are discovered (`strict_dns`) | list endpoints or \
                     discover them: remove `endpoints` or `discovery`",
                ],
            ),
            (
                "«endpoints»: [{address: 127.0.0.1:1}], discovery: {type: original_destination}",
                &[
                    "`endpoints` on a cluster whose endpoints are discovered (`original_destination`) | list endpoints \
                     or discover them: remove `endpoints` or `discovery`",
                ],
            ),
            (
                "discovery: {type: static, «names»: [{host: b, port: 1}], «port»: 1}",
                &[
                    "`names` has no meaning with `type: static` | it is used by `strict_dns` and `logical_dns`; remove \
                     it, or change the type",
                    "`port` has no meaning with `type: static` | it is used by `original_destination`; remove it, or \
                     change the type",
                ],
            ),
            (
                "discovery: {type: original_destination, «family»: v4}",
                &[
                    "`family` has no meaning with `type: original_destination` | it is used by `strict_dns` and \
                     `logical_dns`; remove it, or change the type",
                ],
            ),
            (
                "discovery: {type: logical_dns, names: [{host: b, port: 1}], «allow»: [10.0.0.0/8]}",
                &[
                    "`allow` has no meaning with `type: logical_dns` | it is used by `original_destination`; remove it, \
                     or change the type",
                ],
            ),
            (
                "«dns»: {}",
                &["unknown field `dns` in cluster | did you mean `discovery`?"],
            ),
        ],
    );
}

#[test]
fn dns() {
    check(
        |fields| {
            with_cluster(&format!(
                "{{name: a, discovery: {{type: strict_dns, names: [{{host: b, port: 1}}], {fields}}}}}"
            ))
        },
        &[
            (
                "family: «ipv4»",
                &["expected `both`, `v4`, `v6`, `v4_preferred` or `v6_preferred`, found `ipv4`"],
            ),
            (
                "ttl_min: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "ttl_min: «10m»",
                &["`ttl_min` (600s) is longer than `ttl_max` (300s)"],
            ),
            (
                "ttl_max: «500ms»",
                &["`ttl_min` (1s) is longer than `ttl_max` (500ms)"],
            ),
            (
                "query_timeout: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
            (
                "stale_max: «off»",
                &["expected a duration, found `off` | such as `15s`, `250ms`, `5m`"],
            ),
            (
                "resolvers: [«0.0.0.0»]",
                &["0.0.0.0:53 is not the address of a resolver"],
            ),
            (
                "resolvers: [«ns.example:53»]",
                &[
                    "expected an IP address and a port, found `ns.example:53` | host names are not resolved here",
                ],
            ),
            (
                "resolvers: [10.0.0.1, «10.0.0.1:53»]",
                &["a second value `10.0.0.1:53` | the first stands at 2:84"],
            ),
            (
                "«dns_lookup_family»: V4_ONLY",
                &["unknown field `dns_lookup_family` in discovery | did you mean `family`?"],
            ),
        ],
    );
}

#[test]
fn dns_names() {
    let not_a_name = "such as `backend.example`: labels of a-z 0-9 - _, 1 to 63 long";
    let not = |text: &str| format!("`{text}` is not a domain name | {not_a_name}");
    check(
        |name| {
            with_cluster(&format!(
                "{{name: a, discovery: {{type: strict_dns, names: [{name}]}}}}"
            ))
        },
        &[
            ("«{»host: b}", &["one of `port` and `srv` is missing in dns name"]),
            (
                "{host: b, port: 1, «srv»: true}",
                &["`port` and `srv` exclude each other | give exactly one of `port` and `srv`"],
            ),
            (
                "{host: b, srv: «false»}",
                &["`srv: false` leaves the port unknown | write `port`, or `srv: true`"],
            ),
            ("{host: b, port: «0»}", &["0 is not between 1 and 65535"]),
            (
                "{host: b, port: 1, weight: «0»}",
                &["0 is not between 1 and 65535"],
            ),
            (
                "{host: b, port: 1}, {host: «B.», port: 1}, {host: b, port: 2}, {host: b, srv: true}",
                &["a second name `b:1` | the first stands at 2:58"],
            ),
            (
                "{host: «10.0.0.1», port: 1}",
                &[
                    "`10.0.0.1` is an address, not a name | list it in `endpoints`: `{address: '10.0.0.1:80'}`",
                ],
            ),
            (
                "{host: «'[::1]'», port: 1}",
                &["`[::1]` is an address, not a name | list it in `endpoints`: `{address: '[::1]:80'}`"],
            ),
            (
                "{host: «b.example:80», port: 1}",
                &["`b.example:80` has a port | write `b.example`, and the port in `port`"],
            ),
            (
                "{host: «é.example», port: 1}",
                &["`é.example` is not a domain name | write its ASCII form, which begins with `xn--`"],
            ),
            ("{host: «''», port: 1}", &[&not("")]),
            ("{host: «'.'», port: 1}", &[&not(".")]),
            ("{host: «a..b», port: 1}", &[&not("a..b")]),
            ("{host: «-a.b», port: 1}", &[&not("-a.b")]),
            ("{host: «a-.b», port: 1}", &[&not("a-.b")]),
            ("{host: «a b», port: 1}", &[&not("a b")]),
            ("{host: «'*.b'», port: 1}", &[&not("*.b")]),
            ("{host: «10.0.0.256», port: 1}", &[&not("10.0.0.256")]),
        ],
    );
    let long = ["a".repeat(64), vec!["a".repeat(63); 4].join(".")];
    for host in &long {
        let text =
            format!("{{name: a, discovery: {{type: strict_dns, names: [{{host: {host}, port: 1}}]}}}}");
        let faults = read(&with_cluster(&text)).unwrap_err();
        assert!(faults.to_string().contains("is not a domain name"), "{faults}");
    }
    let many = "{host: b, srv: true}, ".repeat(DNS_NAMES_MAX + 1);
    let text = format!("{{name: a, discovery: {{type: strict_dns, names: [{many}]}}}}");
    let faults = read(&with_cluster(&text)).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults.iter().next().unwrap().message(), "more than 1000 names");
}

#[test]
fn original_destinations() {
    check(
        |fields| {
            with_cluster(&format!(
                "{{name: a, discovery: {{type: original_destination, {fields}}}}}"
            ))
        },
        &[
            ("port: «65536»", &["65536 is not between 1 and 65535"]),
            (
                "allow: [«10.0.0.1/8»]",
                &["`10.0.0.1/8` has bits set beyond its prefix length | did you mean `10.0.0.0/8`?"],
            ),
            ("endpoints_max: «0»", &["0 is not between 1 and 1000000"]),
            (
                "idle_timeout: «0s»",
                &["this duration may not be zero | it has no meaning as zero"],
            ),
        ],
    );
}

//! Generated access logs.

use super::{duration, maybe, quoted};
use proptest::collection::vec;
use proptest::prelude::*;

pub(super) fn logs() -> BoxedStrategy<String> {
    let log = (
        format(),
        maybe(
            "omit_empty_values",
            any::<bool>().prop_map(|omits| omits.to_string()),
        ),
        maybe(
            "headers_allowed",
            "[a-z]{1,9}".prop_map(|name| format!("[{name}, x-api-key]")),
        ),
        maybe("filter", filter()),
    );
    let log = log.prop_map(|(format, omits, allowed, filter)| {
        format!("{{path: /x y, format: {format}, {omits}{allowed}{filter}}}")
    });
    vec(log, 1..3)
        .prop_map(|logs| format!("[{}]", logs.join(", ")))
        .boxed()
}

fn line() -> BoxedStrategy<String> {
    "[^\\r\\n]{1,20}".prop_map(|line| quoted(&line)).boxed()
}

fn format() -> BoxedStrategy<String> {
    let member = line().prop_recursive(3, 12, 4, |member| {
        let pairs = vec(("[a-zA-Z \"]{1,5}", member.clone()), 1..4);
        let map = pairs.prop_map(|pairs| {
            let written = pairs.iter().enumerate();
            let members: Vec<String> = written
                .map(|(place, (key, value))| format!("{}: {value}", quoted(&format!("{key}{place}"))))
                .collect();
            format!("{{{}}}", members.join(", "))
        });
        let list = vec(member, 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
        prop_oneof![map, list].boxed()
    });
    let members = vec(("[a-zA-Z \"]{1,5}", member), 1..4);
    prop_oneof![
        Just("text".to_owned()),
        Just("json".to_owned()),
        line().prop_map(|line| format!("{{text: {line}}}")),
        members.prop_map(|members| {
            let written = members.iter().enumerate();
            let members: Vec<String> = written
                .map(|(place, (key, value))| format!("{}: {value}", quoted(&format!("{key}{place}"))))
                .collect();
            format!("{{json: {{{}}}}}", members.join(", "))
        }),
    ]
    .boxed()
}

fn filter() -> BoxedStrategy<String> {
    let relation = || {
        prop_oneof![
            Just("at_least"),
            Just("at_most"),
            Just("equals"),
            Just("differs_from")
        ]
    };
    let leaf = prop_oneof![
        (relation(), 0..1000_u32)
            .prop_map(|(relation, status)| format!("{{status: {{{relation}: {status}}}}}")),
        (relation(), duration()).prop_map(|(relation, span)| format!("{{duration: {{{relation}: {span}}}}}")),
        Just("{status: {at_least: 400, at_most: 499}}".to_owned()),
        Just("{response_flags: any}".to_owned()),
        Just("{response_flags: [UH, RLSE, DC]}".to_owned()),
        (0..=100_u32).prop_map(|percent| format!("{{sampled: {percent}}}")),
        Just("{sampled: {percent: 0.0125, by: random}}".to_owned()),
        Just("{routes: [a, b]}".to_owned()),
        Just("{not_health_check: true}".to_owned()),
        Just("{grpc_status: [0, 16]}".to_owned()),
        (any::<bool>(), line()).prop_map(|(invert, value)| format!(
            "{{headers: [{{name: ':path', exact: {value}, invert: {invert}}}]}}"
        )),
        Just("{headers: [{name: a, present: true}, {name: b, regex: 'x+'}]}".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = vec(inner.clone(), 1..4).prop_map(|filters| filters.join(", "));
        prop_oneof![
            inner.prop_map(|inner| format!("{{not: {inner}}}")),
            (some.clone(), prop_oneof![Just("any_of"), Just("all_of")])
                .prop_map(|(filters, of)| format!("{{{of}: [{filters}]}}")),
        ]
    })
    .boxed()
}

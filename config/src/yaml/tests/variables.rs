//! `${VAR}` and `${VAR:-default}`.

use super::{expect, unmark};
use crate::{Diagnostics, Environment, Loaded, Source, load};
use std::collections::BTreeMap;

fn read(text: &str) -> Result<Loaded, Diagnostics> {
    let variables = [
        ("HOST", "127.0.0.1"),
        ("PORT", "7001"),
        ("WORKERS", "3"),
        ("EMPTY", ""),
        ("NESTED", "${HOST}"),
        ("TEXT", "a: [b, #c"),
        ("YES", "true"),
    ];
    let map: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    load(
        &Source {
            name: "mesh.yaml".into(),
            text: text.into(),
        },
        &Environment::from(map),
    )
}

fn metadata(value: &str) -> String {
    let text =
        format!("clusters: [{{name: a, endpoints: [{{address: 127.0.0.1:1, metadata: {{v: {value}}}}}]}}]\n");
    let loaded = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    loaded.config.clusters()[0].endpoints()[0].metadata()["v"].clone()
}

#[test]
fn values_are_put_into_every_kind_of_text() {
    assert_eq!(metadata("'${HOST}:${PORT}'"), "127.0.0.1:7001");
    assert_eq!(metadata("\"a ${PORT}\\n\""), "a 7001\n");
    assert_eq!(metadata("'${UNSET:-other}'"), "other");
    assert_eq!(metadata("'${EMPTY:-other}'"), "other", "as a shell does");
    assert_eq!(metadata("'${EMPTY}'"), "");
    assert_eq!(metadata("'${UNSET:-}'"), "");
    assert_eq!(metadata("'${UNSET:-a:-b}'"), "a:-b");
    assert_eq!(metadata("'${NESTED}'"), "${HOST}", "once, not again");
    assert_eq!(metadata("'${TEXT}'"), "a: [b, #c", "a value is never YAML");
}

#[test]
fn escapes_and_lone_dollars_stay() {
    assert_eq!(metadata("'$${HOST}'"), "${HOST}");
    assert_eq!(metadata("'$$${HOST}'"), "$${HOST}");
    assert_eq!(metadata("'$HOST $ $$'"), "$HOST $ $$");
}

#[test]
fn values_take_the_type_that_is_asked_for() {
    let loaded = read("runtime: {workers: \"${WORKERS}\"}\nadmin: {address: '${HOST}:${PORT}'}\n").unwrap();
    assert_eq!(loaded.config.runtime().workers(), Some(3));
    assert_eq!(loaded.config.admin().address().to_string(), "127.0.0.1:7001");
    let block = "runtime:\n  workers: ${WORKERS}\n";
    assert_eq!(read(block).unwrap().config.runtime().workers(), Some(3));
    let text = super::with_http("accept_http_10: '${YES}'");
    assert!(
        read(&text).unwrap().config.listeners()[0].filter_chains()[0]
            .mode()
            .http()
            .unwrap()
            .accept_http_10()
    );
}

#[test]
fn keys_are_left_alone() {
    let text = "clusters: [{name: a, endpoints: [{address: 127.0.0.1:1, metadata: {'${HOST}': a}}]}]\n";
    let loaded = read(text).unwrap();
    assert!(
        loaded.config.clusters()[0].endpoints()[0]
            .metadata()
            .contains_key("${HOST}")
    );
}

#[test]
fn what_cannot_be_put_in_is_a_fault_at_its_place() {
    let table: &[(&str, &[&str])] = &[
        (
            "drain: {grace: '«${GRACE}»'}\n",
            &["the variable `GRACE` is not set | set it, or give a default: `${GRACE:-default}`"],
        ),
        (
            "drain: {grace: \"1 «${PROT}»\"}\n",
            &["the variable `PROT` is not set | did you mean `${PORT}`?"],
        ),
        (
            "drain:\n  grace: «${A_1}»«${B_2}»\n",
            &[
                "the variable `A_1` is not set | set it, or give a default: `${A_1:-default}`",
                "the variable `B_2` is not set | set it, or give a default: `${B_2:-default}`",
            ],
        ),
        (
            "drain: {grace: '«${A B}»'}\n",
            &["`A B` is not the name of a variable | write `$${` where a literal `${` is meant"],
        ),
        (
            "drain: {grace: '«${1}»'}\n",
            &["`1` is not the name of a variable | write `$${` where a literal `${` is meant"],
        ),
        (
            "drain: {grace: '«${PORT»'}\n",
            &["`${` without `}` | write `$${` where a literal `${` is meant"],
        ),
    ];
    for (marked, messages) in table {
        let faults = read(&unmark(marked).0).unwrap_err();
        expect(marked, &faults.into_vec(), messages).unwrap();
    }
}

#[test]
fn the_process_environment_is_read() {
    let path = std::env::var("PATH").unwrap();
    let text = "clusters: [{name: a, endpoints: [{address: 127.0.0.1:1, metadata: {v: '${PATH}'}}]}]\n";
    let loaded = load(
        &Source {
            name: "a".into(),
            text: text.into(),
        },
        &Environment::process(),
    )
    .unwrap();
    assert_eq!(loaded.config.clusters()[0].endpoints()[0].metadata()["v"], path);
}

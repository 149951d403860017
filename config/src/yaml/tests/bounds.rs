//! What a document may cost: size, nesting, aliases, variables, diagnostics; and that large valid ones load.

use super::{read, valid};
use crate::yaml::tree::{ALIASED_NODES_MAX, DOCUMENT_BYTES_MAX, NESTING_MAX};
use crate::{Environment, LoadError, Source, load, load_file};
use std::collections::BTreeMap;
use std::fmt::Write;

fn only_message(text: &str) -> String {
    let faults = read(text).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults}");
    faults.iter().next().unwrap().message().to_owned()
}

#[test]
fn documents_end_at_a_size() {
    let padding = |bytes: usize| format!("drain: {{}}\n#{}", " ".repeat(bytes - 11));
    valid(&padding(DOCUMENT_BYTES_MAX));
    let expected = format!("the document has 16777217 bytes; at most {DOCUMENT_BYTES_MAX} are read");
    assert_eq!(only_message(&padding(DOCUMENT_BYTES_MAX + 1)), expected);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.yaml");
    std::fs::write(&file, padding(DOCUMENT_BYTES_MAX + 1)).unwrap();
    let error = load_file(&file, &Environment::empty()).unwrap_err();
    assert!(
        matches!(error, LoadError::Read { .. }),
        "it is not even read: {error}"
    );
}

#[test]
fn nesting_ends_at_a_depth() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let nested = |depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
        let message = only_message(&format!("{}\n", nested(NESTING_MAX + 1)));
        assert_eq!(
            message,
            format!("more than {NESTING_MAX} lists and maps inside each other")
        );
        assert!(!only_message(&nested(NESTING_MAX)).contains("inside each other"));
        let endless = only_message(&open.repeat(1_000_000));
        assert!(endless.contains("inside each other"), "{endless}");
    }
    let mut block = String::new();
    for depth in 0..500 {
        let _ = writeln!(block, "{}a:", " ".repeat(depth));
    }
    assert!(only_message(&block).contains("inside each other"));
}

#[test]
fn aliases_share_and_do_not_explode() {
    let shared = valid(
        "clusters:\n- {name: a, endpoints: &e [{address: 127.0.0.1:1}], http2: &h {stream_window: 2MiB}, protocol: http2}\n\
         - {name: b, endpoints: *e, http2: *h, protocol: http2}\n",
    );
    let clusters = shared.config.clusters();
    assert_eq!(clusters[0].endpoints(), clusters[1].endpoints());
    assert_eq!(clusters[1].http2().stream_window_bytes(), 2 << 20);

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    assert_eq!(
        only_message(&bomb),
        format!("aliases add more than {ALIASED_NODES_MAX} values")
    );
}

#[test]
fn aliases_do_not_nest_without_end() {
    // Each level is as deep as may be written, and holds the one before: within the number of values, without end.
    let (open, close) = ("[".repeat(NESTING_MAX - 1), "]".repeat(NESTING_MAX - 1));
    let mut chain = format!("a0: &a0 {open}x{close}\n");
    for level in 1..170 {
        let _ = writeln!(chain, "a{level}: &a{level} {open}*a{}{close}", level - 1);
    }
    assert_eq!(
        only_message(&chain),
        format!("more than {NESTING_MAX} lists and maps inside each other")
    );
}

#[test]
fn variables_do_not_explode() {
    let environment = Environment::from(BTreeMap::from([("LONG".to_owned(), "x".repeat(1 << 20))]));
    let text = format!("clusters: [{}]\n", "'${LONG}', ".repeat(17));
    let faults = load(
        &Source {
            name: "a".into(),
            text,
        },
        &environment,
    )
    .unwrap_err();
    assert!(
        faults
            .to_string()
            .contains("variables add more than 16777216 bytes")
    );
}

#[test]
fn faults_are_kept_up_to_a_number_and_counted_beyond_it() {
    let text = format!("clusters:\n{}", "- {name: a, weight: 1}\n".repeat(3000));
    let faults = read(&text).unwrap_err();
    // An unknown field in each, and a second name in all but one.
    assert_eq!(faults.len(), 1001);
    assert_eq!(
        faults.iter().last().unwrap().message(),
        "4999 more faults are not shown"
    );
}

#[test]
fn one_long_line_with_many_faults_stays_small() {
    let text = format!("clusters: [{}]\n", "{}, ".repeat(20_000));
    let faults = read(&text).unwrap_err();
    assert!(faults.to_string().len() < 1_000_000);
    assert_eq!(faults.iter().nth(7).unwrap().column(), 12 + 7 * 4);
}

#[test]
fn ten_thousand_clusters_and_routes_load() {
    let mut text = "listeners:\n- name: l\n  address: 127.0.0.1:1\n  filter_chains: [{http: {route_configuration: r}}]\n\
                    route_configurations:\n- name: r\n  virtual_hosts:\n  - name: v\n    domains: ['*']\n    routes:\n"
        .to_owned();
    for number in 0..10_000 {
        let _ = writeln!(
            text,
            "    - {{match: {{prefix: /p/{number}}}, forward: {{cluster: cluster-{number}}}}}"
        );
    }
    text.push_str("clusters:\n");
    for number in 0..10_000u32 {
        let _ = writeln!(text, "- name: cluster-{number}\n  endpoints:");
        for endpoint in 0..2 {
            let _ = writeln!(
                text,
                "  - {{address: 10.{}.{}.{endpoint}:80}}",
                number / 256,
                number % 256
            );
        }
    }
    let loaded = valid(&text);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
    assert_eq!(loaded.config.clusters().len(), 10_000);
    assert_eq!(loaded.config.clusters()[9_999].endpoints().len(), 2);
}

#[test]
fn ten_thousand_dangling_references_are_reported() {
    let mut text = "clusters:\n".to_owned();
    for number in 0..10_000 {
        let _ = writeln!(text, "- name: cluster-{number}");
    }
    text.push_str("route_configurations: [{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [\n");
    for number in 0..10_000 {
        let _ = writeln!(
            text,
            "  {{match: {{path: /{number}}}, forward: {{cluster: klaster-{number}}}}},"
        );
    }
    text.push_str("]}]}]\n");
    let faults = read(&text).unwrap_err();
    assert_eq!(
        faults.iter().next().unwrap().help(),
        Some("did you mean `cluster-0`?")
    );
    assert_eq!(
        faults.iter().last().unwrap().message(),
        "9000 more faults are not shown"
    );
}

#[test]
fn warnings_do_not_crowd_out_faults() {
    let mut text = "clusters:\n".to_owned();
    for number in 0..1500 {
        let _ = writeln!(text, "- {{name: cluster-{number}, http2: {{}}}}");
    }
    let warnings = valid(&text).warnings;
    assert_eq!(warnings.len(), 1001);
    assert_eq!(warnings[1000].message(), "2000 more warnings are not shown");
    text.push_str("- {name: last, weight: 1}\n");
    let faults = read(&text).unwrap_err();
    assert!(
        faults
            .iter()
            .any(|fault| fault.message() == "unknown field `weight` in cluster")
    );
}

#[test]
fn many_chains_and_long_matches_load() {
    let prefixes = |first: u32| -> String {
        (0..20_000u32).fold(String::new(), |mut text, number| {
            let _ = write!(text, "{}.{}.{}.0/24, ", first, number / 256, number % 256);
            text
        })
    };
    let mut text = "clusters: [{name: a, endpoints: [{address: 127.0.0.1:9}]}]\nlisteners:\n- name: l\n  address: 127.0.0.1:1\n  \
                    filter_chains:\n"
        .to_owned();
    for first in [10, 11] {
        let _ = writeln!(
            text,
            "  - {{match: {{destination_prefixes: [{}]}}, tcp: {{cluster: a}}}}",
            prefixes(first)
        );
    }
    for number in 0..5_000u32 {
        let _ = writeln!(
            text,
            "  - {{match: {{server_names: [s-{number}.example]}}, tcp: {{cluster: a}}}}"
        );
    }
    let loaded = valid(&text);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
    assert_eq!(loaded.config.listeners()[0].filter_chains().len(), 5_002);
    let _ = writeln!(
        text,
        "  - {{match: {{destination_prefixes: [10.78.31.0/24]}}, tcp: {{cluster: a}}}}"
    );
    assert_eq!(
        only_message(&text),
        "the filter chains `chain-0` and `chain-5002` match alike"
    );
}

#[test]
fn the_largest_page_loads() {
    let page = |bytes: usize| {
        let text = format!(
            "route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: ['*'], maintenance: {{page: \
             {{body: {}}}}}}}]}}]\n",
            "x".repeat(bytes)
        );
        read(&text)
    };
    let largest = crate::model::defaults::PAGE_BYTES_MAX;
    assert!(page(largest).is_ok());
    assert!(page(largest + 1).is_err());
}

#[test]
fn ten_thousand_origins_load() {
    let origins = (0..10_000).fold(String::new(), |mut text, number| {
        let _ = write!(text, "https://o-{number}.example, ");
        text
    });
    let text = super::with_route(&format!(
        "{{match: {{prefix: /}}, forward: {{cluster: a}}, cors: {{allow_origins: [{origins}]}}}}"
    ));
    let config = valid(&text).config;
    let route = &config.route_configurations()[0].virtual_hosts()[0].routes()[0];
    let cors = route.cors().clone().flatten().unwrap();
    assert_eq!(cors.allow_origins().len(), 10_000);
}

use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Every declaration in the decoders, by the message's name.
fn declared(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            declared(&path, names);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            for declaration in text.split("message! {").skip(1) {
                let name = declaration
                    .split(" as \"")
                    .nth(1)
                    .or(declaration.split("as \"").nth(1));
                names.insert(name.unwrap().split('"').next().unwrap().to_owned());
            }
        }
    }
}

#[test]
fn every_message_that_is_read_is_in_the_table() {
    let mut names = BTreeSet::new();
    declared(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decode"),
        &mut names,
    );
    assert!(names.len() > 50);
    let listed: BTreeSet<String> = messages().iter().map(|message| message.name.to_owned()).collect();
    let missing: Vec<_> = names.difference(&listed).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_table_says_what_becomes_of_each_field() {
    let page = markdown();
    assert!(page.contains("## `envoy.config.cluster.v3.Cluster`\n\n- Used: `name`, `eds_cluster_config`"));
    assert!(page.contains("- Refused: `transport_socket_matches`"));
    assert!(page.contains("- Ignored: `alt_stat_name`: metrics call a cluster by its name\n"));
}

/// `UPDATE_DOCS=1 cargo test -p outrigger-xds --lib support` rewrites the page.
#[test]
fn the_page_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/control/xds-support.md");
    let current = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/control/xds-support.md is not what the code says: run with UPDATE_DOCS=1"
    );
}

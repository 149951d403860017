//! The workspace's dependency edges, as cargo sees them, against those that `ARCHITECTURE.md` allows.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The heading of the table in `ARCHITECTURE.md`: rooms, and the rooms that each may use.
const HEADING: &str = "## Dependency edges";

type Edges = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this package lies in tests/scenarios")
}

/// The folder of a package, as the table names it.
fn room(manifest: &str) -> String {
    let folder = Path::new(manifest).parent().unwrap();
    folder.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// The edges between packages of the workspace. Development dependencies count only if they are asked for.
fn actual(with_development: bool) -> Edges {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let rooms: BTreeMap<&str, String> = packages
        .iter()
        .map(|package| {
            (
                package["name"].as_str().unwrap(),
                room(package["manifest_path"].as_str().unwrap()),
            )
        })
        .collect();
    let edges = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let uses = dependencies
            .filter(|dependency| with_development || dependency["kind"] != "dev")
            .filter_map(|dependency| rooms.get(dependency["name"].as_str()?).cloned())
            .collect();
        (rooms[package["name"].as_str().unwrap()].clone(), uses)
    });
    edges.collect()
}

/// The table under [`HEADING`]: `| room | room, room |`, names in backticks.
fn allowed(text: &str) -> Edges {
    let (_, section) = text
        .split_once(HEADING)
        .unwrap_or_else(|| panic!("no heading {HEADING:?}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let names = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect()
    };
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let edges = rows.filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|');
        let room = names(cells.next()?).into_iter().next()?;
        Some((room, names(cells.next()?).into_iter().collect()))
    });
    edges.collect()
}

#[test]
fn dependencies_are_those_that_the_map_allows() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read");
    let (allowed, actual) = (allowed(&text), actual(true));
    let mut faults = Vec::new();
    for (room, uses) in &actual {
        match allowed.get(room) {
            None => faults.push(format!("`{room}` is not in the table")),
            Some(may) => {
                faults.extend(
                    uses.difference(may)
                        .map(|used| format!("`{room}` uses `{used}`, which the map does not allow")),
                );
                faults.extend(
                    may.difference(uses)
                        .map(|unused| format!("the map lets `{room}` use `{unused}`, which it does not")),
                );
            }
        }
    }
    faults.extend(
        allowed
            .keys()
            .filter(|room| !actual.contains_key(*room))
            .map(|room| format!("there is no `{room}`")),
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_that_ships_depends_on_the_tests() {
    for (room, uses) in actual(false) {
        if !room.starts_with("tests/") {
            let tests: Vec<&String> = uses.iter().filter(|used| used.starts_with("tests/")).collect();
            assert!(tests.is_empty(), "`{room}` uses {tests:?}");
        }
    }
    assert!(
        actual(true)["tests/scenarios"].contains("tests/harness"),
        "edges are seen at all"
    );
}

#[test]
fn the_table_is_read_as_it_is_written() {
    let text = "# A\n\n## Dependency edges\n\n| room | uses |\n|---|---|\n| `a/` | `b`, `c/d` |\n| `b` | |\n| `c/d` | nothing |\n\n\
                ## Next\n\n| `e` | `f` |\n";
    let edge = |room: &str, uses: &[&str]| {
        (
            room.to_owned(),
            uses.iter().map(|used| (*used).to_owned()).collect(),
        )
    };
    assert_eq!(
        allowed(text),
        Edges::from([edge("a", &["b", "c/d"]), edge("b", &[]), edge("c/d", &[])])
    );
}

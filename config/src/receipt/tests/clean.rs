//! Configurations that draw no remark.

use super::made;
use crate::{Environment, Source, load_file, load_mesh};
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn examples_draw_no_remark() {
    let mut found = String::new();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let loaded = load_file(&path, &Environment::empty()).unwrap_or_else(|error| panic!("{error}"));
        for remark in made(&loaded.config).remarks() {
            found.push_str(&format!("{remark} ({:?} {:?})\n", remark.part(), remark.field()));
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn the_example_mesh_draws_no_remark() {
    let directory = examples().join("mesh");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let sources: Vec<Source> = files
        .map(|file| Source {
            name: file.display().to_string(),
            text: std::fs::read_to_string(&file).unwrap(),
        })
        .collect();
    let mesh = load_mesh(&sources, &Environment::empty()).unwrap();
    let warnings = mesh.validate(std::time::SystemTime::now()).unwrap();
    assert!(warnings.is_empty(), "{}", warnings[0]);
}

#[test]
fn what_the_tables_begin_with_draws_no_remark() {
    let receipt = super::of(include_str!("shop.yaml"));
    let shown: String = receipt.remarks().iter().map(ToString::to_string).collect();
    assert!(receipt.is_empty(), "{shown}");
}

/// The bound that a remark asks for is the one that the rules look at.
#[test]
fn the_latency_objective_is_that_of_the_rules() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/outrigger.rules.yml");
    let rules = std::fs::read_to_string(file).unwrap();
    let bound = format!(
        "{{le=\"{}\"}}",
        crate::model::defaults::LATENCY_OBJECTIVE.as_secs_f64()
    );
    let asked = rules.matches("_bucket{le=").count();
    assert!(asked > 7, "{asked}");
    assert_eq!(rules.matches(&bound).count(), asked);
}

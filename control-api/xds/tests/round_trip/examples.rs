//! Every example of the documentation.

use super::wire::{hold, read};
use std::path::Path;

#[test]
fn every_example_comes_back() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            hold(&read(&text, &name), &name);
            seen += 1;
        }
    }
    assert!(seen > 20, "the examples are where they are looked for");
}

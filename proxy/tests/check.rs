//! `outrigger check` on files that a configuration names.

use std::path::Path;
use std::process::Command;

/// A cluster whose certificates are missing must not hide what is wrong with listeners, nor end the process.
#[test]
fn every_missing_file_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tls.yaml");
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("config/examples/tls.yaml");
    std::fs::copy(example, &file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("check")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    let faults = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{faults}");
    for part in [
        "cluster `secure`",
        "filter chain `partners`",
        "filter chain `public`",
        "certificates/server.pem",
    ] {
        assert!(faults.contains(part), "{part} is not in:\n{faults}");
    }
}

//! The commands as a user meets them: what they print and how they end. No product needs to be installed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn benches(outrigger: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outrigger-benches"))
        .args(arguments)
        .env("OUTRIGGER_BIN", outrigger)
        .output()
        .expect("the program runs")
}

fn script(directory: &Path, text: &str) -> std::path::PathBuf {
    let file = directory.join("outrigger");
    std::fs::write(&file, text).expect("the script is written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
        .expect("the script is made executable");
    file
}

const COMPARE: [&str; 7] = [
    "compare",
    "--only",
    "outrigger",
    "--scenario",
    "http1,memory,latency",
    "--rounds",
    "1",
];

#[test]
fn a_product_that_is_not_installed_reads_not_measured() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("figures.json");
    let mut arguments = COMPARE.to_vec();
    arguments.extend(["--slice-seconds", "0.1", "--json", json.to_str().unwrap()]);
    let output = benches(&directory.path().join("absent"), &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("| http1 | outrigger | not measured (not installed) |"),
        "{text}"
    );
    assert_eq!(
        text.matches("| outrigger | not measured (not installed) |")
            .count(),
        3,
        "{text}"
    );
    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(figures["throughput"][0]["state"], "not_measured");
    assert!(
        figures["latency"][0]["p50_us"].is_number(),
        "the direct row is measured: {figures}"
    );
}

#[test]
fn a_product_that_does_not_start_reads_failed_and_so_does_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let broken = script(
        directory.path(),
        "#!/bin/sh\necho 'no such command: run' >&2\nexit 2\n",
    );
    let mut arguments = COMPARE.to_vec();
    arguments.extend(["--slice-seconds", "0.1"]);
    let output = benches(&broken, &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("| http1 | outrigger | FAILED: ") && text.contains("no such command: run"),
        "{text}"
    );
}

#[test]
fn a_budget_that_cannot_be_counted_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let output = benches(
        &directory.path().join("absent"),
        &["budget", "--scenario", "http1"],
    );
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("is not built") || errors.contains("is not installed"),
        "{errors}"
    );
}

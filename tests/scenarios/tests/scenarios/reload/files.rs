//! The binary, told by its file: edits, renames, Kubernetes' symbolic links, SIGHUP.

use super::says;
use outrigger_harness::client::fetch;
use outrigger_harness::{Process, wait_until};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

async fn answers(address: SocketAddr, text: &str) {
    wait_until(&format!("the answer {text:?}"), async || {
        let response = fetch(address, "/", "connection: close\r\n").await;
        assert_eq!(response.status(), 200);
        (response.text() == text).then_some(())
    })
    .await;
}

fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_or_replaced_file_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    fs::write(&file, says("one").to_string()).unwrap();
    let process = Process::run(&file).await;
    let address = process.address();
    answers(address, "one").await;
    fs::write(&file, says("two").to_string()).unwrap();
    answers(address, "two").await;
    replace(&file, &says("three").to_string());
    answers(address, "three").await;
    fs::remove_file(&file).unwrap();
    fs::write(&file, says("four").to_string()).unwrap();
    answers(address, "four").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_explained_on_standard_error_and_the_old_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    fs::write(&file, says("good").to_string()).unwrap();
    let process = Process::run(&file).await;
    replace(&file, &says("bad").http("no_such_field: 1").to_string());
    process
        .admin()
        .wait_for_metric("outrigger_configuration_updates_rejected_total", 1.0)
        .await;
    answers(process.address(), "good").await;
    let stderr = wait_until("the explanation", async || {
        let stderr = process.stderr();
        stderr.contains("no_such_field").then_some(stderr)
    })
    .await;
    assert!(
        stderr.contains("outrigger.yaml:"),
        "file, line and column: {stderr}"
    );
    replace(&file, &says("better").to_string());
    answers(process.address(), "better").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_swaps_a_symbolic_link() {
    // As the kubelet does: FILE -> ..data/FILE, and ..data -> a directory with a time in its name.
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path();
    let publish = |version: &str, text: String| {
        fs::create_dir(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("outrigger.yaml"), text).unwrap();
        std::os::unix::fs::symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    publish("..2026_01", says("one").to_string());
    let file = volume.join("outrigger.yaml");
    std::os::unix::fs::symlink("..data/outrigger.yaml", &file).unwrap();
    let process = Process::run(&file).await;
    answers(process.address(), "one").await;
    publish("..2026_02", says("two").to_string());
    fs::remove_dir_all(volume.join("..2026_01")).unwrap();
    answers(process.address(), "two").await;
    publish("..2026_03", says("three").to_string());
    answers(process.address(), "three").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_even_what_looks_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outrigger.yaml");
    fs::write(&file, says("one").to_string()).unwrap();
    let mut process = Process::run(&file).await;
    for generation in [2.0, 3.0] {
        process.signal(Signal::HUP);
        process
            .admin()
            .wait_for_metric("outrigger_configuration_generation", generation)
            .await;
    }
    assert!(process.is_running());
    answers(process.address(), "one").await;
}

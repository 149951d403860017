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

/// Sources of identities are not asked: a check sends nothing. Files that they name are read.
#[test]
fn sources_over_the_network_are_not_asked() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("config/examples");
    let check = |example: &str, from: &str, to: &Path| {
        let text = std::fs::read_to_string(examples.join(example)).unwrap();
        assert!(text.contains(from));
        let file = directory.path().join(example);
        std::fs::write(&file, text.replace(from, to.to_str().unwrap())).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
            .arg("check")
            .arg("-c")
            .arg(&file)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, faults) = check("spiffe.yaml", "/run/spire/sockets/agent.sock", &socket);
    assert_eq!(code, Some(0), "{faults}");
    assert!(listener.accept().is_err(), "the agent was asked");
    let roots = directory.path().join("roots.pem");
    let (code, faults) = check("authority.yaml", "certificates/ca.pem", &roots);
    assert_eq!(code, Some(2), "{faults}");
    assert!(
        faults.contains("identity `api`") && faults.contains("roots.pem"),
        "{faults}"
    );
}

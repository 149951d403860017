//! `outrigger check`: files that a configuration names, and what is odd about it.

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

fn check(text: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let file = directory.path().join("mesh.yaml");
    std::fs::write(&file, text).expect("the file can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("check")
        .arg("-c")
        .arg(&file)
        .args(flags)
        .output()
        .expect("the program can be run");
    let text = |bytes| String::from_utf8(bytes).expect("it says text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const IDLE: &str = "\
listeners: [{name: l, address: 127.0.0.1:1, filter_chains: [{http: {route_configuration: r}}]}]
clusters:
- name: shop
  outlier_detection: true
  endpoints: [{address: 127.0.0.1:2}]
route_configurations:
- {name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, forward: {cluster: shop}}]}]}
";

#[test]
fn remarks_are_shown_with_their_lines_and_are_no_faults_unless_asked() {
    let (code, told, remarks) = check(IDLE, &[]);
    assert_eq!(code, Some(0), "{remarks}");
    assert!(told.ends_with("1 clusters, 1 warnings\n"), "{told}");
    for part in [
        "warning[one-endpoint-never-ejected]: nothing is ever ejected",
        "mesh.yaml:3:3",
        "3 | - name: shop",
        "= help: ",
    ] {
        assert!(remarks.contains(part), "{part} is not in:\n{remarks}");
    }
    assert_eq!(check(IDLE, &["--strict"]).0, Some(2));
    let clean = IDLE.replace("  outlier_detection: true\n", "");
    assert_eq!(check(&clean, &["--strict"]).0, Some(0));
}

#[test]
fn programs_are_told_in_json() {
    let (code, told, _) = check(IDLE, &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(told["faults"], serde_json::json!([]));
    let remark = &told["remarks"][0];
    assert_eq!(remark["code"], "one-endpoint-never-ejected");
    assert_eq!(
        (&remark["part"], &remark["field"]),
        (&"cluster `shop`".into(), &"outlier_detection".into())
    );
    assert_eq!((&remark["line"], &remark["column"]), (&3.into(), &3.into()));
    let (code, told, _) = check("listeners: 7\n", &["--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, Some(2));
    assert!(
        told["faults"][0].as_str().unwrap().contains("mesh.yaml:1:12"),
        "{told}"
    );
}

/// Every remark is counted; the text of as many as anybody reads is shown. What only the clock knows is among them.
#[test]
fn what_is_not_shown_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("idle.yaml");
    let unused: String = (0..1_200)
        .map(|number| format!("- {{name: idle-{number}}}\n"))
        .collect();
    let text = format!(
        "clusters:\n{unused}
listeners: [{{name: l, address: 127.0.0.1:1, filter_chains: [{{http: {{route_configuration: r}}}}]}}]
route_configurations: [{{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [
  {{match: {{prefix: /}}, direct_response: {{status: 200}}, fault: {{abort: {{percent: 1, status: 500}}, expires: \"2020-01-31T18:00:00Z\"}}}}]}}]}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let check = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
        let output = command
            .arg("check")
            .arg("-c")
            .arg(&file)
            .args(more)
            .output()
            .unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (said, remarks) = check(&[]);
    assert!(said.contains("1201 warnings"), "{said}");
    assert!(remarks.contains("201 more remarks are not shown"), "{remarks}");
    let (said, _) = check(&["--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["remarks"].as_array().unwrap().len(), 1_000);
    assert_eq!(said["remarks_left_out"], 201);
    std::fs::write(
        &file,
        std::fs::read_to_string(&file)
            .unwrap()
            .replace(&unused, "")
            .replace("clusters:\n", ""),
    )
    .unwrap();
    let (_, remarks) = check(&[]);
    assert!(remarks.contains("warning[fault-expired]"), "{remarks}");
}

//! `outrigger demo` as a newcomer meets it: both programs, the terminal, the mesh's files, and Ctrl-C.

use outrigger_harness::client::{Client, fetch};
use outrigger_harness::process::{binary, control_binary};
use outrigger_harness::{Process, wait_until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Waits for a line of the demo's terminal that holds `what`.
async fn line(demo: &mut Process, what: &str) -> String {
    wait_until(what, async || {
        let (said, errors) = (demo.stdout(), demo.stderr());
        assert!(demo.is_running(), "the demo ended:\n{said}{errors}");
        let mut lines = said.lines().chain(errors.lines());
        lines.find(|line| line.contains(what)).map(str::to_owned)
    })
    .await
}

async fn start() -> Process {
    let program = control_binary();
    assert!(program.is_file(), "{}", program.display());
    let mut command = Command::new(binary());
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut demo = Process::spawn_command(command);
    line(&mut demo, "status\ttime").await;
    demo
}

/// The address after `http://` in a line.
fn address_in(line: &str) -> SocketAddr {
    let rest = line.split_once("http://").unwrap().1;
    let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
    rest[..end.unwrap_or(rest.len())]
        .trim_end_matches('.')
        .parse()
        .unwrap()
}

/// The processes of the demo, by its own word.
fn parts(line: &str) -> Vec<Pid> {
    let ids = line
        .split(|c: char| !c.is_ascii_digit())
        .filter(|word| !word.is_empty());
    let ids: Vec<Pid> = ids
        .map(|id| Pid::from_raw(id.parse().unwrap()).unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "{line}");
    ids
}

/// Replaces a text of a document of the mesh.
fn edit(mesh: &Path, document: &str, from: &str, to: &str) {
    let path = mesh.join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

async fn end(demo: &mut Process, processes: &[Pid]) {
    demo.signal(Signal::INT);
    assert_eq!(demo.exit_code().await, 0, "{}", demo.stderr());
    for &process in processes {
        assert!(test_kill_process(process).is_err(), "{process:?} is left");
    }
}

#[tokio::test]
async fn the_demo_serves_takes_in_what_is_edited_and_leaves_nothing() {
    let mut demo = start().await;
    let gateway = address_in(&line(&mut demo, "An edge gateway listens").await);
    let hello = address_in(&line(&mut demo, "as hello calls echo").await);
    let mesh = PathBuf::from(line(&mut demo, "/mesh").await.trim());
    let processes = parts(&line(&mut demo, "Processes: ").await);

    assert_eq!(
        fetch(gateway, "/hello", "").await.text(),
        "hello from the first upstream\n"
    );
    let echoed = fetch(gateway, "/echo/x?y", "").await.text();
    // The service is told whose certificate the call came with: it went by mutual TLS.
    assert!(
        echoed.contains("URI=spiffe://example.org/ns/edge/sa/gateway"),
        "{echoed}"
    );
    assert!(echoed.contains(r#""target": "/x?y""#), "{echoed}");
    let mut client = Client::connect(hello).await;
    let answer = client.exchange("GET / HTTP/1.1\r\nhost: echo\r\n\r\n").await;
    assert!(
        answer
            .text()
            .contains("URI=spiffe://example.org/ns/demo/sa/hello"),
        "{}",
        answer.text()
    );
    let mut client = Client::connect(hello).await;
    let request = "POST / HTTP/1.1\r\nhost: echo\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        client.exchange(request).await.status(),
        403,
        "hello may only read"
    );
    assert_eq!(fetch(gateway, "/nowhere", "").await.status(), 503);
    line(&mut demo, "GET /nowhere").await;

    edit(
        &mesh,
        "gateway.yaml",
        "forward: { service: demo/hello }",
        "forward: { service: demo/echo }",
    );
    line(&mut demo, "-- pushed: ").await;
    let answer = fetch(gateway, "/hello", "").await.text();
    assert!(answer.contains(r#""upstream": "echo""#), "{answer}");

    edit(&mesh, "gateway.yaml", "demo/nowhere", "demo/nowere");
    line(&mut demo, "demo/nowere").await;
    let answer = fetch(gateway, "/hello", "").await.text();
    assert!(
        answer.contains(r#""upstream": "echo""#),
        "what was there before stays: {answer}"
    );

    end(&mut demo, &processes).await;
    assert!(!mesh.exists(), "its directory is removed");
}

#[tokio::test]
async fn the_demo_goes_on_without_its_control_api() {
    let mut demo = start().await;
    let gateway = address_in(&line(&mut demo, "An edge gateway listens").await);
    let processes = parts(&line(&mut demo, "Processes: ").await);
    kill_process(processes[0], Signal::KILL).unwrap();
    line(&mut demo, "the control API has ended").await;
    assert_eq!(
        fetch(gateway, "/hello", "").await.text(),
        "hello from the first upstream\n"
    );
    end(&mut demo, &processes).await;
}

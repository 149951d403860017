//! What must not become an upgrade: the running process goes on as if nothing had happened.

use super::{Site, handed_over, said, site};
use crate::programs::installed;
use outrigger_fixtures::Scripted;
use outrigger_harness::client::fetch;
use outrigger_harness::{Client, Document, Process};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Talks to an upgrade socket in its packets: sends each argument, prints what comes back, and waits for the end of its
/// input where an argument is `wait`.
const CONVERSATION: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
for step in sys.argv[2:]:
    if step == "wait":
        print("waiting", flush=True)
        sys.stdin.read()
    else:
        try:
            s.send(step.encode())
        except OSError:
            # It has refused already; what it said is still to come.
            break
while True:
    try:
        data = s.recv(65536)
    except ConnectionResetError:
        # It closed without having read everything; what it said is still to come.
        continue
    if not data:
        break
    print(data.decode(), flush=True)
"#;

fn python(site: &Site, steps: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg("-c").arg(CONVERSATION).arg(site.socket()).args(steps);
    command
}

/// A process that goes on, and can still be upgraded.
async fn goes_on(site: &Site, mut old: Process) {
    assert!(old.is_running(), "{}", old.stderr());
    let address = old.address();
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    assert_eq!(old.admin().fetch("/ready").await.status(), 200);
    let new = site.process().await;
    assert_eq!(new.address(), address);
    handed_over(old).await;
    assert_eq!(fetch(address, "/", "").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_with_a_bad_configuration_changes_nothing() {
    let (_upstream, document, site) = site(2).await;
    let old = site.process().await;
    let mut kept = Client::connect(old.address()).await;
    assert_eq!(kept.fetch("/", "").await.status(), 200);
    let good = document.to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!(
        "- {{ name: taken, address: '{}', filter_chains: [{{ http: {{ route_configuration: main }} }}] }}\n",
        taken.local_addr().unwrap()
    );
    let agent = site.file.with_file_name("no-agent.sock");
    let identity = format!(
        "identities: [{{ name: own, workload_api: {{ socket: {} }} }}]",
        agent.display()
    );
    for (bad, code) in [
        // The other one may have its identity, and serves.
        (document.clone().with(&identity).to_string(), 1),
        (
            good.replace("upstream", "nowhere")
                .replacen("nowhere", "upstream", 1),
            2,
        ),
        (document.clone().http("no_such_field: 1").to_string(), 2),
        // Found only after the sockets were offered.
        (document.with_listener_text(&taken).to_string(), 1),
    ] {
        let file = site.file.with_file_name("bad.yaml");
        std::fs::write(&file, bad).unwrap();
        let socket = site.socket();
        let arguments = [
            "run",
            "-c",
            file.to_str().unwrap(),
            "--upgrade-socket",
            socket.to_str().unwrap(),
        ];
        let mut new = Process::spawn(&arguments);
        assert_eq!(new.exit_code().await, code, "{}", new.stderr());
    }
    said(&old, "this process goes on").await;
    old.admin()
        .wait_for_metric("outrigger_upgrades_in_place_total{outcome=\"failed\"}", 2.0)
        .await;
    assert_eq!(kept.fetch("/", "").await.field("connection"), None);
    goes_on(&site, old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upgrade_at_a_time_and_one_that_dies_changes_nothing() {
    if !installed(&["python3"]) {
        return;
    }
    let (_upstream, _, site) = site(2).await;
    let old = site.process().await;
    let hello = r#"{"message":"hello","protocol":1,"process":1,"version":"0"}"#;
    let beside = crate::programs::Beside::start(python(&site, &[hello, "wait"]));
    assert_eq!(beside.line(), "waiting");
    said(&old, "asks for the sockets").await;

    let mut second = site.spawn();
    assert_eq!(second.exit_code().await, 1);
    said(&second, "another upgrade is under way").await;
    // What is told to reload meanwhile reloads when the upgrade has failed.
    old.signal(Signal::HUP);
    assert_eq!(fetch(old.address(), "/", "").await.status(), 200);
    assert!(!old.stderr().contains("configuration in force"));
    drop(beside);
    said(&old, "this process goes on").await;
    said(&old, "configuration in force").await;
    let admin = old.admin();
    admin
        .wait_for_metric("outrigger_upgrades_in_place_total{outcome=\"refused\"}", 1.0)
        .await;
    admin
        .wait_for_metric("outrigger_upgrades_in_place_total{outcome=\"failed\"}", 1.0)
        .await;
    goes_on(&site, old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_other_words_and_other_users_are_refused() {
    if !installed(&["python3"]) {
        return;
    }
    let (_upstream, _, site) = site(1).await;
    let old = site.process().await;
    for (step, reason) in [
        (
            r#"{"message":"hello","protocol":7,"process":1,"version":"9","more":[]}"#,
            "version 1 of the upgrade protocol",
        ),
        (r#"{"message":"released"}"#, "something else"),
        ("no JSON", "something else"),
    ] {
        let told = crate::programs::output(python(&site, &[step])).await;
        assert!(
            told.contains("refused") && told.contains(reason),
            "{step}: {told}"
        );
    }
    let mode = std::fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    if rustix::process::geteuid().is_root() {
        // Even if the file lets them: the kernel says who they are.
        for (path, mode) in [(site.directory.path().to_owned(), 0o755), (site.socket(), 0o666)] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        let hello = r#"{"message":"hello","protocol":1,"process":1,"version":"0"}"#;
        let mut stranger = python(&site, &[hello]);
        stranger.uid(65534).gid(65534);
        let told = crate::programs::output(stranger).await;
        assert!(told.contains("user 65534 may not have its sockets"), "{told}");
    } else {
        eprintln!("skipped: another user needs root");
    }
    goes_on(&site, old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_a_strange_one_is_not() {
    let (_upstream, _, site) = site(1).await;
    let mut killed = site.process().await;
    killed.signal(Signal::KILL);
    killed.exit_code().await;
    assert!(site.socket().exists(), "nobody removes it");
    let alive = site.process().await;
    goes_on(&site, alive).await;
    std::fs::remove_file(site.socket()).unwrap();

    // Another program's socket, and a file that is none.
    let strange = UnixListener::bind(site.socket()).unwrap();
    let mut refused = site.spawn();
    assert_eq!(refused.exit_code().await, 1);
    said(&refused, "another program's socket").await;
    drop(strange);
    std::fs::remove_file(site.socket()).unwrap();
    std::fs::write(site.socket(), "mine").unwrap();
    let mut refused = site.spawn();
    assert_eq!(refused.exit_code().await, 1);
    said(&refused, "no socket").await;
    assert_eq!(std::fs::read_to_string(site.socket()).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_leaves_the_sockets_to_its_successor() {
    let upstream = Scripted::ok().await;
    let site = Site::new(Document::to(&[upstream.address()]));
    let mut old = site.process().await;
    let address = old.address();
    let mut new = site.spawn();
    said(&old, "asks for the sockets").await;
    old.signal(Signal::TERM);
    new.started().await;
    assert_eq!(old.exit_code().await, 0);
    assert_eq!(fetch(address, "/", "").await.status(), 200);
    assert!(site.socket().exists(), "it is the new process's");
    let third = site.process().await;
    handed_over(new).await;
    assert_eq!(fetch(third.address(), "/", "").await.status(), 200);
}

//! Servers as processes of their own: several over one etcd, of which one is killed, and people who talk to them by tokens.

use crate::programs::{Beside, installed, run};
use outrigger_fixtures::Echo;
use outrigger_harness::client::fetch;
use outrigger_harness::process::control_binary;
use outrigger_harness::{Process, wait_for, wait_until};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The tokens of these tests, and SHA-256 of them.
const JOIN: (&str, &str) = (
    "let me in",
    "992db5e2595725ef68eb5066e014da8c7f6baca0afa96f1021b56b66782133f2",
);
const ADMINISTRATOR: (&str, &str) = (
    "an administrator of these tests",
    "c4c686742d277f9f2253caa642f90ba0989fd6db7f5f9d11e76245e3fcf0e913",
);
const READER: (&str, &str) = (
    "a reader of these tests",
    "439b6edb0de4f899a761c24cc7a596dc7d3e43a770bcbb00fd1a22c8002286de",
);
/// A server counts on one that has gone for 15 s, and steps are 5 s apart at least.
const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(90);

/// Ports that are free, all of them held before any is let go.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|port| port.local_addr().unwrap().port())
}

/// One server. Dropping it kills it.
struct Replica {
    _process: Beside,
    directory: PathBuf,
    grpc: u16,
    rest: u16,
}

impl Replica {
    /// Starts one over this store, and waits until it answers.
    async fn start(directory: &Path, name: &str, store: &str) -> Replica {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).unwrap();
        let [grpc, rest] = free_ports();
        let at = directory.display();
        let settings = format!(
            "\
data_directory: '{at}/data'
trust_domain: example.org
grpc: {{address: '127.0.0.1:{grpc}'}}
rest: {{address: '127.0.0.1:{rest}'}}
store: {store}
tls: {{authority: {{names: [localhost]}}}}
authority:
  bundle_file: '{at}/bundle.pem'
  join_tokens: [{{name: tests, digest: 'sha256:{}', spiffe_prefix: 'spiffe://example.org/ns', reusable: true}}]
access:
  tokens:
    - {{name: ann, digest: 'sha256:{}', roles: [administrator]}}
    - {{name: bob, digest: 'sha256:{}', roles: [reader]}}
",
            JOIN.1, ADMINISTRATOR.1, READER.1
        );
        let file = directory.join("control.yaml");
        std::fs::write(&file, settings).unwrap();
        for (name, (token, _)) in [("join", JOIN), ("ann", ADMINISTRATOR), ("bob", READER)] {
            std::fs::write(directory.join(name), token).unwrap();
        }
        let mut command = Command::new(control_binary());
        command.arg("serve").arg("--config").arg(&file);
        let replica = Replica {
            _process: Beside::start(command),
            directory,
            grpc,
            rest,
        };
        wait_until("the server", async || {
            let is_there = replica.bundle().exists() && replica.says("ann", &["status"]).await.0 != 2;
            is_there.then_some(())
        })
        .await;
        replica
    }

    fn bundle(&self) -> PathBuf {
        self.directory.join("bundle.pem")
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.grpc)
    }

    /// What the command line says by somebody's token: its exit code, and all that it prints.
    async fn says(&self, who: &str, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(control_binary());
        command
            .args(words)
            .args(["--server", &format!("https://localhost:{}", self.rest)]);
        command.arg("--ca-file").arg(self.bundle());
        if !who.is_empty() {
            command.arg("--token-file").arg(self.directory.join(who));
        }
        let output = run(command).await;
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// The same, where it succeeds.
    async fn does(&self, words: &[&str]) -> String {
        let (code, text) = self.says("ann", words).await;
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    }

    /// Applies a mesh whose gateways send everything to this upstream.
    async fn apply(&self, upstream: &Echo, more: &[&str]) -> String {
        let file = self.directory.join("mesh.yaml");
        std::fs::write(&file, mesh(upstream)).unwrap();
        let file = file.to_str().unwrap();
        self.does(&[&["apply", "-f", file, "-m", "as told"], more].concat())
            .await
    }
}

/// Two gateways, which do the same.
fn mesh(upstream: &Echo) -> String {
    let gateway = |name: &str| {
        format!(
            "  - name: edge/{name}
    listeners: [{{name: edge, address: '127.0.0.1:0'}}]
    virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, forward: {{service: shop/web}}}}]}}]
"
        )
    };
    format!(
        "\
defaults: {{trust_domain: example.org}}
services:
  - name: shop/web
    ports: [{{port: 80, protocol: http}}]
    endpoints: [{{address: '{}'}}]
gateways:
{}{}",
        upstream.address(),
        gateway("public"),
        gateway("private")
    )
}

/// A node of a gateway that prefers the first server.
async fn node(name: &str, gateway: &str, servers: [&Replica; 2]) -> Process {
    let [first, second] = servers;
    let (bundle, token) = (second.bundle(), second.directory.join("join"));
    let (bundle, token) = (bundle.display(), token.display());
    let document = format!(
        "\
admin: {{address: '127.0.0.1:0'}}
control: {{servers: ['{}', '{}'], node: '{name}', service: 'edge/{gateway}', ca_file: '{bundle}', identity: default}}
identities:
  - {{name: default, authority: {{url: '{}', ca_file: '{bundle}', spiffe_id: \
'spiffe://example.org/ns/edge/sa/{gateway}', token_file: '{token}'}}}}
trust_bundles: [{{name: mesh, trust_domain: example.org, identity: default}}]
drain: {{grace: 1ms, timeout: 5s}}
",
        first.url(),
        second.url(),
        second.url()
    );
    let file = second.directory.join(format!("{name}.yaml"));
    std::fs::write(&file, document).unwrap();
    Process::run(&file).await
}

/// Waits for something, and has requests succeed meanwhile at all nodes.
async fn serve_until(nodes: &[Process], what: &str, mut condition: impl AsyncFnMut() -> bool) {
    wait_for(ROLLOUT_TIMEOUT, what, async || {
        if condition().await {
            return Some(());
        }
        for node in nodes {
            assert_eq!(fetch(node.address(), "/", "").await.status(), 200);
        }
        None
    })
    .await;
}

/// Whether a request to this node reaches this upstream.
async fn reaches(node: &Process, upstream: &Echo) -> bool {
    let before = upstream.requests();
    assert_eq!(fetch(node.address(), "/", "").await.status(), 200);
    upstream.requests() > before
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_rollout_leaves_it_to_the_other() {
    if !installed(&["etcd"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [client, peer] = free_ports();
    let (client, peer) = (
        format!("http://127.0.0.1:{client}"),
        format!("http://127.0.0.1:{peer}"),
    );
    let mut etcd = Command::new("etcd");
    etcd.args(["--name=test", "--log-level=error", "--logger=zap"])
        .arg(format!("--data-dir={}", directory.path().join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=test={peer}"));
    let _etcd = Beside::start(etcd);
    let store = format!("{{etcd: {{endpoints: ['{client}']}}}}");
    let first = Replica::start(directory.path(), "first", &store).await;
    let second = Replica::start(directory.path(), "second", &store).await;
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    first.apply(&one, &[]).await;
    let nodes = [
        node("a", "public", [&first, &second]).await,
        node("b", "public", [&first, &second]).await,
        node("c", "private", [&first, &second]).await,
    ];
    for node in &nodes {
        let shown = node.admin().config_dump().await;
        assert_eq!(shown["control"]["connected_to"], first.url());
    }
    // It is killed while it brings the nodes of the first stage to the next revision, or before or behind that.
    let stages = ["--stages", "100% of edge/public,100%", "--pause", "by hand"];
    first.apply(&two, &stages).await;
    let first_url = first.url();
    drop(first);
    serve_until(&nodes, "the first stage", async || {
        reaches(&nodes[0], &two).await && reaches(&nodes[1], &two).await
    })
    .await;
    serve_until(&nodes, "the stage's end", async || {
        second
            .does(&["rollout"])
            .await
            .contains("revision 2: staged; 1 is in force")
    })
    .await;
    assert!(reaches(&nodes[2], &one).await, "it is of the second stage");
    for node in &nodes {
        let admin = node.admin();
        serve_until(&nodes, "the move", async || {
            admin.config_dump().await["control"]["connected_to"] == second.url()
        })
        .await;
        assert_ne!(second.url(), first_url);
    }
    second.does(&["rollout", "advance", "-m", "it looks good"]).await;
    serve_until(&nodes, "the last stage", async || reaches(&nodes[2], &two).await).await;
    serve_until(&nodes, "the rollout's end", async || {
        second
            .does(&["rollout"])
            .await
            .contains("revision 2: done; 2 is in force")
    })
    .await;
    for node in &nodes {
        let refused = "outrigger_control_updates_total{outcome=\"refused\"}";
        assert_eq!(node.admin().metric(refused).await, 0.0);
    }
    second.does(&["audit", "--verify"]).await;
}

#[tokio::test]
async fn a_rollout_is_shown_to_whoever_may_read_and_told_by_whoever_may_change() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!(
        "{{embedded: {{path: '{}'}}}}",
        directory.path().join("mesh.redb").display()
    );
    let server = Replica::start(directory.path(), "only", &store).await;
    let (one, two) = (Echo::start_named("one").await, Echo::start_named("two").await);
    server.apply(&one, &[]).await;
    server
        .apply(
            &two,
            &["--stages", "50% of edge/public,100%", "--pause", "by hand"],
        )
        .await;
    let mut shown = String::new();
    serve_until(&[], "the first stage", async || {
        let (code, text) = server.says("bob", &["rollout"]).await;
        assert_eq!(code, 0, "{text}");
        shown = text;
        shown.contains("revision 2: staged; 1 is in force")
    })
    .await;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("since "), "{shown}");
    assert!(
        lines[2].starts_with("> 50% of edge/public"),
        "the stage that it is in: {shown}"
    );
    assert!(lines[3].starts_with("  100%"), "{shown}");
    assert_eq!(lines[4], "nodes: 0 have it, 0 do not yet");
    let (code, text) = server.says("", &["rollout"]).await;
    assert_eq!(code, 1, "nobody may look: {text}");
    let (code, text) = server
        .says("bob", &["rollout", "advance", "-m", "let us see"])
        .await;
    assert_eq!(code, 1, "who may read may not tell it anything: {text}");
    let text = server.does(&["rollout", "rollback", "-m", "too early"]).await;
    assert!(
        text.starts_with("revision 2: rolled_back; 1 is in force"),
        "{text}"
    );
    assert!(text.contains("by token `ann`: too early"), "{text}");
    let (code, text) = server.says("bob", &["rollout"]).await;
    assert_eq!(code, 1, "a rollout that went back is no success: {text}");
}

//! A whole control API in the test's process: its mesh is a directory of documents that the test writes.

use crate::Process;
use crate::wait::{DEADLINE, wait_until, within};
use outrigger_control_api::rollout;
use outrigger_control_api::server::{Parts, Server};
use outrigger_control_api::settings::{ServeArguments, Settings};
use outrigger_control_api::store::Moment;
use prometheus::TextEncoder;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;

/// The token with which nodes of these tests join.
const JOIN_TOKEN: &str = "let me in";
/// SHA-256 of it.
const JOIN_TOKEN_DIGEST: &str = "sha256:992db5e2595725ef68eb5066e014da8c7f6baca0afa96f1021b56b66782133f2";

/// A running control API. Dropping it cuts everything, as a killed process does.
pub struct Control {
    directory: tempfile::TempDir,
    running: Option<Running>,
    /// Settings beside those that all of these have.
    more: String,
    grpc: SocketAddr,
    rest: SocketAddr,
}

struct Running {
    parts: Parts,
    end: oneshot::Sender<bool>,
    ended: std::thread::JoinHandle<()>,
}

impl Control {
    /// Starts one over these documents (name, text). It speaks TLS by its own authority, for `localhost`.
    pub async fn start(documents: &[(&str, &str)]) -> Control {
        Control::start_with(documents, "").await
    }

    /// The same, with more settings: whole lines of YAML.
    pub async fn start_with(documents: &[(&str, &str)], more: &str) -> Control {
        let directory = tempfile::tempdir().expect("a directory can be had");
        std::fs::create_dir(directory.path().join("mesh")).expect("it is empty");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut control = Control {
            directory,
            running: None,
            more: more.to_owned(),
            grpc: nowhere,
            rest: nowhere,
        };
        for (name, text) in documents {
            control.write(name, text);
        }
        control.restart().await;
        control
    }

    /// Starts it again at the addresses that it had, after [`Control::kill`].
    pub async fn restart(&mut self) {
        let (settings, file) = (self.settings(), self.path("control.yaml"));
        let mut settings =
            Settings::parse(&settings, &file, &ServeArguments::default()).expect("the settings are right");
        // Nodes of a test are there when it looks.
        settings.nodes_return_within = Duration::ZERO;
        let (started, start) = oneshot::channel();
        let (end, ending) = oneshot::channel();
        let ended = std::thread::Builder::new()
            .name("control-api".to_owned())
            .spawn(move || run(settings, started, ending))
            .expect("a thread can be had");
        let (parts, grpc, rest) = within("the control API's start", start).await.expect("it starts");
        (self.grpc, self.rest) = (grpc, rest);
        self.running = Some(Running { parts, end, ended });
    }

    /// Ends it at once: streams break.
    pub async fn kill(&mut self) {
        self.stop(false).await;
    }

    /// Ends it in order.
    pub async fn end(&mut self) {
        self.stop(true).await;
    }

    async fn stop(&mut self, in_order: bool) {
        if let Some(running) = self.running.take() {
            let _ = running.end.send(in_order);
            let joined = tokio::task::spawn_blocking(move || running.ended.join());
            within("the control API's end", joined)
                .await
                .expect("joining works")
                .expect("it does not panic");
        }
    }

    /// Writes a document of the mesh: whole, or not at all.
    pub fn write(&self, name: &str, text: &str) {
        let beside = self.path("beside");
        std::fs::write(&beside, text).expect("the document can be written");
        std::fs::rename(beside, self.path("mesh").join(name)).expect("it can be put in its place");
    }

    /// Removes a document of the mesh.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path("mesh").join(name)).expect("the document is there");
    }

    /// Where nodes are served.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where people are.
    pub fn rest(&self) -> SocketAddr {
        self.rest
    }

    /// What it works with.
    ///
    /// # Panics
    /// If it is not running.
    pub fn parts(&self) -> &Parts {
        &self.running.as_ref().expect("it runs").parts
    }

    /// The trust bundle, as a file.
    pub fn bundle(&self) -> PathBuf {
        self.path("bundle.pem")
    }

    /// What a node says is odd about its configuration: code, part and field of each remark. None: it says nothing.
    pub fn receipt(&self, node: &str) -> Option<Vec<String>> {
        let receipt = self.parts().fleet.register().find(node)?.receipt.clone()?;
        let shown = receipt.remarks.iter().map(|remark| {
            let part = remark.part.as_deref().unwrap_or_default();
            format!(
                "{} {part} {}",
                remark.code,
                remark.field.as_deref().unwrap_or_default()
            )
        });
        Some(shown.collect())
    }

    /// Waits until a node has what is current now, whole, and gives the revision.
    pub async fn settled(&self, node: &str) -> u64 {
        let parts = self.parts().clone();
        wait_until("the node has the current revision", || {
            let (current, status) = (
                parts.fleet.plan().stable.number(),
                parts.fleet.register().find(node),
            );
            let stored = parts.store.watch().borrow().revision;
            async move {
                let status = status?;
                (status.in_force == Some(current) && status.connected && stored == current).then_some(current)
            }
        })
        .await
    }

    /// Waits until the node has refused something, and gives what it refused as `Type name: reason`.
    pub async fn refused(&self, node: &str) -> Vec<String> {
        let parts = self.parts().clone();
        wait_until("the node refuses something", || {
            let status = parts.fleet.register().find(node);
            async move {
                let status = status?;
                let shown = |one: &outrigger_control_api::fleet::NodeRefusal| {
                    format!("{} {}: {}", one.resource_type, one.name, one.reason)
                };
                let refused: Vec<String> = status.refusals.iter().map(shown).collect();
                (!refused.is_empty()).then_some(refused)
            }
        })
        .await
    }

    /// What is counted by now, in Prometheus' text format; what is only looked at when somebody asks for it is as it was
    /// then.
    pub fn metrics(&self) -> String {
        let text = TextEncoder::new();
        text.encode_to_string(&self.parts().registry.gather())
            .expect("metrics are text")
    }

    /// Has the rollout of a revision go on to its next stage.
    pub async fn advance_rollout(&self, revision: u64) {
        let Parts {
            store,
            fleet,
            replica,
            ..
        } = self.parts();
        let told = rollout::command(
            &**store,
            (fleet, replica.as_deref()),
            revision,
            rollout::Command::Advance,
            ("a test", "it looks good"),
            Moment::now(),
        );
        within("the rollout's step", told)
            .await
            .expect("it can be advanced");
    }

    /// What a node reports of endpoints that are other than healthy, as `ADDRESS STANDING`, and ` ejected` or ` failed_check`
    /// behind it; none: it has reported nothing.
    pub fn impaired(&self, node: &str) -> Option<Vec<String>> {
        let reported = self.parts().fleet.register().reported(node)?;
        let named = reported
            .reported
            .observed()
            .clusters()
            .flat_map(|cluster| &cluster.named);
        let shown = named.map(|one| {
            let ejected = if one.ejected { " ejected" } else { "" };
            let failed = if one.failed_check { " failed_check" } else { "" };
            format!("{} {}{ejected}{failed}", one.address, one.standing().word())
        });
        Some(shown.collect())
    }

    /// A node reports that it believes every root of this authority's bundle.
    pub fn is_believed_by(&self, node: &str) -> bool {
        let reported = self.parts().fleet.register().reported(node);
        let roots = self.parts().authority.as_ref().expect("it has one").roots();
        reported.is_some_and(|reported| {
            let observed = reported.reported.observed();
            roots
                .iter()
                .all(|root| observed.believes(&root.facts.fingerprint))
        })
    }

    /// The document of a node: `id` is its SPIFFE id, which it is given by the authority; `more` are further fields of
    /// `control` (each with a comma before it).
    pub fn node_document(&self, node: &str, service: &str, id: &str, more: &str) -> String {
        let (url, bundle) = (format!("https://localhost:{}", self.grpc.port()), self.bundle());
        let token = self.path("join-token");
        std::fs::write(&token, JOIN_TOKEN).expect("the token can be written");
        let (bundle, token) = (bundle.display(), token.display());
        format!(
            "\
admin: {{address: '127.0.0.1:0'}}
control: {{servers: ['{url}'], node: '{node}', service: '{service}', ca_file: '{bundle}', identity: default{more}}}
identities:
  - {{name: default, authority: {{url: '{url}', ca_file: '{bundle}', spiffe_id: '{id}', token_file: '{token}'}}}}
trust_bundles: [{{name: mesh, trust_domain: example.org, identity: default}}]
drain: {{grace: 1ms, timeout: 5s}}
"
        )
    }

    /// Runs a proxy as this node, and waits until it listens.
    pub async fn node(&self, node: &str, service: &str, id: &str) -> Process {
        let file = self.path(&format!("{node}.yaml"));
        std::fs::write(&file, self.node_document(node, service, id, ""))
            .expect("the document can be written");
        Process::run(&file).await
    }

    /// A file beside the mesh.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self) -> String {
        let data = self.directory.path().display();
        let mut text = String::new();
        let _ = write!(
            text,
            "\
data_directory: '{data}/data'
trust_domain: example.org
grpc: {{address: '{}'}}
rest: {{address: '{}'}}
store: {{directory: {{path: '{data}/mesh'}}}}
tls: {{authority: {{names: [localhost, 127.0.0.1]}}}}
authority:
  bundle_file: '{data}/bundle.pem'
  join_tokens: [{{name: tests, digest: '{JOIN_TOKEN_DIGEST}', spiffe_prefix: 'spiffe://example.org/ns', reusable: true}}]
",
            self.grpc, self.rest
        );
        text.push_str(&self.more);
        text
    }
}

type Started = (Parts, SocketAddr, SocketAddr);

fn run(settings: Settings, started: oneshot::Sender<Started>, ending: oneshot::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be had");
    runtime.block_on(async {
        let server = Server::start(settings).await.expect("the control API starts");
        let _ = started.send((
            server.parts().clone(),
            server.grpc_address(),
            server.rest_address(),
        ));
        // A test that is over drops its end.
        if ending.await == Ok(true) {
            server.end().await;
        }
    });
    // What still runs is cut, and has let go of the store before another opens it.
    runtime.shutdown_timeout(DEADLINE);
}

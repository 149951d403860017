//! Everything that there is an alert for, made at once and kept up: at one proxy with a cluster for each cause, and at a
//! proxy of its own for what concerns a whole process.

mod traffic;

use super::server::Alert;
use outrigger_fixtures::authority::expired;
use outrigger_fixtures::{Ads, Authority, Refusing, Scripted};
use outrigger_harness::{Client, Document, Proxy, policy, wait_until};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Between two turns of a cause that is kept up.
const PAUSE: Duration = Duration::from_millis(500);

/// Causes that last for as long as this.
pub(super) struct Causes {
    wanted: BTreeSet<Alert>,
    targets: Vec<SocketAddr>,
    files: TempDir,
    authority: Authority,
    proxies: Vec<Proxy>,
    waiting: Vec<Client>,
    upstreams: Vec<Scripted>,
    control: Option<Ads>,
    opened: Vec<File>,
    refusing: Refusing,
    tasks: JoinSet<()>,
}

impl Causes {
    /// Makes all of them.
    pub(super) async fn start() -> Causes {
        let mut causes = Causes {
            wanted: BTreeSet::new(),
            targets: Vec::new(),
            files: tempfile::tempdir().unwrap(),
            authority: Authority::new("root"),
            proxies: Vec::new(),
            waiting: Vec::new(),
            upstreams: Vec::new(),
            control: None,
            opened: Vec::new(),
            refusing: Refusing::bind().unwrap(),
            tasks: JoinSet::new(),
        };
        traffic::start(&mut causes).await;
        causes.down();
        causes.saturated().await;
        causes.not_measured().await;
        causes.expiring().await;
        causes.not_renewed().await;
        causes.strangers().await;
        causes.refused().await;
        causes.waiting().await;
        causes.lost().await;
        causes.dropped().await;
        causes
    }

    /// The alerts that they are to fire.
    pub(super) fn wanted(&self) -> BTreeSet<Alert> {
        self.wanted.clone()
    }

    /// What is to be scraped.
    pub(super) fn targets(&self) -> Vec<SocketAddr> {
        self.targets.clone()
    }

    fn want(&mut self, alert: &str, about: impl ToString) {
        self.wanted.insert((alert.to_owned(), about.to_string()));
    }

    /// Starts a proxy for a cause that concerns it as a whole.
    async fn proxy(&mut self, alert: &str, document: Document) -> usize {
        let proxy = Proxy::start(document).await;
        self.want(alert, proxy.admin().0);
        self.targets.push(proxy.admin().0);
        self.proxies.push(proxy);
        self.proxies.len() - 1
    }

    fn down(&mut self) {
        let nobody = self.refusing.address();
        self.want("OutriggerDown", nobody);
        self.targets.push(nobody);
    }

    async fn saturated(&mut self) {
        let never = Scripted::start(|mut script| async move { script.until_closed().await }).await;
        let document = Document::to(&[never.address()])
            .forward("timeout: off, stream_idle_timeout: off")
            .with("overload: { requests_max: 10 }");
        let proxy = self.proxy("OutriggerSaturated", document).await;
        for _ in 0..9 {
            let mut client = Client::connect(self.proxies[proxy].address()).await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            self.waiting.push(client);
        }
        self.upstreams.push(never);
    }

    /// Its histograms have no bound where the objective is.
    async fn not_measured(&mut self) {
        let upstream = Scripted::ok().await;
        let document =
            Document::to(&[upstream.address()]).with("telemetry: { latency_buckets: [250ms, 2s] }");
        let proxy = self.proxy("OutriggerLatencyNotMeasured", document).await;
        let address = self.proxies[proxy].address();
        assert_eq!(Client::connect(address).await.fetch("/", "").await.status(), 200);
        self.upstreams.push(upstream);
    }

    /// Certificates of ten hours: of one a tenth is left, of the other a hundredth.
    async fn expiring(&mut self) {
        for (alert, minutes) in [
            ("OutriggerCertificateRenewalLate", 60),
            ("OutriggerCertificateExpires", 6),
        ] {
            let name = format!("short-{minutes}");
            let issued = self.authority.issue_with(&name, &["a.example"], |params| {
                let end = SystemTime::now() + Duration::from_secs(60 * minutes);
                params.not_before = (end - Duration::from_secs(10 * 3600)).into();
                params.not_after = end.into();
            });
            let chain = format!("tls: {{ certificates: [{}] }}", issued.yaml());
            self.proxy(alert, answering("").chain(&chain)).await;
        }
    }

    /// Its certificate's file becomes something that is none, and stays so.
    async fn not_renewed(&mut self) {
        let issued = self.authority.issue("whole", &["a.example"]);
        let file = self.files.path().join("own.pem");
        fs::copy(&issued.certificate, &file).unwrap();
        let document = answering("")
            .chain("tls: { certificates: [{ identity: own }] }")
            .with(&format!(
                "identities: [{{ name: own, files: {{ certificate_file: {}, private_key_file: {} }} }}]",
                file.display(),
                issued.key.display()
            ));
        self.proxy("OutriggerRenewalFails", document).await;
        write(&file, "no certificate\n");
    }

    /// Clients with a certificate of yesterday's come and come, among others: in order, and without TLS.
    async fn strangers(&mut self) {
        let server = self.authority.issue("server", &["a.example"]);
        let client = self.authority.issue_with("late", &["b.example"], expired);
        let chain = format!(
            "tls: {{ certificates: [{}], client: {{ ca_file: {} }} }}",
            server.yaml(),
            self.authority.root().display()
        );
        let document = answering("").chain(&chain);
        let proxy = self.proxy("OutriggerPeersRefused", document).await;
        let address = self.proxies[proxy].address();
        let known = self.authority.issue("known", &["b.example"]);
        let [known, late] =
            [&known, &client].map(|client| self.authority.client_config(&["http/1.1"], Some(client)));
        self.tasks.spawn(async move {
            loop {
                for _ in 0..3 {
                    let late = Arc::clone(&late);
                    if let Ok(mut refused) = Client::connect_tls(address, late, "a.example").await {
                        let _ = refused.try_response_within().await;
                    }
                }
                let known = Arc::clone(&known);
                let mut client = Client::connect_tls(address, known, "a.example").await.unwrap();
                assert_eq!(client.fetch("/", "").await.status(), 200);
                assert_eq!(Client::connect(address).await.fetch("/", "").await.status(), 400);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn refused(&mut self) {
        let proxy = self.proxy("OutriggerConfigurationRefused", answering("")).await;
        let refused = self.proxies[proxy].reload("listeners: nonsense").await;
        refused.unwrap_err();
    }

    /// Its control plane sends a listener without its routes.
    async fn waiting(&mut self) {
        let policy = "\
listeners: [{name: more, address: '127.0.0.1:0', filter_chains: [{http: {route_configuration: routes}}]}]
route_configurations: [{name: routes, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}]
";
        let mut resources = policy::resources(policy, "1");
        resources.retain(|one| one.name != "routes");
        let ads = Ads::start(resources).await;
        let control = format!(
            "control: {{ servers: ['{}'], node: a, first_wait: 100ms }}",
            ads.url()
        );
        self.proxy("OutriggerConfigurationWaits", answering("").with(&control))
            .await;
        self.control = Some(ads);
    }

    async fn lost(&mut self) {
        let control = format!(
            "control: {{ servers: ['http://{}'], node: a, first_wait: 100ms }}",
            self.refusing.address()
        );
        let document = answering("").with(&control);
        self.proxy("OutriggerControlPlaneLost", document).await;
    }

    /// Its log goes to a pipe that is open, and that nobody reads, and to a collector that is not there.
    async fn dropped(&mut self) {
        let pipe = self.files.path().join("log");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        self.opened.push(options.open(&pipe).unwrap());
        // A few dozen of them are more than a log keeps.
        let long = "x".repeat(60_000);
        let document = answering(&format!(
            "access_logs: [{{ path: {}, format: {{ text: {long} }} }}, {{ collector: nobody }}]",
            pipe.display()
        ))
        .with(&format!(
            "telemetry: {{ collectors: [{{ name: nobody, endpoint: 'http://{}', queue_max: 16, batch_max: 16 }}] }}",
            self.refusing.address()
        ));
        let proxy = self.proxy("OutriggerTelemetryDropped", document).await;
        let address = self.proxies[proxy].address();
        self.tasks.spawn(async move {
            let mut client = Client::connect(address).await;
            loop {
                for _ in 0..20 {
                    assert_eq!(client.fetch("/", "").await.status(), 200);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        let admin = self.proxies[proxy].admin();
        wait_until("a lost line", async || {
            let lost = admin.metric("outrigger_access_log_lines_dropped_total").await;
            (lost > 0.0).then_some(())
        })
        .await;
    }
}

/// A proxy that answers by itself.
fn answering(http: &str) -> Document {
    Document::to(&[])
        .routes("{ match: { prefix: / }, direct_response: { status: 200, body: ok } }")
        .http(http)
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
}

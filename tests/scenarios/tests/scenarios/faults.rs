//! Faults: requests that are broken on purpose. What the client sees, what the upstream does, how many are touched, and
//! until when.

mod answers;
mod held;
mod limits;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Document, Proxy, wait_until};
use tempfile::NamedTempFile;

const INJECTED: &str = "outrigger_route_faults_injected_total";
const SKIPPED: &str = "outrigger_route_faults_skipped_total";
const ACTIVE: &str = "outrigger_route_faults_active";

/// A proxy in front of an upstream that says `ok`, with an access log.
struct Scene {
    upstream: Scripted,
    proxy: Proxy,
    log: NamedTempFile,
}

impl Scene {
    /// Its one route has this fault, which has no end unless it says so.
    async fn with(fault: &str) -> Scene {
        let fault = match fault.contains("expires:") {
            true => fault.to_owned(),
            false => fault.replacen('{', "{ expires: never,", 1),
        };
        Scene::edited(|document| document.route(&format!("fault: {fault}"))).await
    }

    async fn edited(edit: impl FnOnce(Document) -> Document) -> Scene {
        let upstream = Scripted::ok().await;
        let log = NamedTempFile::new().unwrap();
        let logged = format!(
            "access_logs: [{{ path: {}, format: {{ text: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%' }} }}]",
            log.path().display()
        );
        let document = Document::to(&[upstream.address()]).http(&logged);
        let proxy = Proxy::start(edit(document)).await;
        Scene { upstream, proxy, log }
    }

    /// The log, once it has so many lines.
    async fn lines(&self, count: usize) -> Vec<String> {
        wait_until("lines of the log", async || {
            let text = std::fs::read_to_string(self.log.path()).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    async fn metric(&self, series: &str) -> f64 {
        self.proxy.admin().metric(series).await
    }
}

//! Overload: what happens near the process's limits, grade by grade, and that it ends. Whatever is refused, the admin
//! endpoint answers, and what is in flight ends as it would have.

mod buffers;
mod grades;
mod limits;

use outrigger_fixtures::Scripted;
use outrigger_harness::{Admin, Client, Document, wait_until};
use tokio::sync::watch;

/// Looks are taken at a start and at reloads only: what a test sees does not hang on time.
const BY_HAND: &str = "interval: 1h";

const REFUSED: &str = "outrigger_listener_overload_refusals_total";
const CONNECTIONS_REFUSED: &str = "outrigger_listener_connections_refused_total";

fn overload(document: Document, fields: &str) -> Document {
    document.with(&format!("overload: {{ {fields} }}"))
}

/// An upstream that holds requests to `/held` until it is let go; those to anything else it answers at once.
struct Holding {
    upstream: Scripted,
    go: watch::Sender<bool>,
}

impl Holding {
    async fn start() -> Holding {
        let (go, gone) = watch::channel(false);
        let upstream = Scripted::start(move |mut script| {
            let mut go = gone.clone();
            async move {
                while let Some(request) = script.request().await? {
                    if request.head.target() == "/held" {
                        let _ = go.wait_for(|go| *go).await;
                    }
                    script
                        .send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
                        .await?;
                }
                Ok(())
            }
        })
        .await;
        Holding { upstream, go }
    }

    fn document(&self) -> Document {
        Document::to(&[self.upstream.address()])
    }

    /// Sends requests, each over a connection of its own, that have all reached the upstream.
    async fn hold(&self, address: std::net::SocketAddr, count: usize) -> Vec<Client> {
        let before = self.upstream.request_count();
        let mut held = Vec::new();
        for _ in 0..count {
            let mut client = Client::connect(address).await;
            client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n").await;
            held.push(client);
        }
        wait_until("all requests are held", async || {
            (self.upstream.request_count() == before + count).then_some(())
        })
        .await;
        held
    }

    fn let_go(&self) {
        self.go.send_replace(true);
    }
}

/// The admin endpoint answers, whatever else is refused.
async fn answers(admin: Admin) {
    assert_eq!(admin.fetch("/ready").await.status(), 200);
    assert_eq!(admin.fetch("/live").await.status(), 200);
    assert!(admin.metrics().await.0.contains("outrigger_workers"));
}

/// In percent.
async fn action(admin: Admin, name: &str) -> f64 {
    let degree = format!("outrigger_overload_action_ratio{{action=\"{name}\"}}");
    (100.0 * admin.metric(&degree).await).round()
}

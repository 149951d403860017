//! What the process still hears while a reload waits for names.

use super::*;
use outrigger_harness::Process;
use outrigger_harness::process::binary;
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A process whose reload waits for a name that nobody answers.
struct Waiting {
    process: Process,
    server: DnsServer,
    document: Document,
    file: PathBuf,
    manager: UnixDatagram,
    _directory: TempDir,
}

impl Waiting {
    async fn start() -> Waiting {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("outrigger.yaml");
        std::fs::write(&file, Document::to(&[]).to_string()).unwrap();
        let notify = directory.path().join("notify");
        let manager = UnixDatagram::bind(&notify).unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut command = Command::new(binary());
        command.arg("run").arg("-c").arg(&file);
        command
            .env("NOTIFY_SOCKET", &notify)
            .env("WATCHDOG_USEC", "20000");
        let process = Process::spawn_command(command);
        let server = DnsServer::start().await;
        server.set(NAME, Kind::A, Reply::Silence);
        let document = document(&server, "strict_dns", 80, "family: v4, query_timeout: 60s");
        let mut waiting = Waiting {
            process,
            server,
            document,
            file,
            manager,
            _directory: directory,
        };
        waiting.hears("READY=1").await;
        waiting.process.started().await;
        waiting.write(&waiting.document);
        waiting.hears("RELOADING=1").await;
        wait_until("the question", async || {
            waiting.listen();
            (waiting.server.asked(NAME, Kind::A) > 0).then_some(())
        })
        .await;
        waiting
    }

    fn write(&self, document: &Document) {
        let new = self.file.with_file_name("new.yaml");
        std::fs::write(&new, document.to_string()).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// The next thing that the service manager was told, if there is one.
    fn heard(&self) -> Option<String> {
        let mut datagram = [0; 4096];
        let length = self.manager.recv(&mut datagram).ok()?;
        Some(String::from_utf8(datagram[..length].to_vec()).unwrap())
    }

    /// Reads all that the service manager was told, since what is not read holds the process up.
    fn listen(&self) {
        while self.heard().is_some() {}
    }

    async fn hears(&mut self, start: &str) {
        wait_until(start, async || {
            self.heard()
                .is_some_and(|heard| heard.starts_with(start))
                .then_some(())
        })
        .await;
    }

    /// Waits for the end of the process, which must not have waited for the name.
    async fn ended(mut self) {
        wait_until("the end", async || {
            self.listen();
            (!self.process.is_running()).then_some(())
        })
        .await;
        assert_eq!(self.process.exit_code().await, 0);
        let log = self.process.stderr();
        assert!(
            !log.contains("not resolved in time") && !log.contains("configuration in force"),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_waits_for_names_holds_up_no_end() {
    let waiting = Waiting::start().await;
    waiting.process.signal(Signal::TERM);
    waiting.ended().await;
    let waiting = Waiting::start().await;
    assert_eq!(waiting.process.admin().post("/drain").await.status(), 200);
    waiting.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_a_reload_leads_to_one_more() {
    let mut waiting = Waiting::start().await;
    waiting.write(&waiting.document.clone().cluster("connect_timeout: 3s"));
    waiting.process.signal(Signal::HUP);
    // Nothing is put in force yet, and the watchdog hears of the process all the same.
    for _ in 0..3 {
        let heard = wait_until("a notification", async || waiting.heard()).await;
        assert_eq!(heard, "WATCHDOG=1\n");
    }
    waiting
        .server
        .set(NAME, Kind::A, Reply::addresses(3600, &["127.0.0.1"]));
    waiting.hears("READY=1\nSTATUS=Configuration 2 in force\n").await;
    waiting.hears("RELOADING=1").await;
    waiting.hears("READY=1\nSTATUS=Configuration 3 in force\n").await;
    let admin = waiting.process.admin();
    wait_until("the last configuration", async || {
        waiting.listen();
        let dump = admin.config_dump().await;
        (dump["configuration"]["clusters"][0]["connect_timeout"] == "3s").then_some(())
    })
    .await;
    assert!(waiting.process.is_running());
}

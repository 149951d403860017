//! Upgrades in place, with real processes: a new one takes the sockets of the running one, and nothing is lost.

use outrigger_fixtures::Scripted;
use outrigger_harness::process::binary;
use outrigger_harness::{Document, Process, wait_until};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

mod control_plane;
mod load;
mod manager;
mod refusals;
mod sockets;

/// Where the processes of a test find their configuration and each other.
struct Site {
    directory: TempDir,
    file: PathBuf,
}

impl Site {
    fn new(document: impl ToString) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("outrigger.yaml");
        let site = Site { directory, file };
        site.write(document);
        site
    }

    /// Replaces the configuration as editors do. Running processes see it too.
    fn write(&self, document: impl ToString) {
        let new = self.directory.path().join("new.yaml");
        std::fs::write(&new, document.to_string()).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("upgrade.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").arg("-c").arg(&self.file);
        command.arg("--upgrade-socket").arg(self.socket());
        command
    }

    /// A process that is not waited for.
    fn spawn(&self) -> Process {
        Process::spawn_command(self.command())
    }

    /// The next process, ready.
    async fn process(&self) -> Process {
        let mut process = self.spawn();
        process.started().await;
        process
    }
}

/// Waits for a line of a process's log.
async fn said(process: &Process, what: &str) {
    wait_until(what, async || process.stderr().contains(what).then_some(())).await;
}

/// Waits for the end of a process whose sockets were taken over.
async fn handed_over(mut process: Process) {
    assert_eq!(process.exit_code().await, 0, "{}", process.stderr());
    said(&process, "handed over").await;
}

/// An upstream, a document to it with so many workers, and the site.
async fn site(workers: usize) -> (Scripted, Document, Site) {
    let upstream = Scripted::ok().await;
    let document = Document::to(&[upstream.address()]).workers(workers);
    let site = Site::new(&document);
    (upstream, document, site)
}

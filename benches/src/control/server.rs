//! The control API under measurement, with a directory of documents for its store.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::peer::find_program;
use crate::process::{ProcessTree, Running, free_address};

/// What it says when nodes are told a revision.
pub(super) const RELEASED: &str = "nodes are told the mesh anew";
/// What it says when a node has asked.
pub(super) const MET: &str = "a node's stream begins";
/// What it says when it takes connections.
const SERVING: &str = "serving";
/// How often its words are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A running control API.
pub(super) struct Control {
    running: Running,
    output: PathBuf,
    mesh: PathBuf,
    /// Where nodes are served.
    pub(super) grpc: SocketAddr,
}

/// `$OUTRIGGER_CONTROL_BIN`, the program beside this one in the same target directory, or `outrigger-control` in `PATH`.
fn locate() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("OUTRIGGER_CONTROL_BIN").map(PathBuf::from) {
        return named.is_file().then_some(named);
    }
    let beside = std::env::current_exe().ok()?.with_file_name("outrigger-control");
    if beside.is_file() {
        Some(beside)
    } else {
        find_program("outrigger-control")
    }
}

impl Control {
    /// Starts one in an empty directory, over documents that `write` puts into the mesh's; waits until it serves.
    pub(super) fn start(
        command: impl FnOnce(&Path) -> Command,
        directory: &Path,
        patience: Duration,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Control> {
        let program = locate().context("outrigger-control is not built: see $OUTRIGGER_CONTROL_BIN")?;
        let (mesh, output) = (directory.join("mesh"), directory.join("control.output"));
        fs::create_dir_all(&mesh).with_context(|| format!("making {}", mesh.display()))?;
        write(&mesh)?;
        let grpc = free_address()?;
        let mut command = command(&program);
        command
            .args(["--log", "info", "serve", "--rest-address", "127.0.0.1:0"])
            .args(["--grpc-address", &grpc.to_string()])
            .arg("--data-directory")
            .arg(directory.join("data"))
            .arg("--store")
            .arg(format!("directory:{}", mesh.display()))
            .env("NO_COLOR", "1");
        let running = Running::start("outrigger-control", command, &output)?;
        let control = Control {
            running,
            output,
            mesh,
            grpc,
        };
        // Loading a large mesh takes long: it may serve before it has one.
        control.wait_for(RELEASED, 1, patience)?;
        control.wait_for(SERVING, 1, patience)?;
        Ok(control)
    }

    /// The directory of the mesh's documents.
    pub(super) fn mesh(&self) -> &Path {
        &self.mesh
    }

    /// Its process.
    pub(super) fn tree(&self) -> ProcessTree {
        self.running.tree()
    }

    /// How often it has said so.
    pub(super) fn said(&self, words: &str) -> usize {
        let text = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&text).matches(words).count()
    }

    /// Waits until it has said so that often; gives when that was seen.
    pub(super) fn wait_for(&self, words: &str, times: usize, patience: Duration) -> Result<Instant> {
        let deadline = Instant::now() + patience;
        while self.said(words) < times {
            ensure!(
                Instant::now() < deadline,
                "the control API did not say `{words}`:\n{}",
                self.running.printed()
            );
            sleep(LOOK_INTERVAL);
        }
        Ok(Instant::now())
    }
}

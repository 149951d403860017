//! What a writer writes to: opened so that nobody waits but the writer itself, written so that no line is torn unseen.

use super::BATCH_INTERVAL;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::thread;

/// Standard output without the library's buffer and lock: whoever prints there is not held up by a sink that is.
pub(super) fn stdout() -> io::Result<Box<dyn Write + Send>> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(descriptor)))
}

/// Standard error, likewise.
pub(super) fn stderr() -> io::Result<Box<dyn Write + Send>> {
    let descriptor = io::stderr().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(descriptor)))
}

/// Opens for appending. A FIFO is opened for reading, too, which nobody does: opening it only to write would wait for a
/// reader, and writing would fail when the last one goes.
fn open(path: &Path) -> io::Result<File> {
    let is_fifo = path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    OpenOptions::new()
        .create(!is_fifo)
        .append(true)
        .read(is_fifo)
        .open(path)
}

/// Where lines go.
pub(super) struct Output {
    stream: Box<dyn Write + Send>,
    /// Where it is opened anew.
    path: Option<PathBuf>,
    /// The last thing written is the beginning of a line.
    torn: bool,
    /// The last write failed: a fault is told once.
    failing: bool,
}

impl Output {
    pub(super) fn stream(stream: Box<dyn Write + Send>) -> Output {
        Output {
            stream,
            path: None,
            torn: false,
            failing: false,
        }
    }

    pub(super) fn file(path: PathBuf) -> io::Result<Output> {
        let file = open(&path)?;
        Ok(Output {
            path: Some(path),
            ..Output::stream(Box::new(file))
        })
    }

    /// Opens a file anew; without a path there is nothing to do.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.stream = Box::new(open(path)?);
            self.torn = false;
        }
        Ok(())
    }

    /// Writes `count` whole lines, and returns how many were; the others are lost. What follows a line of which only a beginning
    /// could be written begins on a line of its own.
    pub(super) fn write_lines(&mut self, lines: &[u8], count: u64) -> u64 {
        let mut written = 0;
        let outcome = self.end_torn_line().and_then(|()| {
            while written < lines.len() {
                written += self.write(&lines[written..])?;
            }
            self.stream.flush()
        });
        let Err(error) = outcome else {
            self.failing = false;
            return count;
        };
        let taken = &lines[..written];
        if let Some(last) = taken.last() {
            self.torn = *last != b'\n';
        }
        let whole = taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        if !std::mem::replace(&mut self.failing, true) {
            let lost = count - whole.min(count);
            tracing::warn!(%error, lines = lost, "access log cannot be written; lines are lost until it can");
        }
        whole.min(count)
    }

    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            self.write(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    /// At least one byte.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares a terminal or a pipe with us has made it so that it does not wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(BATCH_INTERVAL),
                Err(error) => return Err(error),
            }
        }
    }
}

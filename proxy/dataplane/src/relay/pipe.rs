//! Pipes through which the kernel moves bytes from socket to socket without copying them to this process.
//!
//! Pipes are a bounded resource of the user (`pipe-user-pages-soft`, 64 MiB): a process takes few, a flow holds one only
//! while bytes are in it, and an empty one waits for the next in its worker's pool.

use super::again;
use bytes::Bytes;
use outrigger_telemetry::SpliceFallback;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe holds, if the kernel lets it: `pipe-max-size`, its default bound for users. Sizes after the first
/// are asked for where it does not.
const PIPE_BYTES: [usize; 2] = [1024 * 1024, 256 * 1024];

/// Pipes of this process at once: at 1 MiB each half of what the kernel gives to one user without privileges.
const PIPES_MAX: usize = 32;

/// Empty pipes that a worker keeps at most; all workers together half of the pipes, so that the others find some.
const IDLE_MAX: usize = 4;

/// Pipes of this process. The kernel's bound is the user's, and so no worker or data plane has a bound of its own.
static PIPES: AtomicUsize = AtomicUsize::new(0);

/// What a step through a pipe came to.
pub(super) enum Splice {
    /// As many bytes moved.
    Moved(usize),
    /// The source has ended.
    End,
    /// The kernel does not splice these; nothing moved.
    Unsupported,
    /// The socket failed.
    Failed(io::Error),
}

/// A pipe, and how many bytes are in it.
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    filled: usize,
    /// Counted among the process's pipes.
    _count: PipeCount,
}

struct PipeCount;

impl PipeCount {
    fn begin() -> Option<PipeCount> {
        let add = |count: usize| (count < PIPES_MAX).then(|| count + 1);
        let counted = PIPES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        counted.ok().map(|_| PipeCount)
    }
}

impl Drop for PipeCount {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pipe {
    fn open() -> Result<Pipe, SpliceFallback> {
        let count = PipeCount::begin().ok_or(SpliceFallback::PipesMax)?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(|error| {
            tracing::debug!(%error, "cannot have a pipe");
            SpliceFallback::NoPipe
        })?;
        let sized = PIPE_BYTES
            .iter()
            .find_map(|&bytes| fcntl_setpipe_size(&write, bytes).ok());
        let size = match sized {
            Some(size) => size,
            // It stays as large as the kernel made it.
            None => fcntl_getpipe_size(&write).map_err(|_| SpliceFallback::NoPipe)?,
        };
        Ok(Pipe {
            read,
            write,
            size,
            filled: 0,
            _count: count,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes what the source has. Only for an empty pipe.
    pub(super) fn poll_fill(&mut self, source: &TcpStream, cx: &mut Context<'_>) -> Poll<Splice> {
        debug_assert!(
            self.is_empty(),
            "a pipe that is not empty may be full, and look like an empty socket"
        );
        loop {
            if let Err(error) = ready!(source.poll_read_ready(cx)) {
                return Poll::Ready(Splice::Failed(error));
            }
            let moved = source.try_io(Interest::READABLE, || step(source, &self.write, self.size));
            match outcome(moved) {
                None => {}
                Some(Splice::End) => return Poll::Ready(ended(source)),
                Some(Splice::Moved(count)) => {
                    self.filled = count;
                    return Poll::Ready(Splice::Moved(count));
                }
                Some(other) => return Poll::Ready(other),
            }
        }
    }

    /// Gives the sink what it takes.
    pub(super) fn poll_drain(&mut self, sink: &TcpStream, cx: &mut Context<'_>) -> Poll<Splice> {
        loop {
            if let Err(error) = ready!(sink.poll_write_ready(cx)) {
                return Poll::Ready(Splice::Failed(error));
            }
            let moved = sink.try_io(Interest::WRITABLE, || step(&self.read, sink, self.filled));
            if let Some(splice) = outcome(moved) {
                if let Splice::Moved(count) = splice {
                    self.filled -= count;
                }
                return Poll::Ready(splice);
            }
        }
    }

    /// Takes the bytes out by hand.
    pub(super) fn spill(&mut self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.filled];
        let mut start = 0;
        while start < bytes.len() {
            match rustix::io::read(&self.read, &mut bytes[start..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => start += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.filled = 0;
        Ok(bytes.into())
    }
}

/// To `splice`, unlike to a read, a connection that was reset has ended.
fn ended(source: &TcpStream) -> Splice {
    match source.take_error() {
        Ok(Some(error)) | Err(error) => Splice::Failed(error),
        Ok(None) => Splice::End,
    }
}

fn step(from: impl rustix::fd::AsFd, to: impl rustix::fd::AsFd, bytes: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(splice(from, None, to, None, bytes, flags)?)
}

/// None: it is to be tried again when the socket is ready.
fn outcome(moved: io::Result<usize>) -> Option<Splice> {
    Some(match moved {
        Ok(0) => Splice::End,
        Ok(count) => Splice::Moved(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock || again(&error) => return None,
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Splice::Unsupported,
        Err(error) => Splice::Failed(error),
    })
}

/// A worker's empty pipes.
pub(crate) struct PipePool {
    idle: RefCell<Vec<Pipe>>,
    idle_max: usize,
}

impl PipePool {
    /// For one of so many workers.
    pub(super) fn new(workers: usize) -> PipePool {
        PipePool {
            idle: RefCell::default(),
            idle_max: (PIPES_MAX / 2 / workers.max(1)).min(IDLE_MAX),
        }
    }

    /// An empty pipe.
    pub(super) fn take(&self) -> Result<Pipe, SpliceFallback> {
        let kept = self.idle.borrow_mut().pop();
        kept.map_or_else(Pipe::open, Ok)
    }

    /// Keeps a pipe for the next, or gives it back to the kernel if this worker has enough: others may want one.
    pub(super) fn put(&self, pipe: Pipe) {
        debug_assert!(pipe.is_empty(), "bytes of one flow would come out in another");
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max {
            idle.push(pipe);
        }
    }
}

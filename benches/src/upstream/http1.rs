//! The HTTP/1.1 responder: one thread, one epoll, whole answers made beforehand.
//!
//! A connection with an answer that its peer does not read stops being read from. Requests with a body are
//! refused: the load never sends one.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use super::Bodies;

const LISTENER: u64 = u64::MAX;
const EVENTS_MAX: usize = 256;
const READ_BYTES: usize = 64 << 10;
/// A head that is longer than this is not the load's.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Answers requests on `listener` for ever.
pub(super) fn serve(listener: &TcpListener, bodies: &Bodies) -> Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("creating an epoll")?;
    listener.set_nonblocking(true)?;
    epoll::add(
        &epoll,
        listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let mut responder = Responder {
        epoll,
        answers: Answers::new(),
        bodies: bodies.clone(),
        connections: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; READ_BYTES],
    };
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        match epoll::wait(&responder.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for events"),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => responder.accept(listener)?,
                index => responder.advance(index),
            }
        }
    }
}

struct Responder {
    epoll: OwnedFd,
    answers: Answers,
    bodies: Bodies,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Responder {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
            self.connections[index] = Some(Connection::new(socket));
        }
        Ok(())
    }

    fn advance(&mut self, index: u64) {
        let slot = index as usize;
        let Some(connection) = self.connections.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let blocked_before = connection.is_blocked();
        let open = connection.advance(&mut self.buffer, &self.answers, &self.bodies);
        let blocked = connection.is_blocked();
        if !open {
            self.connections[slot] = None;
            self.free.push(slot);
        } else if blocked != blocked_before {
            let interest = if blocked {
                epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::IN
            };
            let data = epoll::EventData::new_u64(index);
            if epoll::modify(&self.epoll, &connection.socket, data, interest).is_err() {
                self.connections[slot] = None;
                self.free.push(slot);
            }
        }
    }
}

struct Connection {
    socket: TcpStream,
    /// The beginning of a head whose end has not come yet.
    partial: Vec<u8>,
    /// Answers not yet written whole, with what was written of the first.
    unwritten: VecDeque<Arc<[u8]>>,
    written: usize,
    closing: bool,
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            partial: Vec::new(),
            unwritten: VecDeque::new(),
            written: 0,
            closing: false,
        }
    }

    fn is_blocked(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Reads, answers and writes what can be; `false` when the connection is over.
    fn advance(&mut self, buffer: &mut [u8], answers: &Answers, bodies: &Bodies) -> bool {
        if !self.is_blocked() {
            match self.socket.read(buffer) {
                Ok(0) => return false,
                Ok(length) => self.take(&buffer[..length], answers, bodies),
                Err(error) if is_passing(error.kind()) => return true,
                Err(_) => return false,
            }
        }
        while let Some(answer) = self.unwritten.front() {
            match self.socket.write(&answer[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if is_passing(error.kind()) => return true,
                Err(_) => return false,
            }
            if self.written == answer.len() {
                self.unwritten.pop_front();
                self.written = 0;
            }
        }
        !self.closing
    }

    fn take(&mut self, input: &[u8], answers: &Answers, bodies: &Bodies) {
        let joined;
        let mut rest = input;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(input);
            joined = std::mem::take(&mut self.partial);
            rest = &joined;
        }
        while let Some(end) = memmem::find(rest, b"\r\n\r\n") {
            if self.closing {
                return;
            }
            let (answer, close) = answers.to(&rest[..end + 2], bodies);
            self.unwritten.push_back(answer);
            self.closing = close;
            rest = &rest[end + 4..];
        }
        if rest.len() > HEAD_BYTES_MAX {
            self.unwritten.push_back(Arc::clone(&answers.refused));
            self.closing = true;
        } else {
            self.partial.extend_from_slice(rest);
        }
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Heads with their bodies, whole.
struct Answers {
    kibibyte: Arc<[u8]>,
    kibibytes_64: Arc<[u8]>,
    mebibyte: Arc<[u8]>,
    mebibytes_16: Arc<[u8]>,
    not_found: Arc<[u8]>,
    refused: Arc<[u8]>,
}

impl Answers {
    fn new() -> Self {
        let sized = |path: &[u8]| answer("200 OK", &vec![b'x'; Bodies::length(path).unwrap_or_default()]);
        Self {
            kibibyte: sized(b"/1k"),
            kibibytes_64: sized(b"/64k"),
            mebibyte: sized(b"/1m"),
            mebibytes_16: sized(b"/16m"),
            not_found: answer("404 Not Found", b"no such body\n"),
            refused: answer("405 Method Not Allowed", b"only GET\n"),
        }
    }

    /// The answer to a head, and whether the connection ends with it.
    fn to(&self, head: &[u8], bodies: &Bodies) -> (Arc<[u8]>, bool) {
        let Some(target) = head.strip_prefix(b"GET ") else {
            return (Arc::clone(&self.refused), true);
        };
        let path = target.split(|byte| *byte == b' ').next().unwrap_or_default();
        let close = memmem::find(head, b"\r\nconnection: close\r\n").is_some()
            || memmem::find(head, b"\r\nConnection: close\r\n").is_some();
        let found = match path {
            b"/1k" => &self.kibibyte,
            b"/64k" => &self.kibibytes_64,
            b"/1m" => &self.mebibyte,
            b"/16m" => &self.mebibytes_16,
            b"/count" => return (answer("200 OK", bodies.answered().to_string().as_bytes()), close),
            _ => return (Arc::clone(&self.not_found), close),
        };
        bodies.count_one();
        (Arc::clone(found), close)
    }
}

fn answer(status: &str, body: &[u8]) -> Arc<[u8]> {
    let mut whole = format!(
        "HTTP/1.1 {status}\r\nserver: upstream\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         content-type: text/plain\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    whole.extend_from_slice(body);
    whole.into()
}

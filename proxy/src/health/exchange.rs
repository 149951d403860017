//! One request and its answer, over a connection that may be kept for the next check.

use super::finding::Finding;
use super::target::{Target, Version};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_config::model::defaults;
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// Bytes of an answer's head, and its fields.
const HEAD_BYTES_MAX: usize = 60 * 1024;
const FIELDS_MAX: usize = 100;

/// HTTP/2: what an endpoint may send ahead, on a stream and on the connection.
const WINDOW_BYTES: u32 = 64 * 1024;

/// A connection that speaks HTTP, and its task.
pub(super) struct Session {
    /// Which of the endpoint's.
    address: SocketAddr,
    sender: Sender,
    /// Ends with it.
    _connection: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An answer, as far as it is read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// At most [`defaults::HEALTH_CHECK_ANSWER_BYTES_MAX`].
    pub(super) body: Vec<u8>,
    /// Empty if there were none, or the body is not whole.
    pub(super) trailers: HeaderMap,
    /// It was read to its end.
    pub(super) whole: bool,
}

/// Sends a request and reads its answer: on the connection that was kept, if it is still good and goes to an address that
/// the endpoint still has, else on a new one. A kept
/// connection that ends, or goes away, without an answer says nothing of the endpoint: it may just have been idle for too
/// long. Not cancel safe: what was kept must be dropped if it is given up.
pub(super) async fn exchange(
    target: &Target,
    addresses: &[SocketAddr],
    kept: &mut Option<Session>,
    request: impl Fn(Version) -> Request<Full<Bytes>>,
) -> Result<Answer, Finding> {
    if let Some(mut session) = kept.take()
        && addresses.contains(&session.address)
        && let Ok(answer) = session.send(&request).await
    {
        return finish(answer, target, session, kept).await;
    }
    let mut session = Session::open(target, addresses).await?;
    let answer = session.send(&request).await?;
    finish(answer, target, session, kept).await
}

async fn finish(
    answer: Response<Incoming>,
    target: &Target,
    session: Session,
    kept: &mut Option<Session>,
) -> Result<Answer, Finding> {
    let answer = read(answer).await?;
    if answer.whole && target.check.reuses_connection() {
        *kept = Some(session);
    }
    Ok(answer)
}

impl Session {
    async fn open(target: &Target, addresses: &[SocketAddr]) -> Result<Session, Finding> {
        let connected = target.connect(addresses).await?;
        let io = TokioIo::new(connected.stream);
        let mut connections = JoinSet::new();
        let sender = match connected.version {
            Version::Http1 => {
                let (sender, connection) = http1::Builder::new()
                    .max_buf_size(HEAD_BYTES_MAX)
                    .max_headers(FIELDS_MAX)
                    .handshake(io)
                    .await
                    .map_err(fault)?;
                connections.spawn(async move {
                    // Why it ended is told to whoever waits for an answer.
                    let _ = connection.await;
                });
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(WINDOW_BYTES)
                    .initial_connection_window_size(WINDOW_BYTES)
                    .max_header_list_size(HEAD_BYTES_MAX as u32)
                    .handshake(io)
                    .await
                    .map_err(fault)?;
                connections.spawn(async move {
                    let _ = connection.await;
                });
                Sender::Http2(sender)
            }
        };
        Ok(Session {
            address: connected.address,
            sender,
            _connection: connections,
        })
    }

    async fn send(
        &mut self,
        request: impl Fn(Version) -> Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Finding> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(fault)?;
                sender.send_request(request(Version::Http1)).await.map_err(fault)
            }
            Sender::Http2(sender) => {
                sender.ready().await.map_err(fault)?;
                sender.send_request(request(Version::Http2)).await.map_err(fault)
            }
        }
    }
}

/// Reads an answer to its end, or as far as it is looked at.
async fn read(answer: Response<Incoming>) -> Result<Answer, Finding> {
    let (head, mut body) = answer.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        whole: false,
    };
    while let Some(frame) = body.frame().await {
        match frame.map_err(fault)?.into_data() {
            Ok(data) => {
                let room = defaults::HEALTH_CHECK_ANSWER_BYTES_MAX - answer.body.len();
                answer.body.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return Ok(answer);
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    answer.trailers = trailers;
                }
            }
        }
    }
    answer.whole = true;
    Ok(answer)
}

fn fault(error: hyper::Error) -> Finding {
    if error.is_closed() || error.is_canceled() || error.is_incomplete_message() {
        return Finding::Closed;
    }
    let source = std::error::Error::source(&error);
    let is_io = source.is_some_and(|source| source.is::<std::io::Error>());
    match source {
        _ if is_io => Finding::Closed,
        Some(source) => Finding::Protocol(source.to_string()),
        None => Finding::Protocol(error.to_string()),
    }
}

#[cfg(test)]
mod tests;

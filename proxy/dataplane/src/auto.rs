//! Filter chains in mode `auto`: what a connection speaks is told by whoever speaks first.
//!
//! The client's first bytes are HTTP/2's preface, an HTTP/1 request line, or anything else, which is TCP ([`Detector`]).
//! A server may want to speak first, and its client wait: so the upstream that TCP would go to is connected to at once,
//! unless this destination is known to be HTTP ([`Outcomes`]), and what it says first decides for TCP.
//!
//! This decides how a chain that was picked serves a connection. It comes after everything that may refuse one, and its
//! outcome can be TCP only because the chain says so. A client to which authorization policies allow nothing is refused
//! before; where they allow HTTP alone, nothing is connected to ahead.

mod ahead;
mod detector;
mod outcomes;

pub(crate) use detector::{Detector, Protocol};
pub(crate) use outcomes::Outcomes;

use crate::authorization;
use crate::connection::Accepted;
use crate::io::Stream;
use crate::server;
use crate::snapshot::ChainPolicy;
use crate::tcp::{self, Prepared};
use crate::timer::TimerSlot;
use ahead::{Ahead, Said};
use bytes::BytesMut;
use outcomes::Outcome;
use outrigger_config::model::{AutoMode, ChainMode};
use outrigger_telemetry::{ConnectionClose, Detected};
use outrigger_traffic::forwarded;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

/// Serves a connection until it ends.
pub(crate) async fn serve(mut stream: Stream, accepted: Accepted) {
    let chain = {
        let snapshot = accepted.registration.control.snapshot();
        Arc::clone(accepted.registration.control.chain(&snapshot))
    };
    let settled = stream.alpn().map(|name| match name {
        b"h2" => Detected::Http2,
        b"http/1.1" => Detected::Http1,
        // What was agreed on wins over what the bytes may look like.
        _ => Detected::Tcp,
    });
    let mut first = BytesMut::new();
    let hops = trusted_hops(&chain, &accepted);
    if let Some(verdict) = authorization::refuse_all(&accepted, &chain, hops)
        && let Some(details) = verdict.refusal
    {
        return tcp::refuse(stream, &accepted, &chain, details);
    }
    let (detected, prepared) = match settled {
        Some(detected) => (detected, None),
        None => detect(&mut stream, &mut first, &accepted, &chain).await,
    };
    let listener = chain.listener.worker(accepted.worker.index);
    listener.protocol_detected[detected].inc();
    match detected {
        Detected::Http1 | Detected::Http2 => {
            drop(chain);
            server::serve_http(stream, first, accepted).await;
        }
        Detected::Gone => listener.connections_closed[ConnectionClose::Peer].inc(),
        Detected::Tls | Detected::Tcp | Detected::ServerFirst | Detected::Silent | Detected::Ended => {
            drop(chain);
            tcp::serve(stream, first.freeze(), accepted, prepared).await;
        }
    }
}

/// How many proxies in front are trusted to say who the client of a request is.
fn trusted_hops(chain: &ChainPolicy, accepted: &Accepted) -> u32 {
    let options = &chain.http().options;
    let peer = accepted.ends.remote.ip().to_canonical();
    forwarded::trusted_hops(options.xff_num_trusted_hops(), options.trusted_proxies(), peer)
}

/// Waits until it can be told, and remembers it for the destination. `first`: what the client has said so far.
async fn detect(
    stream: &mut Stream,
    first: &mut BytesMut,
    accepted: &Accepted,
    chain: &ChainPolicy,
) -> (Detected, Option<Prepared>) {
    let worker = &accepted.worker;
    let (cluster, terms) = {
        let snapshot = accepted.registration.control.snapshot();
        let (cluster, terms) = tcp::pick(&snapshot, tcp::policy(chain), worker.random());
        (Arc::clone(cluster), terms)
    };
    let destination = accepted.ends.destination;
    let known = worker
        .outcomes
        .recall(cluster.config.name(), destination, Instant::now());
    let mut ahead = match authorization::allows_bytes(accepted, chain) {
        true => Ahead::new(cluster, terms, accepted, known),
        // It may speak HTTP yet, of which each request is decided. Nothing else of it leads anywhere.
        false => Ahead::forbidden(cluster, terms, accepted),
    };
    let detected = first_to_speak(stream, first, accepted, chain, &mut ahead).await;
    let outcome = match detected {
        Detected::Http1 | Detected::Http2 => Some(Outcome::Http),
        Detected::Tls | Detected::Tcp | Detected::ServerFirst => Some(Outcome::Tcp),
        // It says nothing of the next.
        Detected::Silent | Detected::Ended | Detected::Gone => None,
    };
    if let Some(outcome) = outcome {
        let name = ahead.cluster().config.name();
        worker
            .outcomes
            .remember(name, destination, outcome, Instant::now());
    }
    match detected {
        Detected::Http1 | Detected::Http2 | Detected::Gone => (detected, None),
        _ => (detected, ahead.into_prepared(stream).await),
    }
}

async fn first_to_speak(
    stream: &mut Stream,
    first: &mut BytesMut,
    accepted: &Accepted,
    chain: &ChainPolicy,
    ahead: &mut Ahead<'_>,
) -> Detected {
    let mut detector = Detector::default();
    let mut timer = TimerSlot::default();
    let patience = mode(chain).detection_timeout();
    let deadline = Instant::now().checked_add(patience);
    poll_fn(|cx| {
        loop {
            match poll_read(stream, first, accepted, cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(Detected::Gone),
                Poll::Ready(Ok(0)) => return Poll::Ready(Detected::Ended),
                Poll::Ready(Ok(count)) => {
                    let new = &first[first.len() - count..];
                    if let Some(protocol) = detector.feed(new) {
                        return Poll::Ready(detected(protocol));
                    }
                }
            }
        }
        // A client that has begun to speak does not wait for the server.
        if first.is_empty() && ahead.poll_said(cx) == Poll::Ready(Said::Something) {
            return Poll::Ready(Detected::ServerFirst);
        }
        timer
            .poll_until(cx, deadline)
            .map(|()| match detector.leans_to_http() {
                // HTTP has its own answer to one that does not come to its end.
                true => Detected::Http1,
                false => Detected::Silent,
            })
    })
    .await
}

fn mode(chain: &ChainPolicy) -> &AutoMode {
    match chain.config.mode() {
        ChainMode::Auto(auto) => auto,
        ChainMode::Http(_) | ChainMode::Tcp(_) => unreachable!("only chains in mode auto detect"),
    }
}

fn detected(protocol: Protocol) -> Detected {
    match protocol {
        Protocol::Http1 => Detected::Http1,
        Protocol::Http2 => Detected::Http2,
        Protocol::Tls => Detected::Tls,
        Protocol::Other => Detected::Tcp,
    }
}

fn poll_read(
    stream: &mut Stream,
    first: &mut BytesMut,
    accepted: &Accepted,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let scratch = &mut *accepted.worker.scratch.borrow_mut();
    let mut read = ReadBuf::new(scratch);
    std::task::ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    first.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

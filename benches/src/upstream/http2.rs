//! The HTTP/2 responder, without TLS: one thread, the `h2` crate.

use std::net::TcpListener;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};

use super::Bodies;

const STREAMS_MAX: u32 = 4096;
const WINDOW_BYTES: u32 = 16 << 20;

/// Answers requests on `listener` for ever.
pub(super) fn serve(listener: TcpListener, bodies: Bodies) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await.context("accepting")?;
            socket.set_nodelay(true)?;
            let bodies = bodies.clone();
            // A connection ends with its peer; the process is killed when the measurement is over.
            tokio::spawn(async move {
                // What a peer does wrong shows in the load's failures.
                let _ = converse(socket, bodies).await;
            });
        }
    })
}

async fn converse(socket: tokio::net::TcpStream, bodies: Bodies) -> Result<(), h2::Error> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(socket)
        .await?;
    let longest = Bytes::from(vec![b'x'; 1 << 20]);
    while let Some(stream) = connection.accept().await {
        let (request, respond) = stream?;
        answer(&request, respond, &bodies, &longest)?;
    }
    Ok(())
}

fn answer(
    request: &Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    bodies: &Bodies,
    longest: &Bytes,
) -> Result<(), h2::Error> {
    let length = Bodies::length(request.uri().path().as_bytes());
    let mut response = Response::new(());
    *response.status_mut() = if length.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let fields = response.headers_mut();
    fields.insert("server", http::HeaderValue::from_static("upstream"));
    fields.insert(
        "date",
        http::HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"),
    );
    fields.insert("content-type", http::HeaderValue::from_static("text/plain"));
    fields.insert("cache-control", http::HeaderValue::from_static("no-store"));
    fields.insert(
        "content-length",
        http::HeaderValue::from(length.unwrap_or_default()),
    );
    let Some(length) = length else {
        respond.send_response(response, true)?;
        return Ok(());
    };
    bodies.count_one();
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(longest.slice(..length), true)
}

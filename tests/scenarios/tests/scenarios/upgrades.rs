//! Upgrades and CONNECT: what a client and an upstream see of a connection that becomes something else.

mod breaks;
mod connect;
mod http1;
mod lifecycle;
mod peers;
mod refusals;
mod tls;
mod translations;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outrigger_fixtures::Scripted;
use outrigger_fixtures::scripted::Script;
use outrigger_harness::Client;
use std::io;

/// RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A WebSocket's opening over HTTP/1.
fn opening(more: &str) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nhost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         sec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: chat\r\n{more}\r\n"
    )
}

/// Its answer.
fn switching() -> String {
    switching_with(ACCEPT)
}

/// An answer that echoes another key.
fn switching_with(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\nx-from: upstream\r\n\r\n"
    )
}

/// What a server makes of a key (RFC 6455 section 4.2.2).
fn accept_of(key: &str) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(context.finish())
}

/// Sends back what comes, until it ends, and then says `bye` and ends.
async fn echo(script: &mut Script) -> io::Result<()> {
    loop {
        let unread = script.wire().unread().len();
        if unread == 0 && script.wire().fill().await? == 0 {
            script.send("bye").await?;
            return script.half_close().await;
        }
        let unread = script.wire().unread().len();
        let bytes = script.wire().take(unread).await?;
        script.send(bytes).await?;
    }
}

/// An upstream that switches protocols and echoes.
async fn switching_upstream() -> Scripted {
    Scripted::start(|mut script| async move {
        let Some(head) = script.head().await? else {
            return Ok(());
        };
        script.ran(head, Default::default());
        script.send(switching()).await?;
        echo(&mut script).await
    })
    .await
}

/// Says something through a tunnel and hears it again.
async fn say(client: &mut Client, text: &str) {
    client.send(text).await;
    assert_eq!(client.take(text.len()).await, text.as_bytes());
}

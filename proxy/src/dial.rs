//! Byte streams that this process opens for itself, apart from the data plane.

use outrigger_identity::UpstreamIdentity;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A byte stream, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to one of the host's addresses; with TLS if `identity` says how. Without a time limit of its own; may be
/// dropped at any time.
pub(crate) async fn open(
    host: &str,
    port: u16,
    identity: Option<&UpstreamIdentity>,
) -> io::Result<Box<dyn Io>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(match identity {
        None => Box::new(stream),
        Some(identity) => {
            let connector = TlsConnector::from(Arc::clone(&identity.config));
            Box::new(connector.connect(identity.server_name.clone(), stream).await?)
        }
    })
}

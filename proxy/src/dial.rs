//! Byte streams that this process opens for itself, apart from the data plane.

use outrigger_dataplane::connect_marked;
use outrigger_identity::UpstreamIdentity;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// A byte stream, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to one of the host's addresses, with the mark of `runtime.socket_mark` if one is given, and with TLS if `identity`
/// says how. Without a time limit of its own; may be dropped at any time.
pub(crate) async fn open(
    host: &str,
    port: u16,
    mark: Option<u32>,
    identity: Option<&UpstreamIdentity>,
) -> io::Result<Box<dyn Io>> {
    let stream = connect(host, port, mark).await?;
    stream.set_nodelay(true)?;
    Ok(match identity {
        None => Box::new(stream),
        Some(identity) => {
            let connector = TlsConnector::from(Arc::clone(&identity.config));
            Box::new(connector.connect(identity.server_name.clone(), stream).await?)
        }
    })
}

/// The first of the host's addresses that can be connected to.
async fn connect(host: &str, port: u16, mark: Option<u32>) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in lookup_host((host, port)).await? {
        match connect_marked(address, mark).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

//! Connections that ask once and then stay open and silent, to see what each costs a proxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificate::Certificate;

use super::open_loop::{Answer, Progress};

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nhost: bench.example\r\naccept: */*\r\n\r\n";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections to one proxy.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections {
    plain: Vec<TcpStream>,
    tls: Vec<StreamOwned<ClientConnection, TcpStream>>,
}

impl IdleConnections {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.tls.len()
    }

    /// Opens plain connections until there are `count`.
    pub(crate) fn grow_plain(&mut self, address: SocketAddr, count: usize) -> Result<()> {
        while self.len() < count {
            let socket = connect_and_ask(address, CONNECT_TIMEOUT, REQUEST)
                .with_context(|| format!("opening idle connection {}", self.len() + 1))?;
            self.plain.push(socket);
        }
        Ok(())
    }

    /// Opens TLS connections until there are `count`.
    pub(crate) fn grow_tls(
        &mut self,
        address: SocketAddr,
        client: &Arc<ClientConfig>,
        count: usize,
    ) -> Result<()> {
        while self.len() < count {
            let name = ServerName::try_from("bench.example").context("the server's name")?;
            let connection = ClientConnection::new(Arc::clone(client), name)?;
            let mut stream = StreamOwned::new(connection, connect(address, CONNECT_TIMEOUT)?);
            ask(&mut stream, REQUEST)
                .with_context(|| format!("opening idle TLS connection {}", self.len() + 1))?;
            self.tls.push(stream);
        }
        Ok(())
    }
}

/// A TLS 1.3 client with a certificate, which resumes nothing.
pub(crate) fn tls_client(files: &Certificate) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.authority).context("reading the authority")?)?;
    let chain =
        vec![CertificateDer::from_pem_file(&files.client_certificate).context("reading the certificate")?];
    let key = PrivateKeyDer::from_pem_file(&files.client_key).context("reading the key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client.resumption = rustls::client::Resumption::disabled();
    Ok(client)
}

/// Opens a connection and reads the answer to one request on it.
pub(super) fn connect_and_ask(address: SocketAddr, timeout: Duration, request: &[u8]) -> Result<TcpStream> {
    let mut socket = connect(address, timeout)?;
    ask(&mut socket, request)?;
    Ok(socket)
}

/// Opens a TCP connection whose reads take no longer than `timeout`.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, timeout).context("connecting")?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

/// Sends a request and reads its answer, which must be 2xx.
pub(super) fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Result<()> {
    stream.write_all(request).context("sending a request")?;
    let mut answer = Answer::default();
    let mut buffer = [0; 16 << 10];
    loop {
        let length = stream.read(&mut buffer).context("reading an answer")?;
        ensure!(
            length > 0,
            "the connection was closed before the answer was whole"
        );
        match answer.take(&buffer[..length]) {
            Progress::Partial => {}
            Progress::Whole { success: true } => return Ok(()),
            Progress::Whole { success: false } => bail!("the answer was not 2xx"),
            Progress::Broken => bail!("the answer could not be read"),
        }
    }
}

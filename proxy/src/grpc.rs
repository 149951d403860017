//! Connections that this process makes for itself, over gRPC: to control planes, authorities and collectors.

use crate::dial;
use hyper_util::rt::TokioIo;
use outrigger_config::model::UpstreamTls;
use outrigger_identity::Material;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use zeroize::Zeroizing;

/// A token at most; Kubernetes' are a tenth of it.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// A quiet connection is asked whether it is still there so often.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And is given up if it does not say so within this.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// TLS cannot be spoken as it is configured: its files or identities are not there.
    #[error("cannot configure TLS to {host}: {reason}")]
    Configuration {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server cannot be reached, or is not who it should be.
    #[error("{0}")]
    Unreachable(#[from] tonic::transport::Error),
}

/// Connects; with TLS if `tls` says how. The connection is kept alive while it is quiet. May be dropped at any time.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    tls: Option<&UpstreamTls>,
    material: &Material,
) -> Result<Channel, ChannelError> {
    connect_marked(host, port, None, tls, material).await
}

/// The same, with the mark of `runtime.socket_mark`, if there is one.
pub(crate) async fn connect_marked(
    host: &str,
    port: u16,
    mark: Option<u32>,
    tls: Option<&UpstreamTls>,
    material: &Material,
) -> Result<Channel, ChannelError> {
    let unfit = |reason: &dyn std::fmt::Display| ChannelError::Configuration {
        host: host.to_owned(),
        reason: reason.to_string(),
    };
    let identity = match tls {
        Some(tls) => {
            let identity = outrigger_identity::upstream(tls, &["h2"], material);
            Some(Arc::new(identity.map_err(|error| unfit(&error))?))
        }
        None => None,
    };
    let scheme = if identity.is_some() { "https" } else { "http" };
    let authority = match host.contains(':') {
        true => format!("{scheme}://[{host}]:{port}"),
        false => format!("{scheme}://{host}:{port}"),
    };
    let origin: Uri = authority.parse().map_err(|error| unfit(&error))?;
    let host = host.to_owned();
    let connector = service_fn(move |_| {
        let (host, identity) = (host.clone(), identity.clone());
        async move {
            dial::open(&host, port, mark, identity.as_deref())
                .await
                .map(TokioIo::new)
        }
    });
    // TLS is the connector's, which is why the endpoint itself says `http`; what is sent names the true scheme.
    let endpoint = Endpoint::from_static("http://server")
        .origin(origin)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Reads the token in a file; in words what is wrong.
pub(crate) async fn read_token(file: &Path) -> Result<Zeroizing<String>, String> {
    let failed =
        |problem: &dyn std::fmt::Display| format!("cannot read the token in {}: {problem}", file.display());
    let opened = tokio::fs::File::open(file)
        .await
        .map_err(|error| failed(&error))?;
    let mut token = Zeroizing::new(String::new());
    let mut bounded = opened.take(TOKEN_BYTES_MAX + 1);
    let read = bounded.read_to_string(&mut token).await;
    match read.map_err(|error| failed(&error))? as u64 {
        0 => Err(failed(&"it is empty")),
        bytes if bytes > TOKEN_BYTES_MAX => {
            Err(failed(&format!("it is longer than {TOKEN_BYTES_MAX} bytes")))
        }
        _ => Ok(Zeroizing::new(token.trim().to_owned())),
    }
}

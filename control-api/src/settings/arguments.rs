//! The flags that say what the settings' file could say.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How the server is started.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArguments {
    /// A file of settings (YAML). Flags count more than what it says.
    #[arg(short, long, value_name = "FILE", env = "OUTRIGGER_CONTROL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where nodes are served: ADS and the certificate authority. 127.0.0.1:18000 if not given.
    #[arg(long, value_name = "ADDRESS", env = "OUTRIGGER_CONTROL_GRPC_ADDRESS")]
    pub grpc_address: Option<SocketAddr>,
    /// Where people and tools are served: REST and metrics. 127.0.0.1:18001 if not given.
    #[arg(long, value_name = "ADDRESS", env = "OUTRIGGER_CONTROL_REST_ADDRESS")]
    pub rest_address: Option<SocketAddr>,
    /// Where the embedded store and the authority's generated key are kept; `outrigger-control` if not given.
    #[arg(long, value_name = "DIRECTORY", env = "OUTRIGGER_CONTROL_DATA_DIRECTORY")]
    pub data_directory: Option<PathBuf>,
    /// The store: `embedded`, `embedded:FILE`, `directory:PATH`, or `etcd:URL[,URL…]`.
    #[arg(long, value_name = "STORE", env = "OUTRIGGER_CONTROL_STORE")]
    pub store: Option<String>,
    /// The trust domain whose SPIFFE ids are given out and believed; `mesh.local` if not given.
    #[arg(long, value_name = "NAME", env = "OUTRIGGER_CONTROL_TRUST_DOMAIN")]
    pub trust_domain: Option<String>,
    /// The server's certificate chain (PEM), where it is not the authority's.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_certificate_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// A name by which the server is reached: its certificate is its own authority's. May be given many times.
    #[arg(long, value_name = "NAME", conflicts_with = "tls_certificate_file")]
    pub tls_name: Vec<String>,
    /// Authorities of client certificates (PEM), beside the server's own.
    #[arg(long, value_name = "FILE")]
    pub tls_client_roots_file: Option<PathBuf>,
    /// Writes the trust bundle (PEM) there whenever it changes.
    #[arg(long, value_name = "FILE")]
    pub bundle_file: Option<PathBuf>,
    /// Whoever calls from this machine is no administrator, and must show a token or a certificate like anybody.
    #[arg(long)]
    pub no_loopback_administrator: bool,
}

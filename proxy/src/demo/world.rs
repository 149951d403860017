//! What the demo's processes read: the mesh's documents, the control API's settings, each proxy's document, a join token.

use super::upstreams::Upstreams;
use crate::bootstrap;
use crate::cli::ControlArguments;
use anyhow::{Context, anyhow};
use outrigger_identity::provider;
use rustls::crypto::hash::HashAlgorithm;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The mesh; words in capitals stand for addresses.
const MESH: [(&str, &str); 3] = [
    ("defaults.yaml", include_str!("mesh/defaults.yaml")),
    ("gateway.yaml", include_str!("mesh/gateway.yaml")),
    ("services.yaml", include_str!("mesh/services.yaml")),
];
/// The control API's settings, likewise.
const SETTINGS: &str = include_str!("control.yaml");
/// Bytes of the join token, from the system's random source: as many as a SHA-256 has.
const TOKEN_BYTES: usize = 32;

/// Where everything listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) gateway_admin: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) rest: SocketAddr,
    pub(super) hello: Sidecar,
    pub(super) echo: Sidecar,
}

/// Where a sidecar listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sidecar {
    pub(super) inbound: SocketAddr,
    pub(super) outbound: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Addresses {
    /// Finds free ones; those that the user chose are checked, so that the error can name the flag. They are bound by
    /// others in a moment: the kernel does not choose one again so soon, but nothing holds them.
    pub(super) fn find(gateway: SocketAddr, admin: SocketAddr) -> anyhow::Result<Addresses> {
        // All are held until all are found, so that they differ.
        let mut held = vec![claim(gateway, "--listen")?, claim(admin, "--admin")?];
        for _ in 0..8 {
            held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?);
        }
        let found: Vec<SocketAddr> = held
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let sidecar = |from: usize| Sidecar {
            inbound: found[from],
            outbound: found[from + 1],
            admin: found[from + 2],
        };
        Ok(Addresses {
            gateway: found[0],
            gateway_admin: found[1],
            grpc: found[2],
            rest: found[3],
            hello: sidecar(4),
            echo: sidecar(7),
        })
    }
}

/// Fails if another process listens on the address. The proxy's own sockets would not tell: they share their port.
fn claim(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| anyhow!("cannot listen on {address}: {error}; choose another address with {flag}"))
}

/// The demo's directory. Dropping it removes it.
pub(super) struct World {
    directory: tempfile::TempDir,
    addresses: Addresses,
}

impl World {
    /// Writes everything.
    pub(super) fn make(addresses: Addresses, upstreams: &Upstreams) -> anyhow::Result<World> {
        let directory = tempfile::Builder::new()
            .prefix("outrigger-demo-")
            .tempdir()
            .context("cannot make a directory for the mesh")?;
        let world = World { directory, addresses };
        fs::create_dir(world.mesh()).context("cannot make a directory for the mesh")?;
        for (name, text) in MESH {
            world.write(
                &format!("mesh/{name}"),
                &mesh_document(text, &addresses, upstreams),
            )?;
        }
        let (token, digest) = join_token()?;
        world.write("join-token", &token)?;
        world.write("control.yaml", &world.settings(&digest))?;
        world.write(
            "gateway.yaml",
            &world.node("gateway", "edge/gateway", addresses.gateway_admin),
        )?;
        world.write(
            "hello.yaml",
            &world.node("hello-1", "demo/hello", addresses.hello.admin),
        )?;
        world.write(
            "echo.yaml",
            &world.node("echo-1", "demo/echo", addresses.echo.admin),
        )?;
        Ok(world)
    }

    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The directory of the mesh's documents.
    pub(super) fn mesh(&self) -> PathBuf {
        self.path("mesh")
    }

    /// Whom the control API's certificate chains to; the control API writes it.
    pub(super) fn bundle(&self) -> PathBuf {
        self.path("bundle.pem")
    }

    /// A file of the demo's.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        // The token is among them.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn settings(&self, digest: &str) -> String {
        SETTINGS
            .replace("DIRECTORY", &shown(self.directory.path()))
            .replace("GRPC_ADDRESS", &self.addresses.grpc.to_string())
            .replace("REST_ADDRESS", &self.addresses.rest.to_string())
            .replace("TOKEN_DIGEST", digest)
    }

    /// The document of a proxy: what `outrigger run --control …` makes of its flags, and a quick end.
    fn node(&self, node: &str, service: &str, admin: SocketAddr) -> String {
        let (namespace, name) = service.split_once('/').unwrap_or_default();
        let document = bootstrap::text(&ControlArguments {
            control: vec![format!("https://localhost:{}", self.addresses.grpc.port())],
            node_id: Some(node.to_owned()),
            service: Some(service.to_owned()),
            spiffe_id: Some(format!("spiffe://example.org/ns/{namespace}/sa/{name}")),
            control_ca_file: Some(self.bundle()),
            token_file: Some(self.path("join-token")),
            last_good: None,
            admin: Some(admin),
        });
        document + "drain:\n  timeout: 5s # Ctrl-C waits this long for what is in flight\n"
    }
}

fn mesh_document(text: &str, addresses: &Addresses, upstreams: &Upstreams) -> String {
    text.replace("LISTEN_ADDRESS", &addresses.gateway.to_string())
        .replace("HELLO_PORT", &upstreams.hello.port().to_string())
        .replace("HELLO_INBOUND", &addresses.hello.inbound.to_string())
        .replace("HELLO_OUTBOUND", &addresses.hello.outbound.to_string())
        .replace("ECHO_PORT", &upstreams.echo.port().to_string())
        .replace("ECHO_INBOUND", &addresses.echo.inbound.to_string())
        .replace("ECHO_OUTBOUND", &addresses.echo.outbound.to_string())
}

/// A path within double quotes of YAML.
fn shown(path: &Path) -> String {
    path.display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}

/// A token that nobody else knows, and its digest as the control API is told it.
fn join_token() -> anyhow::Result<(String, String)> {
    let provider = provider();
    let mut bytes = [0; TOKEN_BYTES];
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the system has no random bytes"))?;
    let token = hexadecimal(&bytes);
    let suites = provider.cipher_suites.iter().filter_map(|suite| suite.tls13());
    let sha256 = suites
        .map(|suite| suite.common.hash_provider)
        .find(|hash| hash.algorithm() == HashAlgorithm::SHA256)
        .context("no SHA-256")?;
    let digest = hexadecimal(sha256.hash(token.as_bytes()).as_ref());
    Ok((token, format!("sha256:{digest}")))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, Source, load, load_mesh};

    /// The files that a newcomer edits first: they must be valid, and nothing in them may need a warning.
    #[tokio::test]
    async fn the_demos_documents_are_clean() {
        let upstreams = Upstreams::start().await.unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let world = World::make(Addresses::find(any, any).unwrap(), &upstreams).unwrap();
        let read = |path: PathBuf| Source {
            name: path.display().to_string(),
            text: fs::read_to_string(path).unwrap(),
        };
        let sources: Vec<Source> = MESH.map(|(name, _)| read(world.mesh().join(name))).into();
        for source in &sources {
            let words = ["ADDRESS", "_PORT", "BOUND"];
            assert!(
                !words
                    .iter()
                    .any(|word| source.text.contains(word) && !source.text.contains("%")),
                "{source:?}"
            );
        }
        let mesh = load_mesh(&sources, &Environment::empty()).unwrap_or_else(|faults| panic!("{faults}"));
        let warnings = mesh
            .validate(std::time::SystemTime::now())
            .unwrap_or_else(|faults| panic!("{faults}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        fs::write(world.bundle(), "").unwrap();
        for name in ["gateway.yaml", "hello.yaml", "echo.yaml"] {
            let loaded = load(&read(world.path(name)), &Environment::empty());
            let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        }
    }

    #[test]
    fn the_digest_is_the_tokens() {
        let ((one, digest), (other, _)) = (join_token().unwrap(), join_token().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), digest.len()), (64, 7 + 64));
    }
}

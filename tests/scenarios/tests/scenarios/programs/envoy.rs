//! Envoy beside a test: what it is to do, started, waited for, ended by its own id. It picks its ports itself.

use super::{Beside, allow_missing, peers};
use outrigger_harness::{Admin, wait_until};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The address of a socket whose port the kernel picks, as a bootstrap has it.
pub(crate) const ANY: &str = "{ socket_address: { address: 127.0.0.1, port_value: 0 } }";

/// Fields of a cluster that is spoken HTTP/2 to.
pub(crate) const HTTP2: &str = "typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { \
     '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { \
     http2_protocol_options: {} } } }";

/// A running Envoy. Dropping it ends it.
pub(crate) struct Envoy {
    /// Its admin endpoint.
    pub(crate) admin: Admin,
    _program: Beside,
    _folder: TempDir,
}

impl Envoy {
    /// Starts Envoy with a bootstrap in which all addresses, also that of `admin`, are [`ANY`], and waits until it is
    /// ready: what it is to have from xDS servers is there, too. None if Envoy is not installed.
    ///
    /// # Panics
    /// If it is not installed and this is CI, or it does not get ready.
    pub(crate) async fn run(bootstrap: &str) -> Option<Envoy> {
        let program = program()?;
        let folder = tempfile::tempdir().expect("a folder can be had");
        let (file, told) = (folder.path().join("envoy.yaml"), folder.path().join("admin"));
        std::fs::write(&file, bootstrap).expect("a bootstrap can be written");
        let mut command = Command::new(program);
        let flags = [
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ];
        command
            .args(flags)
            .arg("--admin-address-path")
            .arg(&told)
            .arg("-c")
            .arg(&file);
        let program = Beside::start(command);
        let admin = wait_until("Envoy says where its admin endpoint is", async || {
            std::fs::read_to_string(&told).ok()?.trim().parse().ok()
        });
        let admin = Admin(admin.await);
        wait_until("Envoy is ready", async || {
            (admin.fetch("/ready").await.status() == 200).then_some(())
        })
        .await;
        Some(Envoy {
            admin,
            _program: program,
            _folder: folder,
        })
    }

    /// Where a listener listens, once it does.
    pub(crate) async fn address_of(&self, listener: &str) -> SocketAddr {
        let address = wait_until("Envoy has the listener", async || {
            let told = self.admin.json("/listeners?format=json").await;
            let of = told["listener_statuses"].as_array()?;
            let status = of.iter().find(|status| status["name"] == listener)?;
            let socket = &status["local_address"]["socket_address"];
            let (ip, port) = (&socket["address"], &socket["port_value"]);
            format!("{}:{port}", ip.as_str()?).parse().ok()
        })
        .await;
        wait_until("Envoy listens", async || {
            tokio::net::TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
        address
    }

    /// Where the listener `front` listens.
    pub(crate) async fn address(&self) -> SocketAddr {
        self.address_of("front").await
    }
}

/// Envoy's program: `$OUTRIGGER_ENVOY`, which `.ci/run` sets, or the one beside Python's.
fn program() -> Option<PathBuf> {
    let program = match std::env::var_os("OUTRIGGER_ENVOY") {
        Some(program) => PathBuf::from(program),
        None => peers().join("bin/envoy"),
    };
    allow_missing(if program.is_file() { &[] } else { &["envoy"] }).then_some(program)
}

/// What Envoy is to do: one listener, `front`, whose requests all go to the cluster `upstream`. Fields are given as YAML
/// has them between braces.
pub(crate) struct Setup {
    http: String,
    filter: String,
    route: String,
    chain: String,
    clusters: String,
}

impl Setup {
    /// With endpoints, and further fields of the cluster.
    pub(crate) fn to(endpoints: &[SocketAddr], fields: &str) -> Setup {
        let none = Setup {
            http: String::new(),
            filter: String::new(),
            route: String::new(),
            chain: String::new(),
            clusters: String::new(),
        };
        none.with_cluster("upstream", endpoints, fields)
    }

    /// Fields of the HTTP connection manager.
    pub(crate) fn http(mut self, fields: &str) -> Setup {
        let _ = write!(self.http, ", {fields}");
        self
    }

    /// An HTTP filter before the router: its `typed_config`.
    pub(crate) fn filter(mut self, config: &str) -> Setup {
        let _ = write!(self.filter, "{{ name: filter, typed_config: {{ {config} }} }}, ");
        self
    }

    /// Fields of the route's action.
    pub(crate) fn route(mut self, fields: &str) -> Setup {
        let _ = write!(self.route, ", {fields}");
        self
    }

    /// One more field of the filter chain.
    pub(crate) fn chain(mut self, field: &str) -> Setup {
        let _ = writeln!(self.chain, "      {field}");
        self
    }

    /// One more cluster.
    pub(crate) fn with_cluster(mut self, name: &str, endpoints: &[SocketAddr], fields: &str) -> Setup {
        let address = |address: &SocketAddr| {
            format!(
                "{{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}",
                address.ip(),
                address.port()
            )
        };
        let endpoints: Vec<String> = endpoints.iter().map(address).collect();
        let comma = if fields.is_empty() { "" } else { ", " };
        let _ = writeln!(
            self.clusters,
            "  - {{ name: {name}, type: STATIC, load_assignment: {{ cluster_name: {name}, endpoints: [{{ lb_endpoints: \
             [{}] }}] }}{comma}{fields} }}",
            endpoints.join(", ")
        );
        self
    }

    /// Starts Envoy, as [`Envoy::run`] does.
    pub(crate) async fn start(&self) -> Option<Envoy> {
        let Setup {
            http,
            filter,
            route,
            chain,
            clusters,
        } = self;
        let bootstrap = format!(
            "admin: {{ address: {ANY} }}
static_resources:
  listeners:
  - name: front
    address: {ANY}
    filter_chains:
    - filters:
      - name: http
        typed_config: {{ '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, \
             stat_prefix: front, route_config: {{ virtual_hosts: [{{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, \
             route: {{ cluster: upstream{route} }} }}] }}] }}, http_filters: [{filter}{{ name: router, typed_config: {{ '@type': \
             type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }}]{http} }}
{chain}  clusters:
{clusters}"
        );
        Envoy::run(&bootstrap).await
    }
}

//! Transparent interception in network namespaces: two pods and a node, real rules, and programs that know nothing of
//! a proxy.

mod arrival;
mod mesh;
mod partition;
mod passing;
mod rules;
mod under_load;

use mesh::{Mesh, Namespace};
use outrigger_harness::Process;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What a sidecar is started with, and where.
struct Sidecar<'s> {
    /// Shows who passed a request on.
    name: &'s str,
    /// `redirect` or `tproxy`, inbound.
    inbound: &'s str,
    /// Filter chains of the outbound listeners.
    outbound: &'s str,
    /// Fields of `runtime`.
    runtime: &'s str,
    /// Fields of the cluster that all goes to, beside its discovery's type.
    destinations: &'s str,
}

/// HTTP, and TCP on port 9000, to wherever it was meant for.
const PASS: &str = "{match: {destination_port: 9000}, tcp: {cluster: destinations}}, \
                    {http: {route_configuration: outbound, accept_http_10: true}}";

/// The same, for pods only.
const PODS_ONLY: &str =
    "{match: {destination_prefixes: [10.77.0.0/24, 'fd77::/64']}, http: {route_configuration: outbound}}";

impl Sidecar<'static> {
    fn new(name: &'static str) -> Sidecar<'static> {
        Sidecar {
            name,
            inbound: "redirect",
            outbound: PASS,
            runtime: "workers: 2",
            destinations: "",
        }
    }
}

impl Sidecar<'_> {
    fn document(&self) -> String {
        let Sidecar {
            name,
            inbound,
            outbound,
            runtime,
            destinations,
        } = self;
        let listener = |role: &str, address: &str, how: &str, chains: &str| {
            format!(
                "- {{name: {role}, address: '{address}', interception: {how}, filter_chains: [{chains}]}}\n"
            )
        };
        let taken = "{match: {destination_port: 9000}, tcp: {cluster: destinations}}, \
                     {http: {route_configuration: inbound, accept_http_10: true, access_logs: [{path: stdout, format: {text: \
                     'meant for %DOWNSTREAM_LOCAL_ADDRESS%'}}]}}";
        let routes = |role: &str| {
            format!(
                "- {{name: {role}, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, \
                 forward: {{cluster: destinations}}, request_headers: {{set: {{x-{role}: {name}}}}}}}]}}]}}\n"
            )
        };
        format!(
            "admin: {{address: 127.0.0.1:9901}}\nruntime: {{{runtime}}}\ndrain: {{timeout: 5s}}\nlisteners:\n{}{}{}{}\
             route_configurations:\n{}{}clusters:\n- {{name: destinations, discovery: {{type: original_destination\
             {destinations}}}}}\n",
            listener("inbound-v4", "0.0.0.0:15006", inbound, taken),
            listener("inbound-v6", "[::]:15006", inbound, taken),
            listener("outbound-v4", "127.0.0.1:15001", "redirect", outbound),
            listener("outbound-v6", "[::1]:15001", "redirect", outbound),
            routes("inbound"),
            routes("outbound"),
        )
    }

    /// Writes the configuration and starts the sidecar.
    async fn start(&self, space: &Namespace, folder: &Path) -> (Process, PathBuf) {
        let file = folder.join(format!("{}.yaml", self.name));
        std::fs::write(&file, self.document()).unwrap();
        (space.proxy(&file).await, file)
    }
}

/// An unmodified server: what it answers tells whom it sees and through which sidecars a request came.
struct Server {
    _nginx: crate::programs::Beside,
}

impl Server {
    /// nginx on ports 8080 and 8081, run as the application.
    async fn start(space: &Namespace, folder: &Path) -> Server {
        let home = folder.join("nginx");
        std::fs::create_dir(&home).unwrap();
        open_to_all(folder);
        open_to_all(&home);
        let root = home.display();
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
             keepalive_requests 1000000;\n\
             server {{ listen 8080; listen [::]:8080; listen 8081; listen [::]:8081; default_type text/plain;\n\
             location / {{ return 200 \"out=$http_x_outbound in=$http_x_inbound from=$remote_addr\"; }} }} }}\n"
        );
        std::fs::write(home.join("nginx.conf"), text).unwrap();
        let mut command = space.application("nginx");
        command
            .arg("-c")
            .arg(home.join("nginx.conf"))
            .arg("-p")
            .arg(&home)
            .arg("-e")
            .arg(home.join("error.log"));
        let nginx = crate::programs::Beside::start(command);
        outrigger_harness::wait_until("nginx", || async {
            space
                .within(|| std::net::TcpStream::connect("127.0.0.1:8080"))
                .ok()
                .map(drop)
        })
        .await;
        Server { _nginx: nginx }
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// A URL of a pod's server.
fn url(address: IpAddr, port: u16) -> String {
    format!("http://{}/", std::net::SocketAddr::new(address, port))
}

/// Both pods with sidecars that take everything, the server in pod `b`, and rules that let the proxy's user pass.
struct Pair {
    a: Process,
    b: Process,
    _server: Server,
    config_a: PathBuf,
    config_b: PathBuf,
    // Last: what runs in the namespaces ends before they go.
    mesh: Mesh,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn start(rules: &str) -> Pair {
        Pair::with(Sidecar::new("a"), Sidecar::new("b"), rules, rules).await
    }

    async fn with(a: Sidecar<'_>, b: Sidecar<'_>, rules_a: &str, rules_b: &str) -> Pair {
        let mesh = Mesh::new();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&mesh.b.space, folder.path()).await;
        let (process_a, config_a) = a.start(&mesh.a.space, folder.path()).await;
        let (process_b, config_b) = b.start(&mesh.b.space, folder.path()).await;
        mesh.a.space.intercepts(&format!("apply {rules_a}"));
        mesh.b.space.intercepts(&format!("apply {rules_b}"));
        Pair {
            a: process_a,
            b: process_b,
            _server: server,
            config_a,
            config_b,
            mesh,
            _folder: folder,
        }
    }
}

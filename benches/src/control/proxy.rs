//! One proxy that is told of very many clusters, then of changes of one endpoint.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::mesh::{self, GATEWAY, MOVING};
use super::relay::{self, Relay, ask};
use super::server::{Control, MET, RELEASED};
use super::{Changes, OneProxy, Options, SETTLE, spent};
use crate::peer::Peer;
use crate::placement::Placement;
use crate::process::{ProcessTree, Running, free_address};

/// How often a proxy is asked whether something is in force.
const ASK_INTERVAL: Duration = Duration::from_millis(2);

/// A proxy and the server that drives it.
struct Pair<'a> {
    options: &'a Options,
    control: Control,
    server: ProcessTree,
    proxy: ProcessTree,
    relay: Relay,
    listen: SocketAddr,
    /// The endpoints between which the change goes, with what they say.
    sides: [(SocketAddr, u8); 2],
}

/// Starts a server of its own and a proxy, and measures both.
pub(super) fn measure(
    peer: Peer,
    program: &Path,
    options: &Options,
    placement: &Placement,
) -> Result<OneProxy> {
    let directory = tempfile::tempdir().context("making a directory")?;
    let sides = [(relay::backend(b'a')?, b'a'), (relay::backend(b'b')?, b'b')];
    let listen = free_address()?;
    let server_command = |program: &Path| placement.load_command(program);
    let control = Control::start(server_command, directory.path(), options.patience, |mesh| {
        mesh::write_gateway(mesh, listen, options.clusters, options.endpoints)?;
        mesh::write_moving(mesh, &[sides[0].0])
    })?;
    let relay = Relay::start(control.grpc)?;
    let server_before = control.tree().processor_time()?;
    let running = start(peer, program, relay.address, directory.path(), placement)?;
    let begun = control.wait_for(MET, 1, options.patience)?;
    let pair = Pair {
        options,
        server: control.tree(),
        control,
        proxy: running.tree(),
        relay,
        listen,
        sides,
    };
    let (resident_before, _) = spent(&pair.proxy)?;
    pair.all_in_force(&running)?;
    let in_force = begun.elapsed();
    sleep(SETTLE);
    let received_bytes = pair.relay.received();
    let (server_resident, server_cpu) = spent(&pair.server)?;
    let (resident_after, proxy_cpu) = spent(&pair.proxy)?;
    let mut changes = Changes::default();
    for change in 0..options.changes {
        pair.change(change as usize + 1, &mut changes)?;
    }
    Ok(OneProxy {
        proxy: peer.name(),
        in_force_ms: in_force.as_secs_f64() * 1e3,
        received_bytes,
        resident_before,
        resident_after,
        server_resident,
        proxy_cpu_ms: proxy_cpu.as_secs_f64() * 1e3,
        server_cpu_ms: server_cpu.saturating_sub(server_before).as_secs_f64() * 1e3,
        changes,
    })
}

impl Pair<'_> {
    /// Waits until the proxy serves by the first service of the mesh and by the last.
    fn all_in_force(&self, running: &Running) -> Result<()> {
        let answers = |status, service: &str| {
            ask(self.listen, &mesh::host(service)).is_some_and(|(got, _)| got == status)
        };
        self.wait(|| answers(200, MOVING))
            .with_context(|| format!("everything in force; the proxy says:\n{}", running.printed()))?;
        if self.options.clusters > 1 {
            // Nobody listens at its endpoints: a service that is not known would be 404.
            let last = mesh::name(self.options.clusters - 2);
            self.wait(|| answers(503, &last))?;
        }
        Ok(())
    }

    fn change(&self, number: usize, changes: &mut Changes) -> Result<()> {
        let (address, letter) = self.sides[number % 2];
        let (server_cpu, proxy_cpu) = (self.server.processor_time()?, self.proxy.processor_time()?);
        let (released, received) = (self.control.said(RELEASED), self.relay.received());
        let written = Instant::now();
        mesh::write_moving(self.control.mesh(), &[address])?;
        let known = self
            .control
            .wait_for(RELEASED, released + 1, self.options.patience)?;
        let host = mesh::host(MOVING);
        self.wait(|| ask(self.listen, &host) == Some((200, letter)))
            .context("a change in force")?;
        changes.in_force_ms.add(known.elapsed());
        changes.released_ms.add(known - written);
        sleep(SETTLE);
        changes
            .server_cpu_ms
            .add(self.server.processor_time()?.saturating_sub(server_cpu));
        changes
            .proxy_cpu_ms
            .add(self.proxy.processor_time()?.saturating_sub(proxy_cpu));
        changes.received_bytes.push(self.relay.received() - received);
        Ok(())
    }

    fn wait(&self, mut condition: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + self.options.patience;
        while !condition() {
            ensure!(Instant::now() < deadline, "it took too long");
            sleep(ASK_INTERVAL);
        }
        Ok(())
    }
}

fn start(
    peer: Peer,
    program: &Path,
    server: SocketAddr,
    directory: &Path,
    placement: &Placement,
) -> Result<Running> {
    let file = directory.join(format!("{}.yaml", peer.name()));
    let text = match peer {
        Peer::Envoy => envoy(server),
        _ => outrigger(server),
    };
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    let mut command: Command = placement.proxy_command(program);
    let words: &[&str] = match peer {
        Peer::Envoy => &[
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
            "-c",
        ],
        _ => &["run", "-c"],
    };
    command.args(words).arg(&file);
    Running::start(peer.name(), command, &file.with_extension("output"))
}

fn outrigger(server: SocketAddr) -> String {
    format!(
        "admin: {{address: '127.0.0.1:0'}}
runtime: {{workers: 1}}
drain: {{grace: 0s, timeout: 5s}}
control: {{servers: ['http://{server}'], node: bench, service: {GATEWAY}}}
"
    )
}

fn envoy(server: SocketAddr) -> String {
    let (ip, port) = (server.ip(), server.port());
    format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
node: {{id: bench, cluster: {GATEWAY}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{{envoy_grpc: {{cluster_name: control}}}}]
  cds_config: {{resource_api_version: V3, ads: {{}}}}
  lds_config: {{resource_api_version: V3, ads: {{}}}}
static_resources:
  clusters:
    - name: control
      type: STATIC
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{}}}}
      load_assignment:
        cluster_name: control
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}}}]}}]
"
    )
}

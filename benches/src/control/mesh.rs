//! Meshes of any size, as the control API reads them: a document that stays, and one that changes.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

/// The port of endpoints that are never asked: nobody listens there.
const NOWHERE: u16 = 9;
/// The gateway whose node the proxy is.
pub(super) const GATEWAY: &str = "bench/gateway";
/// The name of the service that changes, without its namespace.
pub(super) const MOVING: &str = "moving";

/// The document with the service that changes: it has these endpoints now. Whole, or not at all.
pub(super) fn write_moving(directory: &Path, endpoints: &[SocketAddr]) -> Result<()> {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|address| format!("{{address: '{address}'}}"))
        .collect();
    let text = format!(
        "services: [{{name: bench/{MOVING}, ports: [{{port: 80, protocol: http}}], endpoints: [{}]}}]\n",
        endpoints.join(", ")
    );
    write(directory, "moving.yaml", &text)
}

/// A gateway at `listen` that leads to so many services, of which all but one stay as they are and share `endpoints`.
pub(super) fn write_gateway(
    directory: &Path,
    listen: SocketAddr,
    clusters: u32,
    endpoints: u32,
) -> Result<()> {
    let mut text = "services:\n".to_owned();
    let staying = clusters.saturating_sub(1);
    for index in 0..staying {
        let own = share(endpoints, staying, index);
        service(&mut text, &name(index), own, index, "");
    }
    let _ = write!(
        text,
        "gateways:\n  - name: {GATEWAY}\n    listeners: [{{name: bench, address: '{listen}'}}]\n    virtual_hosts:\n"
    );
    for service in (0..staying).map(name).chain([MOVING.to_owned()]) {
        let _ = writeln!(
            text,
            "      - {{name: {service}, domains: [{}], routes: [{{match: {{prefix: /}}, forward: {{service: bench/{service}}}}}]}}",
            host(&service)
        );
    }
    write(directory, "staying.yaml", &text)
}

/// So many services with sidecars, each of which uses the one that changes.
pub(super) fn write_fleet(directory: &Path, services: u32) -> Result<()> {
    let mut text = "services:\n".to_owned();
    for index in 0..services {
        let more = format!(", sidecar: {{}}, uses: [bench/{MOVING}]");
        service(&mut text, &name(index), 10, index, &more);
    }
    write(directory, "staying.yaml", &text)
}

/// What a service of the gateway is called by.
pub(super) fn host(service: &str) -> String {
    format!("{service}.bench.example")
}

/// A service that stays, without its namespace.
pub(super) fn name(index: u32) -> String {
    format!("s{index}")
}

fn service(text: &mut String, name: &str, endpoints: u32, index: u32, more: &str) {
    let endpoints: Vec<String> = (0..endpoints)
        .map(|endpoint| format!("{{address: '{}'}}", nowhere(index, endpoint)))
        .collect();
    let _ = writeln!(
        text,
        "  - {{name: bench/{name}, ports: [{{port: 80, application_port: {NOWHERE}, protocol: http}}], endpoints: [{}]{more}}}",
        endpoints.join(", ")
    );
}

/// An address of loopback that refuses connections: as many as there are, then the same again.
fn nowhere(service: u32, endpoint: u32) -> SocketAddr {
    let [_, high, low, _] = (service << 8).to_be_bytes();
    let last = u8::try_from(endpoint % 250).unwrap_or_default() + 1;
    let port = NOWHERE + u16::try_from(endpoint / 250 % 100).unwrap_or_default();
    SocketAddr::from(([127, high, low, last], port))
}

/// What is `index`'s of `all`, shared evenly by `of`.
fn share(all: u32, of: u32, index: u32) -> u32 {
    all / of.max(1) + u32::from(index < all % of.max(1))
}

fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let beside = directory.with_extension("beside");
    fs::write(&beside, text).with_context(|| format!("writing {}", beside.display()))?;
    let file = directory.join(name);
    fs::rename(&beside, &file).with_context(|| format!("putting {} in its place", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use outrigger_config::{Environment, NodeRole, Source, load_mesh};

    fn read(directory: &Path) -> Vec<Source> {
        let of = |name: &str| Source {
            name: name.to_owned(),
            text: fs::read_to_string(directory.join(name)).unwrap(),
        };
        vec![of("staying.yaml"), of("moving.yaml")]
    }

    #[test]
    fn a_gateway_has_all_clusters_and_endpoints() {
        let directory = tempfile::tempdir().unwrap();
        let mesh = directory.path().join("mesh");
        fs::create_dir(&mesh).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        write_gateway(&mesh, address, 20, 100).unwrap();
        write_moving(&mesh, &[address]).unwrap();
        let mesh = load_mesh(&read(&mesh), &Environment::empty()).unwrap();
        let role = NodeRole::Gateway {
            name: GATEWAY.to_owned(),
        };
        let view = mesh.view(&role).unwrap();
        assert_eq!(view.config.clusters().len(), 20);
        let endpoints = view.config.clusters().iter();
        assert_eq!(
            endpoints.map(|cluster| cluster.endpoints().len()).sum::<usize>(),
            101
        );
    }

    #[test]
    fn a_fleet_is_a_mesh() {
        let directory = tempfile::tempdir().unwrap();
        let mesh = directory.path().join("mesh");
        fs::create_dir(&mesh).unwrap();
        write_fleet(&mesh, 3).unwrap();
        write_moving(&mesh, &[SocketAddr::from(([127, 0, 0, 1], 1))]).unwrap();
        let mesh = load_mesh(&read(&mesh), &Environment::empty()).unwrap();
        mesh.validate(std::time::SystemTime::now()).unwrap();
        let view = mesh.view(&mesh.sidecar("bench/s1", "node-1")).unwrap();
        assert!(view.services.contains("bench/moving"), "{:?}", view.services);
    }
}

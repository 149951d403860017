//! The control plane as YAML.

use super::emit::{Map, list, text};
use super::tls::put_roots;
use super::{duration, path, word};
use crate::model::{Control, ControlTransport};

pub(super) fn control(control: &Control) -> Map {
    let servers = control.servers.iter().map(|server| text(server.url()));
    let mut map = Map::default()
        .with("servers", list(servers))
        .with("node", text(&control.node));
    if let Some(service) = &control.service {
        map.put("service", text(service));
    }
    if !control.metadata.is_empty() {
        map.put("metadata", super::pairs(&control.metadata));
    }
    if let Some(roots) = &control.roots {
        put_roots(&mut map, roots);
    }
    if let Some(name) = &control.server_name {
        map.put("server_name", text(name));
    }
    if let Some(identity) = &control.identity {
        map.put("identity", text(identity));
    }
    match &control.token_file {
        Some(file) => map.put("token_file", path(file)),
        None => map.comment("token_file: no token is sent"),
    }
    let transport = match control.transport {
        ControlTransport::Delta => "delta",
        ControlTransport::StateOfTheWorld => "state_of_the_world",
    };
    map.put("transport", word(transport));
    match &control.last_good {
        Some(directory) => map.put("last_good", path(directory)),
        None => map.comment("last_good: it is not kept"),
    }
    map.with("first_wait", duration(control.first_wait))
        .with("return_interval", duration(control.return_interval))
}

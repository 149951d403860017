//! Faults in force, told whenever a configuration is: whoever injects them forgets them.

use outrigger_config::model::Fault;
use outrigger_config::{MeshConfig, Timestamp};
use outrigger_explain::describe_fault;
use std::time::SystemTime;

/// Warns of every fault in a configuration that was put in force.
pub(crate) fn warn(config: &MeshConfig, now: SystemTime) {
    for (place, fault) in all(config) {
        let what = describe_fault(fault);
        match fault.expires() {
            Some(moment) if now >= moment => {
                tracing::warn!(%place, "a fault has expired ({}) and does nothing: {what}", Timestamp(moment));
            }
            Some(moment) => {
                tracing::warn!(%place, "a fault is injected until {}: {what}", Timestamp(moment));
            }
            None => tracing::warn!(%place, "a fault is injected, with no end: {what}"),
        }
    }
}

/// Every fault, and where it stands.
fn all(config: &MeshConfig) -> Vec<(String, &Fault)> {
    let mut found = Vec::new();
    for listener in config.listeners() {
        for chain in listener.filter_chains() {
            let options = chain.mode().http();
            if let Some(fault) = options.and_then(|options| options.fault().as_ref()) {
                let place = format!("listener {}, filter chain {}", listener.name(), chain.name());
                found.push((place, &**fault));
            }
        }
    }
    for routes in config.route_configurations() {
        for host in routes.virtual_hosts() {
            for route in host.routes() {
                if let Some(Some(fault)) = route.fault() {
                    let place = format!("route {} of {}", route.name(), routes.name());
                    found.push((place, &**fault));
                }
            }
        }
    }
    found
}

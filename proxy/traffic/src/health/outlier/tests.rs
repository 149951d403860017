//! Envoy's documented arithmetic, in tables. Sources: Envoy's guide, "Outlier detection", and the reference of
//! `config.cluster.v3.OutlierDetection`.

mod ejections;
mod runs;
mod statistics;

use super::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

fn address(place: usize) -> SocketAddr {
    ([10, 0, 0, place as u8], 80).into()
}

fn fellows(count: usize) -> Vec<Fellow> {
    (0..count)
        .map(|place| Fellow {
            address: address(place),
            health: Arc::default(),
            serves: true,
        })
        .collect()
}

fn settings() -> OutlierSettings {
    OutlierSettings::from(&OutlierDetection::default())
}

fn rules() -> OutlierRules {
    OutlierRules::new(&OutlierDetection::default(), 5)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Chance that always ejects, without jitter.
fn always() -> impl FnMut() -> u64 {
    || 0
}

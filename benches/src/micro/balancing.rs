//! Picks of endpoints.

use super::Call;
use anyhow::{Context, Result, ensure};
use outrigger_config::{Environment, Source, load};
use outrigger_traffic::{EndpointLoad, Member, PickContext, Plan, Standing, hash};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ENDPOINTS: usize = 100;

/// Picks by a policy among endpoints; `halved`: in two priorities, every other endpoint of the first unhealthy.
pub(super) fn pick(policy: &str, halved: bool) -> Result<Call> {
    let endpoints: String = (0..ENDPOINTS)
        .map(|number| {
            let priority = usize::from(halved) * (number / (ENDPOINTS / 2));
            format!("  - {{address: '10.0.0.{number}:80', priority: {priority}}}\n")
        })
        .collect();
    let source = Source {
        name: "cluster.yaml".to_owned(),
        text: format!("clusters:\n- name: one\n  load_balancing: {policy}\n  endpoints:\n{endpoints}"),
    };
    let loaded = load(&source, &Environment::empty()).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let cluster = loaded.config.clusters().first().context("no cluster")?;
    let loads: Vec<Arc<EndpointLoad>> = (0..ENDPOINTS).map(|_| Arc::default()).collect();
    let keys: Vec<String> = cluster
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.address().to_string())
        .collect();
    let members: Vec<Member<'_>> = (0..ENDPOINTS)
        .map(|place| Member {
            key: &keys[place],
            weight: 1,
            priority: cluster.endpoints()[place].priority(),
            locality: None,
            metadata: None,
            standing: match halved && place < ENDPOINTS / 2 && place % 2 == 0 {
                true => Standing::Unhealthy,
                false => Standing::Healthy,
            },
            keeps: true,
            since: Duration::ZERO,
            load: &loads[place],
        })
        .collect();
    let epoch = Instant::now();
    let plan = Plan {
        policy: cluster.load_balancing(),
        options: cluster.balancing(),
        locality_weights: &[],
        zones: None,
        subsets: &[],
        now: Duration::ZERO,
        epoch,
    };
    let balancer = outrigger_traffic::Balancer::new(&plan, &members, None);
    ensure!(
        balancer.priorities().len() == 1 + usize::from(halved),
        "the priorities are others"
    );
    let mut turn = 0u64;
    Ok(Box::new(move || {
        turn = turn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let context = PickContext {
            random: turn,
            hash: Some(hash::of(&turn.to_le_bytes())),
            avoid: &[],
            subset: None,
            requests_active: 1,
            now: epoch,
        };
        black_box(balancer.pick(black_box(&context)));
    }))
}

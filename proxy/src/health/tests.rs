//! Alarms and checks, beside what is in force.

use super::*;
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::Compiler;
use outrigger_telemetry::AccessLogSinks;
use outrigger_traffic::health::{Outcome, OutlierRules};

fn config(cluster: &str) -> MeshConfig {
    let source = outrigger_config::Source {
        name: "clusters.yaml".into(),
        text: format!("clusters: [{{ name: upstream, {cluster} }}]\n").into(),
    };
    outrigger_config::load(&source, &outrigger_config::Environment::empty())
        .unwrap()
        .config
}

fn compiled(cluster: &str) -> Snapshot {
    let metrics = Metrics::new(1, refusals::reasons());
    let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
    let config = Arc::new(config(cluster));
    let material = Arc::new(Material::load(&config, None).material);
    Compiler::new(metrics, sinks)
        .compile(config, &Discovered::default(), material, None)
        .unwrap()
}

fn health() -> Health {
    let metrics = Metrics::new(1, refusals::reasons());
    Health::new(metrics, Arc::default(), None)
}

#[test]
fn an_alarm_of_an_endpoint_that_is_not_known_yet_comes_again_with_the_next_failure() {
    let (one, two, three) = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3");
    let watched = |endpoints: [&str; 2]| {
        compiled(&format!(
            "outlier_detection: {{ consecutive_5xx: 2 }}, endpoints: [{{ address: '{}' }}, {{ address: '{}' }}]",
            endpoints[0], endpoints[1]
        ))
    };
    let in_force = watched([one, two]);
    let policy = in_force.clusters().next().unwrap();
    let endpoint = &policy.endpoints()[0];
    let rules = OutlierRules::new(policy.config().outlier_detection().as_ref().unwrap(), 2);
    let fail = || {
        let counts = endpoint.health().outlier_counts();
        let crossings = counts.record(Outcome::Answered(500), &rules)?;
        Some(OutlierAlarm {
            cluster: policy.config().name().clone(),
            address: endpoint.address(),
            health: Arc::clone(endpoint.health()),
            crossings,
        })
    };
    let shared = health().shared();
    assert!(fail().is_none());
    shared.judge(&fail().expect("the run is long enough"));

    // Its cluster is there now, with the endpoints of before.
    shared.reconcile(&watched([two, three]));
    let alarm = fail().expect("nobody has heard of it");
    assert!(fail().is_none(), "it is on its way");
    shared.judge(&alarm);
    assert!(!endpoint.health().has(HealthMark::Ejected));

    // Its address is there now, and it is another's.
    shared.reconcile(&watched([one, two]));
    shared.judge(&fail().expect("nobody has heard of it"));
    assert!(!endpoint.health().has(HealthMark::Ejected));

    shared.reconcile(&in_force);
    shared.judge(&fail().expect("nobody has heard of it"));
    assert!(endpoint.health().has(HealthMark::Ejected));
}

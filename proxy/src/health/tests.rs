//! Alarms and checks, beside what is in force.

use super::*;
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::Compiler;
use outrigger_telemetry::AccessLogSinks;
use outrigger_traffic::health::{Outcome, OutlierRules};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn config(cluster: &str) -> MeshConfig {
    let source = outrigger_config::Source {
        name: "clusters.yaml".into(),
        text: format!("clusters: [{{ name: upstream, {cluster} }}]\n"),
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

/// An endpoint that answers every check with these fields, as they are at the time.
async fn answering(fields: watch::Receiver<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let fields = *fields.borrow();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n{fields}\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_endpoint_is_degraded_for_as_long_as_its_answers_say_so() {
    let (says, said) = watch::channel("x-envoy-degraded: true\r\n");
    let address = answering(said).await;
    let config = config(&format!(
        "health_check: {{ http: {{ path: / }}, interval: 5ms }}, endpoints: [{{ address: '{address}' }}]"
    ));
    let health = health();
    let prepared = health.prepare(
        &config,
        &Discovered::default(),
        &Material::load(&config, None).material,
        None,
    );
    prepared.warm().await;
    let endpoint = prepared.clusters[0].endpoints().next().unwrap();
    assert!(endpoint.health.has(HealthMark::Degraded));
    assert!(!endpoint.health.has(HealthMark::FailedCheck) && !endpoint.health.has(HealthMark::Unchecked));
    says.send_replace("");
    let well = async {
        while endpoint.health.has(HealthMark::Degraded) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), well).await.unwrap();
    says.send_replace("x-envoy-degraded:\r\n");
    let degraded = async {
        while !endpoint.health.has(HealthMark::Degraded) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), degraded)
        .await
        .unwrap();
}

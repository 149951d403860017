//! Which configurations are kept to tell of records.

use super::*;
use outrigger_config::model::MeshConfig;
use outrigger_config::{Environment, Source, load};
use outrigger_dataplane::refusals;
use outrigger_dataplane::snapshot::{Compiler, Discovered};
use outrigger_identity::Material;
use outrigger_telemetry::recorder::{Kind, Note, Protocol, RecorderSettings};
use outrigger_telemetry::{AccessLogSinks, Metrics, ResponseFlags};
use std::time::{Duration, Instant};

/// Configurations as they come, the last in force.
struct Published {
    compiler: Compiler,
    in_force: Option<Snapshot>,
    legends: Legends,
}

impl Published {
    fn new() -> Published {
        let metrics = Metrics::new(1, refusals::reasons());
        let sinks = Arc::new(AccessLogSinks::new(Arc::clone(&metrics)));
        Published {
            compiler: Compiler::new(metrics, sinks),
            in_force: None,
            legends: Legends::default(),
        }
    }

    fn publish(&mut self, config: &Arc<MeshConfig>) {
        let material = Arc::new(Material::load(config, None).material);
        let snapshot = self
            .compiler
            .compile(
                Arc::clone(config),
                &Discovered::default(),
                material,
                self.in_force.as_ref(),
            )
            .unwrap();
        self.legends.keep(&snapshot);
        self.in_force = Some(snapshot);
    }

    fn ask(&self, recorder: &Recorder, query: &WhyQuery) -> Answer {
        answer(recorder, &self.legends, self.in_force.as_ref().unwrap(), query)
    }
}

/// A listener with one route of this name, and a cluster with these endpoints.
fn config(route: &str, endpoints: &[u16]) -> Arc<MeshConfig> {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|port| format!("{{ address: '127.0.0.1:{port}' }}"))
        .collect();
    let text = format!(
        "listeners:\n- name: main\n  address: 127.0.0.1:1\n  filter_chains:\n  - http: {{ route_configuration: main }}\n\
         route_configurations:\n- name: main\n  virtual_hosts:\n  - name: all\n    domains: ['*']\n    routes:\n    \
         - {{ name: {route}, match: {{ prefix: / }}, forward: {{ cluster: upstream }} }}\n\
         clusters:\n- {{ name: upstream, endpoints: [{}] }}\n",
        endpoints.join(", ")
    );
    let source = Source {
        name: "test.yaml".into(),
        text,
    };
    Arc::new(load(&source, &Environment::empty()).unwrap().config)
}

/// The same but for endpoints of its cluster, as a control plane tells of them.
fn with_endpoints(config: &MeshConfig, endpoints: &[u16]) -> Arc<MeshConfig> {
    let other = self::config("other", endpoints);
    let cluster = &config.clusters()[0];
    let moved = cluster.with_endpoints_of(&other.clusters()[0]);
    Arc::new(config.with_clusters(&[Arc::new(moved)]))
}

/// A recorder with a request that was served by this configuration: the first route and cluster.
fn recorded(generation: u64) -> Recorder {
    let recorder = Recorder::new(1);
    let settings = RecorderSettings {
        memory_bytes: 1 << 20,
        slow: Duration::from_secs(1),
    };
    let mut writer = recorder.open(0, Some(settings)).unwrap();
    writer.record(&Note {
        kind: Kind::Request,
        ended: Instant::now(),
        duration: Duration::ZERO,
        status: 200,
        flags: ResponseFlags::NONE,
        attempts: 0,
        protocol: Protocol::Http11,
        generation,
        chain: 0,
        virtual_host: Some(0),
        route: Some(0),
        cluster: Some(0),
        connection: 1,
        bytes_received: 0,
        bytes_sent: 0,
        last_attempt: None,
        peer: ([127, 0, 0, 1], 4000).into(),
        request_ended: true,
        trace_id: None,
        method: "GET",
        path: "/",
        authority: "test",
        request_id: b"",
        details: "via_upstream",
        peer_id: "",
        story: None,
        grpc_status: None,
    });
    recorder
}

fn by_names() -> WhyQuery {
    WhyQuery {
        route: Some("first".to_owned()),
        cluster: Some("upstream".to_owned()),
        ..WhyQuery::default()
    }
}

#[test]
fn endpoints_that_come_and_go_take_no_place_from_other_configurations() {
    let mut published = Published::new();
    let first = config("first", &[1]);
    published.publish(&first);
    for turn in 0..2 * LEGENDS_MAX as u16 {
        published.publish(&with_endpoints(&first, &[2 + turn % 2, 9]));
    }
    let last = published.in_force.as_ref().unwrap().generation();
    assert_eq!(last, 1 + 2 * LEGENDS_MAX as u64);
    assert_eq!(published.legends.0.lock().len(), 1);
    for generation in [1, 2, last] {
        let found = published.ask(&recorded(generation), &by_names());
        assert_eq!(
            found.json["found"][0]["route"], "first",
            "{generation}: {}",
            found.text
        );
    }
    published.publish(&config("second", &[1]));
    published.publish(&config("third", &[1]));
    let (found, later) = (
        published.ask(&recorded(1), &by_names()),
        published.ask(&recorded(last + 1), &by_names()),
    );
    assert_eq!((found.is_empty, later.is_empty), (false, true));
    assert_eq!(published.legends.0.lock().len(), 3);
}

#[test]
fn a_cluster_that_moved_or_has_other_limits_is_another() {
    let cluster = |text: &str| {
        let source = Source {
            name: "test.yaml".into(),
            text: text.to_owned(),
        };
        let loaded = load(&source, &Environment::empty()).unwrap();
        Arc::clone(&loaded.config.clusters()[0])
    };
    let one = cluster("clusters:\n- { name: a, endpoints: [{ address: 127.0.0.1:1, weight: 3 }] }\n");
    let same = |text: &str| one.is_but_for_endpoints(&cluster(text));
    assert!(same("clusters:\n- { name: a, endpoints: [] }\n"));
    assert!(!same("\nclusters:\n- { name: a, endpoints: [] }\n"));
    assert!(!same("clusters:\n- { name: b, endpoints: [] }\n"));
    assert!(!same(
        "clusters:\n- { name: a, connect_timeout: 77s, endpoints: [] }\n"
    ));
}

#[test]
fn an_answer_without_any_says_which_records_have_no_names() {
    let mut published = Published::new();
    for turn in 0..=LEGENDS_MAX {
        published.publish(&config(&format!("route-{turn}"), &[1]));
    }
    let recorder = recorded(1);
    let nothing = published.ask(&recorder, &by_names());
    assert!(
        nothing.is_empty && nothing.text.contains("were passed over"),
        "{}",
        nothing.text
    );
    let status = WhyQuery {
        status: Some(503),
        ..by_names()
    };
    let other = published.ask(&recorder, &status);
    assert!(
        other.is_empty && !other.text.contains("passed over"),
        "{}",
        other.text
    );
    assert!(!published.ask(&recorder, &WhyQuery::default()).is_empty);
    let kept = published.ask(&recorded(2), &by_names());
    assert!(
        kept.is_empty && !kept.text.contains("passed over"),
        "{}",
        kept.text
    );
}

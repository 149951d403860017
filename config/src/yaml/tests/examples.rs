//! The examples of `config/examples/` load, without a warning, and mean what they are there to show.

use super::super::shapes;
use crate::model::{
    CircuitBreakers, Cluster, FlightRecorder, LocalityBalancing, PathMatch, RateLimit, RateLimitCounting,
    RouteAction, StringMatch,
};
use crate::{Environment, MeshConfig, load_file};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn example(name: &str) -> MeshConfig {
    let loaded =
        load_file(&directory().join(name), &Environment::empty()).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings[0]);
    loaded.config
}

#[test]
fn every_example_loads_without_a_warning_and_is_in_the_guide() {
    let guide: String = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut count = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        count += 1;
        assert!(!example(&name).listeners().is_empty(), "{name}");
        let linked = guide.contains(&format!("config/examples/{name}"));
        assert!(linked, "{name} is on no page of docs/");
    }
    assert!(count >= 5);
}

#[test]
fn routing_shows_every_matcher_and_action() {
    let text = std::fs::read_to_string(directory().join("routing.yaml")).unwrap();
    for shape in [
        &shapes::ROUTE_MATCH,
        &shapes::HEADER_MATCH,
        &shapes::FORWARD,
        &shapes::REDIRECT,
        &shapes::ROUTE,
    ] {
        // Who may do what, and what is done in distress, have examples of their own.
        let elsewhere = [
            "authorization",
            "jwt",
            "external_authorization",
            "source_identities",
            "subset",
            "retry",
            "hash_policy",
            "priority",
            "stream_duration_max",
            "client_timeout_max",
            "rate_limits",
            "fault",
            "tracing",
        ];
        for field in shape.field_names().filter(|field| !elsewhere.contains(field)) {
            assert!(
                text.contains(&format!("{field}:")),
                "{field} of {} is not shown",
                shape.name
            );
        }
    }
    let config = example("routing.yaml");
    let routes = config.route_configurations()[0].virtual_hosts()[0].routes();
    let has = |found: fn(&RouteAction) -> bool| routes.iter().any(|route| found(route.action()));
    assert!(has(|action| matches!(action, RouteAction::Redirect(_))));
    assert!(has(|action| matches!(action, RouteAction::DirectResponse(_))));
    assert!(
        routes
            .iter()
            .any(|route| matches!(route.matches().path(), PathMatch::Regex(_)))
    );
    let conditions: Vec<_> = routes
        .iter()
        .flat_map(|route| route.matches().headers())
        .collect();
    assert!(
        conditions
            .iter()
            .any(|one| one.value() == &StringMatch::Present && one.invert())
    );
}

#[test]
fn file_names_are_made_absolute() {
    let config = example("tls.yaml");
    let tls = config.listeners()[0].filter_chains()[0].tls().as_ref().unwrap();
    assert_eq!(
        tls.certificates()[0].files().unwrap().certificate_file(),
        &directory().join("certificates/server.pem")
    );
}

#[test]
fn resilience_shows_every_policy_and_is_explained_as_it_is() {
    let text = std::fs::read_to_string(directory().join("resilience.yaml")).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/resilience.md");
    assert!(std::fs::read_to_string(page).unwrap().contains(&text));
    let config = example("resilience.yaml");
    let any = |has: fn(&Cluster) -> bool| config.clusters().iter().any(|cluster| has(cluster));
    assert!(any(|cluster| cluster.health_check().is_some()));
    assert!(any(|cluster| cluster.outlier_detection().is_some()));
    assert!(any(|cluster| cluster.adaptive_concurrency().is_some()));
    assert!(any(
        |cluster| *cluster.circuit_breakers() != CircuitBreakers::default()
    ));
    assert!(any(|cluster| cluster.balancing().slow_start().is_some()));
    assert!(any(|cluster| cluster.balancing().subsets().is_some()));
    assert!(any(|cluster| matches!(
        cluster.balancing().localities(),
        LocalityBalancing::ZoneAware(_)
    )));
    for word in ["least_request", "peak_ewma", "ring_hash", "maglev"] {
        assert!(text.contains(word), "{word} is not shown");
    }
    for shape in [
        &shapes::OVERLOAD,
        &shapes::HEDGING,
        &shapes::BACKOFF,
        &shapes::BREAKER_THRESHOLDS,
        &shapes::RETRY_BUDGET,
        &shapes::SLOW_START,
        &shapes::BUCKET,
    ] {
        for field in shape.field_names() {
            assert!(
                text.contains(&format!("{field}:")),
                "{field} of {} is not shown",
                shape.name
            );
        }
    }
    let globals =
        |limit: &&std::sync::Arc<RateLimit>| matches!(limit.counting(), RateLimitCounting::Global(_));
    assert_eq!(config.rate_limits().iter().filter(globals).count(), 1);
    let routes = config.route_configurations()[0].virtual_hosts()[0].routes();
    assert!(routes.iter().any(|route| matches!(route.fault(), Some(Some(_)))));
}

#[test]
fn the_recorder_is_shown_with_other_settings_than_its_own() {
    let config = example("why.yaml");
    let recorder = config.telemetry().recorder().as_ref().unwrap();
    assert_eq!(recorder.memory_bytes(), 32 << 20);
    assert_eq!(recorder.slow(), Duration::from_millis(250));
    assert_ne!(*recorder, FlightRecorder::default());
}

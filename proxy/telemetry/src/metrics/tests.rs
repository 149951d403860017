use super::*;
use crate::{CodeClass, ConnectionRefusal, ProcessFigures, RenewalResult, ResponseFlags, TlsFailure};
use std::thread;
use std::time::Duration;

const REASONS: &[&str] = &["bad_request", "too_large"];

impl Metrics {
    fn render(&self) -> String {
        let mut scrape = self.scrape(ExpositionFormat::Text);
        std::iter::from_fn(|| scrape.next_chunk()).collect()
    }
}

/// The value of the sample that begins with `series`.
fn sample(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn counts_of_all_workers_are_summed() {
    let metrics = Metrics::new(3, REASONS);
    let listener = metrics.listener("edge");
    thread::scope(|scope| {
        for worker in 0..3 {
            let cells = listener.worker(worker);
            scope.spawn(move || {
                for _ in 0..1_000 {
                    cells.connections_accepted.inc();
                    cells.connections_active.inc();
                    cells.tls_handshake_failures[TlsFailure::Timeout].inc();
                }
                cells.connections_active.dec();
                cells.refused_requests.refuse(worker % 2);
                cells.connections_refused[ConnectionRefusal::Limit].add(5);
            });
        }
    });
    let text = metrics.render();
    let of = |series: &str| sample(&text, series);
    assert_eq!(
        of(r#"outrigger_listener_connections_accepted_total{listener="edge"}"#),
        Some(3_000.0)
    );
    assert_eq!(
        of(r#"outrigger_listener_connections_active{listener="edge"}"#),
        Some(2_997.0)
    );
    let failures = r#"outrigger_listener_tls_handshake_failures_total{listener="edge",reason="timeout"}"#;
    assert_eq!(of(failures), Some(3_000.0));
    let refused = |reason: &str| {
        of(&format!(
            r#"outrigger_listener_requests_refused_total{{listener="edge",reason="{reason}"}}"#
        ))
    };
    assert_eq!(
        (refused("bad_request"), refused("too_large")),
        (Some(2.0), Some(1.0))
    );
    assert_eq!(
        of(r#"outrigger_listener_connections_refused_total{listener="edge",reason="limit"}"#),
        Some(15.0)
    );
}

#[test]
fn a_finished_request_counts_everywhere_at_once() {
    let metrics = Metrics::new(1, REASONS);
    let route = metrics.route("main", "shop", "cart");
    let cells = route.worker(0);
    cells.request_ended(
        CodeClass::of(503),
        ResponseFlags::UF | ResponseFlags::URX,
        cells.measure(Duration::from_millis(3)),
    );
    cells.request_bytes.add(10);
    cells.response_bytes.add(20);
    cells.request_ended(
        CodeClass::of(200),
        ResponseFlags::NONE,
        cells.measure(Duration::from_millis(70)),
    );
    cells.request_bytes.add(1);
    cells.response_bytes.add(2);
    let text = metrics.render();
    let of = |family: &str, extra: &str| {
        let labels = r#"route_configuration="main",virtual_host="shop",route="cart""#;
        sample(&text, &format!("outrigger_route_{family}{{{labels}{extra}}}"))
    };
    assert_eq!(of("requests_total", r#",code_class="5xx""#), Some(1.0));
    assert_eq!(of("requests_total", r#",code_class="2xx""#), Some(1.0));
    assert_eq!(of("requests_total", r#",code_class="4xx""#), Some(0.0));
    assert_eq!(of("requests_total", r#",code_class="1xx""#), None);
    assert_eq!(of("response_flags_total", r#",flag="UF""#), Some(1.0));
    assert_eq!(of("response_flags_total", r#",flag="URX""#), Some(1.0));
    assert_eq!(of("request_duration_seconds_bucket", r#",le="0.005""#), Some(1.0));
    assert_eq!(of("request_duration_seconds_bucket", r#",le="+Inf""#), Some(2.0));
    assert_eq!(of("request_duration_seconds_count", ""), Some(2.0));
    assert_eq!(of("request_duration_seconds_sum", ""), Some(0.073));
    assert_eq!(of("request_bytes_total", ""), Some(11.0));
    assert_eq!(of("response_bytes_total", ""), Some(22.0));
}

#[test]
fn the_same_labels_share_cells_and_series_vanish_with_their_last_holder() {
    let metrics = Metrics::new(1, REASONS);
    let before = metrics.cluster("backend");
    before.worker(0).requests[CodeClass::Success].inc();
    let after = metrics.cluster("backend");
    assert!(Arc::ptr_eq(&before, &after));
    drop(before);
    let series = r#"outrigger_cluster_requests_total{cluster="backend",code_class="2xx"}"#;
    assert_eq!(sample(&metrics.render(), series), Some(1.0));
    drop(after);
    assert!(!metrics.render().contains("backend"));
    assert!(
        metrics.inventories.clusters.remembered() == 0,
        "a scrape forgets what has died"
    );
}

#[test]
fn label_sets_beyond_the_limit_are_counted_together() {
    let metrics = Metrics::with_limit(1, REASONS, LatencyBuckets::default(), 2);
    let kept = [metrics.cluster("a"), metrics.cluster("b")];
    let (beyond, further) = (metrics.cluster("c"), metrics.cluster("d"));
    assert!(Arc::ptr_eq(&beyond, &further));
    beyond.worker(0).attempts.inc();
    let text = metrics.render();
    assert_eq!(
        sample(&text, r#"outrigger_cluster_attempts_total{cluster="other"}"#),
        Some(1.0)
    );
    assert_eq!(
        sample(&text, "outrigger_metric_label_sets_folded_total"),
        Some(2.0)
    );
    drop((kept, beyond, further));
    let again = metrics.cluster("e");
    again.worker(0).attempts.inc();
    assert!(
        metrics.render().contains(r#"cluster="e""#),
        "room is made when label sets die"
    );
}

#[test]
fn the_process_describes_itself() {
    let metrics = Metrics::new(2, REASONS);
    metrics.process().configuration_updates_rejected.inc();
    metrics.process().configuration_generation.set(7);
    let text = metrics.render();
    assert_eq!(sample(&text, "outrigger_workers"), Some(2.0));
    assert_eq!(
        sample(&text, "outrigger_configuration_updates_rejected_total"),
        Some(1.0)
    );
    assert_eq!(sample(&text, "outrigger_configuration_generation"), Some(7.0));
    assert!(sample(&text, "process_start_time_seconds") > Some(1.7e9));
    assert_eq!(sample(&text, "process_resident_memory_bytes"), Some(0.0));
    ProcessFigures::read().show(metrics.process(), Some(1_000));
    let text = metrics.render();
    assert!(sample(&text, "process_resident_memory_bytes") > Some(1e5));
    assert!(sample(&text, "process_open_fds") >= Some(3.0));
    assert!(sample(&text, "process_cpu_seconds_total").is_some());
    assert_eq!(sample(&text, "outrigger_memory_limit_bytes"), Some(1_000.0));
}

#[test]
fn a_family_is_announced_once_and_only_with_samples() {
    let metrics = Metrics::new(1, REASONS);
    let (_listener, _route, _cluster) = (
        metrics.listener("l"),
        metrics.route("c", "v", "r"),
        metrics.cluster("k"),
    );
    let text = metrics.render();
    let families = |prefix: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix(prefix)?.split(' ').next().map(str::to_owned))
            .collect()
    };
    let types = families("# TYPE ");
    assert!(types.len() > 20);
    assert_eq!(types, families("# HELP "));
    let distinct: std::collections::HashSet<&String> = types.iter().collect();
    assert_eq!(distinct.len(), types.len());
    assert!(!text.contains("request_duration_seconds"), "nothing was observed");
}

#[test]
fn a_thousand_reloads_leave_nothing_behind() {
    let metrics = Metrics::new(2, REASONS);
    let stays = metrics.cluster("stays");
    stays.worker(1).attempts.inc();
    let mut held: Vec<Arc<ClusterMetrics>> = Vec::new();
    for reload in 0..1_000 {
        let next: Vec<_> = (0..10)
            .map(|number| metrics.cluster(&format!("{reload}-{number}")))
            .collect();
        held = next;
        assert!(Arc::ptr_eq(&metrics.cluster("stays"), &stays));
        // 11 live ones twice over, and what may lie about before anything is swept out.
        assert!(metrics.inventories.clusters.remembered() <= 64 + 22);
    }
    let text = metrics.render();
    let attempts = |cluster: &str| {
        sample(
            &text,
            &format!("outrigger_cluster_attempts_total{{cluster=\"{cluster}\"}}"),
        )
    };
    assert_eq!((attempts("stays"), attempts("999-9")), (Some(1.0), Some(0.0)));
    assert_eq!(attempts("998-9"), None);
    assert_eq!(metrics.inventories.clusters.remembered(), held.len() + 1);
}

#[test]
fn histograms_have_the_buckets_that_are_asked_for() {
    let buckets = LatencyBuckets::new(&[Duration::from_millis(250), Duration::from_secs(2)]).unwrap();
    let metrics = Metrics::with_buckets(1, REASONS, buckets.clone());
    let cluster = metrics.cluster("a");
    cluster
        .worker(0)
        .request_duration
        .observe(Duration::from_millis(300));
    let text = metrics.render();
    let bounds: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("outrigger_cluster_attempt_duration_seconds_bucket"))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(bounds, ["0.25", "2.0", "+Inf"]);
    assert_eq!(metrics.buckets(), &buckets);
}

#[test]
fn cells_of_two_workers_share_no_cache_line() {
    assert_eq!(align_of::<RouteCells>(), 128);
    let route = Metrics::new(2, REASONS).route("a", "b", "c");
    let [first, second] = [0, 1].map(|worker| route.worker(worker) as *const RouteCells as usize);
    assert_eq!(second - first, size_of::<RouteCells>());
}

#[test]
fn sources_beyond_the_limit_are_counted_together_and_none_is_forgotten() {
    let metrics = Metrics::new(1, REASONS);
    let count = |identity: &str| {
        let cells = metrics.source(identity);
        cells.worker(0).requests[CodeClass::Success].inc();
    };
    for number in 0..SOURCES_MAX {
        count(&format!("spiffe://example.org/{number}"));
    }
    for identity in ["spiffe://example.org/0", "spiffe://a/x", "spiffe://a/y"] {
        count(identity);
    }
    let text = metrics.render();
    let of = |identity: &str| {
        let labels = format!(r#"{{source_identity="{identity}",code_class="2xx"}}"#);
        sample(
            &text,
            &format!("outrigger_downstream_identity_requests_total{labels}"),
        )
    };
    assert_eq!(
        of("spiffe://example.org/0"),
        Some(2.0),
        "its connections are gone"
    );
    assert_eq!(of("spiffe://a/x"), None);
    assert_eq!(of("other"), Some(2.0));
    assert_eq!(
        sample(&text, "outrigger_downstream_identities_folded_total"),
        Some(2.0)
    );
}

/// Prometheus sees growth between two scrapes: what begins with its first burst has not grown by it.
#[test]
fn what_alerts_look_at_is_there_before_it_has_counted() {
    let metrics = Metrics::new(1, REASONS);
    let (_cluster, _listener, _certificate, _export) = (
        metrics.cluster("k"),
        metrics.listener("l"),
        metrics.certificate("c"),
        metrics.export("o", "spans"),
    );
    let text = metrics.render();
    for series in [
        r#"outrigger_cluster_requests_total{cluster="k",code_class="2xx"}"#,
        r#"outrigger_cluster_requests_total{cluster="k",code_class="5xx"}"#,
        r#"outrigger_cluster_overflows_total{cluster="k",limit="requests"}"#,
        r#"outrigger_cluster_retries_denied_total{cluster="k",bound="recent"}"#,
        r#"outrigger_cluster_attempts_unanswered_total{cluster="k",reason="timed_out"}"#,
        r#"outrigger_listener_tls_handshake_failures_total{listener="l",reason="certificate_expired"}"#,
        r#"outrigger_certificate_renewals_total{name="c",result="failure"}"#,
        r#"outrigger_certificate_renewal_failing{name="c"}"#,
        r#"outrigger_telemetry_dropped_total{collector="o",signal="spans",reason="queue_full"}"#,
        "outrigger_configuration_file_refused",
        "outrigger_control_resources_waiting",
    ] {
        assert_eq!(sample(&text, series), Some(0.0), "{series}");
    }
    for absent in [
        r#"bound="restrained""#,
        r#"reason="cancelled""#,
        r#"listener="l",reason="timeout""#,
        "outrigger_cluster_tls_handshake_failures_total",
        "outrigger_overload_used",
    ] {
        assert!(!text.contains(absent), "{absent}");
    }
}

/// Counts add up; of a gauge that each part sets for itself the last would win.
#[test]
fn what_does_not_add_up_is_not_told_of_those_that_are_folded() {
    let metrics = Metrics::with_limit(1, REASONS, LatencyBuckets::default(), 2);
    let (own, _second) = (metrics.certificate("own"), metrics.certificate("second"));
    own.worker(0).validity.set(60);
    for _ in 0..3 {
        for name in ["a", "b"] {
            let folded = metrics.certificate(name);
            folded.worker(0).expires_in.set(Some(std::time::UNIX_EPOCH));
            folded.worker(0).renewals[RenewalResult::Failure].inc();
        }
    }
    let folded = [metrics.certificate("a"), metrics.certificate("b")];
    folded[0].worker(0).expires_in.set(Some(std::time::UNIX_EPOCH));
    folded[1].worker(0).renewals[RenewalResult::Failure].inc();
    let text = metrics.render();
    let failures = r#"outrigger_certificate_renewals_total{name="other",result="failure"}"#;
    assert_eq!(sample(&text, failures), Some(1.0));
    assert!(
        !text.contains("outrigger_certificate_expires_in_seconds"),
        "{text}"
    );
    let validity = r#"outrigger_certificate_validity_seconds{name="own"}"#;
    assert_eq!(sample(&text, validity), Some(60.0));
    // The same sets come again with each configuration.
    assert_eq!(
        sample(&text, "outrigger_metric_label_sets_folded_total"),
        Some(2.0)
    );
}

//! The reference table of metrics, printed from the families themselves.

use crate::cells::{
    AuthorizationCells, Cells, CertificateCells, ClusterCells, DiscoveryCells, Family, HealthCells,
    KeySetCells, ListenerCells, OverloadActionCells, PolicyCells, PressureCells, ProcessMetrics,
    RateLimitCells, RevocationListCells, RouteCells, SourceCells, TokenCells, TrustBundleCells, WorkerCells,
};
use prometheus::proto::MetricType;

/// `docs/metrics.md`: every family with its type, labels and help.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Served by the admin endpoint at `/metrics` in Prometheus' text format. This page is printed from the code.\n\n\
         A series with a `reason`, `flag`, `code_class`, `outcome`, `result` or `protocol` appears once it has counted something, and a \
         histogram once it has seen a value. The series of a listener, route or cluster that leaves the configuration \
         vanish when its last connection ends; if it comes back it may start at 0. The buckets of every histogram are \
         0.5, 1, 2.5, 5, 10, 25, 50, 100, 250 and 500 milliseconds, 1, 2.5, 5, 10, 30 and 60 seconds.\n",
    );
    section::<ListenerCells>("Listeners", &mut page);
    section::<RouteCells>("Routes", &mut page);
    section::<ClusterCells>("Clusters", &mut page);
    section::<DiscoveryCells>("Discovery", &mut page);
    section::<HealthCells>("Health", &mut page);
    section::<AuthorizationCells>("Authorization by filter chain", &mut page);
    section::<PolicyCells>("Authorization by policy", &mut page);
    section::<RateLimitCells>("Rate limits", &mut page);
    section::<CertificateCells>("Certificates", &mut page);
    section::<TrustBundleCells>("Trust bundles", &mut page);
    section::<RevocationListCells>("Revocation lists", &mut page);
    section::<SourceCells>("Source identities", &mut page);
    section::<TokenCells>("Tokens", &mut page);
    section::<KeySetCells>("Key sets", &mut page);
    section::<PressureCells>("Overload by resource", &mut page);
    section::<OverloadActionCells>("Overload by action", &mut page);
    section::<WorkerCells>("Workers", &mut page);
    section::<ProcessMetrics>("Process", &mut page);
    page
}

fn section<C: Cells>(title: &str, page: &mut String) {
    page.push_str(&format!(
        "\n## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"
    ));
    let mut families: Vec<&Family<C>> = C::FAMILIES.iter().collect();
    families.sort_by_key(|family| family.name);
    for family in families {
        let kind = match family.kind {
            MetricType::HISTOGRAM => "histogram",
            MetricType::GAUGE => "gauge",
            _ => "counter",
        };
        let labels: Vec<String> = C::LABELS
            .iter()
            .copied()
            .chain(family.label)
            .map(|label| format!("`{label}`"))
            .collect();
        let row = format!(
            "| `{}` | {kind} | {} | {} |\n",
            family.name,
            labels.join(", "),
            family.help.trim()
        );
        page.push_str(&row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `UPDATE_DOCS=1 cargo test -p outrigger-telemetry` writes the page.
    #[test]
    fn the_committed_page_is_what_the_code_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            reference(),
            "run with UPDATE_DOCS=1"
        );
    }

    /// What `promtool check metrics` asks of names and help texts.
    #[test]
    fn names_keep_the_conventions() {
        fn check<C: Cells>() {
            for family in C::FAMILIES {
                let name = family.name;
                assert!(
                    name.starts_with("outrigger_") || name.starts_with("process_"),
                    "{name}"
                );
                assert_eq!(
                    family.kind == MetricType::COUNTER,
                    name.ends_with("_total"),
                    "{name}"
                );
                assert!(
                    !name.ends_with("_count") && !name.ends_with("_sum") && !name.ends_with("_bucket"),
                    "{name}"
                );
                assert!(
                    family.kind != MetricType::HISTOGRAM || name.ends_with("_seconds"),
                    "{name}"
                );
                assert!(family.help.trim().len() > 10, "{name}");
                let kinds = ["counter", "gauge", "histogram", "summary"];
                assert!(!name.split('_').any(|word| kinds.contains(&word)), "{name}");
            }
        }
        check::<ListenerCells>();
        check::<RouteCells>();
        check::<ClusterCells>();
        check::<DiscoveryCells>();
        check::<HealthCells>();
        check::<AuthorizationCells>();
        check::<PolicyCells>();
        check::<RateLimitCells>();
        check::<CertificateCells>();
        check::<TrustBundleCells>();
        check::<RevocationListCells>();
        check::<SourceCells>();
        check::<TokenCells>();
        check::<KeySetCells>();
        check::<PressureCells>();
        check::<OverloadActionCells>();
        check::<WorkerCells>();
        check::<ProcessMetrics>();
    }
}

//! The reference of metrics, printed from the families themselves.

use crate::cell::histogram::LatencyBuckets;
use crate::cells::{Cells, Family};
use crate::metrics::{Visitor, visit};

/// `docs/metrics.md`: every family with its type, unit, labels and help.
pub fn reference() -> String {
    let buckets = LatencyBuckets::default().texts().join(", ");
    let mut page = Page {
        text: format!(
            "# Metrics\n\n\
             Served by the admin endpoint at `/metrics`, in Prometheus' text format, or in OpenMetrics where the scraper \
             asks for it, and compressed by gzip if it takes that. This page is printed from the code; what it is for, and which of it \
             tells what, is in [observability.md](observability.md).\n\n\
             A series whose own label is written with its values below appears once it has counted something, those in bold from zero \
             on, and a histogram once it has seen a value. The series of a listener, route or cluster that leaves the configuration \
             vanish when its last connection ends; if it comes back it may start at 0. Where there are too many label sets \
             the rest are counted together, with `other` as the value of every label; gauges that do not add up are not shown of \
             them. The buckets of every histogram, in seconds, are \
             those of `telemetry.latency_buckets`, by default {buckets}.\n"
        ),
    };
    visit(&mut page);
    page.text
}

struct Page {
    text: String,
}

impl Visitor for Page {
    fn kind<C: Cells>(&mut self, title: &'static str) {
        self.text.push_str(&format!(
            "\n## {title}\n\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n"
        ));
        let mut families: Vec<&Family<C>> = C::FAMILIES.iter().collect();
        families.sort_by_key(|family| family.heading.name);
        for family in families {
            let heading = &family.heading;
            let mut labels: Vec<String> = C::LABELS.iter().map(|label| format!("`{label}`")).collect();
            labels.extend(
                family
                    .label
                    .map(|label| own_label(label, family.values, family.from_zero)),
            );
            self.text.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                heading.name,
                heading.kind.as_str(),
                heading.unit().unwrap_or_default(),
                labels.join(", "),
                heading.help.trim()
            ));
        }
    }
}

/// The label of a cell itself, with what it can say.
fn own_label(label: &str, values: &[&str], from_zero: &[bool]) -> String {
    let shown = |(index, value): (usize, &&str)| match from_zero.get(index) {
        Some(true) => format!("**{value}**"),
        _ => (*value).to_owned(),
    };
    match values {
        [] => format!("`{label}`"),
        values => {
            let values: Vec<String> = values.iter().enumerate().map(shown).collect();
            format!("`{label}`: {}", values.join(" \\| "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Kind;
    use std::collections::HashSet;
    use std::path::Path;

    /// `UPDATE_DOCS=1 cargo test -p outrigger-telemetry` writes the page.
    #[test]
    fn the_committed_page_is_what_the_code_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == reference(),
            "the page is stale: run with UPDATE_DOCS=1"
        );
    }

    /// What `promtool check metrics` asks of names and help texts, and what the exposition takes for granted.
    #[test]
    fn names_keep_the_conventions() {
        #[derive(Default)]
        struct Conventions(HashSet<&'static str>);

        impl Visitor for Conventions {
            fn kind<C: Cells>(&mut self, _: &'static str) {
                for family in C::FAMILIES {
                    let (name, kind) = (family.heading.name, family.heading.kind);
                    assert!(self.0.insert(name.trim_end_matches("_total")), "{name} twice");
                    assert!(
                        name.starts_with("outrigger_") || name.starts_with("process_"),
                        "{name}"
                    );
                    assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
                    for suffix in ["_count", "_sum", "_bucket", "_created", "_info"] {
                        assert!(!name.ends_with(suffix), "{name}");
                    }
                    assert!(kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
                    let help = family.heading.help.trim();
                    assert!(help.len() > 5 && !help.contains(['\\', '\n', '"']), "{name}");
                    let kinds = ["counter", "gauge", "histogram", "summary"];
                    assert!(!name.split('_').any(|word| kinds.contains(&word)), "{name}");
                    let own = family.label.into_iter();
                    let labels: HashSet<&str> = C::LABELS.iter().copied().chain(own.clone()).collect();
                    assert_eq!(labels.len(), C::LABELS.len() + own.count(), "{name}");
                    assert!(!labels.contains("le"), "{name}");
                }
            }
        }

        visit(&mut Conventions::default());
    }
}

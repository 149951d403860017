//! The texts that scrapes get: Prometheus' text format 0.0.4 and OpenMetrics 1.0, written sample by sample.
//!
//! The `prometheus` crate's encoder wants all families at once as values of their own, and knows no OpenMetrics; here
//! a family is written straight from its cells, so that a page can be stopped and gone on with anywhere between two
//! label sets. This module knows neither cells nor where the text goes.

use std::fmt::{self, Display, Write};

/// A format of the exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// The media type, for `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
            ExpositionFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an `Accept` header's values ask for: OpenMetrics if it is named, in a version that is spoken here, with no
    /// less weight than the text format. Whatever else is asked for, the text format is the answer.
    pub fn negotiate<'a>(accept: impl Iterator<Item = &'a str>) -> ExpositionFormat {
        let (mut text, mut open) = (0.0_f32, 0.0_f32);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let (mut weight, mut version) = (1.0, None);
            for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                match name.trim() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"')),
                    _ => {}
                }
            }
            if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
                // What 0.0.1 names is what became 1.0.0.
                if matches!(version, None | Some("1.0.0" | "0.0.1")) {
                    open = open.max(weight);
                }
            } else if media_type.eq_ignore_ascii_case("text/plain") {
                text = text.max(weight);
            }
        }
        if open > 0.0 && open >= text {
            ExpositionFormat::OpenMetrics
        } else {
            ExpositionFormat::Text
        }
    }
}

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What is said of a family above its samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    /// As in the text format: a counter's ends in `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
}

impl Heading {
    /// The name of the metric as OpenMetrics has it: a counter's without `_total`, which is its sample's.
    fn metric(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    /// The unit that the name ends in.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];
        let last = self.metric().rsplit('_').next();
        UNITS.into_iter().find(|unit| last == Some(*unit))
    }
}

/// Text that is being written, and the family whose samples come next.
pub(crate) struct Page {
    format: ExpositionFormat,
    text: String,
    /// A family's heading is written with its first sample: one without samples is left out.
    heading: Option<Heading>,
    name: &'static str,
}

impl Page {
    pub(crate) fn new(format: ExpositionFormat) -> Page {
        Page {
            format,
            text: String::new(),
            heading: None,
            name: "",
        }
    }

    /// Samples are of this family from now on.
    pub(crate) fn family(&mut self, heading: Heading) {
        self.name = heading.name;
        self.heading = Some(heading);
    }

    /// Samples of one label set of the family: `labels` as [`labels_text`] gives them.
    pub(crate) fn samples<'p>(&'p mut self, labels: &'p str) -> Samples<'p> {
        Samples { page: self, labels }
    }

    /// Bytes written and not taken.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Takes what has been written; the next text gets room for `capacity` bytes at once.
    pub(crate) fn take(&mut self, capacity: usize) -> String {
        std::mem::replace(&mut self.text, String::with_capacity(capacity))
    }

    /// Nothing comes any more.
    pub(crate) fn end(&mut self) {
        if self.format == ExpositionFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
    }

    fn write_heading(&mut self) {
        let Some(heading) = self.heading.take() else {
            return;
        };
        let open = self.format == ExpositionFormat::OpenMetrics;
        let name = if open { heading.metric() } else { heading.name };
        let text = &mut self.text;
        // Help texts are written by us: nothing in them needs escaping, which a test asserts.
        put(text, format_args!("# HELP {name} {}\n", heading.help.trim()));
        put(text, format_args!("# TYPE {name} {}\n", heading.kind.as_str()));
        if let Some(unit) = heading.unit().filter(|_| open) {
            put(text, format_args!("# UNIT {name} {unit}\n"));
        }
    }
}

/// Where the samples of one label set of a family go.
pub(crate) struct Samples<'p> {
    page: &'p mut Page,
    labels: &'p str,
}

impl Samples<'_> {
    /// The only sample of its label set.
    pub(crate) fn value(&mut self, value: impl Display) {
        self.sample("", None, value);
    }

    /// A sample with a label more.
    pub(crate) fn value_by(&mut self, label: &str, value: &str, count: u64) {
        self.sample("", Some((label, value)), count);
    }

    /// A histogram: how many lie at or below each bound, bounds written as `le` has them, then all of them.
    pub(crate) fn histogram<'b>(
        &mut self,
        cumulative: impl Iterator<Item = (&'b str, u64)>,
        count: u64,
        sum_seconds: f64,
    ) {
        for (bound, below) in cumulative {
            self.sample("_bucket", Some(("le", bound)), below);
        }
        self.sample("_bucket", Some(("le", "+Inf")), count);
        self.sample("_sum", None, sum_seconds);
        self.sample("_count", None, count);
    }

    fn sample(&mut self, suffix: &str, extra: Option<(&str, &str)>, value: impl Display) {
        self.page.write_heading();
        let (labels, name) = (self.labels, self.page.name);
        let text = &mut self.page.text;
        text.push_str(name);
        text.push_str(suffix);
        if !labels.is_empty() || extra.is_some() {
            text.push('{');
            text.push_str(labels);
            if let Some((label, value)) = extra {
                if !labels.is_empty() {
                    text.push(',');
                }
                for part in [label, "=\"", value, "\""] {
                    text.push_str(part);
                }
            }
            text.push('}');
        }
        put(text, format_args!(" {value}\n"));
    }
}

/// Labels as they stand between the braces, values escaped.
pub(crate) fn labels_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

fn put(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_accept_headers_ask_for() {
        let of = |accept: &[&str]| ExpositionFormat::negotiate(accept.iter().copied());
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for accept in [
            prometheus_2,
            prometheus_3,
            "Application/OpenMetrics-Text",
            "application/openmetrics-text; version=\"1.0.0\"",
        ] {
            assert_eq!(of(&[accept]), ExpositionFormat::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "application/openmetrics-text;q=nonsense",
        ] {
            assert_eq!(of(&[accept]), ExpositionFormat::Text, "{accept}");
        }
        assert_eq!(
            of(&["text/plain;q=0.1", "application/openmetrics-text;q=0.2"]),
            ExpositionFormat::OpenMetrics,
            "the field may stand several times"
        );
    }

    fn page(format: ExpositionFormat) -> String {
        let mut page = Page::new(format);
        let heading = |name, kind| Heading {
            name,
            help: " What it is. ",
            kind,
        };
        page.family(heading("empty_total", Kind::Counter));
        page.family(heading("a_bytes_total", Kind::Counter));
        page.samples("").value(7);
        page.samples(r#"x="1""#).value_by("reason", "why", 8);
        page.family(heading("b_seconds", Kind::Histogram));
        let buckets = [("0.5", 1), ("1.0", 2)];
        page.samples(r#"x="1""#).histogram(buckets.into_iter(), 3, 2.25);
        page.family(heading("c", Kind::Gauge));
        page.samples("").value(-1);
        page.end();
        page.take(0)
    }

    #[test]
    fn both_formats_to_the_letter() {
        let text = "# HELP a_bytes_total What it is.\n# TYPE a_bytes_total counter\na_bytes_total 7\n\
            a_bytes_total{x=\"1\",reason=\"why\"} 8\n\
            # HELP b_seconds What it is.\n# TYPE b_seconds histogram\n\
            b_seconds_bucket{x=\"1\",le=\"0.5\"} 1\nb_seconds_bucket{x=\"1\",le=\"1.0\"} 2\n\
            b_seconds_bucket{x=\"1\",le=\"+Inf\"} 3\nb_seconds_sum{x=\"1\"} 2.25\nb_seconds_count{x=\"1\"} 3\n\
            # HELP c What it is.\n# TYPE c gauge\nc -1\n";
        assert_eq!(page(ExpositionFormat::Text), text);
        let open = text
            .replace("# HELP a_bytes_total", "# HELP a_bytes")
            .replace(
                "# TYPE a_bytes_total counter\n",
                "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n",
            )
            .replace(
                "# TYPE b_seconds histogram\n",
                "# TYPE b_seconds histogram\n# UNIT b_seconds seconds\n",
            );
        assert_eq!(page(ExpositionFormat::OpenMetrics), open + "# EOF\n");
    }

    #[test]
    fn label_values_are_escaped() {
        let pairs = [("a", "back\\slash"), ("b", "quo\"te\nline"), ("c", "§")];
        assert_eq!(
            labels_text(pairs.into_iter()),
            r#"a="back\\slash",b="quo\"te\nline",c="§""#
        );
        assert_eq!(labels_text([].into_iter()), "");
    }
}

//! The labels that queries group by and filter by, which have to be there: a query by a label that no series has finds
//! data all the same, and says nothing.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is scraped and recorded: the labels that series of each name have.
pub(super) struct Scraped(BTreeMap<String, BTreeSet<String>>);

impl Scraped {
    /// From the labels of all series.
    pub(super) fn new(series: &[Value]) -> Scraped {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for labels in series.iter().filter_map(Value::as_object) {
            let Some(name) = labels.get("__name__").and_then(Value::as_str) else {
                continue;
            };
            let known = names.entry(name.to_owned()).or_default();
            known.extend(labels.keys().cloned());
        }
        Scraped(names)
    }

    /// What a query asks for that is not there.
    pub(super) fn missing(&self, expression: &str) -> Vec<String> {
        let mut missing = Vec::new();
        let query = Query::parse(expression);
        for selector in &query.selectors {
            for name in selector.names.iter().filter(|name| !self.0.contains_key(*name)) {
                missing.push(format!("no series {name}"));
            }
            for label in selector
                .labels
                .iter()
                .filter(|label| !self.have(&[selector], label))
            {
                missing.push(format!("{:?} have no label {label}", selector.names));
            }
        }
        for (labels, range) in &query.groups {
            let within = |selector: &&Selector| range.contains(&selector.at);
            let grouped: Vec<&Selector> = query.selectors.iter().filter(within).collect();
            for label in labels.iter().filter(|label| !self.have(&grouped, label)) {
                missing.push(format!("nothing has the label {label} to group by"));
            }
        }
        missing
    }

    fn have(&self, selectors: &[&Selector], label: &str) -> bool {
        let names = selectors.iter().flat_map(|selector| &selector.names);
        let mut labels = names.filter_map(|name| self.0.get(name));
        labels.any(|labels| labels.contains(label))
    }
}

/// The series that a part of a query takes.
#[derive(Debug, Default)]
struct Selector {
    names: Vec<String>,
    /// What they are filtered by.
    labels: Vec<String>,
    /// Where it is in the query.
    at: usize,
}

#[derive(Debug, Default)]
struct Query {
    selectors: Vec<Selector>,
    /// What is grouped by which labels.
    groups: Vec<(Vec<String>, std::ops::Range<usize>)>,
}

/// Words that are no series.
const WORDS: [&str; 7] = [
    "and",
    "or",
    "unless",
    "bool",
    "group_left",
    "group_right",
    "offset",
];

impl Query {
    fn parse(text: &str) -> Query {
        let mut query = Query::default();
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            match next {
                '"' => at = end_of_text(text, at),
                '[' => at += text[at..].find(']').expect("a window ends"),
                '{' => at = query.select(text, at, Vec::new()),
                'a'..='z' | '_' => {
                    let end = end_of_word(text, at);
                    let (word, after) = (&text[at..end], text[end..].trim_start());
                    let begins = text.len() - after.len();
                    at = end;
                    if matches!(word, "by" | "on") {
                        let close = begins + after.find(')').expect("a list ends");
                        if word == "by" {
                            query.group(text, begins, close);
                        }
                        at = close;
                    } else if after.starts_with('{') {
                        at = query.select(text, begins, vec![word.to_owned()]);
                    } else if !after.starts_with("by ")
                        && !after.starts_with('(')
                        && !WORDS.contains(&word)
                        && after_number(text, end - word.len())
                    {
                        let names = vec![word.to_owned()];
                        query.selectors.push(Selector {
                            names,
                            labels: Vec::new(),
                            at,
                        });
                    }
                }
                next => at += next.len_utf8(),
            }
        }
        query
    }

    /// The list of labels between these places, and what is in the parentheses behind it.
    fn group(&mut self, text: &str, open: usize, close: usize) {
        let labels = text[open + 1..close]
            .split(',')
            .map(|label| label.trim().to_owned());
        let begins = close + text[close..].find('(').expect("something is grouped");
        let mut depth = 0;
        let mut at = begins;
        loop {
            match text.as_bytes()[at] {
                b'"' => {
                    at = end_of_text(text, at);
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
        self.groups.push((labels.collect(), begins..at));
    }

    /// What stands in the braces that open here; where they end.
    fn select(&mut self, text: &str, open: usize, mut names: Vec<String>) -> usize {
        let mut labels = Vec::new();
        let mut at = open + 1;
        while !text[at..].starts_with('}') {
            if !text[at..].starts_with(|next: char| next.is_ascii_alphabetic() || next == '_') {
                at += 1;
                continue;
            }
            let end = end_of_word(text, at);
            let quote = end + text[end..].find('"').expect("a value is quoted");
            let (label, value_end) = (&text[at..end], end_of_text(text, quote));
            match label {
                "__name__" => {
                    let value = &text[quote + 1..value_end - 1];
                    names.extend(value.split('|').map(str::to_owned));
                }
                label => labels.push(label.to_owned()),
            }
            at = value_end;
        }
        self.selectors.push(Selector {
            names,
            labels,
            at: open,
        });
        at + 1
    }
}

/// True unless the word at this place is the exponent or the unit of a number.
fn after_number(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_ascii_digit())
}

fn end_of_word(text: &str, at: usize) -> usize {
    let is_in = |next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | ':');
    at + text[at..].find(|next| !is_in(next)).unwrap_or(text.len() - at)
}

/// The place behind the quoted text that begins here.
fn end_of_text(text: &str, at: usize) -> usize {
    let quote = text[at + 1..].find('"').expect("a quoted text ends");
    at + 1 + quote + 1
}

#[test]
fn a_query_by_a_label_that_nothing_has_is_found_out() {
    let series = [
        serde_json::json!({ "__name__": "checks_total", "cluster": "a", "result": "ok" }),
        serde_json::json!({ "__name__": "up", "job": "b" }),
        serde_json::json!({ "__name__": "a:b:c5m", "cluster": "a" }),
    ];
    let scraped = Scraped::new(&series);
    for good in [
        "sum by (cluster, result) (rate(checks_total{cluster=~\".*\"}[5m]))",
        "up{job=\"x\"} == 0 or vector(0)",
        "{__name__=~\"up|checks_total\", result=~\"|ok\"} > on (cluster) 1e3 * a:b:c5m",
        "label_replace(up > 0.5, \"resource\", \"(by)\", \"\", \"\") unless a:b:c5m",
    ] {
        assert_eq!(scraped.missing(good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "sum by (cluster, outcome) (rate(checks_total[5m]))",
        "up{instance=\"x\"}",
        "max by (cluster) (up) or checks_total",
        "rate({__name__=~\"up|down\"}[5m])",
        "a:b:d5m > 0",
    ] {
        assert_eq!(scraped.missing(bad).len(), 1, "{bad}: {:?}", scraped.missing(bad));
    }
}

//! What a client and the upstreams saw of one request, and in what that differs between two proxies.

use outrigger_fixtures::scripted::Request;
use outrigger_fixtures::wire::Head;
use outrigger_harness::client::Response;
use std::collections::BTreeMap;
use std::fmt;

/// Fields whose values are the clock's or chance's: only that they are there is compared.
const BY_CHANCE: [&str; 4] = ["date", "retry-after", "x-ratelimit-reset", "x-request-id"];

/// How it ended for the client.
pub(super) enum Answer {
    Came(Response),
    /// The connection ended before a whole answer.
    Cut,
}

pub(super) struct Seen {
    pub(super) answer: Answer,
    /// Each attempt: who got it, and what.
    pub(super) upstream: Vec<(&'static str, Request)>,
}

/// Each difference as a text: what differs, then what Envoy's and Outrigger's is.
pub(super) fn differences(envoy: &Seen, outrigger: &Seen) -> Vec<String> {
    let mut all = Vec::new();
    match (&envoy.answer, &outrigger.answer) {
        (Answer::Came(envoy), Answer::Came(outrigger)) => {
            compare(&mut all, "status", &envoy.status(), &outrigger.status());
            of_fields(&mut all, "answer", &envoy.head, &outrigger.head);
            compare(&mut all, "answer's body", &envoy.text(), &outrigger.text());
        }
        (Answer::Cut, Answer::Cut) => {}
        (Answer::Came(envoy), Answer::Cut) => all.push(format!("status: {} / none", envoy.status())),
        (Answer::Cut, Answer::Came(outrigger)) => all.push(format!("status: none / {}", outrigger.status())),
    }
    let who = |seen: &Seen| -> Vec<&str> { seen.upstream.iter().map(|(name, _)| *name).collect() };
    compare(&mut all, "attempts", &who(envoy), &who(outrigger));
    for ((_, envoy), (_, outrigger)) in envoy.upstream.iter().zip(&outrigger.upstream) {
        compare(
            &mut all,
            "request",
            &envoy.head.start_line,
            &outrigger.head.start_line,
        );
        of_fields(&mut all, "request", &envoy.head, &outrigger.head);
        compare(
            &mut all,
            "request's body",
            &envoy.body.bytes,
            &outrigger.body.bytes,
        );
    }
    all
}

fn compare<T: PartialEq + fmt::Debug>(all: &mut Vec<String>, what: &str, envoy: &T, outrigger: &T) {
    if envoy != outrigger {
        all.push(format!("{what}: {envoy:?} / {outrigger:?}"));
    }
}

/// Fields by name, as both have them: names in whatever case, values of one name in order.
fn of_fields(all: &mut Vec<String>, what: &str, envoy: &Head, outrigger: &Head) {
    let mut named: BTreeMap<String, [Vec<&str>; 2]> = BTreeMap::new();
    for (at, head) in [envoy, outrigger].into_iter().enumerate() {
        for (name, value) in &head.fields {
            let name = name.to_ascii_lowercase();
            let value = if BY_CHANCE.contains(&name.as_str()) {
                "any"
            } else {
                value
            };
            named.entry(name).or_default()[at].push(value);
        }
    }
    for (name, [envoy, outrigger]) in named {
        compare(all, &format!("{what}'s {name}"), &envoy, &outrigger);
    }
}

/// A difference that is meant: `REQUEST => DIFFERENCE => WHY`, where `*` stands for anything.
pub(super) struct Explained {
    request: String,
    difference: String,
    why: String,
}

impl Explained {
    pub(super) fn read(list: &str) -> Vec<Explained> {
        let lines = list
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            let parts: Vec<&str> = line.split(" => ").map(str::trim).collect();
            let [request, difference, why] = parts[..] else {
                panic!("no request, difference and reason: {line:?}");
            };
            let [request, difference, why] = [request, difference, why].map(str::to_owned);
            Explained {
                request,
                difference,
                why,
            }
        };
        lines.map(parse).collect()
    }

    pub(super) fn covers(&self, request: &str, difference: &str) -> bool {
        matches(&self.request, request) && matches(&self.difference, difference)
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} => {} ({})", self.request, self.difference, self.why)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| matches(after, &rest[at..]))
}

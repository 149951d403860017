//! The evaluator that anybody would write: every policy, every rule, every condition, one after the other, straight from
//! the model; every reading of what a request says written out. It shares no code with the crate.

use crate::facts::{Known, Request};
use outrigger_config::model::{
    AuthorizationAction, AuthorizationPolicy, Condition, Domain, PathMatch, SpiffeMatch, StringMatch,
    TemplateSegment,
};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// False, unknown, true.
pub(crate) type Truth = i8;
const FALSE: Truth = -1;
const UNKNOWN: Truth = 0;
const TRUE: Truth = 1;

/// What is decided: whether it passes, and which policy (level, index) said so.
pub(crate) type Outcome = (bool, Option<(usize, usize)>);

/// Decides by all policies in force, and by shadow policies too if `with_shadow`.
pub(crate) fn decide(
    levels: &[Vec<Arc<AuthorizationPolicy>>],
    known: &Known,
    with_shadow: bool,
    careful: bool,
) -> Outcome {
    // Those in force are named before shadows.
    let asked = |level: usize, action: AuthorizationAction| {
        let of = move |shadow: bool| {
            levels[level]
                .iter()
                .enumerate()
                .filter(move |(_, policy)| policy.action() == action && policy.shadow() == shadow)
        };
        of(false).chain(of(true).filter(move |_| with_shadow))
    };
    let (least_deny, least_allow) = if careful { (UNKNOWN, TRUE) } else { (TRUE, UNKNOWN) };
    for level in 0..levels.len() {
        for (index, policy) in asked(level, AuthorizationAction::Deny) {
            if policy_truth(policy, known) >= least_deny {
                return (false, Some((level, index)));
            }
        }
    }
    let mut by = None;
    for level in 0..levels.len() {
        if asked(level, AuthorizationAction::Allow).next().is_none() {
            continue;
        }
        let mut allowing = asked(level, AuthorizationAction::Allow)
            .filter(|(_, policy)| policy_truth(policy, known) >= least_allow);
        match allowing.next() {
            Some((index, _)) => by = Some((level, index)),
            None => return (false, None),
        }
    }
    (true, by)
}

/// AUDIT policies that match.
pub(crate) fn audited(levels: &[Vec<Arc<AuthorizationPolicy>>], known: &Known) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (level, policies) in levels.iter().enumerate() {
        for (index, policy) in policies.iter().enumerate() {
            if policy.action() == AuthorizationAction::Audit && policy_truth(policy, known) == TRUE {
                found.push((level, index));
            }
        }
    }
    found
}

fn policy_truth(policy: &AuthorizationPolicy, known: &Known) -> Truth {
    let rules = policy.rules().iter().map(|rule| truth(rule, known));
    rules.max().unwrap_or(FALSE)
}

fn truth(condition: &Condition, known: &Known) -> Truth {
    let of = |holds: bool| if holds { TRUE } else { FALSE };
    let within = |net: &ipnet::IpNet, address: Option<IpAddr>| match address {
        Some(address) => of(net.contains(&address)),
        None => UNKNOWN,
    };
    match condition {
        Condition::Always => TRUE,
        Condition::All(parts) => parts.iter().map(|part| truth(part, known)).min().unwrap_or(TRUE),
        Condition::AnyOf(parts) => parts.iter().map(|part| truth(part, known)).max().unwrap_or(FALSE),
        Condition::Not(part) => -truth(part, known),
        Condition::Identity(wanted) => {
            let id = known.peer.as_ref().and_then(|peer| peer.id.as_ref());
            of(id.is_some_and(|id| {
                let id = id.as_str();
                match wanted {
                    SpiffeMatch::Exact(exact) => exact.as_str() == id,
                    SpiffeMatch::Prefix(prefix) => {
                        id == prefix.as_str() || id.starts_with(&format!("{prefix}/"))
                    }
                    SpiffeMatch::TrustDomain(domain) => id.split('/').nth(2) == Some(domain.as_str()),
                }
            }))
        }
        Condition::Authenticated => of(known.peer.is_some()),
        Condition::PeerName(wanted) => of(known.peer.as_ref().is_some_and(|peer| {
            peer.names
                .iter()
                .any(|name| text_matches(wanted, name.as_bytes()))
        })),
        Condition::RemoteAddress(net) => within(net, known.remote),
        Condition::DirectAddress(net) => within(net, Some(known.direct)),
        Condition::DestinationAddress(net) => within(net, Some(known.destination.ip())),
        Condition::DestinationPort(ports) => of(ports.contains(&known.destination.port())),
        Condition::ServerName(wanted) => of(known
            .server_name
            .as_ref()
            .is_some_and(|name| text_matches(wanted, name.as_bytes()))),
        _ => match &known.request {
            None => UNKNOWN,
            Some(request) => request_truth(condition, request),
        },
    }
}

fn request_truth(condition: &Condition, request: &Request) -> Truth {
    match condition {
        Condition::Method(method) => agreed([request.method == *method]),
        Condition::Path(_) if request.path.is_empty() => FALSE,
        Condition::Path(wanted) if is_in_doubt(wanted, &request.path) => UNKNOWN,
        Condition::Path(wanted) => agreed([
            path_matches(wanted, &request.path, |text| text.to_owned()),
            path_matches(wanted, &resolved(&request.path), resolved),
        ]),
        Condition::Host(wanted) => {
            let host = request.authority.split(':').next().unwrap_or_default();
            let host = host.to_lowercase();
            let plain = |host: &str| host.trim_end_matches('.').to_owned();
            let unescaped = decoded(&host).to_lowercase();
            let unescaped = unescaped.split(':').next().unwrap_or_default();
            agreed([
                domain_matches(wanted, &plain(&host)),
                domain_matches(wanted, &plain(unescaped)),
            ])
        }
        Condition::Header(wanted) => {
            let values: Vec<&str> = request
                .headers
                .iter()
                .filter(|(name, _)| name == wanted.name().as_str())
                .map(|(_, value)| value.as_str())
                .collect();
            let truth = header_truth(wanted.name().as_str(), wanted.value(), &values);
            if wanted.invert() { -truth } else { truth }
        }
        Condition::Query(wanted) => {
            let query = request.query.as_deref().unwrap_or_default();
            let truths = [&['&'][..], &['&', ';']].map(|separators| {
                let readings = parameters(query, separators, wanted.name());
                let texts = readings.iter();
                agreed(texts.map(|value| text_matches(wanted.value(), value.as_bytes())))
            });
            let truth = match query.split(['&', ';']).count() {
                0..=256 if truths[0] == truths[1] => truths[0],
                _ => UNKNOWN,
            };
            if wanted.invert() { -truth } else { truth }
        }
        Condition::Claim(wanted) => {
            let tokens = request.claims.tokens();
            let mut found = tokens
                .filter(|(provider, _)| {
                    wanted
                        .provider()
                        .as_ref()
                        .is_none_or(|wanted| wanted == *provider)
                })
                .filter_map(|(_, payload)| {
                    let mut value = payload;
                    for key in wanted.path() {
                        value = value.get(key)?;
                    }
                    Some(value)
                });
            agreed([found.any(|value| claim_matches(wanted.value(), value))])
        }
        _ => unreachable!(),
    }
}

/// What a query says of a name, where these characters stand between parameters.
fn parameters(query: &str, separators: &[char], name: &str) -> Vec<String> {
    let mut readings = Vec::new();
    for pair in query.split(separators) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let named = [decoded(key), decoded(&key.replace('+', " "))];
        if !pair.is_empty() && named.iter().any(|named| named == name) {
            readings.push(decoded(value));
            readings.push(decoded(&value.replace('+', " ")));
        }
    }
    readings
}

/// Servers that read only some of the path's oddities may get to a path that neither reading is.
fn is_in_doubt(wanted: &PathMatch, path: &str) -> bool {
    if *wanted == PathMatch::Prefix("/".into()) || !path.starts_with('/') {
        return false;
    }
    let segments: Vec<(String, String)> = path[1..]
        .split('/')
        .map(|segment| {
            let (segment, parameters) = segment.split_at(segment.find(';').unwrap_or(segment.len()));
            (decoded(segment), decoded(parameters))
        })
        .collect();
    let any = |has: &dyn Fn(&str, &str) -> bool| segments.iter().any(|(segment, rest)| has(segment, rest));
    let hides = any(&|segment, rest| segment.contains(';') || rest.contains(['/', '\\']));
    let texts: Vec<&str> = segments.iter().map(|(segment, _)| segment.as_str()).collect();
    let joined = texts.join("/");
    let pieces: Vec<&str> = joined.split(['/', '\\']).collect();
    let odd = [
        path.contains(';'),
        joined.contains('\\'),
        pieces[..pieces.len() - 1].contains(&""),
    ];
    let odd = odd.into_iter().filter(|&odd| odd).count();
    let slash = any(&|segment, _| segment.contains('/'));
    let is_upwards = pieces.contains(&"..");
    let everything = hides || odd + usize::from(slash) >= 2 || (is_upwards && odd > 0);
    let is_expression = matches!(wanted, PathMatch::Regex(_) | PathMatch::StringPrefix(_));
    everything || (is_expression && (is_upwards || (path.contains('%') && odd > 0)))
}

/// True if all say so, false if all say not (or there are none), else unknown.
fn agreed(readings: impl IntoIterator<Item = bool>) -> Truth {
    let readings: Vec<bool> = readings.into_iter().collect();
    match (readings.contains(&true), readings.contains(&false)) {
        (true, false) => TRUE,
        (true, true) => UNKNOWN,
        (false, _) => FALSE,
    }
}

fn header_truth(name: &str, wanted: &StringMatch, values: &[&str]) -> Truth {
    let (separator, joints): (_, &[_]) = match name {
        "cookie" => (';', &["; "]),
        _ => (',', &[",", ", "]),
    };
    let mut whole: Vec<bool> = values
        .iter()
        .map(|value| text_matches(wanted, value.as_bytes()))
        .collect();
    if values.len() > 1 {
        for joint in joints {
            whole.push(text_matches(wanted, values.join(joint).as_bytes()));
        }
    }
    let truth = agreed(whole);
    let count: usize = values.iter().map(|value| value.split(separator).count()).sum();
    if count > 256 && (values.len() > 1 || truth == FALSE) {
        return UNKNOWN;
    }
    let mut elements = values
        .iter()
        .filter(|value| value.contains(separator))
        .flat_map(|value| value.split(separator));
    if truth == FALSE && elements.any(|element| text_matches(wanted, element.trim().as_bytes())) {
        return UNKNOWN;
    }
    truth
}

fn claim_matches(wanted: &StringMatch, value: &Value) -> bool {
    match value {
        Value::Null => false,
        _ if *wanted == StringMatch::Present => true,
        Value::Object(_) => false,
        Value::String(text) => text_matches(wanted, text.as_bytes()),
        Value::Array(elements) => elements
            .iter()
            .filter(|element| element.is_string() || element.is_number() || element.is_boolean())
            .any(|element| claim_matches(wanted, element)),
        other => text_matches(wanted, other.to_string().as_bytes()),
    }
}

fn path_matches(wanted: &PathMatch, path: &str, read: impl Fn(&str) -> String) -> bool {
    match wanted {
        PathMatch::Exact(exact) => read(exact) == path,
        PathMatch::Prefix(prefix) => {
            let prefix = read(prefix);
            prefix == "/"
                || path == prefix
                || path.starts_with(&format!("{}/", prefix.trim_end_matches('/')))
                    && (path.starts_with(&prefix) || !prefix.ends_with('/'))
        }
        PathMatch::StringPrefix(prefix) => path.starts_with(prefix.as_str()),
        PathMatch::Template(template) => {
            let came: Vec<&str> = path.split('/').collect();
            came[0].is_empty()
                && came.len() == template.segments().len() + 1
                && template
                    .segments()
                    .iter()
                    .zip(&came[1..])
                    .all(|(segment, came)| match segment {
                        TemplateSegment::Literal(literal) => read(&format!("/{literal}"))[1..] == **came,
                        TemplateSegment::Variable(_) => !came.is_empty(),
                    })
        }
        PathMatch::Regex(pattern) => pattern.anchored().is_match(path),
    }
}

/// A path as the most lenient server reads it.
fn resolved(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let without_parameters: Vec<&str> = path
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect();
    let decoded = decoded(&without_parameters.join("/")).replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let is_below = ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end));
    let end = if is_below && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

fn domain_matches(wanted: &Domain, host: &str) -> bool {
    match wanted {
        Domain::Exact(name) => name == host,
        Domain::Suffix(suffix) => host != suffix && host.ends_with(suffix.as_str()),
        Domain::Prefix(prefix) => host != prefix && host.starts_with(prefix.as_str()),
        Domain::Any => true,
    }
}

fn text_matches(wanted: &StringMatch, value: &[u8]) -> bool {
    match wanted {
        StringMatch::Exact(text) => value == text.as_bytes(),
        StringMatch::Prefix(text) => value.starts_with(text.as_bytes()),
        StringMatch::Suffix(text) => value.ends_with(text.as_bytes()),
        StringMatch::Contains(text) => String::from_utf8_lossy(value).contains(text.as_str()),
        StringMatch::Regex(pattern) => {
            std::str::from_utf8(value).is_ok_and(|value| pattern.anchored().is_match(value))
        }
        StringMatch::Present => true,
    }
}

fn decoded(text: &str) -> String {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            Some(digits) if bytes[at] == b'%' => {
                let digits = std::str::from_utf8(digits).expect("ASCII");
                decoded.push(u8::from_str_radix(digits, 16).expect("two digits"));
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

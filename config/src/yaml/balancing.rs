//! How an endpoint is picked, and where endpoints run.

use super::Unique;
use super::reader::{Fields, Reader, scalar_of};
use super::scalar::{self, Problem, problem, problem_with_help};
use super::shapes::{
    LEAST_REQUEST, LOAD_BALANCING, LOAD_BALANCING_WORDS, LOCALITY, LOCALITY_BALANCING, LOCALITY_WEIGHT,
    MAGLEV, PEAK_EWMA, RING_HASH, SLOW_START, SUBSET_FALLBACK, SUBSETS, ZONE_AWARE,
};
use super::tree::{Node, Value};
use super::{listener, targets};
use crate::model::{
    BalancingOptions, Discovery, LoadBalancing, Locality, LocalityBalancing, LocalityWeight, SlowStart,
    SubsetFallback, Subsets, ZoneAware, defaults,
};
use crate::receipt::Code;
use std::sync::Arc;

/// Fields of a cluster that say how one of several endpoints is picked.
pub(super) const FIELDS: [&str; 8] = [
    "load_balancing",
    "slow_start",
    "locality_balancing",
    "locality_weights",
    "overprovisioning_factor",
    "panic_threshold",
    "fails_in_panic",
    "subsets",
];
/// Selectors of subsets, and keys of one, at most: each request's subset is looked for among them.
const SELECTORS_MAX: usize = 32;

/// A cluster's `load_balancing`.
pub(super) fn policy(reader: &mut Reader<'_>, cluster: &Fields<'_>) -> LoadBalancing {
    cluster
        .node(reader, "load_balancing")
        .and_then(|node| policy_of(reader, node))
        .unwrap_or(LoadBalancing::RoundRobin)
}

fn policy_of(reader: &mut Reader<'_>, node: &Node) -> Option<LoadBalancing> {
    if scalar_of(node).is_some() {
        return reader.choose(node, &LOAD_BALANCING_WORDS.map(|word| (word, named(word))));
    }
    let fields = reader.fields(node, &LOAD_BALANCING)?;
    let mut policy = None;
    if let Some(node) = fields.node(reader, "least_request") {
        policy = reader
            .fields(node, &LEAST_REQUEST)
            .map(|fields| LoadBalancing::LeastRequest {
                choices: fields
                    .integer32(reader, "choices")
                    .unwrap_or(defaults::LEAST_REQUEST_CHOICES),
            });
    }
    if let Some(node) = fields.node(reader, "peak_ewma") {
        policy = reader
            .fields(node, &PEAK_EWMA)
            .map(|fields| LoadBalancing::PeakEwma {
                decay: fields
                    .duration(reader, "decay")
                    .unwrap_or(defaults::PEAK_EWMA_DECAY),
                default_rtt: fields
                    .duration(reader, "default_rtt")
                    .unwrap_or(defaults::PEAK_EWMA_DEFAULT_RTT),
            });
    }
    if let Some(node) = fields.node(reader, "ring_hash") {
        policy = ring_hash(reader, node);
    }
    if let Some(node) = fields.node(reader, "maglev") {
        policy = maglev(reader, node);
    }
    policy
}

/// A policy with its defaults.
fn named(word: &str) -> LoadBalancing {
    match word {
        "random" => LoadBalancing::Random,
        "least_request" => LoadBalancing::LeastRequest {
            choices: defaults::LEAST_REQUEST_CHOICES,
        },
        "peak_ewma" => LoadBalancing::PeakEwma {
            decay: defaults::PEAK_EWMA_DECAY,
            default_rtt: defaults::PEAK_EWMA_DEFAULT_RTT,
        },
        "ring_hash" => LoadBalancing::RingHash {
            size_min: defaults::RING_SIZE_MIN,
            size_max: defaults::RING_SIZE_MAX,
            balance_factor: None,
        },
        "maglev" => LoadBalancing::Maglev {
            table_size: defaults::MAGLEV_TABLE_SIZE,
            balance_factor: None,
        },
        _ => LoadBalancing::RoundRobin,
    }
}

fn ring_hash(reader: &mut Reader<'_>, node: &Node) -> Option<LoadBalancing> {
    let fields = reader.fields(node, &RING_HASH)?;
    let size_min = fields.integer32(reader, "size_min");
    let size_max = fields.integer32(reader, "size_max");
    let balance_factor = fields.integer32_or_off(reader, "balance_factor");
    let size_min = size_min.unwrap_or(defaults::RING_SIZE_MIN.min(size_max.unwrap_or(u32::MAX)));
    let size_max = size_max.unwrap_or(defaults::RING_SIZE_MAX);
    if size_min > size_max {
        let message = format!("a ring of at least {size_min} and at most {size_max} points");
        reader.fault(fields.span_of("size_min"), message);
    }
    Some(LoadBalancing::RingHash {
        size_min,
        size_max,
        balance_factor,
    })
}

fn maglev(reader: &mut Reader<'_>, node: &Node) -> Option<LoadBalancing> {
    let fields = reader.fields(node, &MAGLEV)?;
    let table_size = fields.integer32(reader, "table_size");
    let balance_factor = fields.integer32_or_off(reader, "balance_factor");
    if let Some(size) = table_size.filter(|size| !is_prime(*size)) {
        let next = (size..)
            .find(|size| is_prime(*size))
            .unwrap_or(defaults::MAGLEV_TABLE_SIZE);
        let message = format!("{size} is not a prime");
        reader.fault_with_help(fields.span_of("table_size"), message, format!("such as {next}"));
    }
    Some(LoadBalancing::Maglev {
        table_size: table_size.unwrap_or(defaults::MAGLEV_TABLE_SIZE),
        balance_factor,
    })
}

fn is_prime(number: u32) -> bool {
    let divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2
        && divisors
            .into_iter()
            .all(|divisor: u32| !number.is_multiple_of(divisor))
}

/// What stands between a cluster's endpoints and its balancer.
pub(super) fn options(
    reader: &mut Reader<'_>,
    cluster: &Fields<'_>,
    discovery: &Discovery,
    policy: LoadBalancing,
) -> BalancingOptions {
    let slow_start = slow_start(reader, cluster);
    if slow_start.is_some() && policy.is_consistent() {
        let message = "`slow_start` has no effect: the hash says which endpoint is picked";
        reader.warn(
            Code::SlowStartWithHash,
            cluster.key_span_of("slow_start"),
            message,
            "remove it",
        );
    }
    let localities = cluster
        .node(reader, "locality_balancing")
        .and_then(|node| localities(reader, node));
    let factor = cluster.integer32(reader, "overprovisioning_factor");
    let panic_threshold = cluster.integer32(reader, "panic_threshold");
    let fails_in_panic = cluster.boolean(reader, "fails_in_panic");
    let subsets = cluster
        .node(reader, "subsets")
        .and_then(|node| subsets(reader, node));
    warn_of_one_endpoint(reader, cluster, discovery);
    BalancingOptions {
        slow_start,
        localities: localities.unwrap_or(LocalityBalancing::Off),
        overprovisioning_factor: factor.unwrap_or(defaults::OVERPROVISIONING_FACTOR_PERCENT),
        panic_threshold: panic_threshold.unwrap_or(defaults::PANIC_THRESHOLD_PERCENT),
        fails_in_panic: fails_in_panic.unwrap_or(false),
        subsets,
    }
}

fn warn_of_one_endpoint(reader: &mut Reader<'_>, cluster: &Fields<'_>, discovery: &Discovery) {
    let why = match discovery {
        Discovery::Static | Discovery::StrictDns(_) => return,
        Discovery::LogicalDns(_) => "the name is one endpoint",
        Discovery::OriginalDestination(_) => "a connection goes where it was meant for",
    };
    for name in FIELDS {
        if cluster.entry(name).is_some() {
            let message = format!("`{name}` has no effect: {why}");
            reader.warn(
                Code::BalancingUnused,
                cluster.key_span_of(name),
                message,
                "remove it",
            );
        }
    }
}

fn slow_start(reader: &mut Reader<'_>, cluster: &Fields<'_>) -> Option<SlowStart> {
    let node = listener::settings(reader, cluster, "slow_start")?;
    let fields = reader.fields(node, &SLOW_START)?;
    let window = fields.duration(reader, "window");
    let aggression = fields.parsed(reader, "aggression", aggression);
    let weight_min = fields.integer32(reader, "weight_min");
    Some(SlowStart {
        window: window?,
        aggression: aggression.unwrap_or(defaults::SLOW_START_AGGRESSION),
        weight_min_percent: weight_min.unwrap_or(defaults::SLOW_START_WEIGHT_MIN_PERCENT),
    })
}

fn aggression(text: &str) -> Result<f64, Problem> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse::<f64>() {
        Ok(number) if is_plain && number > 0.0 && number <= 100.0 => Ok(number),
        _ => problem_with_help(
            format!(
                "expected a number above 0, at most 100, found `{}`",
                scalar::shortened(text)
            ),
            "such as `1.0`",
        ),
    }
}

fn localities(reader: &mut Reader<'_>, node: &Node) -> Option<LocalityBalancing> {
    let words = [
        ("off", LocalityBalancing::Off),
        ("weighted", LocalityBalancing::Weighted),
    ];
    if let Some(scalar) = scalar_of(node) {
        reader.choose(node, &words.each_ref().map(|(word, _)| (*word, ())))?;
        return words
            .into_iter()
            .find(|(word, _)| *word == scalar.text)
            .map(|(_, localities)| localities);
    }
    let fields = reader.fields(node, &LOCALITY_BALANCING)?;
    let node = fields.node(reader, "zone_aware")?;
    let fields = reader.fields(node, &ZONE_AWARE)?;
    let local_cluster = fields
        .node(reader, "local_cluster")
        .and_then(|node| targets::cluster(reader, node));
    let routing = fields.integer32(reader, "routing");
    let size_min = fields.integer32(reader, "cluster_size_min");
    let strict = fields.boolean(reader, "strict").unwrap_or(false);
    Some(LocalityBalancing::ZoneAware(ZoneAware {
        local_cluster: local_cluster?,
        routing_percent: routing.unwrap_or(defaults::ZONE_ROUTING_PERCENT),
        cluster_size_min: size_min.unwrap_or(defaults::ZONE_CLUSTER_SIZE_MIN),
        strict,
    }))
}

fn subsets(reader: &mut Reader<'_>, node: &Node) -> Option<Subsets> {
    let fields = reader.fields(node, &SUBSETS)?;
    let nodes = fields.list(reader, "selectors");
    if nodes.len() > SELECTORS_MAX {
        let message = format!(
            "`selectors` has {} items; at most {SELECTORS_MAX} are allowed",
            nodes.len()
        );
        reader.fault(fields.span_of("selectors"), message);
    }
    let mut seen = Unique::new("selector of");
    let mut selectors = Vec::new();
    for node in nodes.iter().take(SELECTORS_MAX) {
        let keys = selector(reader, node);
        if !keys.is_empty() {
            seen.insert(reader, keys.join(", "), node.span);
            selectors.push(keys);
        }
    }
    let fallback = fields
        .node(reader, "fallback")
        .and_then(|node| fallback(reader, node));
    Some(Subsets {
        selectors,
        fallback: fallback.unwrap_or(SubsetFallback::None),
    })
}

/// Metadata keys, in the order of the alphabet.
fn selector(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let nodes = reader.items(node, true);
    if nodes.len() > SELECTORS_MAX {
        let message = format!("a selector has at most {SELECTORS_MAX} keys");
        reader.fault(node.span, message);
    }
    let mut seen = Unique::new("key");
    let mut keys = Vec::new();
    for node in nodes.iter().take(SELECTORS_MAX) {
        if let Some(key) = reader.text(node, "a metadata key") {
            seen.insert(reader, key.clone(), node.span);
            keys.push(key);
        }
    }
    keys.sort();
    keys
}

fn fallback(reader: &mut Reader<'_>, node: &Node) -> Option<SubsetFallback> {
    if scalar_of(node).is_some() {
        return reader
            .choose(node, &[("none", false), ("any", true)])
            .map(|any| match any {
                true => SubsetFallback::Any,
                false => SubsetFallback::None,
            });
    }
    let fields = reader.fields(node, &SUBSET_FALLBACK)?;
    Some(SubsetFallback::Default(targets::pairs(
        reader, &fields, "default",
    )))
}

/// The locality in a field.
pub(super) fn locality(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<Locality> {
    let node = fields.node(reader, name)?;
    if !matches!(node.value, Value::Map(_)) {
        return reader.parse(node, "`region/zone/sub_zone` or a map (locality)", parts);
    }
    let fields = reader.fields(node, &LOCALITY)?;
    let part = |reader: &mut Reader<'_>, name| fields.parsed(reader, name, part).unwrap_or_default();
    Some(Locality {
        region: part(reader, "region"),
        zone: part(reader, "zone"),
        sub_zone: part(reader, "sub_zone"),
    })
}

fn part(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=253 => Ok(text.to_owned()),
        _ => problem("a part of a locality has 1 to 253 bytes"),
    }
}

/// `region`, `region/zone`, `region/zone/sub_zone`; what is not known may be empty, but not all of it.
fn parts(text: &str) -> Result<Locality, Problem> {
    let mut parts = text.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let locality = Locality {
        region: next(),
        zone: next(),
        sub_zone: next(),
    };
    if parts.next().is_some() || locality == Locality::default() || text.len() > 759 {
        let message = format!("expected a locality, found `{}`", scalar::shortened(text));
        return problem_with_help(
            message,
            "such as `region/zone` or `region/zone/sub_zone`; parts that hold a slash stand in a map",
        );
    }
    Ok(locality)
}

/// A locality as it is written; none: its parts hold slashes.
pub(super) fn locality_text(locality: &Locality) -> Option<String> {
    let parts = [&locality.region, &locality.zone, &locality.sub_zone];
    let text = parts.map(String::as_str).join("/");
    let is_plain = parts.iter().all(|part| !part.contains('/'));
    is_plain.then(|| text.trim_end_matches('/').to_owned())
}

/// A cluster's `locality_weights`.
pub(super) fn locality_weights(
    reader: &mut Reader<'_>,
    cluster: &Fields<'_>,
    localities: &LocalityBalancing,
) -> Vec<LocalityWeight> {
    let nodes = cluster.list(reader, "locality_weights");
    if !nodes.is_empty() && *localities != LocalityBalancing::Weighted {
        let message = "`locality_weights` has no effect: localities are not picked by weight";
        let help = "write `locality_balancing: weighted`, or remove it";
        reader.warn(
            Code::LocalityWeightsUnused,
            cluster.key_span_of("locality_weights"),
            message,
            help,
        );
    }
    let mut seen = Unique::new("weight of the locality");
    let read = |node: &Arc<Node>| {
        let fields = reader.fields(node, &LOCALITY_WEIGHT)?;
        let locality = locality(reader, &fields, "locality");
        let priority = fields.integer32(reader, "priority").unwrap_or(0);
        let weight = fields.integer32(reader, "weight");
        if let Some(locality) = &locality {
            let shown = locality_text(locality).unwrap_or_else(|| format!("{locality:?}"));
            let shown = format!("{shown} in priority {priority}");
            seen.insert(reader, shown, fields.span_of("locality"));
        }
        Some(LocalityWeight {
            locality: locality?,
            priority,
            weight: weight?,
        })
    };
    let mut weights: Vec<LocalityWeight> = nodes.iter().filter_map(read).collect();
    // A set: where it is written in which order makes no difference.
    weights.sort_by(|one, other| (one.priority, &one.locality).cmp(&(other.priority, &other.locality)));
    weights
}

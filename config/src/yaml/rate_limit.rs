//! Rate limits, and where they apply.

use super::condition::{claim_path, only_true};
use super::reader::{Fields, Part, Reader, Said, scalar_of};
use super::scalar::{self, Problem, problem};
use super::shapes::{
    ADDRESS_PREFIXES, BUCKET, DESCRIPTOR_PART, DESCRIPTOR_WORDS, GLOBAL_RATE_LIMIT, LOCAL_RATE_LIMIT,
    RATE_LIMIT, RATE_LIMIT_OVERRIDE,
};
use super::tree::{Entry, Node};
use super::{Unique, targets};
use crate::model::{
    DescriptorPart, DescriptorSource, GlobalRateLimit, LocalRateLimit, MeshConfig, Name, RateLimit,
    RateLimitBucket, RateLimitCounting, RateLimitOverride, RateLimitedGrpcStatus, UpstreamProtocol, defaults,
};
use crate::receipt::Code;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors of one limit, and parts of one, at most: each request pays for them.
const DESCRIPTORS_MAX: usize = 16;
/// Overrides of one limit at most: each new value is compared with all of them.
const OVERRIDES_MAX: usize = 1000;
/// The shortest interval of a bucket.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Bytes of a key, a constant or a domain.
const TEXT_BYTES_MAX: usize = 256;

pub(super) fn limits(reader: &mut Reader<'_>, nodes: &[Arc<Node>]) -> Vec<Arc<RateLimit>> {
    let mut names = Unique::new("rate limit");
    let read = |node: &Arc<Node>| {
        reader
            .within(|reader| limit(reader, node, &mut names))
            .map(Arc::new)
    };
    nodes.iter().filter_map(read).collect()
}

/// The limits in the field `rate_limits` of a filter chain's side, a virtual host or a route.
pub(super) fn references(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Name> {
    reader.references(
        fields,
        "rate_limits",
        Part::RateLimit,
        "reference to the rate limit",
    )
}

fn limit(reader: &mut Reader<'_>, node: &Node, names: &mut Unique<Name>) -> Option<RateLimit> {
    let fields = reader.fields(node, &RATE_LIMIT)?;
    let name = fields.name(reader, "name");
    if let Some(name) = &name {
        names.insert(reader, name.clone(), fields.span_of("name"));
        reader.enter("rate limit", name);
    }
    let descriptors = descriptors(reader, &fields);
    let local = fields
        .node(reader, "local")
        .and_then(|node| {
            local(
                reader,
                node,
                descriptors.first().map(Vec::as_slice).unwrap_or_default(),
            )
        })
        .map(RateLimitCounting::Local);
    let global = fields
        .node(reader, "global")
        .and_then(|node| global(reader, node))
        .map(RateLimitCounting::Global);
    let descriptors = counted(reader, &fields, descriptors);
    let shadow = fields.boolean(reader, "shadow").unwrap_or(false);
    let status = fields
        .integer(reader, "status")
        .and_then(|status| u16::try_from(status).ok());
    let statuses = [
        ("unavailable", RateLimitedGrpcStatus::Unavailable),
        ("resource_exhausted", RateLimitedGrpcStatus::ResourceExhausted),
    ];
    let grpc_status = fields.choice(reader, "grpc_status", &statuses);
    let tells_headers = fields.boolean(reader, "headers").unwrap_or(false);
    Some(RateLimit {
        name: name?,
        descriptors,
        counting: local.or(global)?,
        shadow,
        status: status.unwrap_or(defaults::RATE_LIMIT_STATUS),
        grpc_status: grpc_status.unwrap_or(RateLimitedGrpcStatus::Unavailable),
        tells_headers,
        origin: reader.origin(node.span),
    })
}

/// Descriptors as who counts needs them.
fn counted(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    mut descriptors: Vec<Vec<DescriptorPart>>,
) -> Vec<Vec<DescriptorPart>> {
    let span = fields.span_of("descriptors");
    if fields.entry("local").is_some() {
        if descriptors.len() > 1 {
            let message = format!("a local limit with {} descriptors", descriptors.len());
            let help = "write a limit for each, and name them all where they apply";
            reader.fault_with_help(span, message, help);
        }
        if descriptors.is_empty() {
            descriptors.push(Vec::new());
        }
    } else if fields.entry("global").is_some()
        && (descriptors.is_empty() || descriptors.iter().any(Vec::is_empty))
    {
        let help = "such as `descriptors: [[remote_address]]`";
        reader.fault_with_help(span, "a global limit asks by descriptors, and one is empty", help);
    }
    descriptors
}

fn descriptors(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Vec<DescriptorPart>> {
    let nodes = fields.list(reader, "descriptors");
    bounded(reader, fields, "descriptors", nodes.len(), DESCRIPTORS_MAX);
    let mut descriptors = Vec::new();
    for node in nodes.iter().take(DESCRIPTORS_MAX) {
        let nodes = reader.items(node, false);
        if nodes.len() > DESCRIPTORS_MAX {
            let message = format!("a descriptor has at most {DESCRIPTORS_MAX} parts");
            reader.fault(node.span, message);
        }
        let mut keys = Unique::new("part with the key");
        let mut parts = Vec::new();
        for node in nodes.iter().take(DESCRIPTORS_MAX) {
            if let Some(part) = part(reader, node) {
                keys.insert(reader, part.key.clone(), node.span);
                parts.push(part);
            }
        }
        descriptors.push(parts);
    }
    descriptors
}

fn bounded(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str, count: usize, max: usize) {
    if count > max {
        let message = format!("`{name}` has {count} items; at most {max} are allowed");
        reader.fault(fields.span_of(name), message);
    }
}

fn part(reader: &mut Reader<'_>, node: &Node) -> Option<DescriptorPart> {
    if let Some(scalar) = scalar_of(node) {
        reader.choose(node, &DESCRIPTOR_WORDS.map(|word| (word, ())))?;
        let source = plain(&scalar.text)?;
        return Some(DescriptorPart::new(default_key(&source), source));
    }
    let fields = reader.fields(node, &DESCRIPTOR_PART)?;
    let key = fields.parsed(reader, "key", short);
    let source = source(reader, &fields);
    if fields.entry("provider").is_some() && fields.entry("claim").is_none() {
        reader.fault(fields.key_span_of("provider"), "`provider` without `claim`");
    }
    let source = source?;
    Some(DescriptorPart::new(
        key.unwrap_or_else(|| default_key(&source)),
        source,
    ))
}

/// The source that a word names.
fn plain(word: &str) -> Option<DescriptorSource> {
    Some(match word {
        "remote_address" => DescriptorSource::RemoteAddress {
            v4_prefix: 32,
            v6_prefix: 128,
        },
        "path_template" => DescriptorSource::PathTemplate,
        "path" => DescriptorSource::Path,
        "method" => DescriptorSource::Method,
        "host" => DescriptorSource::Host,
        "source_identity" => DescriptorSource::SourceIdentity,
        "route" => DescriptorSource::Route,
        "virtual_host" => DescriptorSource::VirtualHost,
        _ => return None,
    })
}

/// Every field is asked for, so that all faults are found.
fn source(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<DescriptorSource> {
    let mut source = fields
        .parsed(reader, "constant", short)
        .map(DescriptorSource::Constant);
    source = source.or(remote_address(reader, fields));
    let header = fields.parsed(reader, "header", scalar::header_name);
    source = source.or(header.map(DescriptorSource::Header));
    let query = fields.parsed(reader, "query", short);
    source = source.or(query.map(DescriptorSource::Query));
    let path = fields
        .node(reader, "claim")
        .and_then(|node| claim_path(reader, node));
    let provider = reader.reference(fields, "provider", Part::JwtProvider);
    source = source.or(path.map(|path| DescriptorSource::Claim { provider, path }));
    for word in DESCRIPTOR_WORDS.iter().filter(|word| **word != "remote_address") {
        if only_true(reader, fields, word) {
            source = source.or(plain(word));
        }
    }
    source
}

fn remote_address(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<DescriptorSource> {
    let node = match fields.said(reader, "remote_address") {
        Said::Off => {
            let is_false = |entry: &Entry| scalar_of(&entry.value).is_some_and(|given| given.text == "false");
            if fields.entry("remote_address").is_some_and(is_false) {
                only_true(reader, fields, "remote_address");
            }
            return None;
        }
        Said::On => return plain("remote_address"),
        Said::Settings(node) => node,
    };
    let fields = reader.fields(node, &ADDRESS_PREFIXES)?;
    let bits = |reader: &mut Reader<'_>, name| {
        fields
            .integer(reader, name)
            .and_then(|bits| u8::try_from(bits).ok())
    };
    let v4_prefix = bits(reader, "v4_prefix");
    let v6_prefix = bits(reader, "v6_prefix");
    Some(DescriptorSource::RemoteAddress {
        v4_prefix: v4_prefix.unwrap_or(32),
        v6_prefix: v6_prefix.unwrap_or(128),
    })
}

/// A key, where none was written: Envoy's, where it has one.
pub(super) fn default_key(source: &DescriptorSource) -> String {
    let key = match source {
        DescriptorSource::Constant(_) => "generic_key",
        DescriptorSource::RemoteAddress {
            v4_prefix: 32,
            v6_prefix: 128,
        } => "remote_address",
        DescriptorSource::RemoteAddress { .. } => "masked_remote_address",
        DescriptorSource::Header(name) => name.as_str(),
        DescriptorSource::Query(name) => name,
        DescriptorSource::PathTemplate => "path_template",
        DescriptorSource::Path => "path",
        DescriptorSource::Method => "method",
        DescriptorSource::Host => "host",
        DescriptorSource::SourceIdentity => "source_identity",
        DescriptorSource::Claim { path, .. } => return path.join("."),
        DescriptorSource::Route => "route",
        DescriptorSource::VirtualHost => "virtual_host",
    };
    key.to_owned()
}

fn short(text: &str) -> Result<String, Problem> {
    match text.len() {
        1..=TEXT_BYTES_MAX => Ok(text.to_owned()),
        _ => problem(format!("this text has 1 to {TEXT_BYTES_MAX} bytes")),
    }
}

fn local(reader: &mut Reader<'_>, node: &Node, descriptor: &[DescriptorPart]) -> Option<LocalRateLimit> {
    let fields = reader.fields(node, &LOCAL_RATE_LIMIT)?;
    let bucket = bucket(reader, &fields);
    let nodes = fields.list(reader, "overrides");
    bounded(reader, &fields, "overrides", nodes.len(), OVERRIDES_MAX);
    let mut overrides = Vec::new();
    for node in nodes.iter().take(OVERRIDES_MAX) {
        overrides.extend(bucket_override(reader, node, descriptor));
    }
    let keys_max = fields.integer(reader, "keys_max");
    Some(LocalRateLimit {
        bucket: bucket?,
        overrides,
        keys_max: keys_max.map_or(defaults::RATE_LIMIT_KEYS_MAX, |keys| keys as usize),
    })
}

fn bucket_override(
    reader: &mut Reader<'_>,
    node: &Node,
    descriptor: &[DescriptorPart],
) -> Option<RateLimitOverride> {
    let fields = reader.fields(node, &RATE_LIMIT_OVERRIDE)?;
    let entries = fields.map(reader, "values");
    if entries.is_empty() && fields.entry("values").is_some() {
        let help = "change `limit` itself";
        reader.fault_with_help(fields.span_of("values"), "this overrides every value", help);
    }
    let mut values = Vec::new();
    for entry in entries {
        if !descriptor.iter().any(|part| part.key == entry.key) {
            let keys: Vec<&str> = descriptor.iter().map(|part| part.key.as_str()).collect();
            let message = format!("the descriptor has no part with the key `{}`", entry.key);
            let help = match keys.is_empty() {
                true => "it has no parts: write `descriptors: [[…]]`".to_owned(),
                false => format!("it has {}", super::reader::quoted(&keys)),
            };
            reader.fault_with_help(entry.key_span, message, help);
        }
        if let Some(value) = reader.text(&entry.value, "a text") {
            values.push((entry.key.clone(), value));
        }
    }
    let bucket = bucket(reader, &fields);
    Some(RateLimitOverride {
        values,
        bucket: bucket?,
    })
}

/// The bucket in the field `limit`.
fn bucket(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<RateLimitBucket> {
    let node = fields.node(reader, "limit")?;
    let fields = reader.fields(node, &BUCKET)?;
    let requests = fields.integer32(reader, "requests").and_then(NonZeroU32::new);
    let interval = fields.duration(reader, "per").unwrap_or(Duration::from_secs(1));
    let burst = fields.integer32(reader, "burst").and_then(NonZeroU32::new);
    if interval < INTERVAL_MIN {
        let message = format!("an interval of {interval:?}; the shortest is 1ms");
        reader.fault(fields.span_of("per"), message);
    }
    Some(RateLimitBucket {
        requests: requests?,
        interval,
        burst: burst.or(requests)?,
    })
}

fn global(reader: &mut Reader<'_>, node: &Node) -> Option<GlobalRateLimit> {
    let fields = reader.fields(node, &GLOBAL_RATE_LIMIT)?;
    let cluster = fields
        .node(reader, "cluster")
        .and_then(|node| targets::cluster(reader, node));
    let authority = fields.parsed(reader, "authority", scalar::authority);
    let domain = fields.parsed(reader, "domain", short);
    let timeout = fields.duration(reader, "timeout");
    let failure_denied = fields.boolean(reader, "failure_denied").unwrap_or(false);
    Some(GlobalRateLimit {
        cluster: cluster?,
        authority,
        domain: domain?,
        timeout: timeout.unwrap_or(defaults::RATE_LIMIT_SERVICE_TIMEOUT),
        failure_denied,
    })
}

/// Refuses services behind clusters that speak HTTP/1, and warns of limits that never count.
pub(super) fn check(reader: &mut Reader<'_>, config: &MeshConfig) {
    for limit in &config.rate_limits {
        let RateLimitCounting::Global(global) = &limit.counting else {
            continue;
        };
        let mut clusters = config.clusters.iter();
        let cluster = clusters.find(|cluster| cluster.name == global.cluster);
        if cluster.is_some_and(|cluster| cluster.protocol == UpstreamProtocol::Http1) {
            let message = format!(
                "the rate limit `{}` asks the cluster `{}` over gRPC, which speaks HTTP/1",
                limit.name, global.cluster
            );
            let help = "give the cluster `protocol: http2`";
            let at = reader.place(&limit.origin);
            reader.fault_with_help(at, message, help);
        }
    }
    let limits: HashMap<&Name, &RateLimit> = config
        .rate_limits
        .iter()
        .map(|limit| (&limit.name, limit.as_ref()))
        .collect();
    let chains = config
        .listeners
        .iter()
        .flat_map(|listener| &listener.filter_chains);
    for chain in chains {
        let names = chain.mode.tcp().map(|tcp| tcp.rate_limits.as_slice());
        for name in names.unwrap_or_default() {
            let counts = |parts: &Vec<DescriptorPart>| !parts.iter().any(|part| part.source.needs_request());
            if limits
                .get(name)
                .is_some_and(|limit| !limit.descriptors.iter().any(counts))
            {
                let message = format!(
                    "the rate limit `{name}` counts nothing on the connections of `{}`: what tells them apart is known of \
                     requests only",
                    chain.name
                );
                let help = "of a connection are known `remote_address`, `source_identity` and constants";
                let part = ("filter chain", &chain.name);
                reader.warn_of(Code::RateLimitNeverCounts, part, &chain.origin, message, help);
            }
        }
    }
}

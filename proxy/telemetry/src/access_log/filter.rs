//! Which requests and connections have a line: compiled conditions on what is known at their end.
//!
//! A filter is asked before anything is formatted. What a condition asks for and a record does not have, such as the
//! status of a TCP connection, does not hold.

use super::grpc::GrpcNames;
use super::record::{HeaderName, RequestRecord};
use crate::flags::ResponseFlags;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How the user agents of probes begin: those of load balancers and orchestrators that say what they are.
pub(super) const PROBES: &[&str] = &[
    "Consul Health Check",
    "ELB-HealthChecker/",
    "Envoy/HC",
    "GoogleHC/",
    "kube-probe/",
    "outrigger-health-check",
];

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRelation {
    /// Not less.
    AtLeast,
    /// Not more.
    AtMost,
    /// The same.
    Equals,
    /// Another.
    Differs,
}

impl LogRelation {
    fn holds(self, value: u64, other: u64) -> bool {
        match self {
            LogRelation::AtLeast => value >= other,
            LogRelation::AtMost => value <= other,
            LogRelation::Equals => value == other,
            LogRelation::Differs => value != other,
        }
    }
}

/// A condition on what has ended.
pub enum LogFilter {
    /// The status that was sent, 0 where none was.
    Status(LogRelation, u16),
    /// The duration in whole milliseconds.
    Milliseconds(LogRelation, u64),
    /// One of these flags is set.
    SomeFlag(ResponseFlags),
    /// Any flag is set.
    AnyFlag,
    /// So many in a million, at random.
    Random(u32),
    /// So many in a million, by this header; those without it at random.
    ByHeader(u32, HeaderName),
    /// The route is one of these, which are sorted.
    Routes(Box<[Box<str>]>),
    /// It is no probe: this header, the user agent, is no known one's, or it is not what probes do from where probes come.
    NotHealthCheck(HeaderName),
    /// The value of a header of the request, several joined by commas; none if it is not there.
    Header(HeaderName, HeaderCondition),
    /// Of gRPC requests: the status' bit is set.
    GrpcStatus(GrpcNames, u32),
    /// This does not hold.
    Not(Box<LogFilter>),
    /// One of these holds.
    AnyOf(Box<[LogFilter]>),
    /// All of these hold.
    All(Box<[LogFilter]>),
}

/// What is asked of a header's value.
pub type HeaderCondition = Box<dyn Fn(Option<&[u8]>) -> bool + Send + Sync>;

impl LogFilter {
    /// Whether what has ended has a line. `random` is asked for a number where one is needed.
    pub fn takes(&self, record: &RequestRecord<'_>, random: &dyn Fn() -> u64) -> bool {
        let is_request = record.protocol.is_some();
        match self {
            LogFilter::Status(relation, status) => {
                is_request && relation.holds(record.response_code.into(), (*status).into())
            }
            LogFilter::Milliseconds(relation, limit) => {
                let milliseconds = u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX);
                relation.holds(milliseconds, *limit)
            }
            LogFilter::SomeFlag(flags) => record.response_flags.intersects(*flags),
            LogFilter::AnyFlag => !record.response_flags.is_empty(),
            LogFilter::Random(share) => is_among(random(), *share),
            LogFilter::ByHeader(share, name) => match record.request.lookup(name) {
                Some(id) => is_among(hash(id), *share),
                None => is_among(random(), *share),
            },
            LogFilter::Routes(routes) => record
                .route_name
                .is_some_and(|name| routes.binary_search_by(|route| (**route).cmp(name)).is_ok()),
            LogFilter::NotHealthCheck(name) => {
                let agent = record.request.lookup(name).unwrap_or_default();
                let says_so = PROBES.iter().any(|probe| agent.starts_with(probe.as_bytes()));
                !(says_so && may_be_probe(record))
            }
            LogFilter::Header(name, holds) => {
                let mut joined = Vec::new();
                is_request && holds(record.request.joined(name, &mut joined))
            }
            LogFilter::GrpcStatus(names, statuses) => names
                .status(record)
                .is_some_and(|status| statuses.checked_shr(status).unwrap_or(0) & 1 == 1),
            LogFilter::Not(inner) => !inner.takes(record, random),
            LogFilter::AnyOf(inner) => inner.iter().any(|filter| filter.takes(record, random)),
            LogFilter::All(inner) => inner.iter().all(|filter| filter.takes(record, random)),
        }
    }

    /// Looks headers up by number from now on, as [`AccessLogFormat::number_names`](super::AccessLogFormat::number_names).
    #[must_use]
    pub fn number_names(mut self, number_of: &dyn Fn(&str) -> Option<u8>) -> LogFilter {
        self.renumber(number_of);
        self
    }

    fn renumber(&mut self, number_of: &dyn Fn(&str) -> Option<u8>) {
        match self {
            LogFilter::ByHeader(_, name) | LogFilter::NotHealthCheck(name) | LogFilter::Header(name, _) => {
                name.become_number(number_of);
            }
            LogFilter::GrpcStatus(names, _) => names.number_names(number_of),
            LogFilter::Not(inner) => inner.renumber(number_of),
            LogFilter::AnyOf(inner) | LogFilter::All(inner) => {
                inner.iter_mut().for_each(|filter| filter.renumber(number_of));
            }
            _ => {}
        }
    }
}

/// Conditions on headers have no text: only their names are shown.
impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogFilter::Status(relation, status) => write!(f, "status {relation:?} {status}"),
            LogFilter::Milliseconds(relation, limit) => write!(f, "milliseconds {relation:?} {limit}"),
            LogFilter::SomeFlag(flags) => write!(f, "flag of {flags}"),
            LogFilter::AnyFlag => f.write_str("any flag"),
            LogFilter::Random(share) => write!(f, "{share} in a million"),
            LogFilter::ByHeader(share, name) => write!(f, "{share} in a million by {name:?}"),
            LogFilter::Routes(routes) => write!(f, "route of {routes:?}"),
            LogFilter::NotHealthCheck(_) => f.write_str("no health check"),
            LogFilter::Header(name, _) => write!(f, "header {name:?}"),
            LogFilter::GrpcStatus(_, statuses) => write!(f, "gRPC status of {statuses:b}"),
            LogFilter::Not(inner) => write!(f, "not {inner:?}"),
            LogFilter::AnyOf(inner) => write!(f, "any of {inner:?}"),
            LogFilter::All(inner) => write!(f, "all of {inner:?}"),
        }
    }
}

/// Whether this is what probes do, from where they come: anybody can write a probe's user agent, and nobody may stay out of
/// the log by that. It asks, it does not fail, and who sent it is near, as the connection tells and as trusted proxies do.
fn may_be_probe(record: &RequestRecord<'_>) -> bool {
    let method = record.request.lookup(&HeaderName::Method);
    let is_near = |address: Option<SocketAddr>| address.is_some_and(|address| is_near(address.ip()));
    matches!(method, Some(b"GET" | b"HEAD"))
        && (100..400).contains(&record.response_code)
        && is_near(record.downstream_direct_remote_address)
        && is_near(record.downstream_remote_address)
}

/// Loopback, link-local or private (RFC 1918, RFC 4193).
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.is_private(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
    }
}

/// Whether a number that is evenly spread is among so many in a million. A larger share has all of a smaller one.
fn is_among(number: u64, parts_per_million: u32) -> bool {
    ((number >> 32) * 1_000_000) >> 32 < u64::from(parts_per_million)
}

/// A number that is evenly spread, by the bytes alone: the same in every process (FNV-1a, and the end of splitmix64,
/// since the former leaves the high bits of short texts alike).
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;

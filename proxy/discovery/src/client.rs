//! Asking: `hickory-resolver`, the system's resolvers and hosts file or resolvers of one's own.
//!
//! hickory's cache is off, so that TTLs are what the resolver says; its search list is not used, since all names are
//! absolute; its hosts file neither: a host that the file names in one family is not asked for in the other, as the
//! system's own resolver does it.

mod system;

use crate::question::{Answer, Failure, Question, RecordKind, Records, Service};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use system::System;
use tokio::sync::Semaphore;

/// Questions that are being asked at once, in the whole process; others wait. Each may hold a socket or two.
const QUESTIONS_AT_ONCE_MAX: usize = 256;

/// Who is asked, and how long that may take: clusters that agree on it share a client.
type Key = (Vec<SocketAddr>, Duration);

/// The clients of a process.
#[derive(Debug)]
pub struct Clients {
    live: Mutex<HashMap<Key, Weak<Inner>>>,
    permits: Arc<Semaphore>,
}

impl Default for Clients {
    fn default() -> Clients {
        Clients {
            live: Mutex::default(),
            permits: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE_MAX)),
        }
    }
}

impl Clients {
    /// The client that asks `resolvers`, or those of the system if there are none; no question takes longer than
    /// `query_timeout`, repetitions included.
    pub fn client(&self, resolvers: &[SocketAddr], query_timeout: Duration) -> Client {
        let mut live = self.live.lock();
        let key = (resolvers.to_vec(), query_timeout);
        if let Some(inner) = live.get(&key).and_then(Weak::upgrade) {
            return Client { inner };
        }
        live.retain(|_, client| client.strong_count() > 0);
        let source = if resolvers.is_empty() {
            Source::System(Box::new(System::new(query_timeout)))
        } else {
            Source::Own(Box::new(own(resolvers, query_timeout)))
        };
        let inner = Arc::new(Inner {
            source,
            query_timeout,
            permits: Arc::clone(&self.permits),
        });
        live.insert(key, Arc::downgrade(&inner));
        Client { inner }
    }
}

/// Asks questions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    query_timeout: Duration,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
enum Source {
    Own(Box<Result<TokioResolver, String>>),
    System(Box<System>),
}

impl Client {
    /// Asks a question. Cancel safe: whoever gives up has asked in vain.
    pub async fn ask(&self, question: &Question) -> Answer {
        let _permit = self.inner.permits.acquire().await;
        let resolver = match &self.inner.source {
            Source::Own(resolver) => Result::clone(resolver),
            Source::System(system) => {
                let (resolver, hosts) = system.current();
                if let Some(answer) = hosts.answer(question) {
                    return answer;
                }
                resolver
            }
        };
        let resolver = match resolver {
            Ok(resolver) => resolver,
            Err(detail) => return failed(Failure::Network, &detail),
        };
        let Ok(name) = absolute(&question.host) else {
            return failed(Failure::Protocol, &"not a domain name");
        };
        let asking = resolver.lookup(name, record_type(question.kind));
        match tokio::time::timeout(self.inner.query_timeout, asking).await {
            Ok(Ok(lookup)) => found(question.kind, lookup.answers()),
            Ok(Err(error)) => not_found(&error),
            Err(_) => failed(Failure::Timeout, &"no answer in time"),
        }
    }
}

/// Labels may hold underscores, as services' do.
fn absolute(host: &str) -> Result<Name, hickory_resolver::proto::ProtoError> {
    let mut name = Name::from_ascii(host)?;
    name.set_fqdn(true);
    Ok(name)
}

fn own(resolvers: &[SocketAddr], query_timeout: Duration) -> Result<TokioResolver, String> {
    let servers = resolvers.iter().map(|address| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        server
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    build(config, ResolverOpts::default(), query_timeout)
}

fn build(
    config: ResolverConfig,
    mut options: ResolverOpts,
    query_timeout: Duration,
) -> Result<TokioResolver, String> {
    // One try and one repetition, each with half of the time. Two resolvers are asked at once, so that one that is
    // away costs nothing.
    options.timeout = query_timeout / 2;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| error.to_string())
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Srv => RecordType::SRV,
    }
}

/// The answer that these records make: those of the kind asked for, and the TTL of the whole chain that led to them.
fn found(kind: RecordKind, answers: &[Record]) -> Answer {
    let wanted = record_type(kind);
    let chain = answers
        .iter()
        .filter(|record| record.record_type() == wanted || record.record_type() == RecordType::CNAME);
    let ttl = chain.map(|record| record.ttl).min();
    let mut addresses = Vec::new();
    let mut services = Vec::new();
    for record in answers {
        match &record.data {
            RData::A(address) if kind == RecordKind::A => addresses.push(address.0.into()),
            RData::AAAA(address) if kind == RecordKind::Aaaa => addresses.push(address.0.into()),
            RData::SRV(service) if kind == RecordKind::Srv => services.push(Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: plain(&service.target),
            }),
            _ => {}
        }
    }
    let ttl = ttl.map(|seconds| Duration::from_secs(u64::from(seconds)));
    if addresses.is_empty() && services.is_empty() {
        return Answer::Empty { ttl };
    }
    let records = if kind == RecordKind::Srv {
        Records::Services(services)
    } else {
        Records::Addresses(addresses)
    };
    Answer::Found {
        records,
        ttl: ttl.unwrap_or_default(),
    }
}

/// Lower case, without the trailing dot; empty for the root.
fn plain(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.trim_end_matches('.').to_owned()
}

fn not_found(error: &NetError) -> Answer {
    let failure = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if is_authoritative(none) => {
            return Answer::Empty {
                ttl: none
                    .negative_ttl
                    .map(|seconds| Duration::from_secs(u64::from(seconds))),
            };
        }
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => Failure::ServerFailure,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Failure::Refused,
        NetError::Dns(_) => Failure::ErrorCode,
        NetError::Timeout => Failure::Timeout,
        NetError::Io(_) | NetError::NoConnections | NetError::Busy => Failure::Network,
        _ => Failure::Protocol,
    };
    failed(failure, error)
}

/// False for a referral to other name servers, which says nothing of the name (RFC 2308 section 2.2).
fn is_authoritative(none: &NoRecords) -> bool {
    match none.response_code {
        ResponseCode::NXDomain => true,
        ResponseCode::NoError => none.soa.is_some() || none.ns.is_none(),
        _ => false,
    }
}

fn failed(failure: Failure, detail: &impl ToString) -> Answer {
    Answer::Failed {
        failure,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests;

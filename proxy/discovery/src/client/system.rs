//! The system's resolvers and hosts file, read again when they change.

use super::{build, record_type};
use crate::question::{Answer, Question, RecordKind, Records};
use hickory_resolver::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::op::Query;
use hickory_resolver::system_conf::parse_resolv_conf;
use parking_lot::Mutex;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The system's configuration of name resolution.
pub(super) struct System {
    resolvers_file: PathBuf,
    hosts_file: PathBuf,
    query_timeout: Duration,
    current: Mutex<Option<Current>>,
}

struct Current {
    stamps: [Stamp; 2],
    resolver: Result<TokioResolver, String>,
    hosts: Arc<HostsFile>,
}

/// What tells one state of a file from another; none if it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").finish_non_exhaustive()
    }
}

impl System {
    pub(super) fn new(query_timeout: Duration) -> System {
        System::of("/etc/resolv.conf".into(), "/etc/hosts".into(), query_timeout)
    }

    pub(super) fn of(resolvers_file: PathBuf, hosts_file: PathBuf, query_timeout: Duration) -> System {
        System {
            resolvers_file,
            hosts_file,
            query_timeout,
            current: Mutex::new(None),
        }
    }

    /// The resolver, or why there is none, and the hosts file, as the files are now: two `stat` calls a question.
    pub(super) fn current(&self) -> (Result<TokioResolver, String>, Arc<HostsFile>) {
        let stamps = [stamp(&self.resolvers_file), stamp(&self.hosts_file)];
        let mut current = self.current.lock();
        if current.as_ref().is_none_or(|current| current.stamps != stamps) {
            *current = Some(Current {
                stamps,
                resolver: self.resolver(),
                hosts: Arc::new(HostsFile::read(&self.hosts_file)),
            });
        }
        let current = current.as_ref().expect("it was just made if it was not there");
        (current.resolver.clone(), Arc::clone(&current.hosts))
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        let file = self.resolvers_file.display();
        let text = fs::read(&self.resolvers_file).map_err(|error| format!("{file}: {error}"))?;
        let (config, options) = parse_resolv_conf(text).map_err(|error| format!("{file}: {error}"))?;
        build(config, options, self.query_timeout)
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

/// Names that need no asking.
pub(super) struct HostsFile(Hosts);

impl HostsFile {
    fn read(file: &Path) -> HostsFile {
        let mut hosts = Hosts::default();
        if let Ok(file) = fs::File::open(file)
            && let Err(error) = hosts.read_hosts_conf(file)
        {
            tracing::warn!(%error, "the hosts file cannot be read");
        }
        HostsFile(hosts)
    }

    /// The answer for a host that the file names, in whichever family; it lasts as long as an answer may, so that a
    /// change of the file is seen then.
    pub(super) fn answer(&self, question: &Question) -> Option<Answer> {
        let addresses = |kind| {
            let name = super::absolute(&question.host).ok()?;
            let lookup = self
                .0
                .lookup_static_host(&Query::query(name, record_type(kind)))?;
            match super::found(kind, lookup.answers()) {
                Answer::Found {
                    records: Records::Addresses(addresses),
                    ..
                } => Some(addresses),
                _ => None,
            }
        };
        let other = match question.kind {
            RecordKind::A => RecordKind::Aaaa,
            RecordKind::Aaaa => RecordKind::A,
            RecordKind::Srv => return None,
        };
        if let Some(addresses) = addresses(question.kind) {
            return Some(Answer::Found {
                records: Records::Addresses(addresses),
                ttl: Duration::MAX,
            });
        }
        addresses(other).map(|_| Answer::Empty {
            ttl: Some(Duration::MAX),
        })
    }
}

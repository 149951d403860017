//! Virtual hosts by host name: exact before the longest suffix before the longest prefix before any.
//!
//! Every step is a hash of a part of the host, and there are at most as many steps as wildcards have different
//! lengths, however many hosts there are. Names of the configuration are the only keys, so that a peer cannot choose
//! what collides and the hash needs no random seed.

use foldhash::fast::FixedState;
use outrigger_config::model::{Domain, VirtualHost};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Lower-case names to indices of virtual hosts.
type ByName = HashMap<Box<[u8]>, usize, FixedState>;

/// The compiled domains of one route configuration.
#[derive(Debug)]
pub(super) struct Hosts {
    exact: ByName,
    suffixes: Affixes,
    prefixes: Affixes,
    any: Option<usize>,
}

impl Hosts {
    /// Compiles the domains of all virtual hosts; no domain stands twice.
    pub(super) fn compile(virtual_hosts: &[Arc<VirtualHost>]) -> Hosts {
        let mut hosts = Hosts {
            exact: ByName::default(),
            suffixes: Affixes::default(),
            prefixes: Affixes::default(),
            any: None,
        };
        for (index, virtual_host) in virtual_hosts.iter().enumerate() {
            for domain in virtual_host.domains() {
                match domain {
                    Domain::Exact(name) => {
                        hosts.exact.insert(lower_case(name), index);
                    }
                    Domain::Suffix(name) => hosts.suffixes.insert(name, index),
                    Domain::Prefix(name) => hosts.prefixes.insert(name, index),
                    Domain::Any => hosts.any = Some(index),
                }
            }
        }
        hosts.suffixes.finish(|affix| affix.first() == Some(&b'.'));
        hosts.prefixes.finish(|affix| affix.last() == Some(&b'.'));
        hosts
    }

    /// The virtual host that takes this host, given in any case and without a port.
    pub(super) fn find(&self, host: &str) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.any;
        }
        // Without an early end, so that the compiler looks at many bytes at once.
        if host
            .bytes()
            .fold(false, |found, byte| found | byte.is_ascii_uppercase())
        {
            let lower: SmallVec<[u8; 256]> = host.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
            self.find_lower_case(&lower)
        } else {
            self.find_lower_case(host.as_bytes())
        }
    }

    fn find_lower_case(&self, host: &[u8]) -> Option<usize> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            self.exact.get(host).copied()
        };
        exact
            .or_else(|| self.find_suffix(host))
            .or_else(|| self.find_prefix(host))
            .or(self.any)
    }

    fn find_suffix(&self, host: &[u8]) -> Option<usize> {
        self.suffixes.lengths.iter().find_map(|&(length, at_dot)| {
            let start = host.len().checked_sub(length).filter(|&start| start > 0)?;
            if at_dot && host[start] != b'.' {
                return None;
            }
            self.suffixes.by_name.get(&host[start..]).copied()
        })
    }

    fn find_prefix(&self, host: &[u8]) -> Option<usize> {
        self.prefixes.lengths.iter().find_map(|&(length, at_dot)| {
            if host.len() <= length || (at_dot && host[length - 1] != b'.') {
                return None;
            }
            self.prefixes.by_name.get(&host[..length]).copied()
        })
    }
}

fn lower_case(name: &str) -> Box<[u8]> {
    name.as_bytes().to_ascii_lowercase().into()
}

/// Suffixes or prefixes of hosts.
#[derive(Debug, Default)]
struct Affixes {
    by_name: ByName,
    /// The different lengths, longest first, and whether all affixes of that length border on a dot, which spares the
    /// hash where the host has none there.
    lengths: Box<[(usize, bool)]>,
}

impl Affixes {
    fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn insert(&mut self, name: &str, virtual_host: usize) {
        self.by_name.insert(lower_case(name), virtual_host);
    }

    fn finish(&mut self, borders_on_dot: impl Fn(&[u8]) -> bool) {
        let mut lengths: BTreeMap<usize, bool> = BTreeMap::new();
        for name in self.by_name.keys().filter(|name| !name.is_empty()) {
            *lengths.entry(name.len()).or_insert(true) &= borders_on_dot(name);
        }
        self.lengths = lengths.into_iter().rev().collect();
    }
}

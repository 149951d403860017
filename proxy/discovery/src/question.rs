//! What is asked, and what can come of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One question: its answer has one TTL and is replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// An absolute domain name, without the trailing dot, in lower case.
    pub host: String,
    /// Which records.
    pub kind: RecordKind,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.kind.as_str())
    }
}

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services: targets, ports, weights and priorities (RFC 2782).
    Srv,
}

impl RecordKind {
    /// As zone files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Srv => "SRV",
        }
    }
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Records of the kind that was asked for; at least one.
    Found {
        /// The records.
        records: Records,
        /// The smallest TTL of all records that led to them.
        ttl: Duration,
    },
    /// There are none, says who ought to know.
    Empty {
        /// For how long that holds (RFC 2308), if it was said.
        ttl: Option<Duration>,
    },
    /// It could not be learnt.
    Failed {
        /// The kind of failure.
        failure: Failure,
        /// What happened, for people.
        detail: String,
    },
}

/// The records of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Of A and AAAA.
    Addresses(Vec<IpAddr>),
    /// Of SRV.
    Services(Vec<Service>),
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Lower ones are used first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// Where the target listens.
    pub port: u16,
    /// A domain name, without the trailing dot, in lower case; empty: the service is decidedly not there.
    pub target: String,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No resolver answered in time.
    Timeout,
    /// SERVFAIL: the resolver could not learn it either.
    ServerFailure,
    /// The resolver does not answer us.
    Refused,
    /// Another error code, or a referral to other servers.
    ErrorCode,
    /// The resolver cannot be reached, or none is configured.
    Network,
    /// The answer makes no sense.
    Protocol,
}

impl Failure {
    /// The failure in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::ServerFailure => "server_failure",
            Failure::Refused => "refused",
            Failure::ErrorCode => "error_code",
            Failure::Network => "network",
            Failure::Protocol => "protocol",
        }
    }
}

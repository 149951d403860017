//! What a response after which no HTTP/1 follows must say, and that it says nothing else.

use crate::upstream::Wanted;
use outrigger_http1::{KnownName, ResponseHead};

const SWITCHING_PROTOCOLS: u16 = 101;

/// What the response may make of the connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing else.
    #[default]
    Response,
    /// This protocol, by 101.
    Protocol(Box<str>),
    /// A tunnel, by 2xx to CONNECT.
    Connect,
}

impl Expected {
    /// True if a head after which the decoder finds no HTTP/1 says what was asked for, and nothing else.
    pub(super) fn is_met(&self, head: &ResponseHead) -> bool {
        match self {
            Expected::Response => false,
            Expected::Connect => head.status != SWITCHING_PROTOCOLS,
            Expected::Protocol(protocol) => {
                let mut named = head.fields.get_all(KnownName::Upgrade);
                let names_it = named
                    .next()
                    .is_some_and(|value| value.eq_ignore_ascii_case(protocol.as_bytes()));
                head.status == SWITCHING_PROTOCOLS && names_it && named.next().is_none()
            }
        }
    }
}

impl From<Wanted<'_>> for Expected {
    fn from(wanted: Wanted<'_>) -> Expected {
        match wanted {
            Wanted::Protocol(protocol) => Expected::Protocol(protocol.into()),
            Wanted::Connect => Expected::Connect,
        }
    }
}

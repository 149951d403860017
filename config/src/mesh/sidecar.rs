//! Where sidecars listen.

use super::read::one_or_more;
use super::shapes::SIDECAR;
use crate::diagnostic::Span;
use crate::yaml::reader::{Fields, Reader};
use crate::yaml::scalar;
use crate::yaml::tree::Node;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// How connections come to a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interception {
    Redirect,
    Tproxy,
    Off,
}

impl Interception {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Interception::Redirect => "redirect",
            Interception::Tproxy => "tproxy",
            Interception::Off => "off",
        }
    }
}

/// An address, with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) span: Span,
}

/// What is said of sidecars; what is not, is said elsewhere or not at all.
#[derive(Debug, Clone, Default)]
pub(super) struct Sidecar {
    pub(super) span: Span,
    pub(super) interception: Option<Interception>,
    pub(super) inbound: Option<Vec<Place>>,
    pub(super) inbound_ports: BTreeMap<Arc<str>, Place>,
    pub(super) outbound: Option<Vec<Place>>,
    pub(super) application_ports: BTreeMap<Arc<str>, (u16, Span)>,
}

/// Where sidecars listen with interception if nothing is said, as the rules of `outrigger intercept` lead there.
const INBOUND_PORT: u16 = 15_006;
const OUTBOUND_PORT: u16 = 15_001;

impl Sidecar {
    /// This, and what `other` says where this says nothing.
    pub(super) fn or(&self, other: &Sidecar) -> Sidecar {
        fn with<T: Copy>(
            own: &BTreeMap<Arc<str>, T>,
            other: &BTreeMap<Arc<str>, T>,
        ) -> BTreeMap<Arc<str>, T> {
            let mut own = own.clone();
            for (name, value) in other {
                own.entry(Arc::clone(name)).or_insert(*value);
            }
            own
        }
        Sidecar {
            span: self.span,
            interception: self.interception.or(other.interception),
            inbound: self.inbound.clone().or_else(|| other.inbound.clone()),
            inbound_ports: with(&self.inbound_ports, &other.inbound_ports),
            outbound: self.outbound.clone().or_else(|| other.outbound.clone()),
            application_ports: with(&self.application_ports, &other.application_ports),
        }
    }

    pub(super) fn interception(&self) -> Interception {
        self.interception.unwrap_or(Interception::Redirect)
    }

    /// Where callers come in; empty without interception where nothing is said.
    pub(super) fn inbound(&self) -> Vec<Place> {
        match (&self.inbound, self.interception()) {
            (Some(places), _) => places.clone(),
            (None, Interception::Off) => Vec::new(),
            (None, _) => vec![Place {
                address: SocketAddr::from(([0, 0, 0, 0], INBOUND_PORT)),
                span: self.span,
            }],
        }
    }

    /// Where the application comes in.
    pub(super) fn outbound(&self) -> Vec<Place> {
        self.outbound.clone().unwrap_or_else(|| {
            vec![Place {
                address: SocketAddr::from(([127, 0, 0, 1], OUTBOUND_PORT)),
                span: self.span,
            }]
        })
    }
}

pub(super) fn sidecar(reader: &mut Reader<'_>, node: &Node) -> Sidecar {
    let mut sidecar = Sidecar {
        span: node.span,
        ..Sidecar::default()
    };
    let Some(fields) = reader.fields(node, &SIDECAR) else {
        return sidecar;
    };
    let words = [
        ("redirect", Interception::Redirect),
        ("tproxy", Interception::Tproxy),
        ("off", Interception::Off),
    ];
    sidecar.interception = fields.choice(reader, "interception", &words);
    sidecar.inbound = places(reader, &fields, "inbound");
    for entry in fields.map(reader, "inbound_ports") {
        if let Some(place) = place(reader, &entry.value) {
            sidecar.inbound_ports.insert(entry.key.as_str().into(), place);
        }
    }
    sidecar.outbound = places(reader, &fields, "outbound");
    for entry in fields.map(reader, "application_ports") {
        if let Some(port) = port_number(reader, &entry.value) {
            let port = (port, entry.value.span);
            sidecar.application_ports.insert(entry.key.as_str().into(), port);
        }
    }
    sidecar
}

fn places(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<Vec<Place>> {
    let nodes = one_or_more(reader, fields, name)?;
    Some(nodes.into_iter().filter_map(|node| place(reader, node)).collect())
}

fn place(reader: &mut Reader<'_>, node: &Node) -> Option<Place> {
    let address = reader.parse(node, "an IP address and a port", scalar::address)?;
    let span = node.span;
    Some(Place { address, span })
}

/// A port's number, in a map with free keys.
pub(super) fn port_number(reader: &mut Reader<'_>, node: &Node) -> Option<u16> {
    let number = reader.integer(node, 1, u64::from(u16::MAX))?;
    u16::try_from(number).ok()
}
